//! `mpama bench`: what it prints, what it compares with, what it refuses. No time is asserted.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bench::{Ran, adapter, clip, photo, run, save, text};
use serde_json::{Value, json};

const STAGES: [&str; 7] = [
    "decode", "resize", "tower", "maps", "smooth", "write", "all",
];

/// Two rounds at this size.
fn bench_at(size: &str, more: &[&str]) -> Ran {
    let short = ["bench", "--rounds", "2", "--size", size];
    run(short.iter().chain(more))
}

/// The demo's backbone.
fn bench(more: &[&str]) -> Ran {
    bench_at("64", more)
}

/// A measurement, once for all tests.
fn measured() -> &'static Value {
    static RECORD: OnceLock<Value> = OnceLock::new();
    RECORD.get_or_init(|| {
        let mut records = bench(&["--json"]).code(0).records();
        assert_eq!(records.len(), 1);
        records.remove(0)
    })
}

fn written(folder: &Path, record: &Value) -> PathBuf {
    let file = folder.join("other.json");
    fs::write(&file, record.to_string()).unwrap();
    file
}

#[test]
fn the_record_has_its_shape() {
    let record = measured();
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    let expected = [
        "type",
        "v",
        "mpama",
        "machine",
        "subject",
        "work",
        "load_ms",
        "stages",
        "tower",
        "peak",
        "peak_memory",
    ];
    let mut sorted = expected.to_vec();
    sorted.sort_unstable();
    let mut found: Vec<&str> = keys.iter().map(|key| key.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, sorted);
    assert_eq!(
        (&record["type"], &record["v"]),
        (&json!("bench"), &json!(1))
    );
    assert_eq!(record["subject"]["weights"], "demo");
    assert_eq!(record["work"]["input"], json!([64, 64]));
    assert_eq!(record["work"]["photo"], json!([1024, 1024]));
    let stages = record["stages"].as_array().unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|stage| stage["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, STAGES);
    for stage in stages {
        let [best, median] = ["best_ms", "median_ms"].map(|key| stage[key].as_f64().unwrap());
        assert!(0.0 < best && best <= median, "{stage}");
        assert_eq!(stage["ms"].as_array().unwrap().len(), 2);
    }
    for (part, key) in [
        ("tower", "gflop"),
        ("tower", "gflop_per_second"),
        ("peak", "all_threads"),
    ] {
        assert!(record[part][key].as_f64().unwrap() > 0.0, "{part}.{key}");
    }
    assert!(record["machine"]["kernels"]["floats"].as_u64().unwrap() > 0);
}

#[test]
fn the_table_says_what_was_measured_and_on_what() {
    let ran = bench(&[]).code(0);
    for words in [
        "kernels: ",
        "the demo's",
        "64x64 px",
        "image tower",
        "write PNG",
        "of the peak",
        "loaded in",
    ] {
        assert!(
            ran.stdout.contains(words),
            "`{words}` is not in:\n{}",
            ran.stdout
        );
    }
    assert!(ran.stderr.contains("Measuring"), "{}", ran.stderr);
}

#[test]
fn real_weights_are_measured_with_and_without_an_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.png");
    save(&image, &photo(1, true));
    let (clip, adapter, image) = (clip(), adapter(), text(&image));
    let with = ["--clip", &clip, "--image", &image, "--batch", "2", "--json"];
    let record = bench_at("56", &with).code(0).records().remove(0);
    let subject = &record["subject"];
    assert_eq!(
        (&subject["weights"], &subject["adapter"]),
        (&json!("file"), &json!("random"))
    );
    assert_eq!(record["work"]["photo"], json!([48, 60]));
    assert_eq!(record["work"]["batch"], 2);
    let with = [
        "bench",
        "--rounds",
        "1",
        "--clip",
        &clip,
        "--adapter",
        &adapter,
        "--json",
    ];
    let record = run(with).code(0).records().remove(0);
    assert_eq!(record["work"]["input"], json!([56, 56])); // as the adapter says
}

#[test]
fn a_shape_needs_no_weights() {
    let record = bench_at("128", &["--shape", "vit-b-32", "--json"])
        .code(0)
        .records()
        .remove(0);
    assert_eq!(record["subject"]["weights"], "random");
    assert_eq!(record["load_ms"], Value::Null);
    assert_eq!(
        (&record["work"]["layers"], &record["work"]["vv_depth"]),
        (&json!(12), &json!(9))
    );
}

#[test]
fn ratios_stand_beside_an_earlier_measurement() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = measured().clone();
    for stage in other["stages"].as_array_mut().unwrap() {
        for key in ["best_ms", "median_ms"] {
            stage[key] = json!(1e9);
        }
        stage["ms"] = json!([1e9, 1e9]);
    }
    other["machine"]["cpu"] = json!("Abacus");
    let file = text(&written(folder.path(), &other));
    let ran = bench(&["--compare", &file, "--json"]).code(0);
    assert!(
        ran.stderr.contains("another machine") && ran.stderr.contains("Abacus"),
        "{}",
        ran.stderr
    );
    let record = ran.records().remove(0);
    let compared = &record["compared"];
    assert_eq!(compared["machine_differs"].as_array().unwrap().len(), 1);
    let stages = compared["stages"].as_array().unwrap();
    assert_eq!(stages.len(), STAGES.len());
    for stage in stages {
        assert!(
            stage["ratio"].as_f64().unwrap() < 1.0 && stage["clear"] == json!(true),
            "{stage}"
        );
    }
    let again = text(&written(folder.path(), &record)); // a compared one can be compared with
    let ran = bench(&["--compare", &again, "--dtype", "int16"]).code(0); // types may differ
    for words in ["ratio", ", f32)", "int16: "] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
}

#[test]
fn other_work_and_other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = text(&written(folder.path(), measured()));
    let other_size = ["bench", "--size", "32", "--rounds", "1", "--compare", &file];
    run(other_size).refused(&[
        "other work",
        "input is [64,64] there, [32,32] here",
        "--size",
    ]);
    for (text, words) in [
        ("not json", "no benchmark"),
        ("[]", "no JSON object"),
        (r#"{"type":"prediction","v":1}"#, "`type`"),
        (r#"{"type":"bench","v":9}"#, "version"),
        (r#"{"type":"bench","v":1}"#, "mpama"),
    ] {
        fs::write(&file, text).unwrap();
        bench(&["--compare", &file]).refused(&[words]);
    }
    bench(&["--compare", "nowhere.json"]).refused(&["nowhere.json"]);
    bench(&["--image", "nowhere.png"]).refused(&["nowhere.png"]);
    run(["bench", "--size", "7"]).refused(&["patch"]);
}
