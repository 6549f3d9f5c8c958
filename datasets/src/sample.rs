//! One image with its label, and what could not become part of one.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::listing::stem;

/// Whether an image shows a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// Nothing is wrong.
    Normal,
    /// Something is.
    Anomalous,
}

impl Label {
    /// The label as a word: `normal` or `anomalous`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Label::Normal => "normal",
            Label::Anomalous => "anomalous",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One image of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Path of the image relative to the dataset's root, with `/` on every system; unique.
    pub id: String,
    /// Path of the image: the root as given, joined with the id.
    pub image: PathBuf,
    /// Path of the mask. `None` for every normal image, whose mask is all zero; `None` for an
    /// anomalous image means that its mask is *unknown*.
    pub mask: Option<PathBuf>,
    /// The kind of object, such as `bottle`; the name of the root where the layout has no categories.
    pub category: String,
    /// The kind of defect, as its folder is called; `good` for every normal image.
    pub defect: String,
    /// Normal or anomalous.
    pub label: Label,
    /// Size of the image file in bytes.
    pub image_bytes: u64,
    /// Size of the mask file in bytes, 0 where there is none.
    pub mask_bytes: u64,
}

impl Sample {
    pub(crate) fn lacks_mask(&self) -> bool {
        self.label == Label::Anomalous && self.mask.is_none()
    }

    /// The image's name without folders and extension: what a mask is paired by.
    pub(crate) fn stem(&self) -> &str {
        stem(self.id.rsplit('/').next().unwrap_or(&self.id))
    }
}

/// A file or folder that has no place among the samples, or an image that lacks something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Orphan {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it is listed.
    pub reason: Reason,
}

impl Orphan {
    pub(crate) fn new(path: PathBuf, reason: Reason) -> Orphan {
        Orphan { path, reason }
    }
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// Why something is listed as an [`Orphan`].
///
/// An image listed as [`Reason::ImageWithoutMask`] or [`Reason::SharedStem`] is still a sample (its
/// label is known); everything else listed is part of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// An anomalous image without a mask, in a dataset that has masks.
    ImageWithoutMask,
    /// Two images of one folder differ in nothing but the extension; a mask cannot tell them apart.
    SharedStem,
    /// A mask whose name is that of no anomalous image.
    MaskWithoutImage,
    /// A mask that fits several images, or one of several masks that fit one image.
    AmbiguousMask,
    /// A file among the images or masks whose extension is none of [`crate::IMAGE_EXTENSIONS`].
    NotAnImage,
    /// An image or mask of zero bytes.
    EmptyFile,
    /// A name that is not UTF-8 and so cannot be part of an id.
    NameNotUtf8,
    /// An image outside the folders that give a label.
    Unlabelled,
    /// A folder that has no place in the layout; it was not read.
    UnexpectedFolder,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::ImageWithoutMask => "anomalous image without a mask",
            Reason::SharedStem => "another image has the same name but for the extension",
            Reason::MaskWithoutImage => "mask without an anomalous image of that name",
            Reason::AmbiguousMask => "mask that cannot be paired with one image",
            Reason::NotAnImage => "not an image by its extension",
            Reason::EmptyFile => "file of zero bytes",
            Reason::NameNotUtf8 => "name is not UTF-8",
            Reason::Unlabelled => "image outside the folders that give a label",
            Reason::UnexpectedFolder => "folder without a place in the layout",
        })
    }
}
