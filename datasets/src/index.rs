//! The shape all layouts share, a folder per label with images in it, and the pairing of masks with
//! those images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, mem};

use crate::layout::is_normal;
use crate::listing::{Entry, Listing, stem};
use crate::{Error, Label, Orphan, Reason, Result, Sample};

/// Samples and orphans as a layout gathers them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) samples: Vec<Sample>,
    pub(crate) orphans: Vec<Orphan>,
    /// How many mask files were seen, paired or not.
    pub(crate) masks: usize,
}

/// An image or mask that is there and not empty.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// What all images of one folder have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind<'a> {
    pub(crate) category: &'a str,
    /// Not looked at for normal images: theirs is `good`.
    pub(crate) defect: &'a str,
    pub(crate) label: Label,
}

impl Index {
    /// Adds the images of `folder`: normal or defects of the folder's name.
    pub(crate) fn add_folder(&mut self, root: &Path, folder: &Entry, category: &str) -> Result<()> {
        let label = match is_normal(&folder.name) {
            true => Label::Normal,
            false => Label::Anomalous,
        };
        let kind = Kind {
            category,
            defect: &folder.name,
            label,
        };
        let images = self.files(Listing::of(&folder.path)?)?;
        self.add_images(root, images, kind);
        Ok(())
    }

    /// Adds images of one kind that lie in one folder.
    pub(crate) fn add_images(&mut self, root: &Path, images: Vec<File>, kind: Kind<'_>) {
        let mut stems = BTreeMap::<&str, usize>::new();
        for image in &images {
            *stems.entry(stem(&image.name)).or_default() += 1;
        }
        let shared = images.iter().filter(|image| stems[stem(&image.name)] > 1);
        self.list(shared.map(|image| image.path.clone()), Reason::SharedStem);
        let defect = match kind.label {
            Label::Normal => "good",
            Label::Anomalous => kind.defect,
        };
        self.samples.extend(images.into_iter().map(|image| Sample {
            id: relative_id(root, &image.path),
            image: image.path,
            mask: None,
            category: kind.category.to_string(),
            defect: defect.to_string(),
            label: kind.label,
            image_bytes: image.bytes,
            mask_bytes: 0,
        }));
    }

    /// Gives the anomalous samples gathered so far the masks in `folders` and in their sub-folders, each
    /// of which is named after a defect.
    pub(crate) fn add_masks(&mut self, folders: &[Entry]) -> Result<()> {
        let mut masks = Vec::new();
        for folder in folders {
            let mut listing = Listing::of(&folder.path)?;
            for defect in mem::take(&mut listing.folders) {
                for mask in self.files(Listing::of(&defect.path)?)? {
                    masks.push((Some(defect.name.clone()), mask));
                }
            }
            masks.extend(self.files(listing)?.into_iter().map(|mask| (None, mask)));
        }
        self.pair(masks, "_mask");
        Ok(())
    }

    /// Gives the anomalous samples gathered so far their masks, by stem.
    ///
    /// A mask with a defect belongs to an image of that defect, one without to an image of any. With the
    /// suffix `_mask`, `000_mask.png` is the mask of image `000`, and only where there is no such image
    /// of `000_mask`; any other stem is the image's own.
    pub(crate) fn pair(&mut self, masks: Vec<(Option<String>, File)>, suffix: &str) {
        self.masks += masks.len();
        let mut images = BTreeMap::<&str, Vec<usize>>::new();
        for (at, sample) in self.samples.iter().enumerate() {
            images.entry(sample.stem()).or_default().push(at);
        }
        let mut claims = BTreeMap::<usize, Vec<File>>::new();
        for (defect, mask) in masks {
            let whole = stem(&mask.name);
            let own = without_suffix(whole, suffix);
            let named = |label: Label| {
                let fits = |at: &usize| {
                    let sample = &self.samples[*at];
                    let is_of = match (label, &defect) {
                        (Label::Normal, defect) => defect.as_deref().is_some_and(is_normal),
                        (Label::Anomalous, None) => true,
                        (Label::Anomalous, Some(defect)) => *defect == sample.defect,
                    };
                    sample.label == label && is_of
                };
                let of = |stem: &str| -> Vec<usize> {
                    let images = images.get(stem).into_iter().flatten();
                    images.copied().filter(fits).collect()
                };
                let fits = own.map(of).unwrap_or_default();
                if fits.is_empty() { of(whole) } else { fits }
            };
            let reason = match named(Label::Anomalous)[..] {
                [image] => {
                    claims.entry(image).or_default().push(mask);
                    continue;
                }
                [] if named(Label::Normal).is_empty() => Reason::MaskWithoutImage,
                [] => Reason::MaskOfNormal,
                _ => Reason::AmbiguousMask,
            };
            self.orphans.push(Orphan::new(mask.path, reason));
        }
        for (image, mut masks) in claims {
            if let [mask] = &mut masks[..] {
                self.samples[image].mask = Some(mem::take(&mut mask.path));
                self.samples[image].mask_bytes = mask.bytes;
            } else {
                self.list(
                    masks.into_iter().map(|mask| mask.path),
                    Reason::AmbiguousMask,
                );
            }
        }
    }

    /// Notes what has no place at a level where only certain folders are expected: every image, every
    /// folder left in `listing`. Other files (a licence, a read-me) are nobody's mistake there.
    pub(crate) fn add_strays(&mut self, listing: Listing) {
        self.list(paths(listing.images), Reason::Unlabelled);
        self.list(paths(listing.folders), Reason::UnexpectedFolder);
        let others = listing.others.into_iter();
        self.orphans
            .extend(others.filter(|o| o.reason != Reason::NotAnImage));
    }

    /// Adds what another index holds.
    pub(crate) fn append(&mut self, other: Index) {
        self.samples.extend(other.samples);
        self.orphans.extend(other.orphans);
        self.masks += other.masks;
    }

    /// The images or masks of a folder that holds nothing else; whatever else it holds is noted.
    pub(crate) fn files(&mut self, listing: Listing) -> Result<Vec<File>> {
        self.orphans.extend(listing.others);
        self.list(paths(listing.folders), Reason::UnexpectedFolder);
        let mut files = Vec::with_capacity(listing.images.len());
        for entry in listing.images {
            files.extend(self.file(entry)?);
        }
        Ok(files)
    }

    /// An image or mask, unless it is empty, which is noted.
    pub(crate) fn file(&mut self, entry: Entry) -> Result<Option<File>> {
        let Entry { name, path } = entry;
        match fs::metadata(&path).map(|metadata| metadata.len()) {
            Ok(0) => {
                self.orphans.push(Orphan::new(path, Reason::EmptyFile));
                Ok(None)
            }
            Ok(bytes) => Ok(Some(File { name, path, bytes })),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Notes several paths for one reason.
    pub(crate) fn list(&mut self, paths: impl IntoIterator<Item = PathBuf>, reason: Reason) {
        let orphan = |path| Orphan::new(path, reason);
        self.orphans.extend(paths.into_iter().map(orphan));
    }
}

/// The stem without a suffix that it ends in, in any case; nothing is not a stem.
pub(crate) fn without_suffix<'a>(stem: &'a str, suffix: &str) -> Option<&'a str> {
    let (own, end) = stem.split_at_checked(stem.len().checked_sub(suffix.len())?)?;
    (!own.is_empty() && end.eq_ignore_ascii_case(suffix)).then_some(own)
}

fn paths(entries: Vec<Entry>) -> impl Iterator<Item = PathBuf> {
    entries.into_iter().map(|entry| entry.path)
}

/// `path` below `root`, with `/` on every system. Listed names are UTF-8, so nothing is lost.
pub(crate) fn relative_id(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::Dataset;
    use crate::fake::{lines, orphans, tree, write};

    /// Reads a category with these images and masks of the defect `d`.
    fn pair(images: &[&str], masks: &[&str]) -> Dataset {
        let root = tree(&["test/good/g.png"]);
        let put = |file: String| write(root.path(), &file, "x");
        images.iter().for_each(|i| put(format!("test/d/{i}")));
        masks
            .iter()
            .for_each(|m| put(format!("ground_truth/d/{m}")));
        Dataset::open(root.path(), None)
            .unwrap()
            .filter(|s| s.defect == "d")
    }

    #[test]
    fn a_stray_file_shifts_no_pair() {
        let dataset = pair(&["0.png", "1.png"], &["00_mask.png", "1_mask.png"]);
        let expected = ["test/d/0.png d", "test/d/1.png d ground_truth/d/1_mask.png"];
        assert_eq!(lines(&dataset), expected);
        let expected = [
            "MaskWithoutImage ground_truth/d/00_mask.png",
            "ImageWithoutMask test/d/0.png",
        ];
        assert_eq!(orphans(&dataset), expected);
    }

    #[test]
    fn stems_keep_their_dots_and_spaces() {
        let dataset = pair(
            &["a.b.png", "a.png", "N 1.JPG"],
            &["a.b_mask.png", "a.png", "N 1.PNG"],
        );
        let expected = [
            "test/d/N 1.JPG d ground_truth/d/N 1.PNG",
            "test/d/a.b.png d ground_truth/d/a.b_mask.png",
            "test/d/a.png d ground_truth/d/a.png",
        ];
        assert_eq!(lines(&dataset), expected);
    }

    #[test]
    fn an_image_may_be_called_like_a_mask() {
        let masks = ["0_mask.png", "0_mask_mask.png", "1_mask.png"];
        let expected = [
            "test/d/0.png d ground_truth/d/0_mask.png",
            "test/d/0_mask.png d ground_truth/d/0_mask_mask.png",
            "test/d/1_mask.png d ground_truth/d/1_mask.png",
        ];
        assert_eq!(
            lines(&pair(&["0.png", "0_mask.png", "1_mask.png"], &masks)),
            expected
        );
    }

    #[test]
    fn what_fits_twice_is_paired_with_nothing() {
        let masks = ["0_mask.png", "1.png", "1_mask.png"];
        let dataset = pair(&["0.png", "0.jpg", "1.png"], &masks);
        assert_eq!(
            lines(&dataset),
            ["test/d/0.jpg d", "test/d/0.png d", "test/d/1.png d"]
        );
        let expected = [
            "AmbiguousMask ground_truth/d/0_mask.png",
            "AmbiguousMask ground_truth/d/1.png",
            "AmbiguousMask ground_truth/d/1_mask.png",
            "ImageWithoutMask test/d/0.jpg",
            "SharedStem test/d/0.jpg",
            "ImageWithoutMask test/d/0.png",
            "SharedStem test/d/0.png",
            "ImageWithoutMask test/d/1.png",
        ];
        assert_eq!(orphans(&dataset), expected);
    }

    #[test]
    fn an_empty_file_is_neither_image_nor_mask() {
        let root = tree(&["good/g.png", "d/0.png", "d/1.png", "masks/d/1.png"]);
        write(root.path(), "good/h.png", "");
        write(root.path(), "masks/d/0.png", "");
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(
            lines(&dataset),
            ["d/0.png d", "d/1.png d masks/d/1.png", "good/g.png good"]
        );
        let expected = [
            "ImageWithoutMask d/0.png",
            "EmptyFile good/h.png",
            "EmptyFile masks/d/0.png",
        ];
        assert_eq!(orphans(&dataset), expected);
    }
}
