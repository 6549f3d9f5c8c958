//! Area under the per-region overlap curve, exact.

use super::error::MetricError;
use super::pixels::{PixelMap, PixelMetrics};
use super::ranking::Ranking;

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
    Ok(PixelMetrics::of(maps)?.rank().aupro(limit))
}

/// Refuses a limit outside `(0, 1]`.
pub(super) fn checked_limit(limit: f64) -> Result<f64, MetricError> {
    if limit > 0.0 && limit <= 1.0 {
        Ok(limit)
    } else {
        Err(MetricError::Limit(limit))
    }
}

impl Ranking {
    /// The integral, one anomalous pixel at a time.
    ///
    /// A pixel of a region of `a` pixels lifts that region's recall by `1/a`. On the curve, drawn
    /// with straight lines between thresholds, it does so linearly from the false positive rate
    /// just above its score to the rate once its ties are included, and counts fully from there on:
    /// the area under this ramp up to the limit, over the limit, is the pixel's share.
    pub(super) fn aupro(&self, limit: f64) -> Option<f64> {
        let (_, normal) = self.counts()?;
        let mut shares = vec![0.0; self.areas.len()];
        for step in self.steps() {
            let from = step.fp_above as f64 / normal as f64;
            let to = step.fp as f64 / normal as f64;
            if from >= limit {
                break;
            }
            let share = if to <= limit {
                1.0 - (from + to) / (2.0 * limit)
            } else {
                (limit - from).powi(2) / (2.0 * (to - from) * limit)
            };
            for pixel in step.reached {
                shares[pixel.region as usize] += share;
            }
        }
        let overlap: f64 = shares
            .iter()
            .zip(&self.areas)
            .map(|(share, &area)| share / area as f64)
            .sum();
        Some(overlap / self.areas.len() as f64)
    }
}
