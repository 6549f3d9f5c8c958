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
    /// The label that a word means: `normal`, `good`, `ok`, `no`, `false` and `0`, or `anomalous`,
    /// `anomaly`, `abnormal`, `bad`, `defect`, `defective`, `ko`, `ng`, `yes`, `true` and `1`, in any
    /// case.
    pub fn from_word(word: &str) -> Option<Label> {
        const NORMAL: [&str; 6] = ["normal", "good", "ok", "no", "false", "0"];
        const ANOMALOUS: [&str; 11] = [
            "anomalous",
            "anomaly",
            "abnormal",
            "bad",
            "defect",
            "defective",
            "ko",
            "ng",
            "yes",
            "true",
            "1",
        ];
        let is = |known: &&str| known.eq_ignore_ascii_case(word.trim());
        if NORMAL.iter().any(is) {
            Some(Label::Normal)
        } else {
            ANOMALOUS.iter().any(is).then_some(Label::Anomalous)
        }
    }

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
    /// A mask that a list gives to an image of another name.
    MaskOfAnotherName,
    /// A mask of a normal image, which needs none.
    MaskOfNormal,
    /// A file that says what is anomalous in an image and cannot be understood.
    UnreadableMask,
    /// An image of which nothing says whether it is normal.
    UnknownLabel,
    /// A file that a list names and that is not there.
    MissingFile,
    /// An image or mask that no list names.
    Unlisted,
    /// A file among the images or masks whose extension is none of [`crate::IMAGE_EXTENSIONS`].
    NotAnImage,
    /// An image or mask of zero bytes.
    EmptyFile,
    /// A name that is not UTF-8 and so cannot be part of an id.
    NameNotUtf8,
    /// A link that leads nowhere.
    BrokenLink,
    /// A link to the folder it lies in or to one above: followed, it would never end.
    LinkLoop,
    /// An image outside the folders that give a label.
    Unlabelled,
    /// A folder that has no place in the layout; it was not read.
    UnexpectedFolder,
}

impl Reason {
    /// Whether something that belongs to the dataset is lost or in doubt, not merely left aside.
    pub fn is_problem(self) -> bool {
        match self {
            Reason::ImageWithoutMask
            | Reason::MaskWithoutImage
            | Reason::AmbiguousMask
            | Reason::MaskOfAnotherName
            | Reason::UnreadableMask
            | Reason::UnknownLabel
            | Reason::MissingFile
            | Reason::EmptyFile
            | Reason::NameNotUtf8
            | Reason::BrokenLink => true,
            Reason::SharedStem
            | Reason::MaskOfNormal
            | Reason::Unlisted
            | Reason::NotAnImage
            | Reason::LinkLoop
            | Reason::Unlabelled
            | Reason::UnexpectedFolder => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::ImageWithoutMask => "anomalous image without a mask",
            Reason::SharedStem => "another image has the same name but for the extension",
            Reason::MaskWithoutImage => "mask without an anomalous image of that name",
            Reason::AmbiguousMask => "mask that cannot be paired with one image",
            Reason::MaskOfAnotherName => "mask that is listed for an image of another name",
            Reason::MaskOfNormal => "mask of a normal image",
            Reason::UnreadableMask => "mask that cannot be understood",
            Reason::UnknownLabel => "nothing says whether this image is normal",
            Reason::MissingFile => "listed, but not there",
            Reason::Unlisted => "in no list",
            Reason::NotAnImage => "not an image by its extension",
            Reason::EmptyFile => "file of zero bytes",
            Reason::NameNotUtf8 => "name is not UTF-8",
            Reason::BrokenLink => "link that leads nowhere",
            Reason::LinkLoop => "link to a folder above itself",
            Reason::Unlabelled => "image outside the folders that give a label",
            Reason::UnexpectedFolder => "folder without a place in the layout",
        })
    }
}
