//! Every layout on disk, right and with one thing wrong: what is found, and that nothing else moves.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mpama_datasets::catalog::Published;
use mpama_datasets::fake::{Tree, all};
use mpama_datasets::{Dataset, Label, Layout, Reason};
use tempfile::TempDir;

/// A tree on disk.
struct Planted {
    tree: Tree,
    folder: TempDir,
}

impl Planted {
    fn new(tree: Tree) -> Self {
        let folder = TempDir::new().unwrap();
        tree.write(folder.path()).unwrap();
        Self { tree, folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join(self.tree.name)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn open(&self) -> Dataset {
        let dataset = Dataset::open(&self.at(self.tree.open), None).unwrap();
        assert_eq!(dataset.layout, self.tree.layout, "{}", self.tree.name);
        dataset
    }

    /// Renames the file and whatever goes by the same stem with it.
    fn rename(&self, path: &str, change: impl Fn(&str) -> String) -> String {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let new = format!("{folder}/{}", change(name));
        fs::rename(self.at(path), self.at(&new)).unwrap();
        new
    }

    /// An anomalous image with a mask, if there is one.
    fn masked(&self) -> Option<(&'static str, &'static str)> {
        let with_mask = |s: &(&'static str, Label, Option<&'static str>)| Some((s.0, s.2?));
        self.tree.samples.iter().find_map(with_mask)
    }

    /// Whether a list says which files there are, so that one that is renamed is missed.
    fn is_listed(&self) -> bool {
        self.tree.layout.is_list() || self.tree.layout == Layout::Visa
    }
}

fn planted() -> impl Iterator<Item = Planted> {
    all().into_iter().map(Planted::new)
}

/// Id, label and mask of every sample.
type Pairs = BTreeMap<String, (Label, Option<String>)>;

fn pairs(dataset: &Dataset) -> Pairs {
    let samples = dataset.samples.iter();
    samples
        .map(|s| {
            let mask = s.mask.as_ref().map(|mask| below(dataset, mask));
            (s.id.clone(), (s.label, mask))
        })
        .collect()
}

fn below(dataset: &Dataset, path: &Path) -> String {
    let path = path.strip_prefix(dataset.base()).unwrap();
    path.to_str().unwrap().replace('\\', "/")
}

fn expected(tree: &Tree) -> Pairs {
    let samples = tree.samples.iter();
    samples
        .map(|(id, label, mask)| ((*id).to_owned(), (*label, mask.map(str::to_owned))))
        .collect()
}

fn orphans(dataset: &Dataset) -> Vec<(Reason, String)> {
    let orphans = dataset.orphans.iter();
    orphans
        .map(|o| (o.reason, below(dataset, &o.path)))
        .collect()
}

/// All that is found, but for what is left out of the tree in order.
fn found(planted: &Planted, dataset: &Dataset) -> Vec<(Reason, String)> {
    let mut found = orphans(dataset);
    found.retain(|(_, path)| !planted.tree.left_out.contains(&path.as_str()));
    found
}

fn owned(expected: &[(Reason, &str)]) -> Vec<(Reason, String)> {
    let mut owned: Vec<_> = expected
        .iter()
        .map(|(reason, path)| (*reason, (*path).to_owned()))
        .collect();
    owned.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
    owned
}

/// Every sample but `changed` is what it was.
fn assert_rest(planted: &Planted, dataset: &Dataset, changed: &str) {
    let (mut now, mut before) = (pairs(dataset), expected(&planted.tree));
    now.remove(changed);
    before.remove(changed);
    assert_eq!(now, before, "{}", planted.tree.name);
}

#[test]
fn each_is_recognised_read_and_known() {
    for planted in planted() {
        let tree = &planted.tree;
        let dataset = planted.open();
        assert_eq!(pairs(&dataset), expected(tree), "{}", tree.name);
        let ids: Vec<_> = tree.samples.iter().map(|s| s.0).collect();
        let read: Vec<_> = dataset.samples.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(read, ids, "{}", tree.name);
        let left_out: Vec<_> = orphans(&dataset);
        let expected: Vec<_> = tree
            .left_out
            .iter()
            .map(|path| (Reason::UnexpectedFolder, (*path).to_owned()))
            .collect();
        assert_eq!(left_out, expected, "{}", tree.name);
        if tree.layout != Layout::Meta {
            let published = Published::of(&dataset).map(|p| p.name);
            assert_eq!(published, tree.published, "{}", tree.name);
        }
        let jpeg = dataset.samples.iter().any(|s| {
            s.mask
                .as_ref()
                .is_some_and(|m| m.extension().unwrap() == "jpg")
        });
        assert_eq!(dataset.mask_threshold, if jpeg { 127 } else { 0 });
    }
}

#[test]
fn the_layout_can_be_named_and_another_is_refused() {
    for planted in planted() {
        let tree = &planted.tree;
        let root = planted.at(tree.open);
        let named = Dataset::open(&root, Some(tree.layout)).unwrap();
        assert_eq!(named, planted.open(), "{}", tree.name);
        let other = match tree.layout {
            Layout::YesNo => Layout::Mvtec,
            _ => Layout::YesNo,
        };
        assert!(Dataset::open(&root, Some(other)).is_err(), "{}", tree.name);
    }
}

#[test]
fn a_missing_mask() {
    for planted in planted() {
        let Some((image, mask)) = planted.masked() else {
            continue;
        };
        fs::remove_file(planted.at(mask)).unwrap();
        // without its only mask a dataset has none to miss
        let last = planted
            .tree
            .samples
            .iter()
            .filter(|s| s.2.is_some())
            .count()
            == 1;
        let dataset = planted.open();
        let expected = match planted.tree.layout {
            // nothing says any more whether it is normal
            Layout::Kolektor => owned(&[(Reason::UnknownLabel, image)]),
            _ if planted.is_listed() => owned(&[
                (Reason::ImageWithoutMask, image),
                (Reason::MissingFile, mask),
            ]),
            _ if last => vec![],
            _ => owned(&[(Reason::ImageWithoutMask, image)]),
        };
        assert_eq!(found(&planted, &dataset), expected, "{}", planted.tree.name);
        assert_rest(&planted, &dataset, image);
        if planted.tree.layout != Layout::Kolektor {
            assert_eq!(pairs(&dataset)[image], (Label::Anomalous, None));
        }
    }
}

#[test]
fn an_empty_image_or_mask() {
    for planted in planted() {
        let Some((image, mask)) = planted.masked() else {
            continue;
        };
        let name = planted.tree.name;
        let kept = fs::read(planted.at(mask)).unwrap();
        fs::write(planted.at(mask), "").unwrap();
        let dataset = planted.open();
        let last = planted
            .tree
            .samples
            .iter()
            .filter(|s| s.2.is_some())
            .count()
            == 1;
        let expected = match planted.tree.layout {
            Layout::Kolektor => owned(&[(Reason::UnknownLabel, image), (Reason::EmptyFile, mask)]),
            _ if last && !planted.is_listed() => owned(&[(Reason::EmptyFile, mask)]),
            _ => owned(&[(Reason::ImageWithoutMask, image), (Reason::EmptyFile, mask)]),
        };
        assert_eq!(found(&planted, &dataset), expected, "{name}");
        assert_rest(&planted, &dataset, image);

        fs::write(planted.at(mask), kept).unwrap();
        fs::write(planted.at(image), "").unwrap();
        let dataset = planted.open();
        let expected = match planted.is_listed() {
            true => owned(&[(Reason::EmptyFile, image)]), // its mask is not looked for
            false => owned(&[(Reason::EmptyFile, image), (Reason::MaskWithoutImage, mask)]),
        };
        assert_eq!(found(&planted, &dataset), expected, "{name}");
        assert_rest(&planted, &dataset, image);
        assert!(!pairs(&dataset).contains_key(image), "{name}");
    }
}

#[test]
fn an_extra_file() {
    for planted in planted() {
        let Some((image, mask)) = planted.masked() else {
            continue;
        };
        let name = planted.tree.name;
        // before all others in the order of names, where pairing by position would shift every pair
        let (folder, file) = mask.rsplit_once('/').unwrap();
        let (stem, extension) = file.rsplit_once('.').unwrap();
        let suffix = ["_mask", "_label", "_Segmentation"];
        let suffix = suffix.into_iter().find(|s| stem.ends_with(s)).unwrap_or("");
        let extra = format!("{folder}/+{suffix}.{extension}");
        fs::copy(planted.at(mask), planted.at(&extra)).unwrap();
        let notes = format!("{}/notes.txt", image.rsplit_once('/').unwrap().0);
        fs::write(planted.at(&notes), "not an image").unwrap();
        let dataset = planted.open();
        let expected = match planted.tree.layout {
            Layout::Visa => owned(&[(Reason::Unlisted, &extra)]),
            Layout::Meta | Layout::Csv | Layout::Jsonl => vec![], // their folders are not looked at
            Layout::Isic => owned(&[(Reason::MaskWithoutImage, &extra)]), // its archives hold texts
            _ => owned(&[
                (Reason::MaskWithoutImage, &extra),
                (Reason::NotAnImage, &notes),
            ]),
        };
        assert_eq!(found(&planted, &dataset), expected, "{name}");
        assert_rest(&planted, &dataset, "");
    }
}

#[test]
fn another_case_of_the_extension_and_a_space_in_the_name() {
    let upper = |name: &str| {
        let (stem, extension) = name.rsplit_once('.').unwrap();
        let other = match extension.chars().any(char::is_lowercase) {
            true => extension.to_uppercase(),
            false => extension.to_lowercase(),
        };
        format!("{stem}.{other}")
    };
    let spaced = |name: &str| format!("a {name}");
    let changes: [&dyn Fn(&str) -> String; 2] = [&upper, &spaced];
    for change in changes {
        for planted in planted() {
            let Some((image, mask)) = planted.masked() else {
                continue;
            };
            let name = planted.tree.name;
            let new_image = planted.rename(image, change);
            let new_mask = planted.rename(mask, change);
            let dataset = planted.open();
            let pairs = pairs(&dataset);
            if planted.is_listed() {
                // the list names others: nothing is guessed
                assert!(
                    !pairs.contains_key(image) && !pairs.contains_key(&new_image),
                    "{name}"
                );
                let found = found(&planted, &dataset);
                assert!(
                    found.contains(&(Reason::MissingFile, image.to_owned())),
                    "{name}"
                );
            } else if planted.tree.layout == Layout::Dagm && new_image.contains("a ") {
                // its own list still names the old one, whose mask is not there, nor is the image
                assert_eq!(pairs[&new_image].1, Some(new_mask), "{name}");
            } else {
                let expected = (Label::Anomalous, Some(new_mask));
                assert_eq!(pairs[&new_image], expected, "{name}");
                assert_eq!(found(&planted, &dataset), vec![], "{name}");
            }
            let (mut now, mut before) = (pairs, expected(&planted.tree));
            now.remove(&new_image);
            before.remove(image);
            assert_eq!(now, before, "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_loop_of_links() {
    use std::os::unix::fs::symlink;
    for planted in planted() {
        let (image, ..) = planted.tree.samples[0];
        let link = match image.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/again"),
            None => "again".to_owned(),
        };
        symlink(planted.root(), planted.at(&link)).unwrap();
        symlink(planted.at("nowhere"), planted.at("nowhere")).unwrap();
        let dataset = planted.open();
        assert_rest(&planted, &dataset, "");
        let found = found(&planted, &dataset);
        let name = planted.tree.name;
        let expected = match planted.is_listed() {
            true => vec![],
            false => owned(&[(Reason::LinkLoop, &link), (Reason::BrokenLink, "nowhere")]),
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn an_index_of_each_says_the_same() {
    for planted in planted() {
        let dataset = planted.open();
        let file = planted.folder.path().join("index.jsonl");
        fs::write(&file, dataset.to_index(planted.folder.path()).unwrap()).unwrap();
        let index = Dataset::open(&file, None).unwrap();
        assert!(
            index
                .orphans
                .iter()
                .all(|o| o.reason == Reason::ImageWithoutMask)
        );
        let prefix = format!("{}/", planted.tree.name);
        let moved: Pairs = pairs(&dataset)
            .into_iter()
            .map(|(id, (label, mask))| {
                (
                    format!("{prefix}{id}"),
                    (label, mask.map(|m| format!("{prefix}{m}"))),
                )
            })
            .collect();
        assert_eq!(pairs(&index), moved, "{}", planted.tree.name);
        let kinds = |d: &Dataset| -> Vec<_> {
            let samples = d.samples.iter();
            samples
                .map(|s| (s.category.clone(), s.defect.clone()))
                .collect()
        };
        assert_eq!(kinds(&index), kinds(&dataset), "{}", planted.tree.name);
        assert_eq!(index.mask_threshold, dataset.mask_threshold);
    }
}
