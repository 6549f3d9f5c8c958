//! Area under the per-region overlap curve as zero-shot papers compute it, with 200 thresholds.

use super::error::MetricError;
use super::pixels::{PixelMap, PixelMetrics};
use super::pro::AUPRO_LIMIT;
use super::ranking::{Reading, Step, Totals};

/// Area under per-region overlap by the definition of CFLOW-AD's `cal_pro_score`, which AnomalyCLIP
/// and its successors report as PRO or AUPRO, in `[0, 1]`.
///
/// Thresholds lie at equal steps of a 200th of the range of the scores, a pixel is detected when it
/// scores above one, points with a false positive rate below 0.3 are kept, their rates are stretched
/// to `[0, 1]`, and the area is the trapezoids'. It is not a measure of ranking: where scores
/// saturate, few thresholds fall among the normal pixels, the kept points end at a small rate, and
/// the stretch lowers the result. Compare it with numbers of the same definition only; otherwise use
/// [`aupro`](super::aupro).
///
/// `None` without a region or a normal pixel, and where the original divides by zero: all scores
/// equal, or fewer than two different rates kept.
///
/// Thresholds, and their comparison with scores in `f64`, are NumPy 2's for `f32` maps; NumPy 1
/// rounded differently in the last bits of `f32`. Pixels are counted exactly, where the original sums
/// an `f32` mask.
///
/// # Errors
/// Finite scores and slices that fill their images are expected.
pub fn aupro_200(maps: &[PixelMap<'_>]) -> Result<Option<f64>, MetricError> {
    let read = PixelMetrics::of(maps)?.read(Aupro200::stops, Aupro200::new)?;
    Ok(read.and_then(|area| area.value()))
}

/// [`aupro_200`] in the making.
pub(super) struct Aupro200 {
    negatives: f64,
    areas: Vec<usize>,
    /// Detected pixels of each region.
    detected: Vec<usize>,
    /// False positive rate and mean recall of the regions at each threshold that is kept.
    curve: Vec<(f64, f64)>,
}

impl Aupro200 {
    pub(super) fn new(totals: &Totals<'_>) -> Self {
        Self {
            negatives: totals.negatives as f64,
            areas: totals.areas.to_vec(),
            detected: vec![0; totals.areas.len()],
            curve: Vec::new(),
        }
    }

    /// The thresholds at which it wants to stop, highest first.
    pub(super) fn stops(totals: &Totals<'_>) -> Vec<f64> {
        thresholds(totals.lowest, totals.highest)
            .map(|thresholds| thresholds.rev().collect())
            .unwrap_or_default()
    }

    pub(super) fn value(&self) -> Option<f64> {
        let curve = &self.curve;
        let width = curve.last()?.0 - curve.first()?.0;
        let area: f64 = curve
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0)
            .sum();
        (width > 0.0).then_some(area / width)
    }
}

impl Reading for Aupro200 {
    fn step(&mut self, step: &Step<'_>) {
        for &(region, pixels) in step.regions {
            self.detected[region as usize] += pixels as usize;
        }
    }

    fn stop(&mut self, fp: usize) {
        let rate = fp as f64 / self.negatives;
        if rate >= AUPRO_LIMIT {
            return;
        }
        let recalls = self
            .detected
            .iter()
            .zip(&self.areas)
            .map(|(&tp, &area)| tp as f64 / area as f64);
        let mean = recalls.sum::<f64>() / self.areas.len() as f64;
        self.curve.push((rate, mean));
    }
}

/// NumPy's `arange(lowest, highest, (highest - lowest) / 200)` on `f32` scalars, ascending: 200
/// values, more or fewer by rounding. `None` where NumPy refuses: an empty or infinite range, or a
/// step of zero.
fn thresholds(lowest: f32, highest: f32) -> Option<impl DoubleEndedIterator<Item = f64>> {
    // Step, number and second value are computed in `f32`; the values themselves in `f64`, from the
    // difference of the first two.
    let range = highest - lowest;
    let step = range / 200.0;
    let count = f64::from(range / step).ceil();
    let first = f64::from(lowest);
    let difference = f64::from(lowest + step) - first;
    count
        .is_finite()
        .then(|| (0..count as u32).map(move |i| first + f64::from(i) * difference))
}
