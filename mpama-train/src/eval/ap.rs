//! Average precision.

use super::error::MetricError;
use super::ranking::Ranking;

/// Average precision, in `(0, 1]`: precision at each distinct score, weighted by the recall gained
/// there, without interpolation. Equals scikit-learn's `average_precision_score`, except that it is
/// `None` unless both classes are present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn average_precision(scores: &[f32], labels: &[bool]) -> Result<Option<f64>, MetricError> {
    Ok(Ranking::of(scores, labels)?.average_precision())
}

impl Ranking {
    pub(super) fn average_precision(&self) -> Option<f64> {
        let (positives, _) = self.counts()?;
        let gained: f64 = self
            .steps()
            .map(|step| step.reached.len() as f64 * (step.tp as f64 / (step.tp + step.fp) as f64))
            .sum();
        Some(gained / positives as f64)
    }
}
