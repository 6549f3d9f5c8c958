//! Area under the receiver operating characteristic.

use super::error::MetricError;
use super::ranking::Ranking;

/// Area under the ROC curve, in `[0, 1]`: the probability that an anomalous sample (`true`) scores
/// above a normal one, ties counting half. Equals scikit-learn's `roc_auc_score`; `None` unless both
/// classes are present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn auroc(scores: &[f32], labels: &[bool]) -> Result<Option<f64>, MetricError> {
    Ok(Ranking::of(scores, labels)?.auroc())
}

impl Ranking {
    pub(super) fn auroc(&self) -> Option<f64> {
        let (positives, negatives) = self.counts()?;
        // Pairs won, counted twice so that a tie's half is an integer: no rounding before the end.
        let twice_won: u128 = self
            .steps()
            .map(|step| {
                step.reached.len() as u128 * (2 * negatives - step.fp_above - step.fp) as u128
            })
            .sum();
        Some(twice_won as f64 / (2.0 * positives as f64 * negatives as f64))
    }
}
