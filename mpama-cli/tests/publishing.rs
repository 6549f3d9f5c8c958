//! `mpama push`: what is published.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};

use bench::ground::Ground;
use bench::{adapter, clip, dataset, mpama, text};
use tempfile::TempDir;

/// A report on the adapter of all tests.
fn report(folder: &Path, more: &[&str]) -> PathBuf {
    let data = text(&dataset(&folder.join("other")));
    let out = folder.join("report");
    let adapter = adapter();
    let mut eval = mpama();
    eval.args(["eval", "--clip", &clip(), "--adapter", &adapter, "--data"]);
    eval.args([&data, "--report", &text(&out), "--allow-training-data"]);
    bench::Ran::of(eval.args(more).output().unwrap()).code(0);
    out.join("report.json")
}

/// Names of the files that the newest commit has, and how many commits there are.
fn published(ground: &Ground) -> (Vec<String>, usize) {
    let state = ground.server.state();
    let repository = &state.repositories["me/adapter"];
    let (_, files) = repository.head().unwrap();
    (files.keys().cloned().collect(), repository.commits.len())
}

#[test]
fn a_report_brings_figures_and_pictures_in_the_same_commit() {
    let (ground, folder) = (Ground::new(), TempDir::new().unwrap());
    let report = report(folder.path(), &[]);
    let extra = folder.path().join("extra.png");
    bench::save(&extra, &bench::photo(1, true));
    let (adapter, file, extra) = (adapter(), text(&report), text(&extra));
    let push = ["push", &adapter, "me/adapter", "--yes", "--report", &file];
    ground
        .run_as_me(&[&push[..], &["--picture", &extra]].concat())
        .code(0);

    let (names, commits) = published(&ground);
    let pictures = (1..=6).map(|number| format!("pictures/{number}.png"));
    let expected = [
        ".gitattributes",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "detect.py",
    ];
    let expected: Vec<String> = expected
        .map(str::to_owned)
        .into_iter()
        .chain(pictures)
        .collect();
    assert_eq!((names, commits), (expected, 2));

    let state = ground.server.state();
    let (_, files) = state.repositories["me/adapter"].head().unwrap();
    let card = String::from_utf8(files["README.md"].to_vec()).unwrap();
    // five spotted plates: one picture each, the lowest score first
    let captions: Vec<&str> = card
        .lines()
        .filter(|line| line.starts_with("other, plate, spot: score 0."))
        .collect();
    assert_eq!(captions.len(), 5, "{card}");
    assert!(captions.is_sorted(), "{captions:?}");
    for (number, caption) in captions.iter().enumerate() {
        let image = format!("![{caption}](pictures/{}.png)\n\n{caption}\n", number + 1);
        assert!(card.contains(&image), "{card}");
        let bytes = &files[&format!("pictures/{}.png", number + 1)];
        let beside = report.with_file_name(format!("pictures/{}.png", number + 1));
        assert!(**bytes == fs::read(beside).unwrap());
        let picture = image::load_from_memory(bytes).unwrap().into_rgba8();
        assert_eq!(picture.dimensions(), (2 * 60 + 8, 48));
        // on the left the photo, untouched
        let photo = bench::photo(10 + number_of(&report, number), true);
        let same =
            |(x, y, pixel): (u32, u32, &image::Rgb<u8>)| picture.get_pixel(x, y).0[..3] == pixel.0;
        assert!(photo.enumerate_pixels().all(same), "{caption}");
    }
    assert!(card.contains("![Picture 6](pictures/6.png)"), "{card}");
    assert!(card.contains("## Results") && card.contains("from detect import detect"));
}

/// The number of the image that picture `rank` of the report is of: scores are not equal here.
fn number_of(report: &Path, rank: usize) -> u32 {
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let score = &report["pictures"][rank]["score"];
    let images = report["datasets"][0]["images"].as_array().unwrap();
    let image = images.iter().find(|image| image["score"] == *score);
    let id = image.unwrap()["id"].as_str().unwrap();
    let name = id.rsplit('/').next().unwrap();
    name.trim_end_matches(".png").parse().unwrap()
}

#[test]
fn photos_stay_here_if_asked_to_or_if_there_are_none() {
    let (ground, folder) = (Ground::new(), TempDir::new().unwrap());
    let adapter = adapter();
    let push = |file: &Path, more: &[&str]| {
        let file = text(file);
        let push = [
            "push",
            &adapter,
            "me/adapter",
            "--dry-run",
            "--report",
            &file,
        ];
        ground.run(&[&push[..], more].concat())
    };
    let with = report(folder.path(), &[]);
    let plan = push(&with, &["--no-pictures"]).code(0);
    assert!(plan.stdout.contains("## Results") && !plan.stderr.contains("pictures/"));
    fs::remove_file(with.with_file_name("pictures/2.png")).unwrap();
    push(&with, &[]).refused(&["pictures/2.png", "--no-pictures"]);

    let without = TempDir::new().unwrap();
    let without = report(without.path(), &["--gallery", "0"]);
    assert!(!without.with_file_name("pictures").exists());
    let plan = push(&without, &[]).code(0);
    assert!(plan.stdout.contains("## Results") && !plan.stdout.contains("## What it sees"));
}
