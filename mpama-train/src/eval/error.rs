//! What the metrics refuse.

/// An input no metric is defined on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MetricError {
    /// A score is NaN or infinite.
    #[error("score {index} is {value}: expected a finite number")]
    NotFinite {
        /// Position in the slice.
        index: usize,
        /// The score found there.
        value: f32,
    },
    /// Scores and labels are not pairs.
    #[error("{scores} scores with {labels} labels: expected as many of each")]
    Unpaired {
        /// Scores given.
        scores: usize,
        /// Labels given.
        labels: usize,
    },
    /// A slice does not fill its image.
    #[error("{what} of {found} values: expected {height}x{width}")]
    Shape {
        /// `"scores"` or `"mask"`.
        what: &'static str,
        /// Values given.
        found: usize,
        /// Rows of the image.
        height: usize,
        /// Columns of the image.
        width: usize,
    },
    /// A limit on the false positive rate outside `(0, 1]`.
    #[error("limit {0} on the false positive rate: expected a number in (0, 1]")]
    Limit(f64),
}

/// Refuses the first score that is not finite.
pub(super) fn all_finite(scores: &[f32]) -> Result<(), MetricError> {
    match scores.iter().position(|score| !score.is_finite()) {
        Some(index) => Err(MetricError::NotFinite {
            index,
            value: scores[index],
        }),
        None => Ok(()),
    }
}
