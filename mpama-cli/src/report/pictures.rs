//! A few defects as files beside `report.json`: what a model card may show. They are taken by rank, not for
//! looks.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Component, Path};

use candle_core::Tensor;
use image::ImageFormat;
use mpama_core::preprocess::{Orientation, Picture, network_input};
use mpama_datasets::{Dataset, Label, Sample};
use mpama_train::eval::{EvalConfig, ImageResult, Report};
use serde::{Deserialize, Serialize};

use super::pair::{Pair, Reading};
use crate::files;
use crate::interrupt;
use crate::model::Loaded;
use crate::output::Output;
use crate::problem::Mistake;

/// The most pictures of a report.
const MOST: usize = 6;
/// Longer side of the photo and of the heatmap, in pixels.
const SIDE: usize = 320;
/// Their folder, beside the report.
const FOLDER: &str = "pictures";

/// A defect that a report shows: the photo, and its heatmap with the true defect outlined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pictured {
    /// The picture, relative to the report.
    pub(crate) file: String,
    /// Name of the dataset.
    pub(crate) dataset: String,
    /// Its category.
    pub(crate) category: String,
    /// Its kind of defect, as its folder is called.
    pub(crate) defect: String,
    /// The image's score.
    pub(crate) score: f32,
}

impl Pictured {
    /// Its bytes, from beside the report at `report`.
    ///
    /// # Errors
    /// If it is not there, or a report names a file that lies elsewhere.
    pub(crate) fn read(&self, report: &Path) -> Result<Vec<u8>, Mistake> {
        let inside = |part| matches!(part, Component::Normal(_));
        let path = report.with_file_name(&self.file);
        match Path::new(&self.file).components().all(inside) {
            true => std::fs::read(&path).ok(),
            false => None,
        }
        .ok_or(Mistake::NoReportPicture { path })
    }
}

/// Writes the pictures of `reports` on `datasets`, which hold every image's score, below `folder`; fewer if
/// Ctrl-C comes, or if an image cannot be read any more.
pub(crate) fn pictures(
    folder: &Path,
    loaded: &Loaded,
    config: &EvalConfig,
    datasets: &[Dataset],
    reports: &[Report],
    output: &Output,
) -> anyhow::Result<Vec<Pictured>> {
    let orientation = match config.exif_orientation {
        true => Orientation::Apply,
        false => Orientation::Ignore,
    };
    let mut done = Vec::new();
    for (number, image) in chosen(reports) {
        let (dataset, report) = (&datasets[number], &reports[number]);
        let sample = dataset.samples.iter().find(|s| s.id == image.id);
        let Some(sample) = sample.filter(|_| !interrupt::requested()) else {
            continue;
        };
        let reading = Reading {
            orientation,
            mask_threshold: report.mask_threshold,
        };
        let pair = match drawn(sample, loaded, reading) {
            Ok(pair) => pair,
            Err(error) => {
                output.warn(format_args!("no picture of {}: {error}", sample.id));
                continue;
            }
        };
        let file = format!("{FOLDER}/{}.png", done.len() + 1);
        let mut bytes = Cursor::new(Vec::new());
        pair.picture().write_to(&mut bytes, ImageFormat::Png)?;
        files::writable_folder(&folder.join(FOLDER))?;
        files::write_whole(&folder.join(&file), &bytes.into_inner())?;
        done.push(Pictured {
            file,
            dataset: report.dataset.clone(),
            category: image.category.clone(),
            defect: sample.defect.clone(),
            score: image.score,
        });
    }
    Ok(done)
}

/// Predicts once more: no evaluation keeps all of its maps.
fn drawn(sample: &Sample, loaded: &Loaded, reading: Reading) -> anyhow::Result<Pair> {
    let picture = Picture::open(&sample.image, reading.orientation)?;
    let model = &loaded.config.model;
    let (height, width) = (model.image_size.height, model.image_size.width);
    let pixels = network_input(&picture, height, width);
    let pixels = Tensor::from_vec(pixels, (1, 3, height, width), &loaded.device)?;
    let prediction = loaded.detector.predict(&pixels)?.pop();
    let prediction = prediction.ok_or_else(|| anyhow::anyhow!("the model gave no map"))?;
    let map = prediction.map.smoothed(model.score.sigma);
    Ok(Pair::read(sample, &map, reading, SIDE)?)
}

/// At most [`MOST`] defects, each with the number of its report. Of every category, sorted by score and parted
/// evenly, the middle one of each part; one part is the median. Of more than [`MOST`] categories, as many
/// spread evenly over their names.
fn chosen(reports: &[Report]) -> Vec<(usize, &ImageResult)> {
    let mut groups: BTreeMap<(usize, &str), Vec<&ImageResult>> = BTreeMap::new();
    for (number, report) in reports.iter().enumerate() {
        let all = report.images.iter().flatten();
        for image in all.filter(|image| image.label == Label::Anomalous) {
            let group = groups.entry((number, &image.category)).or_default();
            group.push(image);
        }
    }
    let groups: Vec<_> = groups.into_iter().collect();
    let each = MOST / groups.len().clamp(1, MOST);
    let mut chosen = Vec::new();
    for place in middles(groups.len(), MOST) {
        let ((number, _), images) = &groups[place];
        let mut images = images.clone();
        images.sort_by(|a, b| a.score.total_cmp(&b.score).then_with(|| a.id.cmp(&b.id)));
        chosen.extend(middles(images.len(), each).map(|rank| (*number, images[rank])));
    }
    chosen
}

/// `count` places parted evenly into at most `parts`: the middle place of each, the lower of two.
fn middles(count: usize, parts: usize) -> impl Iterator<Item = usize> {
    let parts = parts.min(count);
    (0..parts).map(move |part| ((2 * part + 1) * count - 1) / (2 * parts))
}

#[cfg(test)]
mod tests {
    use mpama_train::eval::Scores;

    use super::*;

    fn report(categories: &[&str], defects: usize) -> Report {
        let image = |category: &str, number: usize, label| ImageResult {
            id: format!("{category}/{number:02}"),
            category: category.to_owned(),
            label,
            score: number as f32 / 100.0,
        };
        let images = categories.iter().flat_map(|category| {
            let defects = (0..defects).map(|number| image(category, number, Label::Anomalous));
            defects.chain([image(category, 99, Label::Normal)])
        });
        Report {
            dataset: "d".to_owned(),
            index_hash: String::new(),
            mask_threshold: 0,
            map_size: (1, 1),
            original_size: false,
            sigma: 0.0,
            categories: Vec::new(),
            mean: Scores::default(),
            failures: Vec::new(),
            seconds: 0.0,
            images: Some(images.collect()),
            figures: None,
            bounds: None,
        }
    }

    fn ids(reports: &[Report]) -> Vec<(usize, String)> {
        let chosen = chosen(reports).into_iter();
        chosen.map(|(n, image)| (n, image.id.clone())).collect()
    }

    #[test]
    fn the_middle_is_shown_and_never_only_the_best() {
        let of = |categories: &[&str], defects| -> Vec<String> {
            let ids = ids(&[report(categories, defects)]);
            ids.into_iter().map(|(_, id)| id).collect()
        };
        assert_eq!(of(&["a"], 1), ["a/00"]);
        assert_eq!(
            of(&["a"], 60),
            ["a/04", "a/14", "a/24", "a/34", "a/44", "a/54"]
        );
        assert_eq!(
            of(&["a", "b", "c"], 4),
            ["a/00", "a/02", "b/00", "b/02", "c/00", "c/02"]
        );
        assert_eq!(
            of(&["a", "b", "c", "d"], 5),
            ["a/02", "b/02", "c/02", "d/02"]
        );
        let many: Vec<String> = ('a'..='l').map(String::from).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            of(&many, 4),
            ["a/01", "c/01", "e/01", "g/01", "i/01", "k/01"]
        );
    }

    #[test]
    fn datasets_are_kept_apart_and_those_without_defects_show_none() {
        let reports = [report(&["a"], 0), report(&["a"], 1), report(&["a"], 2)];
        let found = ids(&reports);
        assert_eq!(
            found,
            [
                (1, "a/00".to_owned()),
                (2, "a/00".to_owned()),
                (2, "a/01".to_owned())
            ]
        );
        assert_eq!(ids(&[]), []);
    }

    #[test]
    fn a_report_names_no_file_elsewhere() {
        let picture = |file: &str| Pictured {
            file: file.to_owned(),
            dataset: String::new(),
            category: String::new(),
            defect: String::new(),
            score: 0.0,
        };
        let here = Path::new(file!());
        for file in ["/etc/hostname", "../Cargo.toml", "pictures/../../secret"] {
            let read = picture(file).read(here);
            assert!(
                matches!(read, Err(Mistake::NoReportPicture { .. })),
                "{file}"
            );
        }
    }
}
