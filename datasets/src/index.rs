//! The shape all layouts share, a folder per label with images in it, and the pairing of masks with
//! those images.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, mem};

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
struct File {
    name: String,
    path: PathBuf,
    bytes: u64,
}

impl Index {
    /// Adds the images of `folder` as samples of one category and label.
    pub(crate) fn add_images(
        &mut self,
        root: &Path,
        folder: &Entry,
        category: &str,
        label: Label,
    ) -> Result<()> {
        let images = self.files(Listing::of(&folder.path)?)?;
        let mut stems = BTreeMap::<&str, usize>::new();
        for image in &images {
            *stems.entry(stem(&image.name)).or_default() += 1;
        }
        for image in images.iter().filter(|image| stems[stem(&image.name)] > 1) {
            self.orphan(&image.path, Reason::SharedStem);
        }
        let defect = match label {
            Label::Normal => "good",
            Label::Anomalous => &folder.name,
        };
        self.samples.extend(images.into_iter().map(|image| Sample {
            id: relative_id(root, &image.path),
            image: image.path,
            mask: None,
            category: category.to_string(),
            defect: defect.to_string(),
            label,
            image_bytes: image.bytes,
            mask_bytes: 0,
        }));
        Ok(())
    }

    /// Gives the anomalous samples gathered so far the masks in `folders`.
    ///
    /// A mask in the sub-folder `crack` belongs to an image of defect `crack`, a mask outside any
    /// sub-folder to an image of any defect. `000_mask.png` is the mask of image `000`, and only where
    /// there is no such image of `000_mask`; any other stem is the image's own.
    pub(crate) fn add_masks(&mut self, folders: &[Entry]) -> Result<()> {
        let mut masks = Vec::new();
        for folder in folders {
            let mut listing = Listing::of(&folder.path)?;
            for defect in mem::take(&mut listing.folders) {
                let files = self.files(Listing::of(&defect.path)?)?;
                masks.extend(
                    files
                        .into_iter()
                        .map(|mask| (Some(defect.name.clone()), mask)),
                );
            }
            masks.extend(self.files(listing)?.into_iter().map(|mask| (None, mask)));
        }
        self.masks += masks.len();

        let mut images = BTreeMap::<&str, Vec<usize>>::new();
        for (at, sample) in self.samples.iter().enumerate() {
            if sample.label == Label::Anomalous {
                images.entry(sample.stem()).or_default().push(at);
            }
        }
        let mut claims = BTreeMap::<usize, Vec<File>>::new();
        for (defect, mask) in masks {
            let named = |stem: &str| -> Vec<usize> {
                let all = images.get(stem).into_iter().flatten().copied();
                all.filter(|&at| {
                    defect
                        .as_ref()
                        .is_none_or(|d| *d == self.samples[at].defect)
                })
                .collect()
            };
            let whole = stem(&mask.name);
            let mut fits = whole.strip_suffix("_mask").map(named).unwrap_or_default();
            if fits.is_empty() {
                fits = named(whole);
            }
            let reason = match fits[..] {
                [image] => {
                    claims.entry(image).or_default().push(mask);
                    continue;
                }
                [] => Reason::MaskWithoutImage,
                _ => Reason::AmbiguousMask,
            };
            self.orphans.push(Orphan {
                path: mask.path,
                reason,
            });
        }
        for (image, masks) in claims {
            if let [mask] = &masks[..] {
                self.samples[image].mask = Some(mask.path.clone());
                self.samples[image].mask_bytes = mask.bytes;
            } else {
                masks
                    .iter()
                    .for_each(|mask| self.orphan(&mask.path, Reason::AmbiguousMask));
            }
        }
        Ok(())
    }

    /// Notes what has no place at a level where only certain folders are expected: every image, every
    /// folder left in `listing`. Other files (a licence, a read-me) are nobody's mistake there.
    pub(crate) fn add_strays(&mut self, listing: Listing) {
        for image in listing.images {
            self.orphan(&image.path, Reason::Unlabelled);
        }
        for folder in listing.folders {
            self.orphan(&folder.path, Reason::UnexpectedFolder);
        }
        self.orphans.extend(
            listing
                .others
                .into_iter()
                .filter(|o| o.reason != Reason::NotAnImage),
        );
    }

    /// Adds what another index holds.
    pub(crate) fn append(&mut self, other: Index) {
        self.samples.extend(other.samples);
        self.orphans.extend(other.orphans);
        self.masks += other.masks;
    }

    /// The images or masks of a folder that holds nothing else; whatever else it holds is noted.
    fn files(&mut self, listing: Listing) -> Result<Vec<File>> {
        self.orphans.extend(listing.others);
        for folder in listing.folders {
            self.orphan(&folder.path, Reason::UnexpectedFolder);
        }
        let mut files = Vec::with_capacity(listing.images.len());
        for Entry { name, path } in listing.images {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() == 0 => self.orphan(&path, Reason::EmptyFile),
                Ok(metadata) => files.push(File {
                    name,
                    path,
                    bytes: metadata.len(),
                }),
                Err(source) => return Err(Error::Read { path, source }),
            }
        }
        Ok(files)
    }

    fn orphan(&mut self, path: &Path, reason: Reason) {
        self.orphans.push(Orphan {
            path: path.to_path_buf(),
            reason,
        });
    }
}

/// `path` below `root`, with `/` on every system. Listed names are UTF-8, so nothing is lost.
pub(crate) fn relative_id(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below
        .iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Reason};

    /// Opens a category with these images of the defect `d` and these masks.
    fn pair(images: &[&str], masks: &[&str]) -> Dataset {
        let root = tree(&["test/good/g.png"]);
        images
            .iter()
            .for_each(|i| write(root.path(), &format!("test/d/{i}"), "image"));
        masks
            .iter()
            .for_each(|m| write(root.path(), &format!("ground_truth/d/{m}"), "mask"));
        Dataset::open(root.path(), None).unwrap()
    }

    /// The mask of each image of the defect, by file name.
    fn paired(dataset: &Dataset) -> Vec<(String, Option<String>)> {
        let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_string();
        let anomalous = dataset.samples.iter().filter(|s| s.defect == "d");
        anomalous
            .map(|s| (name(&s.image), s.mask.as_deref().map(name)))
            .collect()
    }

    fn pairs(expected: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
        expected
            .iter()
            .map(|(image, mask)| (image.to_string(), mask.map(str::to_string)))
            .collect()
    }

    #[test]
    fn a_stray_file_shifts_no_pair() {
        let dataset = pair(
            &["0.png", "1.png", "2.png"],
            &["00_mask.png", "1_mask.png", "2_mask.png"],
        );
        let expected = [
            ("0.png", None),
            ("1.png", Some("1_mask.png")),
            ("2.png", Some("2_mask.png")),
        ];
        assert_eq!(paired(&dataset), pairs(&expected));
        let expected = [
            (
                "ground_truth/d/00_mask.png".to_string(),
                Reason::MaskWithoutImage,
            ),
            ("test/d/0.png".to_string(), Reason::ImageWithoutMask),
        ];
        assert_eq!(orphans(&dataset), expected);
        assert_eq!(
            dataset.require_masks().unwrap_err().to_string(),
            format!(
                "1 of the 3 anomalous images of `{}` have no mask, the first is `test/d/0.png`",
                dataset.root.display()
            )
        );
    }

    #[test]
    fn stems_keep_their_dots_and_spaces_and_case() {
        let dataset = pair(
            &["a.b.png", "a.png", "N 1.JPG", "n 1.jpg"],
            &["a.b_mask.png", "a.png", "N 1.PNG"],
        );
        let expected = [
            ("N 1.JPG", Some("N 1.PNG")),
            ("a.b.png", Some("a.b_mask.png")),
            ("a.png", Some("a.png")),
            ("n 1.jpg", None),
        ];
        assert_eq!(paired(&dataset), pairs(&expected));
    }

    #[test]
    fn an_image_may_be_called_like_a_mask() {
        let dataset = pair(
            &["0.png", "0_mask.png", "1_mask.png"],
            &["0_mask.png", "0_mask_mask.png", "1_mask.png"],
        );
        let expected = [
            ("0.png", Some("0_mask.png")),
            ("0_mask.png", Some("0_mask_mask.png")),
            ("1_mask.png", Some("1_mask.png")),
        ];
        assert_eq!(paired(&dataset), pairs(&expected));
    }

    #[test]
    fn what_fits_twice_is_paired_with_nothing() {
        let dataset = pair(
            &["0.png", "0.jpg", "1.png"],
            &["0_mask.png", "1.png", "1_mask.png"],
        );
        assert_eq!(
            paired(&dataset),
            pairs(&[("0.jpg", None), ("0.png", None), ("1.png", None)])
        );
        let expected = [
            ("ground_truth/d/0_mask.png", Reason::AmbiguousMask),
            ("ground_truth/d/1.png", Reason::AmbiguousMask),
            ("ground_truth/d/1_mask.png", Reason::AmbiguousMask),
            ("test/d/0.jpg", Reason::ImageWithoutMask),
            ("test/d/0.jpg", Reason::SharedStem),
            ("test/d/0.png", Reason::ImageWithoutMask),
            ("test/d/0.png", Reason::SharedStem),
            ("test/d/1.png", Reason::ImageWithoutMask),
        ];
        assert_eq!(
            orphans(&dataset),
            expected.map(|(path, reason)| (path.to_string(), reason))
        );
    }

    #[test]
    fn an_empty_file_is_neither_image_nor_mask() {
        let root = tree(&["test/good/g.png", "test/d/0.png", "test/d/1.png"]);
        for file in ["test/good/h.png", "ground_truth/d/0_mask.png"] {
            write(root.path(), file, "");
        }
        write(root.path(), "ground_truth/d/1_mask.png", "mask");
        let dataset = Dataset::open(root.path(), None).unwrap();
        let expected = [
            "test/d/0.png d",
            "test/d/1.png d ground_truth/d/1_mask.png",
            "test/good/g.png good",
        ];
        assert_eq!(lines(&dataset), expected);
        let expected = [
            ("ground_truth/d/0_mask.png", Reason::EmptyFile),
            ("test/d/0.png", Reason::ImageWithoutMask),
            ("test/good/h.png", Reason::EmptyFile),
        ];
        assert_eq!(
            orphans(&dataset),
            expected.map(|(path, reason)| (path.to_string(), reason))
        );
    }
}
