//! `eval` as a judge: figures as a table, against an earlier report, and against a bar.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;

use bench::{Ran, adapter, clip, dataset, photo, run, save, text, trained, training};
use serde_json::Value;
use tempfile::TempDir;

const METRICS: [&str; 8] = [
    "image_auroc",
    "image_ap",
    "image_f1_max",
    "pixel_auroc",
    "pixel_ap",
    "pixel_f1_max",
    "aupro",
    "aupro_200",
];

fn eval(data: &[&Path], more: &[&str]) -> Ran {
    let mut words = ["eval", "--allow-training-data", "--data"]
        .map(str::to_owned)
        .to_vec();
    words.extend(data.iter().map(|folder| text(folder)));
    words.extend(["--clip".to_owned(), clip()]);
    if !more.contains(&"--adapter") {
        words.extend(["--adapter".to_owned(), adapter()]);
    }
    words.extend(more.iter().map(|word| (*word).to_owned()));
    run(words)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_table_has_every_figure_of_the_report() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("report");
    let other = dataset(&folder.path().join("other, with comma"));
    fs::remove_dir_all(other.join("plate/ground_truth")).unwrap(); // no pixel figures
    eval(
        &[&trained().join("data"), &other],
        &["--report", &text(&out)],
    )
    .code(0);
    let saved = json(&out.join("report.json"));
    let mut reader = csv::Reader::from_path(out.join("report.csv")).unwrap();
    let header: Vec<String> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let first = [
        "dataset",
        "category",
        "normal",
        "anomalous",
        "without_mask",
        "regions",
    ];
    assert_eq!(header, [&first[..], &METRICS[..]].concat());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let names: Vec<[&str; 2]> = rows.iter().map(|row| [&row[0], &row[1]]).collect();
    let (one, two) = ("data", "other, with comma");
    assert_eq!(
        names,
        [[one, "plate"], [one, "mean"], [two, "plate"], [two, "mean"]]
    );
    assert_eq!([&rows[0][2], &rows[0][3], &rows[3][4]], ["5", "5", "5"]);
    for (place, metric) in METRICS.iter().enumerate() {
        for (row, scores) in [
            (0, &saved["datasets"][0]["categories"][0]["scores"]),
            (1, &saved["datasets"][0]["mean"]),
            (3, &saved["datasets"][1]["mean"]),
        ] {
            let cell = rows[row][first.len() + place].parse::<f64>().ok();
            let value = scores[*metric].as_f64();
            assert_eq!(cell.is_some(), value.is_some(), "{metric}, row {row}");
            // reading JSON may move the last bit
            let apart = cell
                .zip(value)
                .map_or(0.0, |(cell, value)| (cell - value).abs());
            assert!(apart < 1e-15, "{metric}, row {row}: {cell:?} {value:?}");
        }
    }
    assert_eq!(rows[3][first.len() + 3].len(), 0, "undefined is empty");
}

#[test]
fn two_reports_are_subtracted() {
    let folder = TempDir::new().unwrap();
    let data = trained().join("data");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    eval(&[&data], &["--report", &text(&first)]).code(0);
    let against = text(&first.join("report.json"));

    // with itself: nothing
    let same = eval(&[&data], &["--compare", &against, "--json"]).code(0);
    let record = same.records().pop().unwrap();
    assert_eq!(record["type"], "comparison");
    for metric in METRICS {
        let difference = record["datasets"][0]["mean"][metric].as_f64().unwrap();
        assert!(difference.abs() < 1e-12, "{metric}: {difference}");
    }

    // with an adapter of stage one: its figures minus the first one's, wherever they are told
    let mpa = text(&trained().join("run/adapter-mpa"));
    let words = [
        "--adapter",
        &mpa,
        "--compare",
        &against,
        "--report",
        &text(&second),
    ];
    let ran = eval(&[&data], &words).code(0);
    assert!(
        ran.stdout.contains("in points of per cent"),
        "{}",
        ran.stdout
    );
    let (a, b) = (
        json(&first.join("report.json")),
        json(&second.join("report.json")),
    );
    let of = &b["comparison"]["datasets"][0];
    let mut moved = 0;
    for metric in METRICS {
        let value = |report: &Value| report["datasets"][0]["mean"][metric].as_f64().unwrap();
        let difference = of["mean"][metric].as_f64().unwrap();
        assert!(
            (value(&b) - value(&a) - difference).abs() < 1e-12,
            "{metric}"
        );
        assert_eq!(
            of["categories"][0]["differences"][metric],
            of["mean"][metric]
        );
        moved += usize::from(difference.abs() > 1e-6);
    }
    assert!(moved > 0, "two adapters of the same figures prove nothing");
    let page = fs::read_to_string(second.join("report.html")).unwrap();
    assert!(page.contains("Compared with another report") && page.contains(&against));
}

#[test]
fn other_data_is_not_compared() {
    let folder = TempDir::new().unwrap();
    let data = trained().join("data");
    let report = folder.path().join("report.json");
    eval(&[&data], &["--save", &text(&report)]).code(0);
    let compare = |data: &Path, file: &Path, more: &[&str]| {
        eval(&[data], &[&["--compare", &text(file)], more].concat())
    };

    // an image more, under the same name
    let more = dataset(&folder.path().join("more/data"));
    save(&more.join("plate/test/good/900.png"), &photo(900, false));
    let ran = compare(&more, &report, &[]).refused(&["cannot compare", "other images"]);
    assert!(!ran.stderr.contains("Scoring"), "{}", ran.stderr);
    fs::rename(&more, folder.path().join("more/set")).unwrap();
    compare(&folder.path().join("more/set"), &report, &[])
        .refused(&["set is not in it, only data"]);

    // maps of another size
    let small = folder.path().join("small");
    let size = ["--out", &text(&small), "--set", "model.image-size=84"];
    run(training(&data, &clip(), &size)).code(0);
    let adapter = text(&small.join("adapter"));
    compare(&data, &report, &["--adapter", &adapter]).refused(&["56x56 px there, here of 84x84"]);

    // no report at all, or of another version
    let other = folder.path().join("other.json");
    let mut later = json(&report);
    later["v"] = 2.into();
    for (text, word) in [
        ("no json".to_owned(), "is no report"),
        ("{\"type\":\"run\",\"v\":1}".to_owned(), "`type`"),
        (later.to_string(), "version 2, not 1"),
    ] {
        fs::write(&other, text).unwrap();
        compare(&data, &other, &[]).refused(&[word]);
    }
    compare(&data, &folder.path().join("none.json"), &[]).refused(&["none.json"]);

    // what a later version adds is skipped
    let mut richer = json(&report);
    richer["added"] = 1.into();
    richer["datasets"][0]["added"] = 1.into();
    fs::write(&other, richer.to_string()).unwrap();
    compare(&data, &other, &[]).code(0);
}

#[test]
fn a_bar_is_met_or_the_answer_is_no() {
    let data = trained().join("data");
    let bar = |bars: &[&str]| {
        let words: Vec<&str> = bars.iter().flat_map(|bar| ["--require", *bar]).collect();
        eval(&[&data], &[&words[..], &["--json"]].concat())
    };
    let ran = bar(&["pixel-auroc=0", "image-auroc=0"]).code(0);
    let met: Vec<bool> = ran
        .records()
        .iter()
        .filter(|record| record["type"] == "requirement")
        .map(|record| record["met"].as_bool().unwrap())
        .collect();
    assert_eq!(met, [true, true]);
    let ran = bar(&["pixel-auroc=0", "aupro=100"]).code(1);
    assert!(ran.stderr.contains("AUPRO is") && ran.stderr.contains("required is 100"));
    for wrong in ["image-auroc=0.9", "auroc=90", "image-auroc"] {
        bar(&[wrong]).code(2);
    }
    // what is undefined is not met
    let folder = TempDir::new().unwrap();
    let bare = dataset(&folder.path().join("bare"));
    fs::remove_dir_all(bare.join("plate/ground_truth")).unwrap();
    let ran = eval(&[&bare], &["--require", "pixel-auroc=1.5"]).code(1);
    assert!(ran.stderr.contains("pixel AUROC is n/a"), "{}", ran.stderr);
}
