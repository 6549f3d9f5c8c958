//! Images that a list names one by one, and how a line of it becomes a sample.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::index::{File, Index, relative_id};
use crate::layout::is_normal;
use crate::listing::{Entry, is_image, stem};
use crate::{Error, Label, Orphan, Reason, Result, Sample, Split};

/// The defect of anomalous images of which nothing says more.
pub(crate) const UNNAMED: &str = "anomaly";

/// What a list says of one image; paths as they are written there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) image: String,
    pub(crate) label: Option<String>,
    pub(crate) mask: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) defect: Option<String>,
    pub(crate) split: Option<String>,
}

/// Whether a list's masks are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// As it says: somebody meant it.
    AsListed,
    /// Only if the names agree: the list may have been made by position.
    ByName,
}

/// Samples in the making.
pub(crate) struct Rows<'a> {
    pub(crate) root: &'a Path,
    /// The category of images without one.
    pub(crate) name: &'a str,
    pub(crate) split: Split,
    pub(crate) pairing: Pairing,
    pub(crate) index: Index,
    /// Every path that a row of any split names, whether or not something is there.
    pub(crate) named: BTreeSet<PathBuf>,
    seen: BTreeSet<String>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(root: &'a Path, name: &'a str, split: Split, pairing: Pairing) -> Self {
        Self {
            root,
            name,
            split,
            pairing,
            index: Index::default(),
            named: BTreeSet::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Adds the image of one row, if it is of the split. A file that is not there is noted.
    ///
    /// # Errors
    /// `refused` with the reason, for a row that contradicts itself or another.
    pub(crate) fn add(&mut self, row: Row, refused: impl Fn(String) -> Error) -> Result<()> {
        let named = [Some(&row.image), row.mask.as_ref()].into_iter().flatten();
        let named = named.filter(|path| !path.trim().is_empty());
        self.named.extend(named.map(|path| self.root.join(path)));
        if !row.is_of(self.split).map_err(&refused)? {
            return Ok(());
        }
        if row.image.trim().is_empty() {
            return Err(refused("names no image".to_owned()));
        }
        let (label, defect) = row.label().map_err(&refused)?;
        let Some(image) = self.file(&row.image)? else {
            return Ok(());
        };
        let id = relative_id(self.root, &image.path);
        if !self.seen.insert(id.clone()) {
            return Err(refused(format!("names `{id}` a second time")));
        }
        let mask = match row.mask.filter(|mask| !mask.trim().is_empty()) {
            Some(mask) => self.mask(&mask, &image, label)?,
            None => None,
        };
        let mask_bytes = mask.as_ref().map_or(0, |mask| mask.bytes);
        self.index.samples.push(Sample {
            id,
            image: image.path,
            mask: mask.map(|mask| mask.path),
            category: given(row.category).unwrap_or_else(|| self.name.to_owned()),
            defect,
            label,
            image_bytes: image.bytes,
            mask_bytes,
        });
        Ok(())
    }

    /// The mask that an image is said to have, if it can be its mask.
    fn mask(&mut self, text: &str, image: &File, label: Label) -> Result<Option<File>> {
        self.index.masks += 1;
        let Some(mask) = self.file(text)? else {
            return Ok(None);
        };
        let reason = match (label, self.pairing) {
            (Label::Normal, _) => Reason::MaskOfNormal,
            (Label::Anomalous, Pairing::ByName) if !names_agree(&image.name, &mask.name) => {
                Reason::MaskOfAnotherName
            }
            (Label::Anomalous, _) => return Ok(Some(mask)),
        };
        self.index.orphans.push(Orphan::new(mask.path, reason));
        Ok(None)
    }

    /// The file that a path means; one that is not there or is no image is noted.
    fn file(&mut self, text: &str) -> Result<Option<File>> {
        let path = match locate(self.root, text) {
            Ok(path) => path,
            Err(path) => {
                self.index
                    .orphans
                    .push(Orphan::new(path, Reason::MissingFile));
                return Ok(None);
            }
        };
        let name = path.file_name().and_then(|name| name.to_str());
        let reason = match name {
            Some(name) if is_image(name) => {
                let name = name.to_owned();
                return self.index.file(Entry { name, path });
            }
            Some(_) => Reason::NotAnImage,
            None => Reason::NameNotUtf8,
        };
        self.index.orphans.push(Orphan::new(path, reason));
        Ok(None)
    }
}

impl Row {
    fn is_of(&self, split: Split) -> std::result::Result<bool, String> {
        let Some(word) = self.split.as_deref().map(str::trim) else {
            return Ok(split == Split::Test);
        };
        match [Split::Test, Split::Train]
            .iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(word))
        {
            Some(found) => Ok(*found == split),
            None if word.is_empty() => Ok(split == Split::Test),
            None => Err(format!("split `{word}` is neither test nor train")),
        }
    }

    /// The label, and what the defect is called.
    fn label(&self) -> std::result::Result<(Label, String), String> {
        let defect = given(self.defect.clone());
        let by_defect = defect.as_deref().map(|defect| match is_normal(defect) {
            true => Label::Normal,
            false => Label::Anomalous,
        });
        let label = match given(self.label.clone()) {
            None => by_defect.ok_or("has neither label nor defect")?,
            Some(word) => Label::from_word(&word)
                .ok_or_else(|| format!("label `{word}` is neither normal nor anomalous"))?,
        };
        if by_defect.is_some_and(|other| other != label) {
            let defect = defect.unwrap_or_default();
            return Err(format!("is {label}, and its defect is `{defect}`"));
        }
        let defect = match label {
            Label::Normal => "good".to_owned(),
            Label::Anomalous => defect.unwrap_or_else(|| UNNAMED.to_owned()),
        };
        Ok((label, defect))
    }
}

fn given(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// The file that a list's path means: as written, relative to `root`, with `\` for `/`, or, if it is an
/// absolute path of another place, the longest end of it that exists below `root`. Where there is none,
/// the path as it was written.
pub(crate) fn locate(root: &Path, text: &str) -> std::result::Result<PathBuf, PathBuf> {
    let written = root.join(text);
    if written.is_file() {
        return Ok(written);
    }
    let text = text.replace('\\', "/");
    let turned = root.join(&text);
    if turned.is_file() {
        return Ok(turned);
    }
    let drive = text.as_bytes().get(1) == Some(&b':');
    if !drive && !text.starts_with('/') {
        return Err(written);
    }
    let parts: Vec<&str> = text.split('/').collect();
    let own_name = root.file_name().and_then(|name| name.to_str());
    for at in 1..parts.len() {
        // a bare file name could be anybody's: it counts only directly below a folder called as `root`
        let bare = at + 1 == parts.len();
        if bare && own_name.is_none_or(|name| name != parts[at - 1]) {
            break;
        }
        let rest = &parts[at..];
        if rest.iter().any(|part| part.is_empty() || *part == "..") {
            continue;
        }
        let path = root.join(rest.join("/"));
        if path.is_file() {
            return Ok(path);
        }
    }
    Err(written)
}

/// Whether a mask's name is that of its image, perhaps with a word before or after it: `000_mask.png`
/// goes with `000.png`, and `10.png` not with `1.png`.
fn names_agree(image: &str, mask: &str) -> bool {
    let (image, mask) = (stem(image), stem(mask));
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let before = mask.strip_suffix(image);
    let after = mask.strip_prefix(image);
    before.is_some_and(|rest| apart(rest.chars().next_back()))
        || after.is_some_and(|rest| apart(rest.chars().next()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fake::tree;

    #[test]
    fn names_agree_whole_or_with_a_word_beside_them() {
        for (image, mask, agree) in [
            ("000.png", "000.png", true),
            ("000.JPG", "000_mask.png", true),
            ("ISIC_01.jpg", "ISIC_01_Segmentation.png", true),
            ("7.png", "mask-7.png", true),
            ("1.png", "10.png", false),
            ("1.png", "01.png", false),
            ("10.png", "1.png", false),
        ] {
            assert_eq!(names_agree(image, mask), agree, "{image} {mask}");
        }
    }

    #[test]
    fn a_path_of_another_place_is_found_by_its_end() {
        let folder = tree(&["data/images/1.png", "data/1.png", "images/2.png"]);
        let root = folder.path().join("data");
        let found = |text: &str| locate(&root, text).ok();
        let image = Some(root.join("images/1.png"));
        assert_eq!(found("images/1.png"), image);
        assert_eq!(found("images\\1.png"), image);
        assert_eq!(found("/remote/home/data/images/1.png"), image);
        assert_eq!(found("C:\\Users\\me\\images\\1.png"), image);
        assert_eq!(found("/remote/data/1.png"), Some(root.join("1.png")));
        let other = folder.path().join("images/2.png"); // outside the root, where it says
        assert_eq!(found(other.to_str().unwrap()), Some(other.clone()));
        // nothing is guessed from a bare name, and a relative path means what it says
        assert_eq!(found("/remote/masks/1.png"), None);
        assert_eq!(found("other/images/1.png"), None);
        assert_eq!(found("/remote/../images/2.png"), None);
    }
}
