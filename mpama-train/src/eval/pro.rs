//! Area under the per-region overlap curve, exact.

use super::error::MetricError;
use super::pixels::{PixelMap, PixelMetrics};
use super::ranking::{Reading, Step, Totals};

/// The false positive rate up to which PRO is integrated, as MVTec AD's evaluation has it.
pub const AUPRO_LIMIT: f64 = 0.3;

/// Area under per-region overlap over false positive rate up to `limit`, divided by `limit`, in
/// `[0, 1]`.
///
/// Per-region overlap (PRO) is the mean of the recalls of all 8-connected regions of all masks; the
/// false positive rate is taken over all normal pixels, those of normal images included. Every
/// distinct score is a threshold, and the curve is cut at `limit` by linear interpolation. This is
/// the definition of MVTec AD's evaluation script (Bergmann et al., IJCV 2021); it depends on the
/// order of the scores only. `None` without a region or without a normal pixel.
///
/// # Errors
/// Finite scores, slices that fill their images and a limit in `(0, 1]` are expected.
pub fn aupro(maps: &[PixelMap<'_>], limit: f64) -> Result<Option<f64>, MetricError> {
    let limit = checked_limit(limit)?;
    let read = PixelMetrics::of(maps)?.read(|_| Vec::new(), |totals| Aupro::new(totals, limit))?;
    Ok(read.map(|area| area.value()))
}

/// Refuses a limit outside `(0, 1]`.
pub(super) fn checked_limit(limit: f64) -> Result<f64, MetricError> {
    if limit > 0.0 && limit <= 1.0 {
        Ok(limit)
    } else {
        Err(MetricError::Limit(limit))
    }
}

/// [`aupro`] in the making.
///
/// The integral is taken one anomalous pixel at a time. A pixel of a region of `a` pixels lifts that
/// region's recall by `1/a`. On the curve, drawn with straight lines between thresholds, it does so
/// linearly from the false positive rate just above its score to the rate once its ties are included,
/// and counts fully from there on: the area under this ramp up to the limit, over the limit, is the
/// pixel's share.
pub(super) struct Aupro {
    limit: f64,
    negatives: f64,
    areas: Vec<usize>,
    /// Sum of the shares of each region's pixels.
    shares: Vec<f64>,
}

impl Aupro {
    pub(super) fn new(totals: &Totals<'_>, limit: f64) -> Self {
        Self {
            limit,
            negatives: totals.negatives as f64,
            areas: totals.areas.to_vec(),
            shares: vec![0.0; totals.areas.len()],
        }
    }

    pub(super) fn value(&self) -> f64 {
        let overlap: f64 = self
            .shares
            .iter()
            .zip(&self.areas)
            .map(|(share, &area)| share / area as f64)
            .sum();
        overlap / self.areas.len() as f64
    }
}

impl Reading for Aupro {
    fn step(&mut self, step: &Step<'_>) {
        let from = step.fp_above as f64 / self.negatives;
        let to = step.fp as f64 / self.negatives;
        let share = share(self.limit, from, to);
        for &(region, pixels) in step.regions {
            self.shares[region as usize] += f64::from(pixels) * share;
        }
    }
}

/// The share of a pixel that counts from the false positive rate `from` on, fully once it is `to`.
pub(super) fn share(limit: f64, from: f64, to: f64) -> f64 {
    if from >= limit {
        0.0
    } else if to <= limit {
        1.0 - (from + to) / (2.0 * limit)
    } else {
        (limit - from).powi(2) / (2.0 * (to - from) * limit)
    }
}
