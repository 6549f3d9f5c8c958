//! Area under the receiver operating characteristic.

use super::error::MetricError;
use super::ranking::{Ranking, Reading, Step, Totals};

/// Area under the ROC curve, in `[0, 1]`: the probability that an anomalous sample (`true`) scores
/// above a normal one, ties counting half. Equals scikit-learn's `roc_auc_score`; `None` unless both
/// classes are present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn auroc(scores: &[f32], labels: &[bool]) -> Result<Option<f64>, MetricError> {
    let read = Ranking::of(scores, labels)?.read(|_| Vec::new(), Auroc::new)?;
    Ok(read.map(|auroc| auroc.value()))
}

/// [`auroc`] in the making.
pub(super) struct Auroc {
    positives: usize,
    negatives: usize,
    /// Pairs won, counted twice so that a tie's half is an integer: no rounding before the end.
    twice_won: u128,
}

impl Auroc {
    pub(super) fn new(totals: &Totals<'_>) -> Self {
        Self {
            positives: totals.positives,
            negatives: totals.negatives,
            twice_won: 0,
        }
    }

    pub(super) fn value(&self) -> f64 {
        self.twice_won as f64 / (2.0 * self.positives as f64 * self.negatives as f64)
    }
}

impl Reading for Auroc {
    fn step(&mut self, step: &Step<'_>) {
        let twice_below = 2 * self.negatives - step.fp_above - step.fp;
        self.twice_won += step.reached as u128 * twice_below as u128;
    }
}
