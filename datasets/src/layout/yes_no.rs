//! Two folders, `yes` and `no`, without masks: BrainMRI and Br35H as Kaggle packs them.

use super::{Place, Reader, Shape};
use crate::index::{Index, Kind};
use crate::listing::{Entry, Listing};
use crate::{Label, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "yes-no",
    words: "`yes/` and `no/`",
    divided: false,
    reader: Reader::Folder {
        recognises: |root| Ok(recognises(root)),
        read,
    },
};

fn recognises(root: &Listing) -> bool {
    let has = |label| root.folders.iter().any(|f| label_of(f) == Some(label));
    has(Label::Anomalous) && has(Label::Normal)
}

/// Other folders are not read: Br35H's archive has unlabelled images in `pred/`, BrainMRI's a copy of
/// everything in a folder of its own. Taken for defects, they would spoil the labels.
fn read(place: Place<'_>) -> Result<Option<Index>> {
    let mut listing = place.listing;
    let mut index = Index::default();
    let mut found = false;
    for folder in std::mem::take(&mut listing.folders) {
        match label_of(&folder) {
            Some(label) => {
                let images = index.files(Listing::of(&folder.path)?)?;
                let kind = Kind {
                    category: place.name,
                    defect: &folder.name,
                    label,
                };
                index.add_images(place.root, images, kind);
                found = true;
            }
            None => listing.folders.push(folder),
        }
    }
    index.add_strays(listing);
    Ok(found.then_some(index))
}

fn label_of(folder: &Entry) -> Option<Label> {
    match folder.name.to_ascii_lowercase().as_str() {
        "yes" => Some(Label::Anomalous),
        "no" => Some(Label::Normal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree};
    use crate::{Dataset, Error, Label, Layout};

    #[test]
    fn yes_is_anomalous_whatever_the_names() {
        let root = tree(&["yes/Y1.JPG", "yes/Y2.png", "no/No 3.jpeg", "no/1 no.jpg"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        let expected = [
            "no/1 no.jpg good",
            "no/No 3.jpeg good",
            "yes/Y1.JPG yes",
            "yes/Y2.png yes",
        ];
        assert_eq!(lines(&dataset), expected);
        let labels: Vec<_> = dataset.samples.iter().map(|s| s.label).collect();
        use Label::{Anomalous, Normal};
        assert_eq!(labels, [Normal, Normal, Anomalous, Anomalous]);
        assert!(dataset.orphans.is_empty());
    }

    #[test]
    fn folders_without_a_label_are_not_taken_for_defects() {
        let root = tree(&["yes/0.png", "no/0.png", "pred/1.png", "brain/yes/0.png"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(lines(&dataset), ["no/0.png good", "yes/0.png yes"]);
        assert_eq!(
            orphans(&dataset),
            ["UnexpectedFolder brain", "UnexpectedFolder pred"]
        );
    }

    #[test]
    fn images_that_share_a_stem_stay_and_are_listed() {
        let root = tree(&["yes/Y92.jpg", "yes/Y92.png", "no/Y92.jpg"]);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.samples.len(), 3);
        assert_eq!(
            orphans(&dataset),
            ["SharedStem yes/Y92.jpg", "SharedStem yes/Y92.png"]
        );
    }

    #[test]
    fn one_folder_is_enough_until_both_labels_are_demanded() {
        let root = tree(&["yes/0.png", "no/"]);
        let dataset = Dataset::open(root.path(), Some(Layout::YesNo)).unwrap();
        let error = dataset.require_both_labels().unwrap_err();
        assert!(matches!(
            error,
            Error::MissingLabel {
                label: Label::Normal,
                images: 1,
                ..
            }
        ));
        assert!(
            error
                .to_string()
                .contains(&root.path().display().to_string()),
            "{error}"
        );
    }
}
