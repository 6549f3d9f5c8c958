//! A dataset: its samples in order, what was left out, and selections of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;

use crate::index::{Index, relative_id};
use crate::layout::to_lines;
use crate::listing::is_jpeg;
use crate::{Error, Label, Layout, Orphan, Reason, Result, Sample, Split};

/// The mask threshold of datasets with JPEG masks: half of white. Noise lies far below it.
const JPEG_THRESHOLD: u8 = 127;

/// The samples of a folder or list, in one order on every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Name of the root folder; of a list, its own without the extension.
    pub name: String,
    /// The root as given: a folder, or a file that lists images.
    pub root: PathBuf,
    /// The folder that ids are relative to: the root, or the folder of the list.
    base: PathBuf,
    /// The layout asked for or recognised.
    pub layout: Layout,
    /// Every labelled image, sorted by id.
    pub samples: Vec<Sample>,
    /// What could not be placed or paired, sorted by path. A selection keeps the whole list.
    pub orphans: Vec<Orphan>,
    /// Mask values above it are anomalous, unless the user says otherwise: 0, because masks may hold
    /// small class ids that look black, or 127 where a mask is a JPEG, whose noise is no defect.
    pub mask_threshold: u8,
}

/// How many samples there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Normal samples.
    pub normal: usize,
    /// Anomalous samples.
    pub anomalous: usize,
    /// Samples with a mask, all of them anomalous.
    pub masks: usize,
}

impl Dataset {
    /// Reads the folder or list `root`: its test split, if it is divided. Without a `layout` it is
    /// recognised by the folders in the root, or by the extension of the list.
    ///
    /// # Errors
    /// A root that is missing, empty, or a file that is no list; a folder of no layout, of several, or
    /// not of the one given; a list that is malformed; no image in it; a folder or file that cannot be
    /// read.
    pub fn open(root: &Path, layout: Option<Layout>) -> Result<Dataset> {
        Self::open_split(root, layout, Split::Test)
    }

    /// Reads one split of the folder or list `root`.
    ///
    /// # Errors
    /// As [`Dataset::open`]; also a split that the layout or this folder does not have.
    pub fn open_split(root: &Path, layout: Option<Layout>, split: Split) -> Result<Dataset> {
        let owned = root.to_path_buf();
        let (name, base, (layout, index)) = if is_folder(root)? {
            let name = name_of(root)?;
            let read = Layout::read_folder(root, layout, &name, split)?;
            (name, owned.clone(), read)
        } else {
            let base = root.parent().unwrap_or(Path::new("")).to_path_buf();
            let name = match root.file_name().is_some_and(|name| name == "meta.json") {
                true => name_of(&base)?, // they are all called so
                false => root
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            };
            let read = Layout::read_file(root, layout, &base, &name, split)?;
            (name, base, read)
        };
        let Index {
            mut samples,
            mut orphans,
            masks,
        } = index;
        if samples.is_empty() {
            return Err(Error::NoImages {
                root: owned,
                layout,
                orphans: orphans.len(),
            });
        }
        if masks > 0 {
            let bare = samples.iter().filter(|s| s.lacks_mask());
            let orphan = |s: &Sample| Orphan::new(s.image.clone(), Reason::ImageWithoutMask);
            orphans.extend(bare.map(orphan));
        }
        samples.sort_by(|a, b| a.id.cmp(&b.id));
        orphans.sort();
        orphans.dedup();
        let jpeg = samples
            .iter()
            .filter_map(|s| s.mask.as_deref())
            .any(is_jpeg);
        Ok(Dataset {
            mask_threshold: if jpeg { JPEG_THRESHOLD } else { 0 },
            name,
            root: owned,
            base,
            layout,
            samples,
            orphans,
        })
    }

    /// The folder that ids are relative to: the root, or the folder of the list.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The samples as an index that lies in `folder`: layout `jsonl`, a line each. Paths below `folder`
    /// are relative to it, all others absolute.
    ///
    /// # Errors
    /// A folder that does not exist; a path that is not UTF-8.
    pub fn to_index(&self, folder: &Path) -> Result<String> {
        to_lines(self, folder)
    }

    /// The categories, sorted.
    pub fn categories(&self) -> Vec<&str> {
        let all: BTreeSet<_> = self.samples.iter().map(|s| s.category.as_str()).collect();
        all.into_iter().collect()
    }

    /// The samples of each category, in order.
    pub fn by_category(&self) -> BTreeMap<&str, Vec<&Sample>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for sample in &self.samples {
            all.entry(sample.category.as_str())
                .or_default()
                .push(sample);
        }
        all
    }

    /// How many samples there are of each label, and how many have a mask.
    pub fn counts(&self) -> Counts {
        let count = |keep: fn(&Sample) -> bool| self.samples.iter().filter(|s| keep(s)).count();
        Counts {
            normal: count(|s| s.label == Label::Normal),
            anomalous: count(|s| s.label == Label::Anomalous),
            masks: count(|s| s.mask.is_some()),
        }
    }

    /// BLAKE3, in hex, over each sample's id, label, mask (relative to the root) and file sizes: the
    /// same for a copy of the folder elsewhere, another when a file is added, removed, renamed,
    /// relabelled or of another size. Pixels are not read.
    pub fn index_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key("mpama dataset index 1");
        let mut field = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()); // so that no two fields run together
            hasher.update(bytes);
        };
        for sample in &self.samples {
            let mask = sample
                .mask
                .as_ref()
                .map(|mask| relative_id(&self.base, mask));
            field(sample.id.as_bytes());
            field(sample.label.as_str().as_bytes());
            field(mask.unwrap_or_default().as_bytes());
            field(&sample.image_bytes.to_le_bytes());
            field(&sample.mask_bytes.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The samples for which `keep` holds. There may be none.
    pub fn filter(&self, keep: impl Fn(&Sample) -> bool) -> Dataset {
        let mut selection = self.clone();
        selection.samples.retain(keep);
        selection
    }

    /// The samples of these categories.
    ///
    /// # Errors
    /// A category that the dataset does not have.
    pub fn with_categories(&self, categories: &[impl AsRef<str>]) -> Result<Dataset> {
        let known = self.categories();
        let wanted: BTreeSet<&str> = categories.iter().map(AsRef::as_ref).collect();
        match wanted.iter().find(|category| !known.contains(category)) {
            Some(category) => Err(Error::UnknownCategory {
                root: self.root.clone(),
                category: category.to_string(),
                known: known.join(", "),
            }),
            None => Ok(self.filter(|s| wanted.contains(s.category.as_str()))),
        }
    }

    /// At most `per_category` samples of each category, for a quick trial: half of them normal as far
    /// as there are so many, the rest spread over the defects. No chance is involved, and a smaller
    /// limit selects a part of what a larger one does.
    pub fn limited_to(&self, per_category: usize) -> Dataset {
        let mut kept = BTreeSet::new();
        for samples in self.by_category().into_values() {
            let mut normal = Vec::new();
            let mut defects = BTreeMap::<&str, Vec<&str>>::new();
            for sample in samples {
                match sample.label {
                    Label::Normal => normal.push(sample.id.as_str()),
                    Label::Anomalous => defects.entry(&sample.defect).or_default().push(&sample.id),
                }
            }
            let anomalous = in_turn(defects.into_values().collect());
            kept.extend(
                in_turn(vec![normal, anomalous])
                    .into_iter()
                    .take(per_category),
            );
        }
        self.filter(|s| kept.contains(s.id.as_str()))
    }

    /// Demands at least one sample of each label, as training does.
    ///
    /// # Errors
    /// [`Error::MissingLabel`].
    pub fn require_both_labels(&self) -> Result<()> {
        for label in [Label::Normal, Label::Anomalous] {
            if self.samples.iter().all(|s| s.label != label) {
                let (root, images) = (self.root.clone(), self.samples.len());
                return Err(Error::MissingLabel {
                    root,
                    label,
                    images,
                });
            }
        }
        Ok(())
    }

    /// Demands a mask for every anomalous sample, as pixel losses and pixel metrics do.
    ///
    /// # Errors
    /// [`Error::MissingMasks`].
    pub fn require_masks(&self) -> Result<()> {
        let bare: Vec<_> = self.samples.iter().filter(|s| s.lacks_mask()).collect();
        match bare.first() {
            None => Ok(()),
            Some(first) => Err(Error::MissingMasks {
                root: self.root.clone(),
                without: bare.len(),
                anomalous: self.counts().anomalous,
                first: first.id.clone(),
            }),
        }
    }
}

/// The first of every list, then the second of every list, and so on.
fn in_turn(lists: Vec<Vec<&str>>) -> Vec<&str> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest)
        .flat_map(|i| lists.iter().filter_map(move |list| list.get(i).copied()))
        .collect()
}

fn is_folder(root: &Path) -> Result<bool> {
    match fs::metadata(root) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing(root.into())),
        Err(source) => Err(Error::Read {
            path: root.into(),
            source,
        }),
    }
}

/// The name of a folder as it was given; of `.` and the like, the name of the folder meant.
fn name_of(root: &Path) -> Result<String> {
    let last = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    if let Some(name) = last(root) {
        return Ok(name);
    }
    let here = root.as_os_str().is_empty();
    let path = fs::canonicalize(if here { Path::new(".") } else { root });
    let path = path.map_err(|source| Error::Read {
        path: root.into(),
        source,
    })?;
    Ok(last(&path).unwrap_or_else(|| path.display().to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fake::{lines, tree, write};

    const FILES: [&str; 8] = [
        "a/test/good/0.png",
        "a/test/good/1.png",
        "a/test/bent/0.png",
        "a/test/bent/1.png",
        "a/test/crack/0.png",
        "a/ground_truth/bent/0_mask.png",
        "b/test/bent/0.png",
        "b/test/good/0.png",
    ];

    fn open(files: &[&str]) -> Result<Dataset> {
        Dataset::open(tree(files).path(), None)
    }

    #[test]
    fn a_root_that_is_no_folder_of_images_is_named() {
        let root = tree(&[
            "file.png",
            "empty/",
            "litter/Thumbs.db",
            "bare/good/",
            "bare/crack/x.txt",
        ]);
        let error = |name: &str| Dataset::open(&root.path().join(name), None).unwrap_err();
        assert!(matches!(error("absent"), Error::Missing(_)));
        assert!(matches!(error("file.png"), Error::NoList(_)));
        assert!(matches!(error("empty"), Error::Empty(_)));
        assert!(matches!(error("litter"), Error::Empty(_)));
        assert!(matches!(
            error("bare"),
            Error::NoImages {
                layout: Layout::Folder,
                orphans: 1,
                ..
            }
        ));
        for name in ["absent", "file.png", "empty", "bare"] {
            let path = root.path().join(name).display().to_string();
            assert!(error(name).to_string().contains(&path), "{}", error(name));
        }
    }

    #[test]
    fn the_order_is_that_of_ids_not_of_folders() {
        let dataset = open(&["good/0.png", "good-2/0.png", "good.3/0.png"]).unwrap();
        let ids: Vec<_> = dataset.samples.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(ids, ["good-2/0.png", "good.3/0.png", "good/0.png"]);
    }

    #[test]
    fn counts_and_groups() {
        let dataset = open(&FILES).unwrap();
        assert_eq!(
            dataset.counts(),
            Counts {
                normal: 3,
                anomalous: 4,
                masks: 1
            }
        );
        let sizes: Vec<_> = dataset
            .by_category()
            .into_iter()
            .map(|(c, s)| (c, s.len()))
            .collect();
        assert_eq!(sizes, [("a", 5), ("b", 2)]);
    }

    #[test]
    fn the_hash_follows_the_content_and_not_the_place() {
        const MASK: &str = "a/ground_truth/bent/0_mask.png";
        let dataset = open(&FILES).unwrap();
        let hash = dataset.index_hash();
        let mut reversed = FILES;
        reversed.reverse(); // another order of creation, another place
        assert_eq!(open(&reversed).unwrap().index_hash(), hash);

        let changed = |change: &dyn Fn(&Path)| {
            let root = tree(&FILES);
            change(root.path());
            Dataset::open(root.path(), None).unwrap().index_hash()
        };
        let rename = |root: &Path, from, to| fs::rename(root.join(from), root.join(to)).unwrap();
        assert_eq!(
            changed(&|root| write(root, "a/test/good/x.txt", "no sample")),
            hash
        );
        let mut relabelled = dataset.clone();
        relabelled.samples[0].label = Label::Normal;
        let others = [
            relabelled.index_hash(),
            dataset.filter(|s| s.category == "a").index_hash(),
            changed(&|root| write(root, "a/test/good/0.png", "another size")),
            changed(&|root| write(root, "a/test/good/2.png", "one more")),
            changed(&|root| write(root, MASK, "another size")),
            changed(&|root| fs::remove_file(root.join(MASK)).unwrap()),
            changed(&|root| rename(root, MASK, "a/ground_truth/bent/0.png")),
            changed(&|root| rename(root, "a/test/crack", "a/test/dent")),
        ];
        let distinct: BTreeSet<_> = others.iter().chain([&hash]).collect();
        assert_eq!(distinct.len(), others.len() + 1);
    }

    #[test]
    fn selects_categories_that_exist() {
        let dataset = open(&FILES).unwrap();
        let b = dataset.with_categories(&["b"]).unwrap();
        assert_eq!(
            lines(&b),
            ["b/test/bent/0.png bent", "b/test/good/0.png good"]
        );
        let error = dataset
            .with_categories(&["b", "c"])
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("has no category `c`, it has a, b"),
            "{error}"
        );
    }

    #[test]
    fn a_limit_keeps_both_labels_and_every_defect_it_can() {
        let dataset = open(&FILES).unwrap();
        let category_a = |limit| lines(&dataset.limited_to(limit).filter(|s| s.category == "a"));
        assert!(category_a(0).is_empty());
        assert_eq!(category_a(1), ["a/test/good/0.png good"]);
        let labels = |limit| {
            dataset
                .limited_to(limit)
                .filter(|s| s.category == "a")
                .counts()
        };
        assert_eq!((labels(2).normal, labels(2).anomalous), (1, 1));
        assert_eq!(
            category_a(4),
            [
                "a/test/bent/0.png bent a/ground_truth/bent/0_mask.png",
                "a/test/crack/0.png crack",
                "a/test/good/0.png good",
                "a/test/good/1.png good",
            ]
        );
        assert_eq!(dataset.limited_to(5), dataset);
        for limit in 0..5 {
            let more = dataset.limited_to(limit + 1).samples;
            assert!(
                dataset
                    .limited_to(limit)
                    .samples
                    .iter()
                    .all(|s| more.contains(s))
            );
        }
    }

    #[test]
    fn demands_are_met_by_what_is_there() {
        let dataset = open(&FILES).unwrap();
        dataset.require_both_labels().unwrap();
        let normal = dataset.filter(|s| s.label == Label::Normal);
        assert!(matches!(
            normal.require_both_labels(),
            Err(Error::MissingLabel {
                label: Label::Anomalous,
                images: 3,
                ..
            })
        ));
        normal.require_masks().unwrap();
        assert!(matches!(
            dataset.require_masks(),
            Err(Error::MissingMasks { without: 3, anomalous: 4, first, .. }) if first == "a/test/bent/1.png"
        ));
    }
}
