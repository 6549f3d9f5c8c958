//! What the metrics refuse.

use std::io;
use std::path::PathBuf;

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
    /// Pixels that have no room in memory could not be written to a temporary file, or not be read
    /// back.
    #[error(
        "cannot {action} pixels in a temporary file{}: {reason}",
        folder.as_ref().map_or(String::new(), |folder| format!(" in {}", folder.display()))
    )]
    Spill {
        /// `"write"` or `"read"`.
        action: &'static str,
        /// Where the file is, if not in the system's folder for such files.
        folder: Option<PathBuf>,
        /// The kind of failure, such as a full disk.
        kind: io::ErrorKind,
        /// What the system said.
        reason: String,
    },
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
