//! The best F1 over all thresholds.

use super::error::MetricError;
use super::ranking::Ranking;

/// An F1 score and the threshold that reaches it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct F1 {
    /// Harmonic mean of precision and recall, in `(0, 1]`.
    pub value: f64,
    /// Samples that score this much or more are called anomalous.
    pub threshold: f32,
}

/// The highest F1 of any threshold, and the lowest threshold that reaches it. The value equals the
/// maximum of `2PR / (P + R)` over scikit-learn's `precision_recall_curve`, except that it is `None`
/// unless both classes are present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn f1_max(scores: &[f32], labels: &[bool]) -> Result<Option<F1>, MetricError> {
    Ok(Ranking::of(scores, labels)?.f1_max())
}

impl Ranking {
    pub(super) fn f1_max(&self) -> Option<F1> {
        let (positives, _) = self.counts()?;
        // One division of integers: equal F1s come out equal, and the last of them, the lowest
        // threshold, is what `max_by` keeps.
        self.steps()
            .map(|step| F1 {
                value: (2 * step.tp) as f64 / (step.tp + step.fp + positives) as f64,
                threshold: step.threshold,
            })
            .max_by(|a, b| a.value.total_cmp(&b.value))
    }
}
