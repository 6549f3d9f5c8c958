//! Scores in order, highest first: the one thing every metric here reads.

use rayon::slice::ParallelSliceMut;

use super::error::{MetricError, all_finite};

/// An anomalous sample: an image, or a pixel of a region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positive {
    pub(super) score: f32,
    /// Index into [`Ranking::areas`].
    pub(super) region: u32,
}

/// Samples sorted by score, highest first. Classes are kept apart: a normal pixel costs four bytes,
/// an anomalous one eight, and sorting happens in place.
pub(super) struct Ranking {
    pub(super) positives: Vec<Positive>,
    pub(super) negatives: Vec<f32>,
    /// Positives of each region.
    pub(super) areas: Vec<usize>,
}

/// A threshold at the score of at least one positive; everything from that score up is detected.
pub(super) struct Step<'a> {
    pub(super) threshold: f32,
    /// The positives whose score equals the threshold.
    pub(super) reached: &'a [Positive],
    /// All positives detected.
    pub(super) tp: usize,
    /// Negatives strictly above the threshold.
    pub(super) fp_above: usize,
    /// All negatives detected: those above and those tied with it.
    pub(super) fp: usize,
}

impl Ranking {
    /// Sorts finite scores. The order among equal ones has no influence on any metric.
    pub(super) fn new(
        mut positives: Vec<Positive>,
        mut negatives: Vec<f32>,
        areas: Vec<usize>,
    ) -> Self {
        positives.par_sort_unstable_by(|a, b| b.score.total_cmp(&a.score));
        negatives.par_sort_unstable_by(|a, b| b.total_cmp(a));
        Self {
            positives,
            negatives,
            areas,
        }
    }

    /// Ranks labelled samples, `true` being anomalous; all positives form one region.
    pub(super) fn of(scores: &[f32], labels: &[bool]) -> Result<Self, MetricError> {
        if scores.len() != labels.len() {
            return Err(MetricError::Unpaired {
                scores: scores.len(),
                labels: labels.len(),
            });
        }
        all_finite(scores)?;
        let (mut positives, mut negatives) = (Vec::new(), Vec::new());
        for (&score, &anomalous) in scores.iter().zip(labels) {
            if anomalous {
                positives.push(Positive { score, region: 0 });
            } else {
                negatives.push(score);
            }
        }
        let areas = vec![positives.len()];
        Ok(Self::new(positives, negatives, areas))
    }

    /// How many positives and negatives there are; `None` unless there are both.
    pub(super) fn counts(&self) -> Option<(usize, usize)> {
        let counts = (self.positives.len(), self.negatives.len());
        (counts.0 > 0 && counts.1 > 0).then_some(counts)
    }

    /// The distinct scores of positives, highest first, in one pass over both classes.
    ///
    /// Thresholds that only negatives reach are left out: recall does not change there, so no metric
    /// gains or loses anything.
    pub(super) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let (mut tp, mut fp) = (0, 0);
        self.positives
            .chunk_by(|a, b| a.score == b.score)
            .map(move |reached| {
                let threshold = reached[0].score;
                let fp_above = fp + count_while(&self.negatives[fp..], |score| score > threshold);
                fp =
                    fp_above + count_while(&self.negatives[fp_above..], |score| score == threshold);
                tp += reached.len();
                Step {
                    threshold,
                    reached,
                    tp,
                    fp_above,
                    fp,
                }
            })
    }
}

/// Length of the leading run of scores for which `holds` is true.
fn count_while(scores: &[f32], holds: impl Fn(f32) -> bool) -> usize {
    scores.iter().take_while(|&&score| holds(score)).count()
}
