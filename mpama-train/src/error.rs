//! What can go wrong, each with the thing concerned, what was expected and what was found.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::difference::Difference;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A file of a dataset that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The image's id in its dataset.
    pub id: String,
    /// What is wrong, naming the file.
    pub reason: String,
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.reason)
    }
}

/// Everything training and evaluation can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: `read`, `write`, ….
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The disk (or the user's share of it) is full. Nothing half-written is left.
    #[error("no space left to write {}", path.display())]
    DiskFull {
        /// The file that found no room.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Another process works in this folder.
    #[error("{} is in use by another process", folder.display())]
    Busy {
        /// The run folder or the feature cache.
        folder: PathBuf,
    },

    /// A setting has a value it cannot have.
    #[error("`{key}` must be {expected}, found {found}")]
    Setting {
        /// The dotted key.
        key: String,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A configuration is not the TOML this crate reads.
    #[error("{origin}: {message}")]
    Toml {
        /// The file, or where else the text came from.
        origin: String,
        /// The parser's words, with line and column.
        message: String,
    },

    /// Files of the training set that cannot be decoded: all of them, not only the first.
    #[error("{} unusable training {}:{}", files.len(), plural(files.len(), "image"), lines(files))]
    BadFiles {
        /// The files in the order of their ids.
        files: Vec<BadFile>,
    },
    /// Anomalous images without a mask cannot be trained on: the losses of the maps need one.
    #[error("{} anomalous {} without a mask:{}", ids.len(), plural(ids.len(), "image"), lines(ids))]
    NoMask {
        /// Ids of the images.
        ids: Vec<String>,
    },
    /// The feature cache was made for something else.
    #[error("feature cache {} was made for something else:{}", folder.display(), lines(differences))]
    CacheMismatch {
        /// The cache.
        folder: PathBuf,
        /// The parts of its key that differ.
        differences: Vec<Difference>,
    },
    /// A file of the feature cache is not what was written.
    #[error("{}: {reason}", path.display())]
    CacheFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A feature does not fit the cache's number type, or is not finite.
    #[error("{image}: feature {value} does not fit {dtype}")]
    FeatureRange {
        /// The image's id.
        image: String,
        /// The first such value.
        value: f32,
        /// The cache's number type.
        dtype: &'static str,
    },

    /// The run folder has a run already, and continuing it was not asked for.
    #[error("{} has a run already", folder.display())]
    RunExists {
        /// The run folder.
        folder: PathBuf,
    },
    /// There is no run to continue.
    #[error("{} has no run to continue", folder.display())]
    NoRun {
        /// The run folder.
        folder: PathBuf,
    },
    /// The run was started with other settings, data or backbone.
    #[error("run {} was started differently:{}", folder.display(), lines(differences))]
    RunMismatch {
        /// The run folder.
        folder: PathBuf,
        /// The settings and facts that differ.
        differences: Vec<Difference>,
    },
    /// A file of the run folder is not what was written.
    #[error("{}: {reason}", path.display())]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The second stage was asked for, and there is nothing for it to start from.
    #[error("stage two needs the adapter of stage one, and {} has none", folder.display())]
    NoStageOne {
        /// The run folder.
        folder: PathBuf,
    },

    /// A variable is not reached by the loss: it would silently stay as it is.
    #[error("`{variable}` got no gradient")]
    NoGradient {
        /// Its name.
        variable: String,
    },
    /// A gradient is infinite or not a number.
    #[error("the gradient of `{variable}` is not finite")]
    NonFiniteGradient {
        /// The variable's name.
        variable: String,
    },
    /// A loss is infinite or not a number.
    #[error("the {term} loss is {value}")]
    NonFiniteLoss {
        /// Which loss: `total`, `global`, ….
        term: &'static str,
        /// Its value.
        value: f32,
    },
    /// A step failed; says where.
    #[error("stage {stage}, epoch {epoch}, step {step}: {source}")]
    Step {
        /// The stage.
        stage: crate::Stage,
        /// The epoch, from 1.
        epoch: usize,
        /// The step of the stage, from 1.
        step: usize,
        /// What failed.
        source: Box<Error>,
    },
    /// An optimiser's saved state does not fit the variables.
    #[error("`{tensor}`: expected {expected}, found {found}")]
    State {
        /// The saved tensor.
        tensor: String,
        /// Type and shape it should have.
        expected: String,
        /// What it has.
        found: String,
    },

    /// The model gave a score that metrics are not defined on.
    #[error("{of}: {source}")]
    Score {
        /// The image or the category.
        of: String,
        /// What is wrong with it.
        source: crate::eval::MetricError,
    },

    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The model or one of its files.
    #[error(transparent)]
    Model(#[from] mpama_core::Error),
    /// The dataset.
    #[error(transparent)]
    Dataset(#[from] mpama_datasets::Error),
    /// An image that could not be drawn.
    #[error(transparent)]
    Synth(#[from] mpama_datasets::synth::SynthError),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<mpama_core::clip::ClipError> for Error {
    fn from(error: mpama_core::clip::ClipError) -> Self {
        Self::Model(error.into())
    }
}

impl Error {
    /// A failed file operation; a full disk is told apart.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// At most this many things are spelled out in one message; the error itself holds all of them.
const LISTED: usize = 20;

/// One indented line for each thing.
fn lines<T: fmt::Display>(things: &[T]) -> String {
    let mut text = String::new();
    for thing in things.iter().take(LISTED) {
        text.push_str(&format!("\n  {thing}"));
    }
    if things.len() > LISTED {
        text.push_str(&format!("\n  and {} more", things.len() - LISTED));
    }
    text
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_in_the_message_only() {
        let ids: Vec<String> = (0..25).map(|i| format!("bent/{i:03}.png")).collect();
        let text = Error::NoMask { ids }.to_string();
        assert!(
            text.starts_with("25 anomalous images without a mask:\n  bent/000.png\n"),
            "{text}"
        );
        assert!(text.ends_with("bent/019.png\n  and 5 more"), "{text}");
    }
}
