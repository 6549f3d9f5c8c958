//! What is found by opening every file of a dataset.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use mpama_core::ModelConfig;
use mpama_core::preprocess::{Mask, Orientation, Picture};
use mpama_datasets::{Dataset, Label, Orphan, Sample};
use rayon::prelude::*;
use serde::Serialize;

use crate::interrupt;
use crate::output::{Output, shown};
use crate::progress::EVERY_HUNDRED;

/// Files between two looks at Ctrl-C.
const AT_A_TIME: usize = 64;

/// One file and what is the matter with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    /// Whether the dataset is not usable as it is; else it is only worth knowing.
    pub(super) problem: bool,
    /// In words that are the same for all of a kind.
    pub(super) what: String,
    pub(super) path: String,
    /// What is to be said of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
}

impl Finding {
    fn new(problem: bool, what: &str, path: &Path) -> Self {
        Self {
            problem,
            what: what.to_owned(),
            path: shown(path),
            detail: None,
        }
    }

    fn with(mut self, detail: String) -> Self {
        self.detail = Some(detail);
        self
    }
}

impl From<&Orphan> for Finding {
    fn from(orphan: &Orphan) -> Self {
        let (problem, what) = (orphan.reason.is_problem(), orphan.reason.to_string());
        Finding::new(problem, &what, &orphan.path)
    }
}

/// Everything there is to say about the dataset's files, problems first; `None` if Ctrl-C came before
/// the last of them was opened.
pub(super) fn all(dataset: &Dataset, output: &Output) -> Option<Vec<Finding>> {
    let mut findings: Vec<Finding> = dataset.orphans.iter().map(Finding::from).collect();
    let progress = output.progress();
    progress.start("Opening files", dataset.samples.len(), 0, EVERY_HUNDRED);
    let mut done = 0;
    for samples in dataset.samples.chunks(AT_A_TIME) {
        if interrupt::requested() {
            progress.clear();
            return None;
        }
        let found: Vec<Vec<Finding>> = samples
            .par_iter()
            .map(|sample| of_sample(sample, dataset.mask_threshold))
            .collect();
        findings.extend(found.into_iter().flatten());
        done += samples.len();
        progress.advance(done, "");
    }
    findings.extend(duplicates(dataset));
    progress.finish(&crate::output::count(done, "image"));
    findings.sort_by(|a, b| b.problem.cmp(&a.problem).then_with(|| a.cmp(b)));
    Some(findings)
}

/// Decodes an image and its mask.
fn of_sample(sample: &Sample, threshold: u8) -> Vec<Finding> {
    let mut found = Vec::new();
    let picture = Picture::open(&sample.image, Orientation::Ignore);
    if let Err(error) = &picture {
        let finding = Finding::new(true, "image that cannot be read", &sample.image);
        found.push(finding.with(error.to_string()));
    }
    let Some(path) = &sample.mask else {
        return found;
    };
    let mask = match Mask::open(path, threshold) {
        Ok(mask) => mask,
        Err(error) => {
            let finding = Finding::new(true, "mask that cannot be read", path);
            found.push(finding.with(error.to_string()));
            return found;
        }
    };
    if let Ok(picture) = &picture
        && mask.must_match(picture).is_err()
    {
        let finding = Finding::new(true, "mask of another size than its image", path);
        found.push(finding.with(format!(
            "{}x{}, image {}x{}",
            mask.width, mask.height, picture.width, picture.height
        )));
    }
    let size = ModelConfig::default().image_size;
    let is_seen = |height, width| mask.resized(height, width).contains(&1);
    if !is_seen(size.height, size.width) {
        found.push(if is_seen(mask.height, mask.width) {
            let what = format!(
                "mask so small that nothing is left of it at {}x{}",
                size.height, size.width
            );
            Finding::new(false, &what, path)
        } else {
            let what = format!("mask of an anomalous image with nothing above {threshold}");
            Finding::new(true, &what, path)
        });
    }
    found
}

/// Images of the same bytes. Of those with one label only the copies are told; with both labels, one
/// of the two is wrong.
fn duplicates(dataset: &Dataset) -> Vec<Finding> {
    let mut sizes = BTreeMap::<u64, Vec<&Sample>>::new();
    for sample in &dataset.samples {
        sizes.entry(sample.image_bytes).or_default().push(sample);
    }
    let candidates: Vec<&Sample> = sizes
        .into_values()
        .filter(|samples| samples.len() > 1)
        .flatten()
        .collect();
    let hashed: Vec<_> = candidates
        .par_iter()
        .filter_map(|sample| Some((hash(&sample.image)?, *sample)))
        .collect();
    let mut same = BTreeMap::<[u8; 32], Vec<&Sample>>::new();
    for (hash, sample) in hashed {
        same.entry(hash).or_default().push(sample);
    }
    let mut found = Vec::new();
    for samples in same.into_values() {
        let [first, copies @ ..] = &samples[..] else {
            continue;
        };
        let both = [Label::Normal, Label::Anomalous]
            .iter()
            .all(|label| samples.iter().any(|s| s.label == *label));
        let what = match both {
            true => "the same image as normal and as anomalous",
            false => "copy of another image",
        };
        found.extend(copies.iter().map(|copy| {
            Finding::new(both, what, &copy.image).with(format!("as {}", shown(&first.image)))
        }));
    }
    found
}

/// BLAKE3 of a file; one that cannot be read is a finding of its own.
fn hash(path: &Path) -> Option<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path).ok()?).ok()?;
    Some(*hasher.finalize().as_bytes())
}
