//! A detector measured on a dataset, category by category.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use mpama_core::preprocess::Mask;
use mpama_core::{AnomalyMap, Detector, Prediction, Routes};
use mpama_datasets::{Dataset, Label, Sample};
use rayon::prelude::*;

use super::binned::PixelBounds;
use super::category::{Category, Measured};
use super::cost::Cost;
use super::pixels::PIXEL_MEMORY;
use super::report::{Failure, Figures, ImageResult, Report, Scores};
use super::scales::{self, Quartiles};
use super::state::{DoneCategory, EvalState};
use super::usage::Usage;
use crate::ahead::ahead;
use crate::control::{Control, Outcome};
use crate::error::{BadFile, Result};
use crate::event::Event;
use crate::prepare::{Preparation, Prepared, orientation};

/// Batches decoded while the model is busy with another.
const DECODED_AHEAD: usize = 1;

/// How to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalConfig {
    /// Images per pass through the model.
    pub batch_size: usize,
    /// Mask values above it are anomalous; `None` for what suits the dataset's masks
    /// ([`Dataset::mask_threshold`]).
    pub mask_threshold: Option<u8>,
    /// Turn images as their EXIF orientation says.
    pub exif_orientation: bool,
    /// Put every image's score into the report.
    pub per_image: bool,
    /// Put curves of at most so many points into the report; 0 for none.
    pub curve_points: usize,
    /// Put the numbers behind the paper's figures 4 and 5 and table 7 into the report.
    pub figures: bool,
    /// Compare map and mask at the size of the image's file instead of the network's input.
    pub original_size: bool,
    /// Count pixels in so many bins instead of ranking them: constant memory, and bounds on what the exact
    /// metrics are. The quarters by defect size are ranked all the same.
    pub bins: Option<usize>,
    /// Memory in bytes for the pixels of a category; beyond it they go to a temporary file. With
    /// `figures` half as much comes on top.
    pub pixel_memory: usize,
    /// Where that file is; the system's folder for such files if not given.
    pub spill: Option<PathBuf>,
    /// Of a category that is known from an earlier, stopped evaluation, predict so many images of each
    /// label with the lowest scores again, and so many with the highest, so that they can be looked at.
    pub look_again: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            batch_size: 8,
            mask_threshold: None,
            exif_orientation: false,
            per_image: false,
            curve_points: 0,
            figures: false,
            original_size: false,
            bins: None,
            pixel_memory: PIXEL_MEMORY,
            spill: None,
            look_again: 0,
        }
    }
}

/// An image that was measured.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The image.
    pub sample: &'a Sample,
    /// What was predicted on it; its map is smoothed, at the size of the network's input.
    pub prediction: &'a Prediction,
    /// The map as the metrics take it.
    pub map: &'a AnomalyMap,
    /// The mask at the size of `map`; `None` if it is unknown.
    pub mask: Option<&'a [u8]>,
    /// The experts its tokens went to, level by level; empty without [`EvalConfig::figures`] or without
    /// experts.
    pub routes: &'a [Routes],
}

/// Measures `detector` on `dataset`.
///
/// Image metrics take the image scores; pixel metrics take the maps, smoothed by the adapter's
/// `score.sigma`, against the masks, both at the network's input size or at that of the files. Files that
/// cannot be read are listed in the report and left out. Only one category's pixels are kept at a time,
/// in bounded memory.
///
/// # Errors
/// What the model fails with, and [`crate::Error::Score`] for a score that is not finite or pixels that
/// could not be written to a temporary file.
pub fn evaluate(
    detector: &Detector,
    dataset: &Dataset,
    config: &EvalConfig,
    control: &mut Control<'_>,
) -> Result<Outcome<Report>> {
    evaluate_with(detector, dataset, config, None, control, &mut |_| Ok(()))
}

/// [`evaluate`], leaving out the categories that are done in `state` and adding those that get done, and
/// showing `look` every image that is measured; images of one category come together.
///
/// # Errors
/// As [`evaluate`]; also if `state` cannot be written, and what `look` fails with.
pub fn evaluate_with(
    detector: &Detector,
    dataset: &Dataset,
    config: &EvalConfig,
    state: Option<&EvalState>,
    control: &mut Control<'_>,
    look: &mut dyn FnMut(&Seen<'_>) -> Result<()>,
) -> Result<Outcome<Report>> {
    let started = Instant::now();
    let model = detector.config();
    let preparation = Preparation {
        size: model.image_size,
        orientation: orientation(config.exif_orientation),
        mask_threshold: config.mask_threshold.unwrap_or(dataset.mask_threshold),
    };
    let groups = dataset.by_category();
    let mut done: Vec<Option<DoneCategory>> = groups
        .keys()
        .map(|category| state.map_or(Ok(None), |state| state.done(category)))
        .collect::<Result<_>>()?;
    let batches = batches(&groups, &done, config);
    let quartiles = match config.figures && batches.iter().any(|batch| !batch.again) {
        true => Quartiles::of(defect_sizes(dataset, &preparation)),
        false => None,
    };

    let known: usize = done.iter().flatten().map(DoneCategory::samples).sum();
    let (mut scored, total) = (known, dataset.samples.len());
    let mut current: Option<(usize, Category<'_>)> = None;
    let ended = ahead(
        DECODED_AHEAD,
        &batches,
        |batch| (batch, decode_all(&preparation, config, &batch.samples)),
        |decoded| -> Result<Outcome<()>> {
            for (batch, images) in decoded {
                if control.stopped() {
                    return Ok(Outcome::Interrupted);
                }
                if current.as_ref().is_some_and(|(at, _)| *at != batch.number) {
                    finish(&mut current, &mut done, detector, state)?;
                }
                if batch.again {
                    for image in predict(detector, &preparation, config, batch, images, |_| {})?.0 {
                        look(&image.seen())?;
                    }
                    continue;
                }
                let (_, category) = current.get_or_insert_with(|| {
                    control.emit(Event::CategoryStarted {
                        category: batch.category.to_owned(),
                        number: batch.number + 1,
                        of: groups.len(),
                    });
                    let category = Category::new(batch.category, config, quartiles);
                    (batch.number, category)
                });
                let failed = |BadFile { id, reason }| {
                    control.emit(Event::Failed {
                        id: id.clone(),
                        reason: reason.clone(),
                    });
                    category.failed(Failure { id, reason });
                };
                let (images, seconds) =
                    predict(detector, &preparation, config, batch, images, failed)?;
                category.add(&images, seconds, &model.experts)?;
                for image in &images {
                    look(&image.seen())?;
                }
                scored += batch.samples.len();
                control.emit(Event::Scored {
                    done: scored,
                    total,
                });
            }
            Ok(Outcome::Done(()))
        },
    )?;
    if let Outcome::Interrupted = ended {
        return Ok(Outcome::Interrupted);
    }
    finish(&mut current, &mut done, detector, state)?;
    let mut report = collect(detector, dataset, config, done.into_iter().flatten());
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Outcome::Done(report))
}

/// Images of one category that go through the model together.
struct Batch<'a> {
    /// Place of the category, from 0.
    number: usize,
    category: &'a str,
    samples: Vec<&'a Sample>,
    /// Only to be looked at: the category is done.
    again: bool,
}

/// All there is to do, in the order of categories.
fn batches<'a>(
    groups: &std::collections::BTreeMap<&'a str, Vec<&'a Sample>>,
    done: &[Option<DoneCategory>],
    config: &EvalConfig,
) -> Vec<Batch<'a>> {
    let mut batches = Vec::new();
    for (number, ((&category, samples), done)) in groups.iter().zip(done).enumerate() {
        let again = done.as_ref().map(|done| done.extremes(config.look_again));
        let samples: Vec<&Sample> = samples
            .iter()
            .copied()
            .filter(|sample| {
                again
                    .as_ref()
                    .is_none_or(|ids| ids.contains(sample.id.as_str()))
            })
            .collect();
        for samples in samples.chunks(config.batch_size.max(1)) {
            batches.push(Batch {
                number,
                category,
                samples: samples.to_vec(),
                again: again.is_some(),
            });
        }
    }
    batches
}

impl DoneCategory {
    /// Images of the category, those that could not be read included.
    fn samples(&self) -> usize {
        self.images.len() + self.failures.len()
    }

    /// The ids of the `many` lowest and highest scores of each label.
    fn extremes(&self, many: usize) -> BTreeSet<&str> {
        let mut ids = BTreeSet::new();
        for label in [Label::Normal, Label::Anomalous] {
            let mut images: Vec<&ImageResult> = self
                .images
                .iter()
                .filter(|image| image.label == label)
                .collect();
            images.sort_by(|a, b| a.score.total_cmp(&b.score)); // stable
            let ends = images
                .iter()
                .take(many)
                .chain(images.iter().rev().take(many));
            ids.extend(ends.map(|image| image.id.as_str()));
        }
        ids
    }
}

/// A decoded image and the truth about it at its own size, if that is asked for.
type Decoded = Result<(Prepared, Option<Original>), BadFile>;

struct Original {
    height: usize,
    width: usize,
    mask: Option<Vec<u8>>,
}

/// Decodes samples side by side.
fn decode_all(preparation: &Preparation, config: &EvalConfig, samples: &[&Sample]) -> Vec<Decoded> {
    let decode = |sample: &&Sample| {
        let (picture, mask) = preparation.decode(sample)?;
        let (height, width) = (picture.height, picture.width);
        let original = config.original_size.then(|| Original {
            height,
            width,
            mask: match (&mask, sample.label) {
                (Some(mask), _) => Some(mask.resized(height, width)),
                (None, Label::Normal) => Some(vec![0; height * width]),
                (None, Label::Anomalous) => None,
            },
        });
        Ok((
            preparation.of(&picture, mask.as_ref(), sample.label),
            original,
        ))
    };
    samples.par_iter().map(decode).collect()
}

/// Predicts on what could be read of a batch; also says how many seconds the model took.
fn predict<'a>(
    detector: &Detector,
    preparation: &Preparation,
    config: &EvalConfig,
    batch: &Batch<'a>,
    images: Vec<Decoded>,
    mut failed: impl FnMut(BadFile),
) -> Result<(Vec<Measured<'a>>, f64)> {
    let mut readable = Vec::with_capacity(images.len());
    for (&sample, image) in batch.samples.iter().zip(images) {
        match image {
            Ok((prepared, original)) => readable.push((sample, prepared, original)),
            Err(bad) => failed(bad),
        }
    }
    if readable.is_empty() {
        return Ok((Vec::new(), 0.0));
    }
    let device = detector.vision().projection().device();
    let pixels = preparation.stack(readable.iter().map(|(_, image, _)| image), device)?;
    let started = Instant::now();
    let predictions: Vec<(Prediction, Vec<Routes>)> = match config.figures {
        true => detector.predict_routed(&pixels)?,
        false => {
            let predictions = detector.predict(&pixels)?;
            predictions.into_iter().map(|p| (p, Vec::new())).collect()
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let sigma = detector.config().score.sigma;
    let measured = readable.into_par_iter().zip(predictions).map(
        |((sample, prepared, original), (mut prediction, routes))| {
            prediction.map = prediction.map.smoothed(sigma);
            let anomalous_pixels = prepared
                .mask
                .iter()
                .flatten()
                .filter(|&&value| value != 0)
                .count();
            let (map, mask) = match original {
                Some(Original {
                    height,
                    width,
                    mask,
                }) => (prediction.map.resized(height, width), mask),
                None => (prediction.map.clone(), prepared.mask),
            };
            Measured {
                sample,
                prediction,
                routes,
                map,
                mask,
                anomalous_pixels,
            }
        },
    );
    Ok((measured.collect(), seconds))
}

impl Measured<'_> {
    fn seen(&self) -> Seen<'_> {
        Seen {
            sample: self.sample,
            prediction: &self.prediction,
            map: &self.map,
            mask: self.mask.as_deref(),
            routes: &self.routes,
        }
    }
}

/// Anomalous pixels of every anomalous image at the network's size. A mask that cannot be read is
/// reported when its image has its turn.
fn defect_sizes(dataset: &Dataset, preparation: &Preparation) -> Vec<usize> {
    let size = preparation.size;
    let masks = dataset
        .samples
        .par_iter()
        .filter_map(|sample| sample.mask.as_ref());
    masks
        .filter_map(|path| Mask::open(path, preparation.mask_threshold).ok())
        .map(|mask| {
            let pixels = mask.resized(size.height, size.width);
            pixels.iter().filter(|&&value| value != 0).count()
        })
        .collect()
}

/// Closes the category that is being measured.
fn finish(
    current: &mut Option<(usize, Category<'_>)>,
    done: &mut [Option<DoneCategory>],
    detector: &Detector,
    state: Option<&EvalState>,
) -> Result<()> {
    if let Some((number, category)) = current.take() {
        let category = category.finish(&detector.config().experts)?;
        if let Some(state) = state {
            state.keep(&category)?;
        }
        done[number] = Some(category);
    }
    Ok(())
}

/// The report from what is known of the categories.
fn collect(
    detector: &Detector,
    dataset: &Dataset,
    config: &EvalConfig,
    done: impl Iterator<Item = DoneCategory>,
) -> Report {
    let model = detector.config();
    let mut report = Report {
        dataset: dataset.name.clone(),
        index_hash: dataset.index_hash(),
        mask_threshold: config.mask_threshold.unwrap_or(dataset.mask_threshold),
        map_size: (model.image_size.height, model.image_size.width),
        original_size: config.original_size,
        sigma: model.score.sigma,
        categories: Vec::new(),
        mean: Scores::default(),
        failures: Vec::new(),
        seconds: 0.0,
        images: None,
        figures: None,
        bounds: None,
    };
    let mut images = Vec::new();
    for category in done {
        report.categories.push(category.report);
        report.failures.extend(category.failures);
        images.extend(category.images);
    }
    let scores: Vec<Scores> = report
        .categories
        .iter()
        .map(|category| category.scores)
        .collect();
    report.mean = Scores::mean(&scores);
    images.sort_by(|a: &ImageResult, b| a.id.cmp(&b.id));
    if config.figures {
        let all = || {
            report
                .categories
                .iter()
                .filter_map(|category| category.figures.as_ref())
        };
        let mut usage = Usage::default();
        all().for_each(|figures| usage.add(&figures.experts, &figures.perceptions));
        let seconds = all().map(|figures| figures.predict_seconds).sum();
        report.figures = Some(Figures {
            scales: scales::mean(all().map(|figures| figures.scales.as_slice())),
            experts: usage.named(&model.experts),
            perceptions: usage.by_perception(&model.experts),
            cost: Cost::of(config.batch_size, images.len(), seconds),
        });
    }
    let bounds: Vec<PixelBounds> = report.categories.iter().filter_map(|c| c.bounds).collect();
    report.bounds = PixelBounds::mean(&bounds);
    report.images = config.per_image.then_some(images);
    report
}
