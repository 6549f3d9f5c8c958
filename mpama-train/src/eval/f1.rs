//! The best F1 over all thresholds.

use super::error::MetricError;
use super::ranking::{Ranking, Reading, Step, Totals};

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
    let read = Ranking::of(scores, labels)?.read(|_| Vec::new(), BestF1::new)?;
    Ok(read.map(|best| best.value()))
}

/// [`f1_max`] in the making.
pub(super) struct BestF1 {
    positives: usize,
    best: F1,
}

impl BestF1 {
    pub(super) fn new(totals: &Totals<'_>) -> Self {
        Self {
            positives: totals.positives,
            best: F1 {
                value: 0.0, // the first step has more
                threshold: totals.highest,
            },
        }
    }

    pub(super) fn value(&self) -> F1 {
        self.best
    }
}

impl Reading for BestF1 {
    fn step(&mut self, step: &Step<'_>) {
        // One division of integers: equal F1s come out equal, and the last of them is kept, the lowest
        // threshold.
        let value = (2 * step.tp) as f64 / (step.tp + step.fp + self.positives) as f64;
        if value >= self.best.value {
            self.best = F1 {
                value,
                threshold: step.threshold,
            };
        }
    }
}
