//! What can go wrong in the core, by thing, expectation and finding. Advice is the command line's.

use std::fmt::Display;
use std::path::PathBuf;

/// Result of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// Failure of the model or of one of its parts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A CLIP checkpoint or its use.
    #[error(transparent)]
    Clip(#[from] crate::clip::ClipError),
    /// An image or a mask.
    #[error(transparent)]
    Image(#[from] crate::preprocess::ImageError),
    /// A tensor operation.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A setting out of its range.
    #[error("setting `{key}`: expected {expected}, found {found}")]
    Setting {
        /// Dotted key below `model`.
        key: String,
        /// What would do.
        expected: String,
        /// What was there.
        found: String,
    },
    /// A tensor of another shape than its neighbours need.
    #[error("{what}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The tensor.
        what: String,
        /// Needed.
        expected: Vec<usize>,
        /// Found.
        found: Vec<usize>,
    },
    /// An adapter trained with another backbone than the loaded one.
    #[error("the adapter belongs to backbone `{wanted}`, but another one is loaded (`{found}`)")]
    Backbone {
        /// Name and fingerprint that the adapter carries.
        wanted: String,
        /// Fingerprint of the loaded vision tower.
        found: String,
    },
    /// A file of an adapter that is absent or does not read as one.
    #[error("adapter file {path}: {problem}")]
    Adapter {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint of another project that cannot be imported.
    #[error("prompt checkpoint {}: {problem}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint for another CLIP than the one given.
    #[error("prompt checkpoint {}: made for a text tower of {wanted}, this CLIP's has {found}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What the checkpoint needs.
        wanted: String,
        /// What the tower has of it.
        found: String,
    },
    /// A checkpoint whose prompts are other words, or words of another vocabulary.
    #[error("prompt checkpoint {}: its token ids are {found:?}, this CLIP's for \"{template}\" {expected:?}", path.display())]
    Words {
        /// The file.
        path: PathBuf,
        /// The words, with a placeholder for each learned token.
        template: String,
        /// Their token ids.
        expected: Vec<u32>,
        /// The checkpoint's.
        found: Vec<u32>,
    },
    /// An adapter file that could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// No precision that products can be computed in.
    #[error("dtype `{wanted}`: expected f32, int16, bf16 or int8")]
    Precision {
        /// As asked for.
        wanted: String,
    },
    /// Registers that this machine does not have.
    #[error("registers `{wanted}`: this machine has {}", there.join(", "))]
    Registers {
        /// As asked for.
        wanted: String,
        /// What could be asked for.
        there: Vec<&'static str>,
    },
    /// A device that this build or machine does not have.
    #[error("device `{wanted}`: {problem}")]
    Device {
        /// As asked for.
        wanted: String,
        /// Why it cannot be used.
        problem: String,
    },
}

impl Error {
    /// A setting out of its range.
    pub(crate) fn setting(key: &str, expected: &str, found: impl Display) -> Self {
        Error::Setting {
            key: key.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// A broken checkpoint of another project.
    pub(crate) fn import(path: impl Into<PathBuf>, problem: impl Display) -> Self {
        Error::Import {
            path: path.into(),
            problem: problem.to_string(),
        }
    }

    /// A broken adapter file.
    pub(crate) fn adapter(path: impl Into<PathBuf>, problem: impl Display) -> Self {
        Error::Adapter {
            path: path.into(),
            problem: problem.to_string(),
        }
    }
}
