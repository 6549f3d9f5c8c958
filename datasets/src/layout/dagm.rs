//! DAGM 2007: an image is anomalous if `Label/` holds its mask.

use std::collections::BTreeSet;
use std::fs;
use std::mem;
use std::path::Path;

use super::{Place, Reader, Shape, Split};
use crate::index::{Index, Kind, without_suffix};
use crate::listing::{Listing, stem};
use crate::rows::UNNAMED;
use crate::{Error, Label, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "dagm",
    words: "`<class>/Test/*.PNG` and `<class>/Test/Label/*_label.PNG`",
    divided: true,
    reader: Reader::Folder { recognises, read },
};

const LABELS: &str = "Label";
const SUFFIX: &str = "_label";

fn recognises(root: &Listing) -> Result<bool> {
    if is_class(root)? {
        return Ok(true);
    }
    for folder in &root.folders {
        if is_class(&Listing::of(&folder.path)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a folder of this content is a class: a split in it holds images and their labels.
fn is_class(listing: &Listing) -> Result<bool> {
    for split in [Split::Test, Split::Train] {
        if let Some(folder) = listing.folder(split.as_str()) {
            let listing = Listing::of(&folder.path)?;
            if !listing.images.is_empty() && listing.folder(LABELS).is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn read(place: Place<'_>) -> Result<Option<Index>> {
    let Place {
        root,
        mut listing,
        name,
        split,
    } = place;
    let mut index = Index::default();
    if is_class(&listing)? {
        let found = read_class(&mut index, root, listing, name, split)?;
        return Ok(found.then_some(index));
    }
    let mut found = false;
    for folder in mem::take(&mut listing.folders) {
        let class = Listing::of(&folder.path)?;
        if is_class(&class)? && read_class(&mut index, root, class, &folder.name, split)? {
            found = true;
        } else {
            listing.folders.push(folder);
        }
    }
    index.add_strays(listing);
    Ok(found.then_some(index))
}

/// Adds one class's split, or nothing and `false` where it has no such split.
fn read_class(
    index: &mut Index,
    root: &Path,
    mut class: Listing,
    category: &str,
    split: Split,
) -> Result<bool> {
    let Some(folder) = class.folder(split.as_str()) else {
        return Ok(false);
    };
    let mut images = Listing::of(&folder.path)?;
    let (labels, others) = mem::take(&mut images.folders)
        .into_iter()
        .partition(|f| f.name.eq_ignore_ascii_case(LABELS));
    images.folders = others;

    let mut part = Index::default();
    let mut anomalous = BTreeSet::new();
    let mut masks = Vec::new();
    for folder in labels {
        let mut listing = Listing::of(&folder.path)?;
        for mask in &listing.images {
            anomalous.extend(without_suffix(stem(&mask.name), SUFFIX).map(str::to_owned));
        }
        anomalous.extend(listed(&listing)?);
        listing.others.retain(|other| !is_list(&other.path));
        masks.extend(part.files(listing)?.into_iter().map(|mask| (None, mask)));
    }
    let (defective, normal) = part
        .files(images)?
        .into_iter()
        .partition(|image| anomalous.contains(stem(&image.name)));
    for (images, label) in [(normal, Label::Normal), (defective, Label::Anomalous)] {
        let kind = Kind {
            category,
            defect: UNNAMED,
            label,
        };
        part.add_images(root, images, kind);
    }
    part.pair(masks, SUFFIX);
    class
        .folders
        .retain(|f| !f.name.eq_ignore_ascii_case("test") && !f.name.eq_ignore_ascii_case("train"));
    part.add_strays(class);
    index.append(part);
    Ok(true)
}

fn is_list(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.eq_ignore_ascii_case("labels.txt"))
}

/// The stems whose masks `Labels.txt` names, so that an image does not turn normal because its mask is
/// lost. Whatever else the file says is not looked at.
fn listed(labels: &Listing) -> Result<BTreeSet<String>> {
    let mut stems = BTreeSet::new();
    for list in labels.others.iter().filter(|other| is_list(&other.path)) {
        let bytes = fs::read(&list.path).map_err(|source| Error::Read {
            path: list.path.clone(),
            source,
        })?;
        let text = String::from_utf8_lossy(&bytes);
        let words = text.split_whitespace();
        stems
            .extend(words.filter_map(|word| without_suffix(stem(word), SUFFIX).map(str::to_owned)));
    }
    Ok(stems)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Label, Layout, Split};

    #[test]
    fn an_image_with_a_label_is_anomalous() {
        let root = tree(&[
            "Class1/Train/0001.PNG",
            "Class1/Train/Label/0001_label.PNG",
            "Class1/Test/0576.PNG",
            "Class1/Test/0577.PNG",
            "Class1/Test/Label/0577_label.PNG",
            "Class1/Test/Label/Labels.txt",
            "Class10/Test/0577.PNG",
            "Class10/Test/0578.PNG",
            "Class10/Test/Label/0578_label.PNG",
        ]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.layout, Layout::Dagm);
        let expected = [
            "Class1/Test/0576.PNG good",
            "Class1/Test/0577.PNG anomaly Class1/Test/Label/0577_label.PNG",
            "Class10/Test/0577.PNG good",
            "Class10/Test/0578.PNG anomaly Class10/Test/Label/0578_label.PNG",
        ];
        assert_eq!(lines(&dataset), expected);
        assert!(dataset.orphans.is_empty());
        assert_eq!(dataset.categories(), ["Class1", "Class10"]);
        let train = Dataset::open_split(root.path(), None, Split::Train).unwrap();
        assert_eq!(train.samples.len(), 1);
        let class = Dataset::open(&root.path().join("Class1"), None).unwrap();
        assert_eq!(
            (class.categories(), class.samples.len()),
            (vec!["Class1"], 2)
        );
    }

    #[test]
    fn a_lost_mask_makes_no_image_normal() {
        let root = tree(&[
            "Class1/Test/1.PNG",
            "Class1/Test/2.PNG",
            "Class1/Test/3.PNG",
        ]);
        let label = |file: &str, text: &str| {
            write(root.path(), &format!("Class1/Test/Label/{file}"), text);
        };
        label("Labels.txt", "1\n1 1 1.PNG 1 1_label.PNG\n2 0 2.PNG 0 0\n");
        label("3_label.PNG", ""); // empty
        label("9_label.PNG", "of no image");
        let dataset = Dataset::open(root.path(), None).unwrap();
        let labels: Vec<_> = dataset.samples.iter().map(|s| s.label).collect();
        use Label::{Anomalous, Normal};
        assert_eq!(labels, [Anomalous, Normal, Anomalous]);
        let expected = [
            "ImageWithoutMask Class1/Test/1.PNG",
            "ImageWithoutMask Class1/Test/3.PNG",
            "EmptyFile Class1/Test/Label/3_label.PNG",
            "MaskWithoutImage Class1/Test/Label/9_label.PNG",
        ];
        assert_eq!(orphans(&dataset), expected);
    }
}
