//! `predict`, `eval` and `info` on real files.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use bench::{adapter, clip, mpama, photo, run, run_with_stdin, save, text, trained};
use serde_json::Value;

fn predict(inputs: &[&str], more: &[&str]) -> bench::Ran {
    let (clip, adapter) = (clip(), adapter());
    let model = ["--clip", &clip, "--adapter", &adapter];
    run(["predict"].iter().chain(inputs).chain(&model).chain(more))
}

fn test_images() -> String {
    text(&trained().join("data/plate/test"))
}

/// The keys of an object, in order.
fn keys(record: &Value) -> Vec<&str> {
    record
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_folder_is_scored_image_by_image() {
    let ran = predict(&[&test_images()], &[]).code(0);
    assert_eq!(ran.stdout.lines().count(), 10);
    for line in ran.stdout.lines() {
        let mut words = line.split_whitespace();
        let score: f32 = words.next().unwrap().parse().unwrap();
        assert!(
            (0.0..=1.0).contains(&score) && words.next().unwrap().ends_with(".png"),
            "{line}"
        );
        assert!(
            !line.contains("anomalous"),
            "nobody gave a threshold: {line}"
        );
    }
    assert!(ran.stderr.contains("Scored 10 images"), "{}", ran.stderr);
}

#[test]
fn records_have_their_shape() {
    let maps = tempfile::tempdir().unwrap();
    let folder = text(maps.path());
    let ran = predict(
        &[&test_images()],
        &["--json", "--threshold", "0.4", "--maps", &folder],
    )
    .code(0);
    let records = ran.records();
    assert_eq!(records.len(), 11);
    assert_eq!(
        keys(&records[0]),
        [
            "type",
            "v",
            "path",
            "score",
            "global",
            "local",
            "threshold",
            "anomalous",
            "peak",
            "map",
            "overlay",
            "ms"
        ]
        .iter()
        .copied()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    // numbers as they are, not as their binary neighbours
    assert!(ran.stdout.contains("\"threshold\":0.4,"), "{}", ran.stdout);
    let first = &records[0];
    assert_eq!(
        (&first["type"], &first["v"]),
        (&"prediction".into(), &1.into())
    );
    let score = first["score"].as_f64().unwrap();
    assert_eq!(first["anomalous"], score >= 0.4);
    let halves = 0.5 * (first["global"].as_f64().unwrap() + first["local"].as_f64().unwrap());
    assert!((score - halves).abs() < 1e-6);
    let summary = &records[10];
    assert_eq!(
        (&summary["type"], &summary["images"], &summary["failed"]),
        (&"summary".into(), &10.into(), &0.into())
    );
}

#[test]
fn maps_have_the_photos_size_and_do_not_collide() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    save(&at("in/a/0.png"), &photo(0, false));
    save(&at("in/b/0.png"), &photo(1, true));
    save(&at("in/b/0.bmp"), &photo(2, true));
    let maps = text(&at("maps"));
    predict(&[&text(&at("in"))], &["--maps", &maps, "--overlay"]).code(0);
    let written: Vec<String> = bench::files(&at("maps"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        written,
        [
            "a/0.map.png",
            "a/0.overlay.png",
            "b/0.bmp.map.png",
            "b/0.bmp.overlay.png",
            "b/0.png.map.png",
            "b/0.png.overlay.png"
        ]
    );
    for name in written {
        let picture = image::open(at("maps").join(name)).unwrap();
        assert_eq!((picture.width(), picture.height()), (60, 48));
    }
}

#[test]
fn maps_of_an_earlier_run_are_not_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    save(&folder.path().join("0.png"), &photo(0, false));
    let here = text(folder.path());
    predict(&[&here], &["--maps", &here, "--overlay"]).code(0);
    assert_eq!(predict(&[&here], &[]).code(0).stdout.lines().count(), 1);
}

#[test]
fn standard_input_is_the_file_itself() {
    let path = trained().join("data/plate/test/spot/000.png");
    let from_file = predict(&[&text(&path)], &["--json"]).code(0).records();
    let words = [
        "predict",
        "-",
        "--clip",
        &clip(),
        "--adapter",
        &adapter(),
        "--json",
    ];
    let piped = run_with_stdin(&words, &fs::read(&path).unwrap())
        .code(0)
        .records();
    assert_eq!(piped[0]["path"], "-");
    assert_eq!(piped[0]["score"], from_file[0]["score"]);
    assert_eq!(piped[0]["peak"], from_file[0]["peak"]);
}

#[test]
fn patterns_are_matched_by_us_too() {
    let pattern = test_images() + "/*/00[01].png";
    assert_eq!(predict(&[&pattern], &[]).code(0).stdout.lines().count(), 4);
    predict(&[&(test_images() + "/[")], &[]).refused(&["pattern"]);
}

#[test]
fn sorting_puts_the_highest_first() {
    let scores = |more: &[&str]| -> Vec<f64> {
        let records = predict(&[&test_images()], &[&["--json"], more].concat())
            .code(0)
            .records();
        records
            .iter()
            .filter_map(|record| record["score"].as_f64())
            .collect()
    };
    let (given, sorted, top) = (
        scores(&[]),
        scores(&["--sort", "score"]),
        scores(&["--top", "3"]),
    );
    let mut expected = given.clone();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(sorted, expected);
    assert_eq!(top, expected[..3]);
}

#[test]
fn the_exit_code_is_the_answer_if_asked_for() {
    let images = test_images();
    predict(&[&images], &["--threshold", "0"]).code(0);
    let ran = predict(&[&images], &["--threshold", "0", "--exit-code"]).code(1);
    assert!(ran.stdout.lines().all(|line| line.contains("anomalous")));
    predict(&[&images], &["--threshold", "1", "--exit-code"]).code(0);
    predict(&[&images], &["--exit-code"]).refused(&["no threshold", "--threshold"]);
}

#[test]
fn quiet_leaves_the_data() {
    let ran = predict(&[&test_images()], &["-q"]).code(0);
    assert!(
        ran.stderr.is_empty() && ran.stdout.lines().count() == 10,
        "{}",
        ran.stderr
    );
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let (clip, adapter, images) = (clip(), adapter(), test_images());
    let mut child = mpama()
        .args(["predict", &images, "--clip", &clip, "--adapter", &adapter])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_evaluation_has_a_table_a_record_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = text(&folder.path().join("report.json"));
    let data = text(&trained().join("data"));
    let model = ["--clip", &clip(), "--adapter", &adapter()];
    let words = [
        "eval",
        "--data",
        &data,
        "--allow-training-data",
        "--per-category",
        "--save",
        &file,
    ];
    let ran = run(words.iter().chain(&model)).code(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].contains("5 normal and 5 anomalous") && lines[1].contains("AUPRO-200"),
        "{}",
        ran.stdout
    );
    assert!(
        lines[2].starts_with("plate") && lines[3].starts_with("mean"),
        "{}",
        ran.stdout
    );
    assert!(!lines[3].contains("n/a"), "{}", ran.stdout);

    let saved: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let record = &run(["--json"].iter().chain(&words).chain(&model))
        .code(0)
        .records()[0];
    assert_eq!(
        (&saved["type"], &record["type"]),
        (&"report".into(), &"evaluation".into())
    );
    assert_eq!(saved["datasets"][0]["mean"], record["mean"]);
    assert_eq!(saved["datasets"][0]["images"].as_array().unwrap().len(), 10);
    // the same scores as predict's
    let predicted = predict(&[&test_images()], &["--json"]).records();
    for image in saved["datasets"][0]["images"].as_array().unwrap() {
        let end = image["id"].as_str().unwrap();
        let twin = predicted
            .iter()
            .find(|p| p["path"].as_str().is_some_and(|path| path.ends_with(end)))
            .unwrap();
        let difference = image["score"].as_f64().unwrap() - twin["score"].as_f64().unwrap();
        assert!(difference.abs() < 1e-5, "{end}: {difference}");
    }
}

#[test]
fn without_masks_pixel_metrics_do_not_apply() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..3 {
        save(
            &folder.path().join(format!("yes/{number}.png")),
            &photo(number, true),
        );
        save(
            &folder.path().join(format!("no/{number}.png")),
            &photo(number, false),
        );
    }
    let ran = run([
        "eval",
        "--data",
        &text(folder.path()),
        "--clip",
        &clip(),
        "--adapter",
        &adapter(),
    ])
    .code(0);
    assert_eq!(
        ran.stdout.lines().last().unwrap().matches("n/a").count(),
        3,
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("NaN"));
}

#[test]
fn info_knows_what_a_thing_is() {
    let root = trained();
    let at = |name: &str| text(&root.join(name));
    let things = [
        at("run/adapter"),
        at("run"),
        clip(),
        at("data"),
        at("data/plate/test/good/000.png"),
    ];
    let ran = run(["info", "--json"]
        .iter()
        .map(|w| (*w).to_owned())
        .chain(things.clone()))
    .code(0);
    let kinds: Vec<Value> = ran
        .records()
        .iter()
        .map(|record| record["type"].clone())
        .collect();
    assert_eq!(kinds, ["adapter", "run", "backbone", "dataset", "image"]);
    let plain = run(["info".to_owned()].into_iter().chain(things))
        .code(0)
        .stdout;
    for words in [
        "MPAMA",
        "5 normal, 5 anomalous, 5 with masks",
        "60x48 pixels",
        "stage two, epoch 3",
    ] {
        assert!(plain.contains(words), "`{words}` is not in:\n{plain}");
    }
    let empty = tempfile::tempdir().unwrap();
    fs::write(empty.path().join("notes.txt"), "nothing").unwrap();
    run(["info", &text(empty.path())]).code(2);
    run(["info", &text(Path::new("/nowhere"))]).refused(&["/nowhere"]);
}
