//! The folder shapes a dataset can have: one file each, and the table that names them.

mod folder;
mod mvtec;
mod yes_no;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::listing::{Entry, Listing};
use crate::{Error, Result};

/// How a dataset lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// MVTec AD and what follows it: `<category>/test/<good or defect>/*` with masks in
    /// `<category>/ground_truth/<defect>/<stem>_mask.*` or `<stem>.*`. A single category's folder,
    /// with `test` directly in the root, will do. `ok` (BTAD) and `normal` mean `good`.
    Mvtec,
    /// `yes/*` and `no/*`, without masks: does the image show a defect?
    YesNo,
    /// A folder of one's own: `good/*` (or `normal`, `ok`) and any other sub-folder as a defect of
    /// that name. Masks are optional, in `ground_truth/` or `masks/`, by stem or `<stem>_mask`, in a
    /// sub-folder per defect or without one.
    Folder,
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

impl Layout {
    /// Every layout.
    pub const ALL: [Layout; 3] = [Layout::Mvtec, Layout::YesNo, Layout::Folder];

    /// The name: `mvtec`, `yes-no` or `folder`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Layout::Mvtec => "mvtec",
            Layout::YesNo => "yes-no",
            Layout::Folder => "folder",
        }
    }

    /// What must lie in the root, in words.
    fn shape(self) -> &'static str {
        match self {
            Layout::Mvtec => mvtec::SHAPE,
            Layout::YesNo => yes_no::SHAPE,
            Layout::Folder => folder::SHAPE,
        }
    }

    fn recognises(self, root: &Listing) -> Result<bool> {
        match self {
            Layout::Mvtec => mvtec::recognises(root),
            Layout::YesNo => Ok(yes_no::recognises(root)),
            Layout::Folder => Ok(folder::recognises(root)),
        }
    }

    /// The one layout whose shape the folder has.
    pub(crate) fn recognise(root: &Path, listing: &Listing) -> Result<Layout> {
        let mut layouts = Vec::new();
        for layout in Layout::ALL {
            if layout.recognises(listing)? {
                layouts.push(layout);
            }
        }
        let root = root.to_path_buf();
        match layouts[..] {
            [layout] => Ok(layout),
            [] => Err(Error::Unrecognised {
                root,
                expected: Layout::ALL
                    .map(|l| format!("{l} ({})", l.shape()))
                    .join(", "),
                found: listing.describe(),
            }),
            _ => Err(Error::Ambiguous { root, layouts }),
        }
    }

    /// Reads the folder as this layout; `name` is the category where there is only one. A mismatch is
    /// an error, a layout without one image is not.
    pub(crate) fn read(
        self,
        root: &Path,
        listing: Listing,
        name: &str,
        split: Split,
    ) -> Result<Index> {
        let found = listing.describe();
        let index = match (self, split) {
            (Layout::Mvtec, _) => mvtec::read(root, listing, name, split)?,
            (Layout::YesNo, Split::Test) => yes_no::read(root, listing, name)?,
            (Layout::Folder, Split::Test) => folder::read(root, listing, name)?,
            (Layout::YesNo | Layout::Folder, Split::Train) => {
                return Err(Error::NoSplit {
                    root: root.to_path_buf(),
                    layout: self,
                    split,
                });
            }
        };
        index.ok_or_else(|| Error::Mismatch {
            root: root.to_path_buf(),
            layout: self,
            split,
            expected: self.shape(),
            found,
        })
    }
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
fn is_normal(folder: &Entry) -> bool {
    ["good", "normal", "ok"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&folder.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Dataset;
    use crate::fake::tree;

    #[test]
    fn one_name_in_words_files_and_arguments() {
        for layout in Layout::ALL {
            assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
            assert_eq!(
                serde_json::to_string(&layout).unwrap(),
                format!("\"{layout}\"")
            );
        }
        let error = "visa".parse::<Layout>().unwrap_err().to_string();
        assert_eq!(error, "`visa` is not one of mvtec, yes-no, folder");
    }

    #[test]
    fn recognises_each_layout() {
        for (files, layout) in [
            (["bottle/test/good/0.png", "readme.txt"], Layout::Mvtec),
            (["test/good/0.png", "readme.txt"], Layout::Mvtec),
            (
                ["bottle/train/good/0.png", "bottle/test/crack/0.png"],
                Layout::Mvtec,
            ),
            (["Yes/0.png", "no/0.png"], Layout::YesNo),
            (["OK/0.png", "crack/0.png"], Layout::Folder),
            (["good/0.png", "test/0.png"], Layout::Folder), // a defect that is called `test`
        ] {
            assert_eq!(
                Dataset::open(tree(&files).path(), None).unwrap().layout,
                layout,
                "{files:?}"
            );
        }
    }

    #[test]
    fn a_folder_of_no_layout_is_described() {
        let files = [
            "a/0.png", "b/0.png", "c/", "d/", "e/", "f/", "g/", "h/", "0.png", "1.png", "x.csv",
        ];
        let root = tree(&files);
        let error = Dataset::open(root.path(), None).unwrap_err();
        assert!(matches!(error, Error::Unrecognised { .. }));
        let text = error.to_string();
        for part in [
            "mvtec (`test/<good or defect>/` or `<category>/test/<good or defect>/`)",
            "yes-no (`yes/` and `no/`)",
            "folder (`good/`, `normal/` or `ok/`, and a folder per defect)",
            "found `a/`, `b/`, `c/`, `d/`, `e/`, `f/`, 2 more folders, 2 images, 1 other files",
            &root.path().display().to_string(),
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        let flat = tree(&["0.png"]);
        let text = Dataset::open(flat.path(), None).unwrap_err().to_string();
        assert!(
            text.ends_with("found no folder, 1 images, 0 other files"),
            "{text}"
        );
    }

    #[test]
    fn a_folder_of_two_layouts_is_read_only_when_told_which() {
        let root = tree(&["yes/0.png", "no/0.png", "good/0.png"]);
        let error = Dataset::open(root.path(), None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("could be read as yes-no and as folder"),
            "{error}"
        );
        assert_eq!(
            Dataset::open(root.path(), Some(Layout::YesNo))
                .unwrap()
                .samples
                .len(),
            2
        );
        assert_eq!(
            Dataset::open(root.path(), Some(Layout::Folder))
                .unwrap()
                .samples
                .len(),
            3
        );
    }

    #[test]
    fn the_wrong_layout_is_an_error_that_says_what_was_found() {
        let root = tree(&["good/0.png", "crack/0.png"]);
        for layout in [Layout::Mvtec, Layout::YesNo] {
            let error = Dataset::open(root.path(), Some(layout)).unwrap_err();
            assert!(
                matches!(error, Error::Mismatch { layout: l, .. } if l == layout),
                "{error}"
            );
            assert!(
                error.to_string().contains("found `crack/`, `good/`"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_a_divided_layout_has_a_train_split() {
        let root = tree(&["good/0.png"]);
        let error = Dataset::open_split(root.path(), None, Split::Train).unwrap_err();
        assert!(matches!(
            error,
            Error::NoSplit {
                layout: Layout::Folder,
                split: Split::Train,
                ..
            }
        ));
    }
}
