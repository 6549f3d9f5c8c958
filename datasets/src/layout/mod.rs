//! The shapes a dataset can have on disk: one file each, and the table that names them.

mod csv;
mod dagm;
mod folder;
mod head_ct;
mod images_masks;
mod isic;
mod jsonl;
mod kolektor;
mod meta;
mod mvtec;
mod visa;
mod yes_no;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::listing::Listing;
use crate::{Error, Result};

pub(crate) use jsonl::to_lines;

/// How a dataset lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// MVTec AD and what follows it: `<category>/test/<good or defect>/*` with masks in
    /// `<category>/ground_truth/<defect>/<stem>_mask.*` or `<stem>.*`. A single category's folder,
    /// with `test` directly in the root, will do. `ok` (BTAD) and `normal` mean `good`.
    Mvtec,
    /// VisA as published: `split_csv/1cls.csv` names images and masks in `<category>/Data/`.
    Visa,
    /// DAGM 2007: `<class>/{Train,Test}/0001.PNG`, anomalous where `Label/0001_label.PNG` is its mask.
    Dagm,
    /// KolektorSDD as published: `kos01/Part0.jpg` beside `Part0_label.bmp`; an image is normal if its
    /// label is black.
    Kolektor,
    /// ISIC 2016: images anywhere in the first three levels of folders, each with its mask
    /// `<stem>_Segmentation.*`, all anomalous.
    Isic,
    /// Polyps: `images/*` (or `Original`) and `masks/*` (or `Ground Truth`) of the same stem, all
    /// anomalous.
    ImagesMasks,
    /// HeadCT as Kaggle packs it: `labels.csv` with the columns `id` and `hemorrhage`, and numbered
    /// images.
    HeadCt,
    /// `yes/*` and `no/*`, without masks: does the image show a defect?
    YesNo,
    /// A folder of one's own: `good/*` (or `normal`, `ok`) and any other sub-folder as a defect of
    /// that name. Masks are optional, in `ground_truth/` or `masks/`, by stem or `<stem>_mask`, in a
    /// sub-folder per defect or without one.
    Folder,
    /// `meta.json` as AnomalyCLIP and its relatives write it. Given as a file, or found in a folder of
    /// no other layout.
    Meta,
    /// A table of images, a file: columns `image`, `label`, `mask`, `category`, `defect`, `split`.
    Csv,
    /// A JSON object for each image on a line of its own, a file: keys as the columns of `csv`.
    Jsonl,
}

/// Which part of a divided dataset to read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The part with defects: what zero-shot methods are measured on, and trained on when it belongs
    /// to the auxiliary dataset. A dataset that is not divided is all test.
    #[default]
    Test,
    /// The normal images that other methods learn from.
    Train,
}

/// What a layout's file says about it.
struct Shape {
    name: &'static str,
    /// What must lie in the root, in words.
    words: &'static str,
    /// Whether it has a train split beside the test split.
    divided: bool,
    reader: Reader,
}

/// How a layout is recognised and read. `None` for a folder without the shape.
enum Reader {
    Folder {
        recognises: fn(&Listing) -> Result<bool>,
        read: fn(Place<'_>) -> Result<Option<Index>>,
    },
    /// One file lists the images.
    List {
        /// In lower case.
        extension: &'static str,
        read: fn(&List<'_>) -> Result<Index>,
    },
}

/// A folder to be read.
struct Place<'a> {
    /// What ids are relative to.
    root: &'a Path,
    listing: Listing,
    /// The category where there is only one.
    name: &'a str,
    split: Split,
}

/// A list to be read.
struct List<'a> {
    file: &'a Path,
    /// The folder that its paths are relative to.
    root: &'a Path,
    /// The category of images without one.
    name: &'a str,
    split: Split,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 12] = [
        Layout::Mvtec,
        Layout::Visa,
        Layout::Dagm,
        Layout::Kolektor,
        Layout::Isic,
        Layout::ImagesMasks,
        Layout::HeadCt,
        Layout::YesNo,
        Layout::Folder,
        Layout::Meta,
        Layout::Csv,
        Layout::Jsonl,
    ];

    fn shape(self) -> &'static Shape {
        match self {
            Layout::Mvtec => &mvtec::SHAPE,
            Layout::Visa => &visa::SHAPE,
            Layout::Dagm => &dagm::SHAPE,
            Layout::Kolektor => &kolektor::SHAPE,
            Layout::Isic => &isic::SHAPE,
            Layout::ImagesMasks => &images_masks::SHAPE,
            Layout::HeadCt => &head_ct::SHAPE,
            Layout::YesNo => &yes_no::SHAPE,
            Layout::Folder => &folder::SHAPE,
            Layout::Meta => &meta::SHAPE,
            Layout::Csv => &csv::SHAPE,
            Layout::Jsonl => &jsonl::SHAPE,
        }
    }

    /// The name, such as `mvtec` or `yes-no`.
    pub fn as_str(&self) -> &'static str {
        self.shape().name
    }

    /// What must lie in the root, in words.
    pub fn words(self) -> &'static str {
        self.shape().words
    }

    /// Whether a file lists the images, and the folders around it do not matter.
    pub fn is_list(self) -> bool {
        matches!(self.shape().reader, Reader::List { .. })
    }

    /// The layout of a file that lists images, by its extension: `.json`, `.csv` or `.jsonl`.
    pub fn of_file(path: &Path) -> Option<Layout> {
        let found = path.extension()?;
        let is = |layout: &Layout| match layout.shape().reader {
            Reader::List { extension, .. } => found.eq_ignore_ascii_case(extension),
            Reader::Folder { .. } => false,
        };
        Layout::ALL.into_iter().find(is)
    }

    /// The layouts whose shape the folder has. Where the shape of one is a special case of another's,
    /// only the special one.
    fn fitting(listing: &Listing) -> Result<Vec<Layout>> {
        let mut layouts = Vec::new();
        for layout in Layout::ALL {
            if let Reader::Folder { recognises, .. } = layout.shape().reader
                && recognises(listing)?
            {
                layouts.push(layout);
            }
        }
        if layouts.contains(&Layout::Isic) {
            layouts.retain(|l| *l != Layout::Mvtec); // a common repackaging has `test/` folders
        }
        // written by others beside the images, and paired by position: the last resort
        if layouts.is_empty() && meta::in_folder(&listing.path).is_file() {
            layouts.push(Layout::Meta);
        }
        Ok(layouts)
    }

    /// The one layout whose shape the folder has.
    fn recognise(root: &Path, listing: &Listing) -> Result<Layout> {
        let layouts = Layout::fitting(listing)?;
        if let [layout] = layouts[..] {
            return Ok(layout);
        }
        let root = root.to_path_buf();
        if !layouts.is_empty() {
            return Err(Error::Ambiguous { root, layouts });
        }
        if listing.is_empty() {
            return Err(Error::Empty(root));
        }
        let words = |l: Layout| format!("{l} ({})", l.shape().words);
        Err(Error::Unrecognised {
            root,
            expected: Layout::ALL.map(words).join(", "),
            found: listing.describe() + &one_level_down(listing),
        })
    }

    /// Reads the folder `root` as the layout given or recognised; `name` is the category where there is
    /// only one. A mismatch is an error, a layout without one image is not.
    pub(crate) fn read_folder(
        root: &Path,
        layout: Option<Layout>,
        name: &str,
        split: Split,
    ) -> Result<(Layout, Index)> {
        let listing = Listing::of(root)?;
        let layout = match layout {
            Some(layout) => layout,
            None => Layout::recognise(root, &listing)?,
        };
        let shape = layout.shape();
        let mismatch = |found| Error::Mismatch {
            root: root.to_path_buf(),
            layout,
            split,
            expected: shape.words,
            found,
        };
        layout.check_split(root, split)?;
        let found = listing.describe();
        let index = match shape.reader {
            Reader::Folder { read, .. } => read(Place {
                root,
                listing,
                name,
                split,
            })?,
            Reader::List { .. } if layout == Layout::Meta => {
                let file = meta::in_folder(root);
                let (_, index) = Layout::read_file(&file, Some(layout), root, name, split)?;
                Some(index)
            }
            Reader::List { .. } => None, // a table has no name by which to find it in a folder
        };
        Ok((layout, index.ok_or_else(|| mismatch(found))?))
    }

    /// Reads the file `file`, which lists images by paths relative to `root`.
    pub(crate) fn read_file(
        file: &Path,
        layout: Option<Layout>,
        root: &Path,
        name: &str,
        split: Split,
    ) -> Result<(Layout, Index)> {
        let Some(layout) = layout.or_else(|| Layout::of_file(file)) else {
            return Err(Error::NoList(file.to_path_buf()));
        };
        let Reader::List { read, .. } = layout.shape().reader else {
            return Err(Error::NotAFolder {
                path: file.to_path_buf(),
                layout,
            });
        };
        let list = List {
            file,
            root,
            name,
            split,
        };
        Ok((layout, read(&list)?))
    }

    fn check_split(self, root: &Path, split: Split) -> Result<()> {
        if split == Split::Test || self.shape().divided {
            return Ok(());
        }
        Err(Error::NoSplit {
            root: root.to_path_buf(),
            layout: self,
            split,
        })
    }
}

/// Archives often hold the dataset in a folder of its own: says so of sub-folders that have a layout.
fn one_level_down(listing: &Listing) -> String {
    const LOOKED_AT: usize = 20;
    let mut text = String::new();
    for folder in listing.folders.iter().take(LOOKED_AT) {
        // a hint: folders that cannot be read are not worth an error
        let fitting = Listing::of(&folder.path).and_then(|inner| Layout::fitting(&inner));
        if let Ok([layout]) = fitting.as_deref() {
            text += &format!("; `{}/` in it is {layout}", folder.name);
        }
    }
    text
}

impl Split {
    /// The name, which is also the folder's: `test` or `train`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Split::Test => "test",
            Split::Train => "train",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(name: &str) -> Result<Layout> {
        let layout = Layout::ALL
            .into_iter()
            .find(|layout| layout.as_str() == name);
        let known = || Layout::ALL.map(|layout| layout.as_str()).join(", ");
        layout.ok_or_else(|| Error::UnknownName {
            name: name.to_string(),
            known: known(),
        })
    }
}

/// Whether a folder of this name holds normal images: `good`, `normal` or `ok` in any case.
pub(crate) fn is_normal(folder: &str) -> bool {
    ["good", "normal", "ok"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(folder))
}

#[cfg(test)]
mod tests;
