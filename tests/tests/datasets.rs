//! The dataset reader on real folders.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use mpama_datasets::{Counts, Dataset, Error, Label, Layout, Reason, Split};
use mpama_tests::shared_data;

fn open(name: &str) -> Dataset {
    Dataset::open(&shared_data().join(name), None).unwrap()
}

/// How many images there are of each defect of one category.
fn defects<'a>(dataset: &'a Dataset, category: &str) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for sample in dataset.samples.iter().filter(|s| s.category == category) {
        *counts.entry(sample.defect.as_str()).or_default() += 1;
    }
    counts
}

/// The first bytes of a file tell what it is: every sample and mask is an image, whatever its name.
fn assert_images(dataset: &Dataset) {
    for sample in &dataset.samples {
        for path in [Some(&sample.image), sample.mask.as_ref()]
            .into_iter()
            .flatten()
        {
            let format = image::ImageReader::open(path)
                .unwrap()
                .with_guessed_format()
                .unwrap()
                .format();
            assert!(format.is_some(), "{}", path.display());
        }
    }
}

/// Every anomalous sample has the mask of its own name, of the same size in pixels.
fn assert_masks(dataset: &Dataset) {
    dataset.require_masks().unwrap();
    for sample in &dataset.samples {
        assert_eq!(
            sample.mask.is_some(),
            sample.label == Label::Anomalous,
            "{}",
            sample.id
        );
        let Some(mask) = &sample.mask else { continue };
        let stem = sample.image.file_stem().unwrap().to_str().unwrap();
        assert_eq!(
            mask.file_name().unwrap().to_str().unwrap(),
            format!("{stem}_mask.png")
        );
        assert_eq!(
            mask.parent()
                .unwrap()
                .file_name()
                .unwrap()
                .to_str()
                .unwrap(),
            sample.defect
        );
        let size = |path| image::image_dimensions(path).unwrap();
        assert_eq!(size(&sample.image), size(mask), "{}", sample.id);
    }
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn magnetic_tile() {
    let dataset = open("magnetic_tile");
    assert_eq!(
        (dataset.name.as_str(), dataset.layout),
        ("magnetic_tile", Layout::Mvtec)
    );
    assert_eq!(dataset.categories(), ["tile"]);
    let expected = [
        ("blowhole", 115),
        ("break", 85),
        ("crack", 57),
        ("fray", 32),
        ("good", 300),
        ("uneven", 103),
    ];
    assert_eq!(defects(&dataset, "tile"), BTreeMap::from(expected));
    assert_eq!(
        dataset.counts(),
        Counts {
            normal: 300,
            anomalous: 392,
            masks: 392
        }
    );
    assert_eq!(dataset.orphans, []);
    assert!(
        dataset
            .samples
            .windows(2)
            .all(|pair| pair[0].id < pair[1].id)
    );
    assert_images(&dataset);
    assert_masks(&dataset);

    let category = open("magnetic_tile/tile");
    assert_eq!(
        (category.name.as_str(), category.layout),
        ("tile", Layout::Mvtec)
    );
    assert_eq!(
        (category.categories(), category.counts()),
        (vec!["tile"], dataset.counts())
    );

    let trial = dataset.limited_to(20);
    assert_eq!(
        trial.counts(),
        Counts {
            normal: 10,
            anomalous: 10,
            masks: 10
        }
    );
    assert_eq!(defects(&trial, "tile").len(), 6);

    let train = Dataset::open_split(&dataset.root, None, Split::Train);
    assert!(matches!(
        train,
        Err(Error::Mismatch {
            split: Split::Train,
            ..
        })
    ));
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn mvtec_part() {
    let dataset = open("mvtec_part");
    assert_eq!(dataset.layout, Layout::Mvtec);
    assert_eq!(dataset.categories(), ["bottle", "capsule", "metal_nut"]);
    let bottle = [
        ("broken_large", 20),
        ("broken_small", 22),
        ("contamination", 21),
        ("good", 20),
    ];
    assert_eq!(defects(&dataset, "bottle"), BTreeMap::from(bottle));
    let capsule = [
        ("crack", 2),
        ("good", 8),
        ("poke", 3),
        ("scratch", 2),
        ("squeeze", 1),
    ];
    assert_eq!(defects(&dataset, "capsule"), BTreeMap::from(capsule));
    let nut = [
        ("bent", 3),
        ("color", 3),
        ("flip", 1),
        ("good", 8),
        ("scratch", 1),
    ];
    assert_eq!(defects(&dataset, "metal_nut"), BTreeMap::from(nut));
    assert_eq!(dataset.orphans, []);
    assert_images(&dataset);
    assert_masks(&dataset);

    let bottle = dataset.with_categories(&["bottle"]).unwrap();
    assert_eq!(
        bottle.counts(),
        Counts {
            normal: 20,
            anomalous: 63,
            masks: 63
        }
    );
    assert_ne!(bottle.index_hash(), dataset.index_hash());
    assert_eq!(open("mvtec_part").index_hash(), dataset.index_hash());
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn brain_mri() {
    let dataset = open("brain_mri");
    assert_eq!(dataset.layout, Layout::YesNo);
    assert_eq!(
        dataset.counts(),
        Counts {
            normal: 98,
            anomalous: 155,
            masks: 0
        }
    );
    assert_eq!(dataset.categories(), ["brain_mri"]);
    assert!(
        dataset
            .samples
            .iter()
            .any(|s| s.id == "no/1 no.jpeg" && s.label == Label::Normal)
    );
    dataset.require_both_labels().unwrap();
    // two different pictures that a pairing by stem alone would take for one
    let shared: Vec<_> = dataset
        .orphans
        .iter()
        .map(|o| (o.path.file_name().unwrap(), o.reason))
        .collect();
    assert_eq!(
        shared,
        [
            ("Y92.jpg".as_ref(), Reason::SharedStem),
            ("Y92.png".as_ref(), Reason::SharedStem)
        ]
    );
    assert_images(&dataset); // among them six PNG files that are called .jpg
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn a_folder_of_other_files_is_no_dataset() {
    let error = Dataset::open(&shared_data().join("clip_text"), None).unwrap_err();
    assert!(matches!(error, Error::Unrecognised { .. }), "{error}");
}
