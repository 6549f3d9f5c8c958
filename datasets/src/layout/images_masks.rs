//! Polyps: a folder of images, a folder of masks of the same names, and nothing that is normal.

use super::{Place, Reader, Shape};
use crate::index::{Index, Kind};
use crate::listing::{Entry, Listing};
use crate::{Label, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "images-masks",
    words: "`images/` and `masks/`",
    divided: false,
    reader: Reader::Folder { recognises, read },
};

const IMAGES: [&str; 3] = ["images", "image", "original"];
const MASKS: [&str; 5] = [
    "masks",
    "mask",
    "ground truth",
    "ground_truth",
    "groundtruth",
];
/// What all of them show.
const DEFECT: &str = "polyp";

fn is_one_of(names: &[&str], folder: &Entry) -> bool {
    names.iter().any(|n| n.eq_ignore_ascii_case(&folder.name))
}

fn recognises(root: &Listing) -> Result<bool> {
    for names in [&IMAGES[..], &MASKS[..]] {
        let Some(folder) = root.folders.iter().find(|f| is_one_of(names, f)) else {
            return Ok(false);
        };
        if Listing::of(&folder.path)?.images.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read(place: Place<'_>) -> Result<Option<Index>> {
    let mut listing = place.listing;
    let mut index = Index::default();
    let (images, others): (Vec<_>, Vec<_>) = std::mem::take(&mut listing.folders)
        .into_iter()
        .partition(|f| is_one_of(&IMAGES, f));
    let (masks, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|f| is_one_of(&MASKS, f));
    for folder in &images {
        let files = index.files(Listing::of(&folder.path)?)?;
        let kind = Kind {
            category: place.name,
            defect: DEFECT,
            label: Label::Anomalous,
        };
        index.add_images(place.root, files, kind);
    }
    index.add_masks(&masks)?;
    listing.folders = others;
    index.add_strays(listing);
    Ok((!images.is_empty() && !masks.is_empty()).then_some(index))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree};
    use crate::{Dataset, Layout};

    #[test]
    fn every_image_has_the_mask_of_its_name() {
        for (images, masks) in [("images", "masks"), ("Original", "Ground Truth")] {
            let files = ["1.tif", "10.tif", "2.tif"];
            let image = files.map(|file| format!("{images}/{file}"));
            let mask = files.map(|file| format!("{masks}/{file}"));
            let all: Vec<&str> = image.iter().chain(&mask).map(String::as_str).collect();
            let root = tree(&[&all[..], &["boxes.json", "sessile/1.tif"]].concat());
            let dataset = Dataset::open(root.path(), None).unwrap();
            assert_eq!(dataset.layout, Layout::ImagesMasks);
            let expected = [0, 1, 2].map(|i| format!("{} polyp {}", image[i], mask[i]));
            assert_eq!(lines(&dataset), expected);
            assert_eq!(orphans(&dataset), ["UnexpectedFolder sessile"]);
        }
    }

    #[test]
    fn jpeg_masks_have_a_threshold_above_their_noise() {
        let of = |mask: &str| {
            let root = tree(&["images/1.jpg", mask]);
            Dataset::open(root.path(), None).unwrap().mask_threshold
        };
        assert_eq!([of("masks/1.png"), of("masks/1.JPG")], [0, 127]);
    }
}
