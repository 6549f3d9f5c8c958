//! MVTec AD, MPDD, BTAD and whatever else follows MVTec's shape.

use std::path::Path;

use super::{Place, Reader, Shape, Split};
use crate::Result;
use crate::index::Index;
use crate::listing::{Entry, Listing};

pub(super) const SHAPE: Shape = Shape {
    name: "mvtec",
    words: "`test/<good or defect>/` or `<category>/test/<good or defect>/`",
    divided: true,
    reader: Reader::Folder { recognises, read },
};

fn recognises(root: &Listing) -> Result<bool> {
    if is_category(root)? {
        return Ok(true);
    }
    for folder in &root.folders {
        if is_category(&Listing::of(&folder.path)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(place: Place<'_>) -> Result<Option<Index>> {
    let Place {
        root,
        listing,
        name,
        split,
    } = place;
    let mut index = Index::default();
    if is_category(&listing)? {
        let found = read_category(&mut index, root, listing, name, split)?;
        return Ok(found.then_some(index));
    }
    let (mut strays, mut found) = (listing, false);
    for folder in std::mem::take(&mut strays.folders) {
        let category = Listing::of(&folder.path)?;
        if is_category(&category)?
            && read_category(&mut index, root, category, &folder.name, split)?
        {
            found = true;
        } else {
            strays.folders.push(folder);
        }
    }
    index.add_strays(strays);
    Ok(found.then_some(index))
}

/// Whether a folder of this content is a category: a split in it is divided into labels.
fn is_category(listing: &Listing) -> Result<bool> {
    for folder in listing.folders.iter().filter(|f| is_split(f)) {
        if !Listing::of(&folder.path)?.folders.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_split(folder: &Entry) -> bool {
    [Split::Test, Split::Train]
        .iter()
        .any(|split| split.as_str() == folder.name)
}

/// Adds one category's split, or nothing and `false` where it has no such split.
fn read_category(
    index: &mut Index,
    root: &Path,
    mut category: Listing,
    name: &str,
    split: Split,
) -> Result<bool> {
    let Some(folder) = category.folders.iter().find(|f| f.name == split.as_str()) else {
        return Ok(false);
    };
    let mut labels = Listing::of(&folder.path)?;
    let mut part = Index::default();
    for folder in std::mem::take(&mut labels.folders) {
        part.add_folder(root, &folder, name)?;
    }
    part.add_strays(labels);
    let (masks, others): (Vec<_>, Vec<_>) = category
        .folders
        .into_iter()
        .filter(|f| !is_split(f))
        .partition(|f| f.name == "ground_truth");
    if split == Split::Test {
        part.add_masks(&masks)?; // they are of the test images
    }
    category.folders = others;
    part.add_strays(category);
    index.append(part);
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree};
    use crate::{Dataset, Error, Split};

    #[test]
    fn reads_every_category_s_test_split_with_its_masks() {
        let root = tree(&[
            "license.txt",
            "nut/readme.txt",
            "nut/train/good/000.png",
            "nut/test/good/000.png",
            "nut/test/bent/000.png",
            "nut/ground_truth/bent/000_mask.png",
            "bottle/test/good/000.png",
            "bottle/test/bent/000.PNG",
            "bottle/ground_truth/bent/000.bmp",
        ]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        let expected = [
            "bottle/test/bent/000.PNG bent bottle/ground_truth/bent/000.bmp",
            "bottle/test/good/000.png good",
            "nut/test/bent/000.png bent nut/ground_truth/bent/000_mask.png",
            "nut/test/good/000.png good",
        ];
        assert_eq!(lines(&dataset), expected);
        assert!(dataset.orphans.is_empty());
        assert_eq!(dataset.categories(), ["bottle", "nut"]);

        let train = Dataset::open_split(root.path(), None, Split::Train).unwrap();
        assert_eq!(lines(&train), ["nut/train/good/000.png good"]);
        assert_eq!(orphans(&train), ["UnexpectedFolder bottle"]);
    }

    #[test]
    fn reads_a_single_category_and_btad_s_names() {
        let root = tree(&[
            "01/test/ok/0.bmp",
            "01/test/ko/1.bmp",
            "01/ground_truth/ko/1.png",
        ]);
        let dataset = Dataset::open(&root.path().join("01"), None).unwrap();
        let expected = [
            "test/ko/1.bmp ko ground_truth/ko/1.png",
            "test/ok/0.bmp good",
        ];
        assert_eq!(lines(&dataset), expected);
        assert_eq!(dataset.categories(), ["01"]);
        // `..` has no name of its own
        let same = Dataset::open(&root.path().join("01/test/.."), None).unwrap();
        assert_eq!(
            (same.name.as_str(), same.index_hash()),
            ("01", dataset.index_hash())
        );
    }

    #[test]
    fn lists_what_has_no_place() {
        let root = tree(&[
            "stray.png",
            "downloads/test.zip",
            "nut/stray.png",
            "nut/heatmaps/0.png",
            "nut/test/stray.png",
            "nut/test/good/0.png",
            "nut/test/good/0.txt",
            "nut/test/good/more/1.png",
            "nut/test/bent/0.png",
            "nut/ground_truth/bent/0_mask.png",
            "nut/ground_truth/bent/deep/0_mask.png",
            "nut/ground_truth/good/0_mask.png",
            "nut/ground_truth/gone/0_mask.png",
        ]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.samples.len(), 2);
        let expected = [
            "UnexpectedFolder downloads",
            "UnexpectedFolder nut/ground_truth/bent/deep",
            "MaskWithoutImage nut/ground_truth/gone/0_mask.png",
            "MaskOfNormal nut/ground_truth/good/0_mask.png",
            "UnexpectedFolder nut/heatmaps",
            "Unlabelled nut/stray.png",
            "NotAnImage nut/test/good/0.txt",
            "UnexpectedFolder nut/test/good/more",
            "Unlabelled nut/test/stray.png",
            "Unlabelled stray.png",
        ];
        assert_eq!(orphans(&dataset), expected);
    }

    #[test]
    fn an_absent_split_is_an_error() {
        let root = tree(&["nut/test/good/0.png"]);
        for root in [root.path().to_path_buf(), root.path().join("nut")] {
            let error = Dataset::open_split(&root, None, Split::Train).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Mismatch {
                        split: Split::Train,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("no train images"), "{error}");
        }
    }
}
