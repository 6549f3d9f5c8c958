//! A user's own folder: one sub-folder of normal images, one per defect, perhaps one of masks.

use super::{Place, Reader, Shape, is_normal};
use crate::Result;
use crate::index::Index;
use crate::listing::Entry;

pub(super) const SHAPE: Shape = Shape {
    name: "folder",
    words: "`good/`, `normal/` or `ok/`, and a folder per defect",
    divided: false,
    reader: Reader::Folder {
        // a folder of defects alone is read when it is asked for by name
        recognises: |root| Ok(root.folders.iter().any(|f| is_normal(&f.name))),
        read,
    },
};

fn read(place: Place<'_>) -> Result<Option<Index>> {
    let mut listing = place.listing;
    let mut index = Index::default();
    let (masks, labels): (Vec<_>, Vec<_>) = std::mem::take(&mut listing.folders)
        .into_iter()
        .partition(is_masks);
    for folder in &labels {
        index.add_folder(place.root, folder, place.name)?;
    }
    index.add_masks(&masks)?;
    index.add_strays(listing);
    Ok((!labels.is_empty()).then_some(index))
}

fn is_masks(folder: &Entry) -> bool {
    ["ground_truth", "masks"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(&folder.name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree};
    use crate::{Dataset, Error, Layout};

    #[test]
    fn every_other_folder_is_a_defect() {
        let root = tree(&["Normal/0.png", "scratch/0.jpg", "dent/0.webp", "notes.txt"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        let expected = [
            "Normal/0.png good",
            "dent/0.webp dent",
            "scratch/0.jpg scratch",
        ];
        assert_eq!(lines(&dataset), expected);
        assert!(dataset.orphans.is_empty());
    }

    #[test]
    fn masks_lie_in_a_folder_per_defect_or_in_one() {
        for masks in ["masks", "ground_truth"] {
            let (a, b) = (format!("{masks}/dent/0.png"), format!("{masks}/b_mask.png"));
            let root = tree(&[
                "good/0.png",
                "dent/0.png",
                "scratch/0.png",
                "scratch/b.jpg",
                &a,
                &b,
            ]);
            let dataset = Dataset::open(root.path(), None).unwrap();
            let expected = [
                format!("dent/0.png dent {a}"),
                "good/0.png good".to_string(),
                "scratch/0.png scratch".to_string(),
                format!("scratch/b.jpg scratch {b}"),
            ];
            assert_eq!(lines(&dataset), expected);
            assert_eq!(orphans(&dataset), ["ImageWithoutMask scratch/0.png"]);
        }
    }

    #[test]
    fn a_flat_mask_never_guesses_between_defects() {
        let root = tree(&["good/1.png", "dent/0.png", "scratch/0.png", "masks/0.png"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.counts().masks, 0);
        let expected = [
            "ImageWithoutMask dent/0.png",
            "AmbiguousMask masks/0.png",
            "ImageWithoutMask scratch/0.png",
        ];
        assert_eq!(orphans(&dataset), expected);
    }

    #[test]
    fn defects_alone_are_read_when_asked_for_and_masks_alone_never() {
        let root = tree(&["dent/0.png", "scratch/0.png"]);
        assert!(matches!(
            Dataset::open(root.path(), None),
            Err(Error::Unrecognised { .. })
        ));
        let dataset = Dataset::open(root.path(), Some(Layout::Folder)).unwrap();
        assert_eq!(dataset.counts().anomalous, 2);

        let root = tree(&["masks/0.png"]);
        let error = Dataset::open(root.path(), Some(Layout::Folder)).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
}
