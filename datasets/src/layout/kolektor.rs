//! KolektorSDD as published: every image has a label beside it, which is black where it is normal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem;

use rayon::prelude::*;

use super::{Place, Reader, Shape};
use crate::bitmap::has_light;
use crate::index::{File, Index, Kind, without_suffix};
use crate::listing::{Listing, stem};
use crate::rows::UNNAMED;
use crate::{Error, Label, Reason, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "kolektor",
    words: "`<part>/*.jpg` and `<part>/*_label.bmp`",
    divided: false,
    reader: Reader::Folder { recognises, read },
};

const SUFFIX: &str = "_label";

fn recognises(root: &Listing) -> Result<bool> {
    for folder in &root.folders {
        if is_part(&Listing::of(&folder.path)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a folder of this content has images with labels beside them.
fn is_part(listing: &Listing) -> bool {
    let stems: BTreeSet<&str> = listing.images.iter().map(|i| stem(&i.name)).collect();
    let mut own = stems.iter().filter_map(|stem| without_suffix(stem, SUFFIX));
    own.any(|own| stems.contains(own))
}

fn read(place: Place<'_>) -> Result<Option<Index>> {
    let mut listing = place.listing;
    let (mut index, mut found) = (Index::default(), false);
    for folder in mem::take(&mut listing.folders) {
        let part = Listing::of(&folder.path)?;
        if !is_part(&part) {
            listing.folders.push(folder);
            continue;
        }
        found = true;
        let mut files = Index::default();
        let (labels, images): (Vec<File>, Vec<File>) = files
            .files(part)?
            .into_iter()
            .partition(|file| without_suffix(stem(&file.name), SUFFIX).is_some());
        let contents = contents(&labels)?;
        let (mut normal, mut anomalous) = (Vec::new(), Vec::new());
        for image in images {
            match contents.get(stem(&image.name)).map(Vec::as_slice) {
                Some([Some(true)]) => anomalous.push(image),
                Some([Some(false)]) => normal.push(image),
                _ => files.list([image.path], Reason::UnknownLabel),
            }
        }
        let mut masks = Vec::new();
        for mask in labels {
            let own = without_suffix(stem(&mask.name), SUFFIX).unwrap_or_default();
            let is_normal = normal.iter().any(|image| stem(&image.name) == own);
            match contents.get(own).map(Vec::as_slice) {
                Some([Some(false)]) if is_normal => {} // it has said what it had to say
                Some([None]) => files.list([mask.path], Reason::UnreadableMask),
                Some([_]) => masks.push((None, mask)),
                _ => files.list([mask.path], Reason::AmbiguousMask),
            }
        }
        for (images, label) in [(normal, Label::Normal), (anomalous, Label::Anomalous)] {
            let kind = Kind {
                category: place.name,
                defect: UNNAMED,
                label,
            };
            files.add_images(place.root, images, kind);
        }
        files.pair(masks, SUFFIX);
        index.append(files);
    }
    index.add_strays(listing);
    Ok(found.then_some(index))
}

/// By the stem of the image: for each label of it, whether it is not black, or nothing if that cannot be
/// said.
fn contents(labels: &[File]) -> Result<BTreeMap<String, Vec<Option<bool>>>> {
    let read = |label: &File| match fs::read(&label.path) {
        Ok(bytes) => Ok(has_light(&bytes)),
        Err(source) => Err(Error::Read {
            path: label.path.clone(),
            source,
        }),
    };
    let lights: Vec<_> = labels.par_iter().map(read).collect::<Result<_>>()?;
    let mut contents = BTreeMap::<String, Vec<Option<bool>>>::new();
    for (label, light) in labels.iter().zip(lights) {
        let own = without_suffix(stem(&label.name), SUFFIX).unwrap_or_default();
        contents.entry(own.to_owned()).or_default().push(light);
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::path::Path;

    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Layout};

    /// A 3 by 2 BMP of 8 bits with a grey palette, one of its pixels of this value.
    fn bmp(value: u8) -> Vec<u8> {
        let mut bytes = b"BM".to_vec();
        for number in [0_u32, 0, 54 + 1024, 40, 3, 2] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([1, 0, 8, 0]);
        bytes.extend([0; 24]);
        bytes.extend((0..=255_u8).flat_map(|grey| [grey, grey, grey, 0]));
        // rows of four bytes, of which the last pads and means nothing
        bytes.extend([0, 0, 0, 9, 0, value, 0, 9]);
        bytes
    }

    fn put(root: &Path, file: &str, bytes: &[u8]) {
        fs::write(root.join(file), bytes).unwrap();
    }

    #[test]
    fn a_black_label_means_normal() {
        let root = tree(&[
            "kos01/Part0.jpg",
            "kos01/Part1.jpg",
            "kos02/Part0.jpg",
            "x/",
        ]);
        put(root.path(), "kos01/Part0_label.bmp", &bmp(0));
        put(root.path(), "kos01/Part1_label.bmp", &bmp(1));
        put(root.path(), "kos02/Part0_label.bmp", &bmp(255));
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.layout, Layout::Kolektor);
        let expected = [
            "kos01/Part0.jpg good",
            "kos01/Part1.jpg anomaly kos01/Part1_label.bmp",
            "kos02/Part0.jpg anomaly kos02/Part0_label.bmp",
        ];
        assert_eq!(lines(&dataset), expected);
        assert_eq!(orphans(&dataset), ["UnexpectedFolder x"]);
    }

    #[test]
    fn without_a_label_nothing_is_known() {
        let root = tree(&[
            "kos01/Part0.jpg",
            "kos01/Part1.jpg",
            "kos01/Part2.jpg",
            "kos01/Part3.jpg",
            "kos01/Part1_label.bmp", // no BMP by its content
            "kos01/Part9_label.bmp",
        ]);
        put(root.path(), "kos01/Part0_label.bmp", &bmp(0));
        put(root.path(), "kos01/Part9_label.bmp", &bmp(0));
        write(root.path(), "kos01/Part3_label.bmp", "");
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(lines(&dataset), ["kos01/Part0.jpg good"]);
        let expected = [
            "UnknownLabel kos01/Part1.jpg",
            "UnreadableMask kos01/Part1_label.bmp",
            "UnknownLabel kos01/Part2.jpg",
            "UnknownLabel kos01/Part3.jpg",
            "EmptyFile kos01/Part3_label.bmp",
            "MaskWithoutImage kos01/Part9_label.bmp",
        ];
        assert_eq!(orphans(&dataset), expected);
    }
}
