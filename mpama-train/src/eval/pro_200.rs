//! Area under the per-region overlap curve as zero-shot papers compute it, with 200 thresholds.

use super::error::MetricError;
use super::pixels::{PixelMap, PixelMetrics};
use super::pro::AUPRO_LIMIT;
use super::ranking::Ranking;

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
    Ok(PixelMetrics::of(maps)?.rank().aupro_200())
}

impl Ranking {
    pub(super) fn aupro_200(&self) -> Option<f64> {
        let (_, normal) = self.counts()?;
        let highest = self.positives[0].score.max(self.negatives[0]);
        let lowest = self.positives.last()?.score.min(*self.negatives.last()?);

        let mut detected = vec![0_usize; self.areas.len()];
        let mut pixels = self.positives.iter().peekable();
        let mut curve = Vec::new();
        for threshold in thresholds(lowest, highest)?.rev() {
            let fp = self
                .negatives
                .partition_point(|&score| f64::from(score) > threshold);
            let rate = fp as f64 / normal as f64;
            if rate >= AUPRO_LIMIT {
                break; // it only grows from here
            }
            while let Some(pixel) = pixels.next_if(|pixel| f64::from(pixel.score) > threshold) {
                detected[pixel.region as usize] += 1;
            }
            let recalls = detected
                .iter()
                .zip(&self.areas)
                .map(|(&tp, &area)| tp as f64 / area as f64);
            curve.push((rate, recalls.sum::<f64>() / self.areas.len() as f64));
        }

        let width = curve.last()?.0 - curve.first()?.0;
        let area: f64 = curve
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0) * (pair[0].1 + pair[1].1) / 2.0)
            .sum();
        (width > 0.0).then_some(area / width)
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
