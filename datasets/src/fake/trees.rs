//! How each dataset lies on disk, in a few files.

use std::io;
use std::path::Path;

use super::{industry, medicine, write};
use crate::{Label, Layout};

/// Columns of every image.
pub(super) const WIDTH: u32 = 24;
/// Rows of every image.
pub(super) const HEIGHT: u32 = 16;

/// What a file holds. Images are encoded as their extension says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// An image of random colours.
    Photo,
    /// A mask of 0 and 255.
    Mask,
    /// A mask of 0 and 1.
    ClassId,
    /// A mask of nothing.
    Black,
    /// A text.
    Text(&'static str),
}

/// A file, and what it holds.
pub type Sketch = (&'static str, Content);

/// A dataset in a few files.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// Name of its folder.
    pub name: &'static str,
    /// As the catalogue calls it, if it is one of those.
    pub published: Option<&'static str>,
    /// What to open: the folder itself (empty) or a file in it.
    pub open: &'static str,
    /// The layout.
    pub layout: Layout,
    /// Its files.
    pub files: &'static [Sketch],
    /// Its test samples in the order of their ids: id, label, mask.
    pub samples: &'static [(&'static str, Label, Option<&'static str>)],
    /// What is left out, in order.
    pub left_out: &'static [&'static str],
}

impl Tree {
    /// Writes it below `folder`, in a folder of its name.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let root = folder.join(self.name);
        for (path, content) in self.files {
            write::file(&root, path, *content)?;
        }
        Ok(())
    }
}

/// One of every kind.
pub fn all() -> Vec<Tree> {
    [&industry::TREES[..], &medicine::TREES[..]].concat()
}
