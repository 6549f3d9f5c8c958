//! Drawn images: reproducible, with masks that tell the truth, and on disk as any other dataset.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mpama_datasets::synth::{
    CATEGORIES, Category, Defect, Extent, Kind, SynthError, SynthOptions, VISIBLE, gap, render,
    twin, write_mvtec,
};
use mpama_datasets::{Dataset, Layout, Split};

fn category(name: &str) -> &'static Category {
    Category::named(name).unwrap()
}

#[test]
fn there_is_enough_to_choose_from() {
    let names: BTreeSet<_> = CATEGORIES.iter().map(|c| c.name).collect();
    assert_eq!(names.len(), CATEGORIES.len());
    let surfaces = CATEGORIES
        .iter()
        .filter(|c| c.kind == Kind::Surface)
        .count();
    assert!(CATEGORIES.len() >= 28 && surfaces * 2 == CATEGORIES.len());
    for category in &CATEGORIES {
        let kinds: BTreeSet<_> = category.defects.iter().collect();
        assert_eq!(kinds.len(), category.defects.len(), "{category:?}");
        assert!(kinds.len() >= 6, "{category:?}");
        let loses_matter = [Defect::ChippedEdge, Defect::MissingPart]
            .iter()
            .any(|d| kinds.contains(d));
        assert_eq!(loses_matter, category.kind == Kind::Object, "{category:?}");
    }
    for defect in Defect::ALL {
        assert_eq!(defect.name().parse::<Defect>().unwrap(), defect);
        let fitting = CATEGORIES
            .iter()
            .filter(|c| c.defects.contains(&defect))
            .count();
        assert!(fitting >= 5, "{defect}: {fitting} categories");
    }
}

#[test]
fn the_same_seed_draws_the_same_bytes_and_another_does_not() {
    for category in &CATEGORIES {
        let defect = Some(category.defects[0]);
        let first = render(category, 7, 64, defect).unwrap();
        assert_eq!(
            render(category, 7, 64, defect).unwrap(),
            first,
            "{category:?}"
        );
        let good = render(category, 7, 64, None).unwrap();
        assert_ne!(good.rgb, first.rgb, "{category:?}");
        assert_ne!(
            render(category, 8, 64, None).unwrap().rgb,
            good.rgb,
            "{category:?}"
        );
    }
}

/// The promise of the mask, pixel by pixel: whatever differs visibly is in it, and whatever is in it
/// differs or lies in a gap of what does.
#[test]
fn masks_are_where_the_twins_differ_for_every_category_and_defect() {
    let mut extents = BTreeMap::<Defect, BTreeSet<Extent>>::new();
    let pairs: Vec<_> = CATEGORIES
        .iter()
        .flat_map(|c| c.defects.iter().map(move |d| (c, *d)))
        .collect();
    for (n, (category, defect)) in pairs.into_iter().enumerate() {
        for (i, extent) in Extent::ALL.into_iter().enumerate() {
            let size = [64, 96, 128][(n + i) % 3];
            let what = format!("{} with {defect}, {extent:?} at {size}", category.name);
            let twin = twin(category, (n * 4 + i) as u64, size, defect, Some(extent)).unwrap();
            let (intact, damaged) = (&twin.intact, &twin.damaged);
            assert_eq!(damaged.rgb.len(), 3 * size * size);
            assert_eq!(damaged.mask.len(), size * size);
            assert!(intact.mask.iter().all(|m| *m == 0), "{what}");
            assert!(damaged.mask.iter().all(|m| [0, 255].contains(m)), "{what}");
            assert_eq!((damaged.defect, intact.defect), (Some(defect), None));
            assert_eq!(
                (damaged.colour, damaged.close_up),
                (intact.colour, intact.close_up)
            );

            let differs: Vec<bool> = (0..size * size)
                .map(|p| {
                    (0..3)
                        .any(|c| intact.rgb[3 * p + c].abs_diff(damaged.rgb[3 * p + c]) >= VISIBLE)
                })
                .collect();
            let count = differs.iter().filter(|d| **d).count();
            assert!(count >= 3, "{what}: only {count} pixels differ");
            let near = |p: usize| {
                let span = |c: usize| c.saturating_sub(gap(size))..(c + gap(size) + 1).min(size);
                span(p / size).any(|j| span(p % size).any(|i| differs[j * size + i]))
            };
            for (p, level) in damaged.mask.iter().enumerate() {
                let masked = *level > 0;
                assert!(
                    masked || !differs[p],
                    "{what}: {p} differs and is not in the mask"
                );
                assert!(
                    !masked || near(p),
                    "{what}: {p} is in the mask and nothing differs there"
                );
            }
            let masked = damaged.mask.iter().filter(|m| **m > 0).count();
            assert!(
                masked <= 4 * count,
                "{what}: {masked} masked, {count} differ"
            );
            assert_eq!(
                damaged.extent,
                Some(Extent::of(masked as f32 / (size * size) as f32))
            );
            extents.entry(defect).or_default().extend(damaged.extent);
        }
    }
    for (defect, found) in extents {
        assert_eq!(found.len(), 4, "{defect}: {found:?}");
    }
}

#[test]
fn every_category_is_drawn_at_full_size() {
    for (n, category) in CATEGORIES.iter().enumerate() {
        let defect = category.defects[n % category.defects.len()];
        let image = render(category, n as u64, 256, Some(defect)).unwrap();
        let count = image.mask.iter().filter(|m| **m > 0).count();
        assert!(
            (4..256 * 256 / 2).contains(&count),
            "{category:?} with {defect}: {count}"
        );
    }
}

#[test]
fn a_larger_image_shows_the_same_thing() {
    for name in ["gear", "brick", "tablet", "corrugated_sheet"] {
        let mean = |size: usize| -> Vec<f64> {
            let image = render(category(name), 3, size, None).unwrap();
            let cell = size / 8; // 8 by 8 means
            (0..64)
                .map(|k| {
                    let pixels = (0..cell * cell).map(|p| {
                        let (x, y) = (k % 8 * cell + p % cell, k / 8 * cell + p / cell);
                        f64::from(image.rgb[3 * (y * size + x) + 1])
                    });
                    pixels.sum::<f64>() / (cell * cell) as f64
                })
                .collect()
        };
        for (a, b) in mean(64).iter().zip(mean(256)) {
            assert!((a - b).abs() < 14.0, "{name}: {a} and {b}");
        }
    }
}

#[test]
fn what_cannot_be_drawn_is_refused_by_name() {
    let gear = category("gear");
    assert!(matches!(
        render(gear, 0, 31, None),
        Err(SynthError::Size { size: 31 })
    ));
    assert!(matches!(
        render(gear, 0, 4096, None),
        Err(SynthError::Size { .. })
    ));
    let error = render(category("brick"), 0, 64, Some(Defect::MissingPart)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "category `brick` has no defect `missing_part`"
    );
    assert!(Category::named("unicorn").is_none());
    assert!(matches!(
        "rust".parse::<Defect>(),
        Err(SynthError::UnknownDefect { .. })
    ));
}

fn options() -> SynthOptions {
    let categories = ["gear", "denim", "chip", "gear"].map(category).to_vec();
    SynthOptions {
        categories,
        good: 3,
        defective: 11,
        train: 2,
        size: 64,
        seed: 5,
    }
}

fn write(out: &Path, options: &SynthOptions) -> Result<mpama_datasets::synth::Written, SynthError> {
    write_mvtec(out, options, |_| ControlFlow::Continue(()))
}

/// Every file below a folder: its relative path and content.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(
                    path.strip_prefix(root).unwrap().to_path_buf(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}

#[test]
fn a_written_dataset_reads_as_mvtec() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/set");
    let told = Mutex::new(Vec::new());
    let written = write_mvtec(&out, &options(), |progress| {
        told.lock().unwrap().push(progress.done);
        assert_eq!(progress.total, 48);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((written.drawn, written.found), (48, 0));
    let mut told = told.into_inner().unwrap();
    told.sort_unstable();
    assert!(told.into_iter().eq(1..=48));

    let dataset = Dataset::open(&out, None).unwrap();
    assert_eq!(dataset.layout, Layout::Mvtec);
    assert_eq!(dataset.categories(), ["chip", "denim", "gear"]);
    let counts = dataset.counts();
    assert_eq!((counts.normal, counts.anomalous, counts.masks), (9, 33, 33));
    assert!(dataset.orphans.is_empty(), "{:?}", dataset.orphans);
    let train = Dataset::open_split(&out, Some(Layout::Mvtec), Split::Train).unwrap();
    assert_eq!((train.counts().normal, train.counts().anomalous), (6, 0));
    for sample in &dataset.samples {
        let image = image::open(&sample.image).unwrap();
        assert_eq!(
            (image.width(), image.height(), image.color()),
            (64, 64, image::ColorType::Rgb8)
        );
        let Some(mask) = &sample.mask else { continue };
        let mask = image::open(mask).unwrap();
        assert_eq!((mask.width(), mask.color()), (64, image::ColorType::L8));
        let levels: BTreeSet<u8> = mask.to_luma8().into_raw().into_iter().collect();
        assert_eq!(levels, BTreeSet::from([0, 255]), "{}", sample.id);
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_on_interruptions() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let alone = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    alone.install(|| write(&at("one"), &options())).unwrap();
    let many = rayon::ThreadPoolBuilder::new()
        .num_threads(5)
        .build()
        .unwrap();
    many.install(|| write(&at("many"), &options())).unwrap();
    let expected = files(&at("one"));
    assert!(expected == files(&at("many")));

    let stop = |p: mpama_datasets::synth::Progress| {
        if p.done >= 10 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let error = write_mvtec(&at("stopped"), &options(), stop).unwrap_err();
    assert!(matches!(error, SynthError::Stopped { total: 48, .. }));
    for (file, bytes) in files(&at("stopped")) {
        assert!(expected[&file] == bytes, "{} is not whole", file.display());
    }
    fs::write(
        at("stopped").join("gear/test/good/.000.png.part"),
        "cut off",
    )
    .unwrap();
    let _ = fs::remove_file(at("stopped").join("gear/test/good/000.png"));
    let resumed = write(&at("stopped"), &options()).unwrap();
    assert!(resumed.found >= 9 && resumed.drawn + resumed.found == 48);
    assert!(expected == files(&at("stopped")));
    assert_eq!(write(&at("stopped"), &options()).unwrap().found, 48);

    let other = SynthOptions {
        seed: 6,
        ..options()
    };
    write(&at("other"), &other).unwrap();
    let images =
        |files: BTreeMap<PathBuf, Vec<u8>>| -> BTreeSet<Vec<u8>> { files.into_values().collect() };
    assert!(images(files(&at("other"))).is_disjoint(&images(expected)));
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    write(&out, &options()).unwrap();
    let before = files(&out);
    for other in [
        SynthOptions {
            seed: 6,
            ..options()
        },
        SynthOptions {
            size: 96,
            ..options()
        },
        SynthOptions {
            good: 4,
            ..options()
        },
    ] {
        assert!(matches!(
            write(&out, &other),
            Err(SynthError::Occupied { .. })
        ));
    }
    assert!(before == files(&out));

    let photos = folder.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("cat.png"), "precious").unwrap();
    let error = write(&photos, &options()).unwrap_err().to_string();
    assert!(
        error.contains("cat.png") && error.contains("photos"),
        "{error}"
    );
    let file = photos.join("cat.png");
    assert!(matches!(
        write(&file, &options()),
        Err(SynthError::NotAFolder { .. })
    ));
    let below = write(&file.join("set"), &options()).unwrap_err();
    assert!(matches!(below, SynthError::Write { .. }), "{below}");
    assert_eq!(files(&photos).len(), 1);

    let none = SynthOptions {
        categories: vec![],
        ..options()
    };
    assert!(matches!(
        write(&folder.path().join("none"), &none),
        Err(SynthError::Nothing { .. })
    ));
    let small = SynthOptions {
        size: 8,
        ..options()
    };
    assert!(matches!(
        write(&folder.path().join("small"), &small),
        Err(SynthError::Size { size: 8 })
    ));
    assert!(!folder.path().join("none").exists() && !folder.path().join("small").exists());
}
