//! Average precision.

use super::error::MetricError;
use super::ranking::{Ranking, Reading, Step, Totals};

/// Average precision, in `(0, 1]`: precision at each distinct score, weighted by the recall gained
/// there, without interpolation. Equals scikit-learn's `average_precision_score`, except that it is
/// `None` unless both classes are present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn average_precision(scores: &[f32], labels: &[bool]) -> Result<Option<f64>, MetricError> {
    let read = Ranking::of(scores, labels)?.read(|_| Vec::new(), AveragePrecision::new)?;
    Ok(read.map(|precision| precision.value()))
}

/// [`average_precision`] in the making.
pub(super) struct AveragePrecision {
    positives: usize,
    gained: f64,
}

impl AveragePrecision {
    pub(super) fn new(totals: &Totals<'_>) -> Self {
        Self {
            positives: totals.positives,
            gained: 0.0,
        }
    }

    pub(super) fn value(&self) -> f64 {
        self.gained / self.positives as f64
    }
}

impl Reading for AveragePrecision {
    fn step(&mut self, step: &Step<'_>) {
        let precision = step.tp as f64 / (step.tp + step.fp) as f64;
        self.gained += step.reached as f64 * precision;
    }
}
