//! A category in the making: what its images add up to.

use std::time::Instant;

use mpama_core::config::ExpertsConfig;
use mpama_core::{AnomalyMap, Prediction, Routes};
use mpama_datasets::{Label, Sample};

use super::error::all_finite;
use super::evaluate::EvalConfig;
use super::report::{CategoryFigures, CategoryReport, Failure, ImageResult, Scores};
use super::scales::Quartiles;
use super::state::DoneCategory;
use super::usage::Usage;
use super::{
    BinnedMetrics, Curves, MetricError, PixelBounds, PixelMap, PixelMetrics, PixelScores, auroc,
    average_precision, f1_max, precision_recall_curve, roc_curve,
};
use crate::error::Error;

/// An image with all that is known of it.
pub(super) struct Measured<'a> {
    pub(super) sample: &'a Sample,
    pub(super) prediction: Prediction,
    pub(super) routes: Vec<Routes>,
    /// Map and mask as the metrics take them.
    pub(super) map: AnomalyMap,
    pub(super) mask: Option<Vec<u8>>,
    /// Anomalous pixels of the mask at the network's size.
    pub(super) anomalous_pixels: usize,
}

pub(super) struct Category<'a> {
    name: &'a str,
    config: &'a EvalConfig,
    quartiles: Option<Quartiles>,
    started: Instant,
    images: Vec<ImageResult>,
    failures: Vec<Failure>,
    without_mask: usize,
    pixels: Pixels,
    /// The quarters by defect size, with the number of images in each.
    quarters: Vec<(usize, PixelMetrics)>,
    usage: Usage,
    predict_seconds: f64,
}

impl<'a> Category<'a> {
    pub(super) fn new(name: &'a str, config: &'a EvalConfig, quartiles: Option<Quartiles>) -> Self {
        Self {
            name,
            config,
            quartiles,
            started: Instant::now(),
            images: Vec::new(),
            failures: Vec::new(),
            without_mask: 0,
            pixels: Pixels::new(config),
            quarters: quarters(config, quartiles),
            usage: Usage::default(),
            predict_seconds: 0.0,
        }
    }

    /// Takes in images that went through the model together, in so many seconds.
    pub(super) fn add(
        &mut self,
        images: &[Measured<'_>],
        seconds: f64,
        experts: &ExpertsConfig,
    ) -> crate::error::Result<()> {
        self.predict_seconds += seconds;
        for image in images {
            self.images.push(ImageResult {
                id: image.sample.id.clone(),
                category: image.sample.category.clone(),
                label: image.sample.label,
                score: image.prediction.score,
            });
            if !image.routes.is_empty() {
                self.usage.count(experts.pool(), &image.routes);
            }
            all_finite(&image.map.values)
                .map_err(|source| score_error(&image.sample.id, source))?;
        }
        self.without_mask += images.iter().filter(|image| image.mask.is_none()).count();
        if self.without_mask > 0 {
            // pixel metrics will not be asked for: free the memory
            self.pixels = Pixels::new(self.config);
            self.quarters.clear();
            return Ok(());
        }
        let wrong = |source| score_error(self.name, source);
        let maps: Vec<PixelMap<'_>> = images.iter().filter_map(Measured::pixels).collect();
        self.pixels.push_all(&maps).map_err(wrong)?;
        let Some(quartiles) = self.quartiles else {
            return Ok(());
        };
        for (image, map) in images.iter().zip(maps) {
            if let Some(quarter) = quartiles.quarter(image.anomalous_pixels) {
                let (count, metrics) = &mut self.quarters[quarter];
                *count += 1;
                metrics.push(map).map_err(wrong)?;
            }
        }
        Ok(())
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        self.failures.push(failure);
    }

    /// Measures what was taken in.
    pub(super) fn finish(self, experts: &ExpertsConfig) -> crate::error::Result<DoneCategory> {
        let labels: Vec<bool> = self.images.iter().map(is_anomalous).collect();
        let scores: Vec<f32> = self.images.iter().map(|image| image.score).collect();
        let (scores, labels) = (&scores, &labels);
        let wrong = |source| score_error(self.name, source);
        let f1 = f1_max(scores, labels).map_err(wrong)?;
        let mut all = Scores {
            image_auroc: auroc(scores, labels).map_err(wrong)?,
            image_ap: average_precision(scores, labels).map_err(wrong)?,
            image_f1_max: f1.map(|f1| f1.value),
            ..Scores::default()
        };
        let most = self.config.curve_points;
        let (pixels, of_pixels, bounds) = self.pixels.finish(most).map_err(wrong)?;
        let curves = match most {
            0 => None,
            most => Some(Curves {
                image_roc: roc_curve(scores, labels, most).map_err(wrong)?,
                image_precision_recall: precision_recall_curve(scores, labels, most)
                    .map_err(wrong)?,
                ..of_pixels
            }),
        };
        if self.without_mask == 0 {
            all.add_pixels(&pixels);
        }
        let mut scales = Vec::new();
        for (quarter, (images, metrics)) in self.quarters.into_iter().enumerate() {
            let Some(quartiles) = self.quartiles else {
                break;
            };
            let found = metrics.finish().map_err(wrong)?;
            scales.push(quartiles.scores(quarter, images, found.auroc, found.aupro));
        }
        let anomalous = labels.iter().filter(|&&anomalous| anomalous).count();
        let report = CategoryReport {
            category: self.name.to_owned(),
            normal: labels.len() - anomalous,
            anomalous,
            without_mask: self.without_mask,
            regions: pixels.regions,
            scores: all,
            image_f1_threshold: f1.map(|f1| f1.threshold),
            curves,
            seconds: self.started.elapsed().as_secs_f64(),
            figures: self.config.figures.then(|| CategoryFigures {
                scales,
                experts: self.usage.named(experts),
                perceptions: self.usage.by_perception(experts),
                predict_seconds: self.predict_seconds,
            }),
            bounds,
        };
        Ok(DoneCategory {
            report,
            images: self.images,
            failures: self.failures,
        })
    }
}

/// The pixels of a category, ranked or counted.
enum Pixels {
    Ranked(Box<PixelMetrics>),
    Counted(BinnedMetrics),
}

impl Pixels {
    fn new(config: &EvalConfig) -> Self {
        match config.bins {
            None => Self::Ranked(Box::new(within(config, 1))),
            Some(bins) => Self::Counted(BinnedMetrics::new(bins)),
        }
    }

    fn push_all(&mut self, maps: &[PixelMap<'_>]) -> Result<(), MetricError> {
        match self {
            Self::Ranked(metrics) => metrics.push_all(maps),
            Self::Counted(metrics) => maps.iter().try_for_each(|map| metrics.push(*map)),
        }
    }

    /// The metrics, curves of at most `most` points, and bounds if pixels were counted.
    fn finish(
        self,
        most: usize,
    ) -> Result<(PixelScores, Curves, Option<PixelBounds>), MetricError> {
        Ok(match self {
            Self::Ranked(metrics) if most == 0 => (metrics.finish()?, Curves::default(), None),
            Self::Ranked(metrics) => {
                let (scores, curves) = metrics.finish_with_curves(most)?;
                (scores, curves, None)
            }
            Self::Counted(metrics) => {
                let (scores, bounds, curves) = metrics.finish(most);
                (scores, curves, bounds)
            }
        })
    }
}

impl Measured<'_> {
    fn pixels(&self) -> Option<PixelMap<'_>> {
        self.mask.as_ref().map(|mask| PixelMap {
            scores: &self.map.values,
            mask,
            height: self.map.height,
            width: self.map.width,
        })
    }
}

impl Scores {
    fn add_pixels(&mut self, pixels: &PixelScores) {
        self.pixel_auroc = pixels.auroc;
        self.pixel_ap = pixels.average_precision;
        self.pixel_f1_max = pixels.f1_max.map(|f1| f1.value);
        self.aupro = pixels.aupro;
        self.aupro_200 = pixels.aupro_200;
    }
}

fn is_anomalous(image: &ImageResult) -> bool {
    image.label == Label::Anomalous
}

/// Metrics in a share of the memory for pixels.
fn within(config: &EvalConfig, share: usize) -> PixelMetrics {
    PixelMetrics::within(config.pixel_memory / share, config.spill.as_deref())
}

/// The quarters take at most half as much memory again.
fn quarters(config: &EvalConfig, quartiles: Option<Quartiles>) -> Vec<(usize, PixelMetrics)> {
    match quartiles {
        Some(_) => (0..4).map(|_| (0, within(config, 8))).collect(),
        None => Vec::new(),
    }
}

fn score_error(of: &str, source: MetricError) -> Error {
    Error::Score {
        of: of.to_owned(),
        source,
    }
}
