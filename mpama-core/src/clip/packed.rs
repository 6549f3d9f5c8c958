//! Image towers as this machine's kernels want them, kept in files: the next load maps one and is done.
//!
//! A file is in the safetensors format: tensors under their own names, and of each affine map that is laid out
//! `NAME#panels`, `NAME#scales` and `NAME#bias`. It is named after everything that it depends on, and is as good
//! as missing where anything about it is not as expected.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use candle_core::{Device, Result, Tensor};
use memmap2::Mmap;
use pulp::bytemuck::{cast_slice, try_cast_slice};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use super::weights::{Source, Wanted, Weights, precision_of};
use crate::kernels::packed::{Packed, Parts, Words};
use crate::kernels::precision::Precision;

/// To be raised when what a file holds is laid out otherwise.
const LAYOUT: u32 = 2;

/// Where data begins is a multiple of it: a cache line.
const LINE: usize = 64;

/// The file of a checkpoint's tower.
pub(super) struct PackedFile {
    path: PathBuf,
    precision: Precision,
}

impl PackedFile {
    /// The file in `folder` for these weights: by their files' places, sizes and times of change, which are
    /// known without reading them, and by what is laid out how.
    pub(super) fn find(
        folder: &Path,
        source: &Source,
        wanted: &[Wanted],
        precision: Precision,
    ) -> io::Result<Self> {
        let mut key = blake3::Hasher::new();
        let (registers, computed) = Packed::registers(precision);
        key.update(format!("{LAYOUT} {precision} {computed} {registers}\n").as_bytes());
        for file in source.files() {
            let (place, found) = (file.canonicalize()?, fs::metadata(file)?);
            let changed = found.modified()?.duration_since(UNIX_EPOCH);
            let changed = changed.map_or(0, |time| time.as_nanos());
            key.update(format!("{place:?} {} {changed}\n", found.len()).as_bytes());
        }
        for Wanted { name, shape } in wanted {
            key.update(format!("{name} {shape:?}\n").as_bytes());
        }
        let name = &key.finalize().to_hex()[..32];
        Ok(Self {
            path: folder.join(format!("{name}-{precision}.safetensors")),
            precision,
        })
    }

    /// The weights, mapped, if the file is there and whole.
    pub(super) fn read(&self, wanted: &[Wanted]) -> Option<Weights> {
        let file = File::open(&self.path).ok()?;
        // SAFETY: files of this folder are written whole under another name and then renamed, never changed
        let map = Arc::new(unsafe { Mmap::map(&file) }.ok()?);
        let (header, metadata) = SafeTensors::read_metadata(&map).ok()?;
        let first = header + size_of::<u64>();
        let bytes = |name: &str| {
            let (from, to) = metadata.info(name)?.data_offsets;
            Some(first + from..first + to)
        };
        let floats = |name: &str| -> Option<Vec<f32>> {
            Some(try_cast_slice(map.get(bytes(name)?)?).ok()?.to_vec())
        };
        let mut weights = Weights::new(BTreeMap::new());
        weights.fingerprint = Some(metadata.metadata().as_ref()?.get("fingerprint")?.clone());
        for Wanted { name, shape } in wanted {
            let prefix = name.strip_suffix(".weight").unwrap_or(name);
            if let (Some(bytes), &[outputs, inputs]) =
                (bytes(&format!("{prefix}#panels")), &shape[..])
            {
                let _: &[u32] = try_cast_slice(map.get(bytes.clone())?).ok()?;
                let parts = Parts {
                    panels: Words::Mapped {
                        map: Arc::clone(&map),
                        bytes,
                    },
                    scales: floats(&format!("{prefix}#scales"))?,
                    bias: floats(&format!("{prefix}#bias"))?,
                };
                let precision = precision_of(prefix, self.precision);
                let packed = Packed::from_parts(parts, (outputs, inputs), precision)?;
                weights.packed.insert(prefix.to_owned(), Arc::new(packed));
            } else if let Some(values) = floats(name) {
                let tensor = Tensor::from_vec(values, &shape[..], &Device::Cpu).ok()?;
                weights.tensors.insert(name.clone(), tensor);
            } else {
                // the bias of a map that is laid out
                let prefix = name.strip_suffix(".bias")?;
                bytes(&format!("{prefix}#panels"))?;
            }
        }
        Some(weights)
    }

    /// Writes weights that are laid out: under another name, then renamed. What fails leaves nothing behind.
    pub(super) fn write(&self, weights: &Weights) -> Result<()> {
        let beside = self
            .path
            .with_extension(format!("{}.part", std::process::id()));
        let written = File::create(&beside)
            .map_err(Into::into)
            .and_then(|file| write(BufWriter::new(file), weights))
            .and_then(|()| Ok(fs::rename(&beside, &self.path)?));
        if written.is_err() {
            let _ = fs::remove_file(&beside); // the first error is the one to tell
        }
        written
    }
}

fn write(mut file: impl Write, weights: &Weights) -> Result<()> {
    let tensors = weights.tensors.iter();
    let tensors = tensors.map(|(name, tensor)| Ok((name, tensor.flatten_all()?.to_vec1::<f32>()?)));
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let mut sections: Vec<(String, &str, &[u8])> = Vec::new();
    // panels first: they are whole lines, so that each of them begins at one
    for (name, packed) in &weights.packed {
        sections.push((
            format!("{name}#panels"),
            "U32",
            cast_slice(packed.parts().panels),
        ));
    }
    for (name, packed) in &weights.packed {
        let Parts { scales, bias, .. } = packed.parts();
        sections.push((format!("{name}#scales"), "F32", cast_slice(scales)));
        sections.push((format!("{name}#bias"), "F32", cast_slice(bias)));
    }
    for (name, values) in &tensors {
        sections.push(((*name).clone(), "F32", cast_slice(values)));
    }
    let fingerprint = weights.fingerprint().map_err(candle_core::Error::wrap)?;
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({ "fingerprint": fingerprint }));
    let mut from = 0;
    for (name, dtype, bytes) in &sections {
        let to = from + bytes.len();
        let info =
            json!({ "dtype": dtype, "shape": [bytes.len() / 4], "data_offsets": [from, to] });
        header.insert(name.clone(), info);
        from = to;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    let whole = (size_of::<u64>() + header.len()).next_multiple_of(LINE);
    header.resize(whole - size_of::<u64>(), b' ');
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, _, bytes) in sections {
        file.write_all(bytes)?;
    }
    Ok(file.flush()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, SystemTime};

    use super::super::{Checkpoint, VisionOptions, VisionTower};
    use super::*;

    fn copy_of_tiny_clip() -> tempfile::TempDir {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny_clip");
        let folder = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors"] {
            fs::copy(from.join(name), folder.path().join(name)).unwrap();
        }
        folder
    }

    fn load(clip: &Path, kept_in: &Path, precision: Precision) -> VisionTower {
        let options = VisionOptions {
            vv_depth: 2,
            precision,
            ..VisionOptions::default()
        };
        let checkpoint = Checkpoint::open(clip).unwrap().kept_in(kept_in);
        checkpoint.vision(&options, &Device::Cpu).unwrap()
    }

    fn seen(tower: &VisionTower) -> (String, Vec<f32>) {
        let values: Vec<f32> = (0..3 * 70 * 42).map(|i| (i as f32 * 0.73).sin()).collect();
        let pixels = Tensor::from_vec(values, (1, 3, 70, 42), &Device::Cpu).unwrap();
        let patches = tower.forward(&pixels).unwrap().patches;
        let values = patches.flatten_all().unwrap().to_vec1().unwrap();
        (tower.fingerprint().to_owned(), values)
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_mapped_tower_sees_what_the_one_sees_that_was_read() {
        let clip = copy_of_tiny_clip();
        for precision in Precision::ALL {
            let kept = tempfile::tempdir().unwrap();
            let first = seen(&load(clip.path(), kept.path(), precision));
            assert_eq!(files(kept.path()).len(), 1);
            // what follows can only come of the file that was kept
            let weights = clip.path().join("model.safetensors");
            let bytes = fs::read(&weights).unwrap();
            let changed = fs::metadata(&weights).unwrap().modified().unwrap();
            fs::write(&weights, vec![0; bytes.len()]).unwrap();
            let file = File::options().write(true).open(&weights).unwrap();
            file.set_modified(changed).unwrap();
            let second = seen(&load(clip.path(), kept.path(), precision));
            fs::write(&weights, bytes).unwrap();
            assert_eq!(first, second, "{precision}");
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_made_again() {
        let (clip, kept) = (copy_of_tiny_clip(), tempfile::tempdir().unwrap());
        let first = seen(&load(clip.path(), kept.path(), Precision::Int16));
        let path = files(kept.path()).remove(0);
        let whole = fs::read(&path).unwrap();
        for damaged in [
            &whole[..0],
            &whole[..7],
            &whole[..100],
            &whole[..whole.len() - 1],
        ] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(
                seen(&load(clip.path(), kept.path(), Precision::Int16)),
                first
            );
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        assert_eq!(files(kept.path()).len(), 1);
    }

    #[test]
    fn a_checkpoint_that_changed_has_another_file() {
        let (clip, kept) = (copy_of_tiny_clip(), tempfile::tempdir().unwrap());
        load(clip.path(), kept.path(), Precision::F32);
        let file = File::options()
            .write(true)
            .open(clip.path().join("model.safetensors"));
        let later = SystemTime::now() + Duration::from_secs(5);
        file.unwrap().set_modified(later).unwrap();
        load(clip.path(), kept.path(), Precision::F32);
        assert_eq!(files(kept.path()).len(), 2);
    }

    #[test]
    fn a_folder_that_is_not_there_changes_nothing() {
        let clip = copy_of_tiny_clip();
        let tower = load(clip.path(), &clip.path().join("nowhere"), Precision::F32);
        assert!(!seen(&tower).1.is_empty());
    }
}
