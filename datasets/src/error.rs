//! What can be wrong with a dataset: each error names the folder, what was expected and what was
//! found.

use std::io;
use std::path::PathBuf;

use crate::{Label, Layout, Split};

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a folder could not be read as a dataset, or lacks what its use demands.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing exists at the root.
    #[error("dataset `{}` does not exist", .0.display())]
    Missing(PathBuf),

    /// The root is a file, and not of a kind that lists images.
    #[error("dataset `{}` is neither a folder nor a list of images (.csv, .jsonl or .json)", .0.display())]
    NoList(PathBuf),

    /// The root is a file, and the layout that was asked for is one of folders.
    #[error("dataset `{}` is not a folder, as layout {layout} demands", path.display())]
    NotAFolder {
        /// The root as given.
        path: PathBuf,
        /// The layout asked for.
        layout: Layout,
    },

    /// A list of images says something that cannot be.
    #[error("`{}`{}: {reason}", file.display(), line.map_or(String::new(), |line| format!(", line {line}")))]
    List {
        /// The list.
        file: PathBuf,
        /// The line, from 1, where it has lines.
        line: Option<u64>,
        /// What is wrong there.
        reason: String,
    },

    /// A path cannot be written into an index.
    #[error("`{}` is not UTF-8 and cannot be part of an index", .0.display())]
    NotUtf8(PathBuf),

    /// The root holds nothing.
    #[error("dataset folder `{}` is empty", .0.display())]
    Empty(PathBuf),

    /// A folder or file could not be read: permissions, a failing disk.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The root has the shape of no layout.
    #[error("`{}` has no known layout: looked for {expected}; found {found}", root.display())]
    Unrecognised {
        /// The root as given.
        root: PathBuf,
        /// The shape of every layout, in words.
        expected: String,
        /// What lies in the root, in words.
        found: String,
    },

    /// The root has the shape of more than one layout.
    #[error("`{}` could be read as {}", root.display(), layouts.iter().map(Layout::as_str).collect::<Vec<_>>().join(" and as "))]
    Ambiguous {
        /// The root as given.
        root: PathBuf,
        /// The layouts that fit.
        layouts: Vec<Layout>,
    },

    /// The root does not have the shape of the layout that was asked for.
    #[error("`{}` has no {split} images of layout {layout}: expected {expected}; found {found}", root.display())]
    Mismatch {
        /// The root as given.
        root: PathBuf,
        /// The layout asked for or recognised.
        layout: Layout,
        /// The split asked for.
        split: Split,
        /// The shape of the layout, in words.
        expected: &'static str,
        /// What lies in the root, in words.
        found: String,
    },

    /// A split was asked for and the layout has none.
    #[error("`{}` has no `{split}` split: layout {layout} is not divided", root.display())]
    NoSplit {
        /// The root as given.
        root: PathBuf,
        /// The layout given or recognised.
        layout: Layout,
        /// The split asked for.
        split: Split,
    },

    /// The folders of the layout are there, but no image is in them.
    #[error("`{}`, read as {layout}, holds no image ({orphans} files or folders were left out)", root.display())]
    NoImages {
        /// The root as given.
        root: PathBuf,
        /// The layout it was read as.
        layout: Layout,
        /// How many files and folders could not be placed.
        orphans: usize,
    },

    /// Both labels were demanded ([`crate::Dataset::require_both_labels`]) and one is absent.
    #[error("`{}` has no {label} image among its {images}", root.display())]
    MissingLabel {
        /// The root of the dataset.
        root: PathBuf,
        /// The absent label.
        label: Label,
        /// How many samples there are.
        images: usize,
    },

    /// Masks were demanded ([`crate::Dataset::require_masks`]) and anomalous images lack them.
    #[error("{without} of the {anomalous} anomalous images of `{}` have no mask, the first is `{first}`", root.display())]
    MissingMasks {
        /// The root of the dataset.
        root: PathBuf,
        /// How many anomalous samples have no mask.
        without: usize,
        /// How many anomalous samples there are.
        anomalous: usize,
        /// The id of the first sample without a mask.
        first: String,
    },

    /// A category was asked for that the dataset does not have.
    #[error("`{}` has no category `{category}`, it has {known}", root.display())]
    UnknownCategory {
        /// The root of the dataset.
        root: PathBuf,
        /// The category asked for.
        category: String,
        /// The categories there are, in words.
        known: String,
    },

    /// A word is not the name of a layout.
    #[error("`{name}` is not one of {known}")]
    UnknownName {
        /// The word.
        name: String,
        /// The names there are, in words.
        known: String,
    },
}
