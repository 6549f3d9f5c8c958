//! A user's own folder: one sub-folder of normal images, one per defect, perhaps one of masks.

use std::path::Path;

use super::is_normal;
use crate::index::Index;
use crate::listing::{Entry, Listing};
use crate::{Label, Result};

pub(super) const SHAPE: &str = "`good/`, `normal/` or `ok/`, and a folder per defect";

/// By the folder of normal images. A folder of defects alone is read when it is asked for by name.
pub(super) fn recognises(root: &Listing) -> bool {
    root.folders.iter().any(is_normal)
}

pub(super) fn read(root: &Path, mut listing: Listing, name: &str) -> Result<Option<Index>> {
    let mut index = Index::default();
    let (masks, labels): (Vec<_>, Vec<_>) = std::mem::take(&mut listing.folders)
        .into_iter()
        .partition(is_masks);
    for folder in &labels {
        let label = if is_normal(folder) {
            Label::Normal
        } else {
            Label::Anomalous
        };
        index.add_images(root, folder, name, label)?;
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
    use crate::{Dataset, Error, Layout, Reason};

    #[test]
    fn every_other_folder_is_a_defect() {
        let root = tree(&["Normal/0.png", "scratch/0.jpg", "dent/0.webp", "notes.txt"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(
            lines(&dataset),
            [
                "Normal/0.png good",
                "dent/0.webp dent",
                "scratch/0.jpg scratch"
            ]
        );
        assert_eq!(orphans(&dataset), []);
        dataset.require_both_labels().unwrap();
    }

    #[test]
    fn masks_lie_in_a_folder_per_defect_or_in_one() {
        for masks in ["masks", "ground_truth"] {
            let per_defect = [
                format!("{masks}/dent/0.png"),
                format!("{masks}/scratch/0_mask.png"),
            ];
            let mut files = vec!["good/0.png", "dent/0.png", "scratch/0.png"];
            files.extend(per_defect.iter().map(String::as_str));
            let root = tree(&files);
            let expected = [
                format!("dent/0.png dent {masks}/dent/0.png"),
                "good/0.png good".to_string(),
                format!("scratch/0.png scratch {masks}/scratch/0_mask.png"),
            ];
            assert_eq!(lines(&Dataset::open(root.path(), None).unwrap()), expected);

            let flat = format!("{masks}/a.png");
            let root = tree(&["good/0.png", "dent/a.jpg", "scratch/b.jpg", &flat]);
            let dataset = Dataset::open(root.path(), None).unwrap();
            let expected = [
                format!("dent/a.jpg dent {flat}"),
                "good/0.png good".into(),
                "scratch/b.jpg scratch".into(),
            ];
            assert_eq!(lines(&dataset), expected);
            assert_eq!(
                orphans(&dataset),
                [("scratch/b.jpg".to_string(), Reason::ImageWithoutMask)]
            );
        }
    }

    #[test]
    fn a_flat_mask_never_guesses_between_defects() {
        let root = tree(&["good/1.png", "dent/0.png", "scratch/0.png", "masks/0.png"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(
            lines(&dataset),
            [
                "dent/0.png dent",
                "good/1.png good",
                "scratch/0.png scratch"
            ]
        );
        let expected = [
            ("dent/0.png", Reason::ImageWithoutMask),
            ("masks/0.png", Reason::AmbiguousMask),
            ("scratch/0.png", Reason::ImageWithoutMask),
        ];
        assert_eq!(
            orphans(&dataset),
            expected.map(|(path, reason)| (path.to_string(), reason))
        );
    }

    #[test]
    fn defects_alone_are_read_when_asked_for() {
        let root = tree(&["dent/0.png", "scratch/0.png"]);
        assert!(matches!(
            Dataset::open(root.path(), None),
            Err(Error::Unrecognised { .. })
        ));
        let dataset = Dataset::open(root.path(), Some(Layout::Folder)).unwrap();
        assert_eq!(dataset.counts().anomalous, 2);
        assert!(matches!(
            dataset.require_both_labels(),
            Err(Error::MissingLabel { .. })
        ));
    }

    #[test]
    fn masks_alone_are_no_dataset() {
        let root = tree(&["masks/0.png"]);
        let error = Dataset::open(root.path(), Some(Layout::Folder)).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    }
}
