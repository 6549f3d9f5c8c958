//! All pixel metrics of one category, from maps that arrive one at a time.

use super::curve::Curves;
use super::error::{MetricError, all_finite};
use super::f1::F1;
use super::pro::{AUPRO_LIMIT, checked_limit};
use super::ranking::{Positive, Ranking};
use super::regions::label_regions;

/// The anomaly map of one image and its ground truth, both `[H, W]` row by row.
#[derive(Clone, Copy, Debug)]
pub struct PixelMap<'a> {
    /// Finite anomaly scores, higher is more anomalous.
    pub scores: &'a [f32],
    /// Nonzero on defects; all zero for a normal image.
    pub mask: &'a [u8],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Pixels collected so far: four bytes for each normal one, eight for each anomalous one. Images
/// may differ in size.
#[derive(Clone, Debug)]
pub struct PixelMetrics {
    limit: f64,
    positives: Vec<Positive>,
    negatives: Vec<f32>,
    areas: Vec<usize>,
}

/// Every pixel metric of a set of images; `None` where undefined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelScores {
    /// As [`auroc`](super::auroc), over all pixels of all images, normal images included.
    pub auroc: Option<f64>,
    /// As [`average_precision`](super::average_precision), over the same pixels.
    pub average_precision: Option<f64>,
    /// As [`f1_max`](super::f1_max), over the same pixels.
    pub f1_max: Option<F1>,
    /// As [`aupro`](super::aupro).
    pub aupro: Option<f64>,
    /// As [`aupro_200`](super::aupro_200).
    pub aupro_200: Option<f64>,
    /// Connected defects over all images.
    pub regions: usize,
    /// Pixels on a defect.
    pub anomalous: usize,
    /// Pixels outside every defect.
    pub normal: usize,
}

impl Default for PixelMetrics {
    fn default() -> Self {
        Self {
            limit: AUPRO_LIMIT,
            positives: Vec::new(),
            negatives: Vec::new(),
            areas: Vec::new(),
        }
    }
}

impl PixelMetrics {
    /// Starts with no pixel, and [`AUPRO_LIMIT`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with no pixel, and another limit on the false positive rate of [`PixelScores::aupro`].
    ///
    /// # Errors
    /// A limit in `(0, 1]` is expected.
    pub fn with_limit(limit: f64) -> Result<Self, MetricError> {
        Ok(Self {
            limit: checked_limit(limit)?,
            ..Self::default()
        })
    }

    /// Collects from a slice of maps.
    pub(super) fn of(maps: &[PixelMap<'_>]) -> Result<Self, MetricError> {
        let mut metrics = Self::new();
        maps.iter().try_for_each(|&map| metrics.push(map))?;
        Ok(metrics)
    }

    /// Adds one image; on an error nothing is added.
    ///
    /// # Errors
    /// Scores and mask of `height * width` values are expected, and finite scores.
    pub fn push(&mut self, map: PixelMap<'_>) -> Result<(), MetricError> {
        let PixelMap {
            scores,
            mask,
            height,
            width,
        } = map;
        if scores.len() != height * width {
            return Err(MetricError::Shape {
                what: "scores",
                found: scores.len(),
                height,
                width,
            });
        }
        all_finite(scores)?;
        let regions = label_regions(mask, height, width)?;
        let known = self.areas.len() as u32;
        for (&score, &label) in scores.iter().zip(&regions.labels) {
            match label {
                0 => self.negatives.push(score),
                _ => self.positives.push(Positive {
                    score,
                    region: known + label - 1,
                }),
            }
        }
        self.areas.extend(regions.areas);
        Ok(())
    }

    /// Sorts the pixels and reads every metric off their order.
    pub fn finish(self) -> PixelScores {
        let limit = self.limit;
        self.rank().pixel_scores(limit)
    }

    /// [`PixelMetrics::finish`], and the pixel curves with at most `most` points each; the curves of
    /// images are `None`.
    pub fn finish_with_curves(self, most: usize) -> (PixelScores, Curves) {
        let limit = self.limit;
        let ranking = self.rank();
        let curves = Curves {
            pixel_roc: ranking.roc_curve(most),
            pixel_precision_recall: ranking.precision_recall_curve(most),
            pro: ranking.pro_curve(limit, most),
            ..Curves::default()
        };
        (ranking.pixel_scores(limit), curves)
    }

    /// The pixels in order.
    pub(super) fn rank(self) -> Ranking {
        Ranking::new(self.positives, self.negatives, self.areas)
    }
}

impl Ranking {
    fn pixel_scores(&self, limit: f64) -> PixelScores {
        PixelScores {
            auroc: self.auroc(),
            average_precision: self.average_precision(),
            f1_max: self.f1_max(),
            aupro: self.aupro(limit),
            aupro_200: self.aupro_200(),
            regions: self.areas.len(),
            anomalous: self.positives.len(),
            normal: self.negatives.len(),
        }
    }
}
