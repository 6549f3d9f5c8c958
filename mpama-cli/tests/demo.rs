//! `mpama demo` end to end, small: it learns, and it finds defects in things it has never seen.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;

use bench::{Ran, run, text};

/// Mean pixel AUROC over the categories never seen that even a small demo reaches; the whole one ends
/// far above.
const FLOOR: f64 = 0.6;

fn small(out: &Path) -> Ran {
    run(["demo", "--small", "--json", "--out", &text(out)]).code(0)
}

fn weights(out: &Path) -> Vec<u8> {
    fs::read(out.join("run/adapter/adapter_model.safetensors")).unwrap()
}

#[test]
fn a_small_demo_learns_what_the_bare_backbone_does_not_know() {
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("demo");
    let records = small(&out).records();
    let summary = records.last().unwrap();
    assert_eq!(summary["type"], "demo");
    let mean = |system: usize, metric: &str| {
        let report = &summary["systems"][system]["report"];
        report["mean"][metric].as_f64().unwrap()
    };
    let (untrained, mpama) = (0, 2);
    for metric in ["pixel_auroc", "aupro"] {
        let (before, after) = (mean(untrained, metric), mean(mpama, metric));
        assert!(after > before, "{metric}: {before} before, {after} after");
    }
    assert!(mean(mpama, "pixel_auroc") > FLOOR);
    for file in ["report.html", "contact-sheet.png"] {
        assert!(out.join(file).is_file(), "{file}");
    }

    // Repeated, it finds everything done and changes nothing; elsewhere, it ends with the same bytes.
    let before = weights(&out);
    small(&out);
    assert_eq!(weights(&out), before);
    let other = home.path().join("again");
    small(&other);
    assert_eq!(weights(&other), before);
}

#[test]
fn a_photo_is_scored_without_any_option() {
    let home = tempfile::tempdir().unwrap();
    let photo = home.path().join("photo.png");
    bench::save(&photo, &bench::photo(1, true));
    let ran = run(["predict", "--json", &text(&photo)]).code(0);
    let score = ran.records()[0]["score"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&score));
    assert!(ran.stderr.contains("demo"), "{}", ran.stderr);
}

#[test]
fn a_demo_that_cannot_be_written_says_so() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "in the way").unwrap();
    run(["demo", "--out", &text(&file)]).refused(&["file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "in the way");
}
