//! What can be wrong with a CLIP and with what it is given.

use crate::kernels::precision::Precision;
use std::path::PathBuf;

/// A CLIP that cannot be loaded or run. Messages name the thing, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The folder has none of the files that could serve.
    #[error("{}: none of {} found", folder.display(), wanted.join(", "))]
    MissingFile {
        /// The checkpoint's folder.
        folder: PathBuf,
        /// The names that were looked for, in order of preference.
        wanted: Vec<&'static str>,
    },
    /// A file is truncated, damaged, of another kind, or cannot be read at all.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// `config.json` describes something that is not a CLIP this crate can run.
    #[error("{}: `{field}` is {found}, expected {expected}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The field, with its section.
        field: String,
        /// What would do.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The weights lack a tensor.
    #[error("{}: no tensor `{name}` (expected shape {expected:?})", path.display())]
    MissingTensor {
        /// The weights file, or the index of a sharded checkpoint.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its shape according to `config.json`.
        expected: Vec<usize>,
    },
    /// A tensor's shape contradicts `config.json`.
    #[error("{}: tensor `{name}` has shape {found:?}, expected {expected:?}", path.display())]
    TensorShape {
        /// The weights file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its shape according to `config.json`.
        expected: Vec<usize>,
        /// Its shape in the file.
        found: Vec<usize>,
    },
    /// A tensor is not of floating-point numbers.
    #[error("{}: tensor `{name}` is of type {found}, expected f32, f16, bf16 or f64", path.display())]
    TensorType {
        /// The weights file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Its type in the file.
        found: String,
    },
    /// A tensor holds NaN or an infinity.
    #[error("{}: tensor `{name}` holds {value} at position {position}", path.display())]
    NotFinite {
        /// The weights file.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// Row-major position of the first such value.
        position: usize,
        /// The value.
        value: f32,
    },
    /// More V-V blocks were asked for than the tower has.
    #[error("V-V attention in the last {depth} blocks of a vision tower of {layers}")]
    VvDepth {
        /// What was asked for.
        depth: usize,
        /// Blocks of the tower.
        layers: usize,
    },
    /// An intermediate layer that does not exist was asked for.
    #[error("intermediate layer {layer} of a vision tower of {layers} (counted from 1)")]
    Layer {
        /// What was asked for.
        layer: usize,
        /// Blocks of the tower.
        layers: usize,
    },
    /// A precision that only the processor's kernels have.
    #[error("{precision} is a precision of the processor, not of {device}")]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// The kind of device it was asked for on.
        device: &'static str,
    },
    /// Something given to a tower has the wrong shape.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// What was given.
        what: &'static str,
        /// The shape that would do, in words.
        expected: String,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} is outside the vocabulary of {vocabulary}")]
    Token {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocabulary: usize,
    },
    /// A text that the tokenizer cannot encode.
    #[error("cannot tokenize {text:?}: {reason}")]
    Tokenize {
        /// The text.
        text: String,
        /// What the tokenizer said.
        reason: String,
    },
    /// A tensor operation failed, most likely for want of memory.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Result of loading or running a CLIP.
pub type Result<T, E = ClipError> = std::result::Result<T, E>;
