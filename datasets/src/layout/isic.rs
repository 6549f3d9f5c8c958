//! ISIC 2016, part 1: images anywhere, each with a mask `<stem>_Segmentation`.

use super::{Place, Reader, Shape, Split};
use crate::index::{Index, Kind, without_suffix};
use crate::listing::{Listing, stem};
use crate::{Label, Reason, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "isic",
    words: "images, and masks `*_Segmentation.png` in the same or in other folders",
    divided: true,
    reader: Reader::Folder {
        recognises: |root| recognises(root, 2),
        read,
    },
};

const SUFFIX: &str = "_Segmentation";
/// What all of them show.
const DEFECT: &str = "lesion";

/// Whether a mask lies in the folder or at most `below` levels below it.
fn recognises(listing: &Listing, below: usize) -> Result<bool> {
    if listing.images.iter().any(|image| is_mask(&image.name)) {
        return Ok(true);
    }
    if below > 0 {
        for folder in &listing.folders {
            if recognises(&Listing::of(&folder.path)?, below - 1)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The published archives are a folder of images and a folder of masks; a common repackaging has
/// `skin/test/<folder>/` for the images.
fn read(place: Place<'_>) -> Result<Option<Index>> {
    const LEVELS: usize = 3;
    let mut index = Index::default();
    let (mut images, mut masks) = (Vec::new(), Vec::new());
    let mut level = vec![(place.listing, Split::Test)];
    for depth in 0..=LEVELS {
        let mut next = Vec::new();
        for (mut listing, split) in level {
            let folders = std::mem::take(&mut listing.folders);
            if depth < LEVELS {
                for folder in folders {
                    // archives of the training data are called so, and lie beside those of the test
                    let split = match folder.name.to_ascii_lowercase().contains("train") {
                        true => Split::Train,
                        false => split,
                    };
                    next.push((Listing::of(&folder.path)?, split));
                }
            } else {
                listing.folders = folders;
            }
            if split != place.split {
                continue;
            }
            listing
                .others
                .retain(|other| other.reason != Reason::NotAnImage); // read-mes, tables
            for file in index.files(listing)? {
                match is_mask(&file.name) {
                    true => masks.push((None, file)),
                    false => images.push(file),
                }
            }
        }
        level = next;
    }
    let found = !masks.is_empty();
    let kind = Kind {
        category: place.name,
        defect: DEFECT,
        label: Label::Anomalous,
    };
    index.add_images(place.root, images, kind);
    index.pair(masks, SUFFIX);
    Ok(found.then_some(index))
}

fn is_mask(name: &str) -> bool {
    without_suffix(stem(name), SUFFIX).is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree};
    use crate::{Dataset, Layout, Split};

    #[test]
    fn reads_the_archives_and_the_repackaging() {
        for (images, masks) in [
            (
                "ISBI2016_ISIC_Part1_Test_Data",
                "ISBI2016_ISIC_Part1_Test_GroundTruth",
            ),
            (
                "skin/test/lesions",
                "skin/ISBI2016_ISIC_Part1_Test_GroundTruth",
            ),
            ("test/lesions", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
        ] {
            let (one, two) = (
                format!("{images}/ISIC_1.jpg"),
                format!("{images}/ISIC_10.jpg"),
            );
            let masks = [1, 10].map(|n| format!("{masks}/ISIC_{n}_Segmentation.png"));
            let root = tree(&[&one, &two, &masks[0], &masks[1], "read-me.txt"]);
            let dataset = Dataset::open(root.path(), None).unwrap();
            assert_eq!(dataset.layout, Layout::Isic);
            let expected = [
                format!("{one} lesion {}", masks[0]),
                format!("{two} lesion {}", masks[1]),
            ];
            assert_eq!(lines(&dataset), expected);
            assert_eq!(orphans(&dataset), Vec::<String>::new());
        }
    }

    #[test]
    fn training_data_beside_it_is_another_split() {
        let root = tree(&[
            "Test_Data/1.jpg",
            "Test_GroundTruth/1_Segmentation.png",
            "Training_Data/2.jpg",
            "Training_GroundTruth/2_Segmentation.png",
        ]);
        let of = |split| Dataset::open_split(root.path(), None, split).unwrap();
        assert_eq!(of(Split::Test).samples[0].id, "Test_Data/1.jpg");
        assert_eq!(of(Split::Train).samples[0].id, "Training_Data/2.jpg");
        assert_eq!(of(Split::Test).samples.len(), 1);
    }
}
