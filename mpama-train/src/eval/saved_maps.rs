//! Maps, masks and scores as files that other tools read: NumPy arrays and one index.

use std::path::{Path, PathBuf};

use mpama_datasets::{Dataset, Label, Sample};
use serde::Serialize;

use super::evaluate::Seen;
use super::report::Report;
use crate::disk;
use crate::error::{Error, Result};

/// The index among the saved maps: one JSON object on a line for each image.
pub const MAP_INDEX: &str = "index.jsonl";

/// Writes what the metrics took of every image of one dataset.
///
/// `NAME/maps/ID.npy` is the anomaly map, `float32` `[H, W]`: at the size and smoothed as the metrics
/// take it. `NAME/masks/ID.npy` is the mask at the same size, `uint8` of 0 and 1, all 0 for a normal image;
/// an anomalous image whose mask is unknown has none.
#[derive(Debug)]
pub struct SavedMaps {
    folder: PathBuf,
    name: String,
}

/// A line of the index. Paths are relative to its folder.
#[derive(Serialize)]
struct Line<'a> {
    dataset: &'a str,
    id: &'a str,
    category: &'a str,
    label: Label,
    score: f32,
    map: String,
    mask: Option<String>,
    /// Standard deviation in pixels of the Gaussian that the map was smoothed with; 0 is none.
    sigma: f64,
}

impl SavedMaps {
    /// Will write into `folder/name`.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Writes map and mask of one image.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, seen: &Seen<'_>) -> Result<()> {
        let (map, mask) = (seen.map, seen.mask);
        let shape = (map.height, map.width);
        let values = map.values.iter().flat_map(|value| value.to_le_bytes());
        self.write(&self.map(seen.sample), &array("<f4", shape, values))?;
        match mask {
            Some(mask) => {
                let bytes = array("|u1", shape, mask.iter().copied());
                self.write(&self.mask(seen.sample), &bytes)
            }
            None => Ok(()),
        }
    }

    /// Whether the files of a sample are there.
    pub fn holds(&self, sample: &Sample) -> bool {
        let there = |file: &str| self.folder.join(file).is_file();
        there(&self.map(sample)) && (!has_mask(sample) || there(&self.mask(sample)))
    }

    /// The lines of the index for a dataset that is done; `report` must hold every image's score.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn lines(&self, dataset: &Dataset, report: &Report) -> Result<String> {
        let mut lines = String::new();
        let mut results = report.images.iter().flatten().peekable();
        for sample in &dataset.samples {
            // both are in the order of ids, and what could not be read has no result
            let Some(result) = results.next_if(|result| result.id == sample.id) else {
                continue;
            };
            let line = Line {
                dataset: &self.name,
                id: &sample.id,
                category: &sample.category,
                label: sample.label,
                score: result.score,
                map: self.map(sample),
                mask: has_mask(sample).then(|| self.mask(sample)),
                sigma: report.sigma,
            };
            let text = serde_json::to_string(&line)
                .map_err(|error| Error::io("write", &self.folder.join(MAP_INDEX), error.into()))?;
            lines += &text;
            lines.push('\n');
        }
        Ok(lines)
    }

    fn map(&self, sample: &Sample) -> String {
        format!("{}/maps/{}.npy", self.name, sample.id)
    }

    fn mask(&self, sample: &Sample) -> String {
        format!("{}/masks/{}.npy", self.name, sample.id)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.folder.join(file);
        if let Some(parent) = path.parent() {
            disk::create_folder(parent)?;
        }
        disk::write_unflushed(&path, bytes)
    }
}

fn has_mask(sample: &Sample) -> bool {
    sample.label == Label::Normal || sample.mask.is_some()
}

/// A `.npy` file, version 1.0, of a two-dimensional array in C order.
fn array(kind: &str, shape: (usize, usize), values: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut header = format!(
        "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}, {}), }}",
        shape.0, shape.1
    );
    // magic, version, length, header and a line break take a multiple of 64 bytes
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_as_numpy_writes_it() {
        // numpy.save(file, numpy.array([[1, 0, 1]], numpy.uint8))
        let mut expected =
            b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }"
                .to_vec();
        expected.resize(127, b' ');
        expected.extend([b'\n', 1, 0, 1]);
        assert_eq!(array("|u1", (1, 3), [1, 0, 1].into_iter()), expected);
    }
}
