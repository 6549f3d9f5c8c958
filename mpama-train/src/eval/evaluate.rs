//! A detector measured on a dataset, category by category.

use std::time::Instant;

use mpama_core::{Detector, Prediction};
use mpama_datasets::{Dataset, Label, Sample};
use rayon::prelude::*;

use super::report::{CategoryReport, Failure, ImageResult, Report, Scores};
use super::{
    Curves, MetricError, PixelMap, PixelMetrics, auroc, average_precision, f1_max,
    precision_recall_curve, roc_curve,
};
use crate::ahead::ahead;
use crate::control::{Control, Outcome};
use crate::error::{BadFile, Error, Result};
use crate::event::Event;
use crate::prepare::{Preparation, Prepared, orientation};

/// Batches decoded while the model is busy with another.
const DECODED_AHEAD: usize = 1;

/// How to evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvalConfig {
    /// Images per pass through the model.
    pub batch_size: usize,
    /// Mask values above it are anomalous.
    pub mask_threshold: u8,
    /// Turn images as their EXIF orientation says.
    pub exif_orientation: bool,
    /// Put every image's score into the report.
    pub per_image: bool,
    /// Put curves of at most so many points into the report; 0 for none.
    pub curve_points: usize,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            batch_size: 8,
            mask_threshold: 0,
            exif_orientation: false,
            per_image: false,
            curve_points: 0,
        }
    }
}

/// Measures `detector` on `dataset`.
///
/// Image metrics take the image scores; pixel metrics take the maps at the network's input size,
/// smoothed by the adapter's `score.sigma`, against masks brought to that size. Files that cannot be
/// read are listed in the report and left out. Only one category's pixels are in memory at a time.
///
/// # Errors
/// What the model fails with, and [`Error::Score`] for a score that is not finite.
pub fn evaluate(
    detector: &Detector,
    dataset: &Dataset,
    config: &EvalConfig,
    control: &mut Control<'_>,
) -> Result<Outcome<Report>> {
    evaluate_with(detector, dataset, config, control, &mut |_, _| {})
}

/// [`evaluate`], showing `look` every image with what was predicted on it. The map is smoothed, as the
/// metrics take it; images of one category come together.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_with(
    detector: &Detector,
    dataset: &Dataset,
    config: &EvalConfig,
    control: &mut Control<'_>,
    look: &mut dyn FnMut(&Sample, &Prediction),
) -> Result<Outcome<Report>> {
    let started = Instant::now();
    let size = detector.config().image_size;
    let preparation = Preparation {
        size,
        orientation: orientation(config.exif_orientation),
        mask_threshold: config.mask_threshold,
    };
    let batch_size = config.batch_size.max(1);
    let sigma = detector.config().score.sigma;
    let device = detector.vision().projection().device();
    let groups = dataset.by_category();
    let batches: Vec<Batch<'_>> = groups
        .iter()
        .enumerate()
        .flat_map(|(number, (category, samples))| {
            let batches = samples.chunks(batch_size);
            batches.map(move |samples| Batch {
                number,
                category,
                samples,
            })
        })
        .collect();

    let mut report = Report {
        dataset: dataset.name.clone(),
        index_hash: dataset.index_hash(),
        map_size: (size.height, size.width),
        sigma,
        categories: Vec::with_capacity(groups.len()),
        mean: Scores::default(),
        failures: Vec::new(),
        seconds: 0.0,
        images: config.per_image.then(Vec::new),
    };
    let (mut done, total) = (0, dataset.samples.len());
    let mut current: Option<Category<'_>> = None;
    let ended = ahead(
        DECODED_AHEAD,
        &batches,
        |batch| (batch, preparation.prepare_all(batch.samples)),
        |prepared| -> Result<Outcome<()>> {
            for (batch, images) in prepared {
                if control.stopped() {
                    return Ok(Outcome::Interrupted);
                }
                if current
                    .as_ref()
                    .is_none_or(|category| category.name != batch.category)
                {
                    if let Some(category) = current.take() {
                        report
                            .categories
                            .push(category.finish(config.curve_points)?);
                    }
                    control.emit(Event::CategoryStarted {
                        category: batch.category.to_owned(),
                        number: batch.number + 1,
                        of: groups.len(),
                    });
                }
                let category = current.get_or_insert_with(|| Category::new(batch.category));
                let (samples, images) =
                    readable(batch.samples, images, |BadFile { id, reason }| {
                        control.emit(Event::Failed {
                            id: id.clone(),
                            reason: reason.clone(),
                        });
                        report.failures.push(Failure { id, reason });
                    });
                if !images.is_empty() {
                    let pixels = preparation.stack(images.iter(), device)?;
                    let mut predictions = detector.predict(&pixels)?;
                    predictions
                        .par_iter_mut()
                        .for_each(|p| p.map = p.map.smoothed(sigma));
                    for ((sample, image), prediction) in
                        samples.into_iter().zip(&images).zip(&predictions)
                    {
                        category.add(sample, image, prediction)?;
                        look(sample, prediction);
                        if let Some(all) = &mut report.images {
                            all.push(ImageResult {
                                id: sample.id.clone(),
                                category: sample.category.clone(),
                                label: sample.label,
                                score: prediction.score,
                            });
                        }
                    }
                }
                done += batch.samples.len();
                control.emit(Event::Scored { done, total });
            }
            Ok(Outcome::Done(()))
        },
    )?;
    if let Outcome::Interrupted = ended {
        return Ok(Outcome::Interrupted);
    }
    if let Some(category) = current {
        report
            .categories
            .push(category.finish(config.curve_points)?);
    }
    let scores: Vec<Scores> = report
        .categories
        .iter()
        .map(|category| category.scores)
        .collect();
    report.mean = Scores::mean(&scores);
    if let Some(images) = &mut report.images {
        images.sort_by(|a, b| a.id.cmp(&b.id));
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Outcome::Done(report))
}

/// Images of one category that go through the model together.
struct Batch<'a> {
    /// Place of the category, from 0.
    number: usize,
    category: &'a str,
    samples: &'a [&'a Sample],
}

/// Parts what could be read from what could not.
fn readable<'a>(
    samples: &[&'a Sample],
    images: Vec<Result<Prepared, BadFile>>,
    mut failed: impl FnMut(BadFile),
) -> (Vec<&'a Sample>, Vec<Prepared>) {
    let mut sound = (Vec::new(), Vec::new());
    for (sample, image) in samples.iter().zip(images) {
        match image {
            Ok(image) => {
                sound.0.push(*sample);
                sound.1.push(image);
            }
            Err(bad) => failed(bad),
        }
    }
    sound
}

/// A category in the making.
struct Category<'a> {
    name: &'a str,
    started: Instant,
    scores: Vec<f32>,
    labels: Vec<bool>,
    without_mask: usize,
    pixels: PixelMetrics,
}

impl<'a> Category<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            started: Instant::now(),
            scores: Vec::new(),
            labels: Vec::new(),
            without_mask: 0,
            pixels: PixelMetrics::new(),
        }
    }

    /// Takes in one image; its map is smoothed already.
    fn add(&mut self, sample: &Sample, image: &Prepared, prediction: &Prediction) -> Result<()> {
        self.scores.push(prediction.score);
        self.labels.push(sample.label == Label::Anomalous);
        let map = &prediction.map;
        match &image.mask {
            None => {
                self.without_mask += 1;
                self.pixels = PixelMetrics::new(); // they will not be asked for: free the memory
                Ok(())
            }
            Some(_) if self.without_mask > 0 => Ok(()),
            Some(mask) => {
                let (height, width) = (map.height, map.width);
                let map = PixelMap {
                    scores: &map.values,
                    mask,
                    height,
                    width,
                };
                self.pixels
                    .push(map)
                    .map_err(|source| score_error(&sample.id, source))
            }
        }
    }

    fn finish(self, curve_points: usize) -> Result<CategoryReport> {
        let (scores, labels) = (&self.scores, &self.labels);
        let wrong = |source| score_error(self.name, source);
        let f1 = f1_max(scores, labels).map_err(wrong)?;
        let mut all = Scores {
            image_auroc: auroc(scores, labels).map_err(wrong)?,
            image_ap: average_precision(scores, labels).map_err(wrong)?,
            image_f1_max: f1.map(|f1| f1.value),
            ..Scores::default()
        };
        let (pixels, curves) = match curve_points {
            0 => (self.pixels.finish().map_err(wrong)?, None),
            most => {
                let (pixels, of_pixels) = self.pixels.finish_with_curves(most).map_err(wrong)?;
                let curves = Curves {
                    image_roc: roc_curve(scores, labels, most).map_err(wrong)?,
                    image_precision_recall: precision_recall_curve(scores, labels, most)
                        .map_err(wrong)?,
                    ..of_pixels
                };
                (pixels, Some(curves))
            }
        };
        if self.without_mask == 0 {
            all.pixel_auroc = pixels.auroc;
            all.pixel_ap = pixels.average_precision;
            all.pixel_f1_max = pixels.f1_max.map(|f1| f1.value);
            all.aupro = pixels.aupro;
            all.aupro_200 = pixels.aupro_200;
        }
        let anomalous = labels.iter().filter(|&&anomalous| anomalous).count();
        Ok(CategoryReport {
            category: self.name.to_owned(),
            normal: labels.len() - anomalous,
            anomalous,
            without_mask: self.without_mask,
            regions: pixels.regions,
            scores: all,
            image_f1_threshold: f1.map(|f1| f1.threshold),
            curves,
            seconds: self.started.elapsed().as_secs_f64(),
        })
    }
}

fn score_error(of: &str, source: MetricError) -> Error {
    Error::Score {
        of: of.to_owned(),
        source,
    }
}
