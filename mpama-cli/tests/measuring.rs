//! `eval` from the outside: what it refuses, keeps, continues and leaves for other tools.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bench::{Ran, adapter, clip, dataset, mpama, run, save, text, trained};
use serde_json::Value;
use tempfile::TempDir;

fn words(data: &Path, more: &[&str]) -> Vec<String> {
    let mut words = vec!["eval".to_owned(), "--data".to_owned(), text(data)];
    words.extend(["--clip".to_owned(), clip()]);
    if !more.contains(&"--adapter") {
        words.extend(["--adapter".to_owned(), adapter()]);
    }
    words.extend(more.iter().map(|word| (*word).to_owned()));
    words
}

fn eval(data: &Path, more: &[&str]) -> Ran {
    run(words(data, more))
}

/// Plates under several names.
fn categories(root: &Path, names: &[&str]) -> PathBuf {
    for name in names {
        dataset(root);
        fs::rename(root.join("plate"), root.join(name)).unwrap();
    }
    root.to_owned()
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Without what no two evaluations have in common: times and memory.
fn timeless(mut report: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for key in ["seconds", "predict_seconds", "cost"] {
                    fields.remove(key);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut report);
    report
}

#[test]
fn what_was_learned_from_is_not_measured_unless_asked_for() {
    let folder = TempDir::new().unwrap();
    let data = trained().join("data");
    let ran = eval(&data, &[]).refused(&["these very images: `data`", "--allow-training-data"]);
    assert!(ran.stdout.is_empty());
    // the same images elsewhere, and others under the same name
    eval(&dataset(&folder.path().join("moved")), &[]).refused(&["these very images: `moved`"]);
    // `data` says a place, `plates` a dataset
    let other = categories(&folder.path().join("data"), &["dish"]);
    eval(&other, &[]).code(0);
    let named = folder.path().join("adapter");
    fs::create_dir(&named).unwrap();
    for file in fs::read_dir(adapter()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), named.join(file.file_name())).unwrap();
    }
    let config = named.join("adapter_config.json");
    let text = fs::read_to_string(&config).unwrap();
    let changed = text.replace("\"dataset\": \"data\"", "\"dataset\": \"plates\"");
    assert_ne!(text, changed);
    fs::write(&config, changed).unwrap();
    let other = categories(&folder.path().join("plates"), &["dish"]);
    eval(&other, &["--adapter", named.to_str().unwrap()])
        .refused(&["a dataset of this name: `plates`", "rename"]);
    let ran = eval(&data, &["--allow-training-data"]).code(0);
    assert!(
        ran.stderr.contains("Trained on data (10 images, seed ")
            && ran.stderr.contains("measured on data"),
        "{}",
        ran.stderr
    );
}

#[test]
fn saved_maps_hold_what_the_metrics_took() {
    let folder = TempDir::new().unwrap();
    let data = categories(&folder.path().join("others"), &["dish"]);
    fs::remove_file(data.join("dish/ground_truth/spot/002_mask.png")).unwrap();
    let maps = folder.path().join("maps");
    for (size, more) in [((56, 56), None), ((48, 60), Some("--original-size"))] {
        let mut options = vec!["--save-maps", maps.to_str().unwrap()];
        options.extend(more);
        eval(&data, &options).code(0);
        let index = fs::read_to_string(maps.join("index.jsonl")).unwrap();
        let lines: Vec<Value> = index
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 10);
        for line in &lines {
            let id = line["id"].as_str().unwrap();
            let anomalous = id.contains("/spot/");
            assert_eq!(line["dataset"], "others");
            assert_eq!(line["category"], "dish");
            assert_eq!(line["label"] == "anomalous", anomalous);
            assert_eq!(line["map"], format!("others/maps/{id}.npy"));
            let map = fs::read(maps.join(line["map"].as_str().unwrap())).unwrap();
            let header = String::from_utf8_lossy(&map[10..128]).into_owned();
            let shape = format!(
                "'<f4', 'fortran_order': False, 'shape': ({}, {}), ",
                size.0, size.1
            );
            assert!(header.contains(&shape), "{header}");
            assert_eq!(map.len(), 128 + 4 * size.0 * size.1);
            if id.ends_with("spot/002.png") {
                assert_eq!(line["mask"], Value::Null);
                continue;
            }
            let mask = fs::read(maps.join(line["mask"].as_str().unwrap())).unwrap();
            assert_eq!(mask.len(), 128 + size.0 * size.1);
            assert!(mask[128..].iter().all(|&value| value <= 1));
            assert_eq!(mask[128..].contains(&1), anomalous);
        }
    }
}

#[test]
fn a_killed_evaluation_goes_on_behind_what_is_done() {
    let folder = TempDir::new().unwrap();
    let data = categories(&folder.path().join("others"), &["a", "b", "c", "d", "e"]);
    let whole = folder.path().join("whole");
    eval(&data, &["--report", &text(&whole)]).code(0);

    let out = folder.path().join("out");
    let more = ["--report", &text(&out), "--batch-size", "8"];
    let mut child = mpama()
        .args(words(&data, &more))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let kept = || {
        let files = bench::files(&out.join("eval-state"));
        files
            .iter()
            .filter(|(name, _)| name.ends_with(".toml"))
            .count()
    };
    while !(out.join("eval-state").is_dir() && kept() > 0) {
        assert!(begun.elapsed() < Duration::from_secs(100));
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // as kill -9 does
    child.wait().unwrap();
    assert!(
        !out.join("report.json").exists(),
        "killed too late to test anything"
    );
    let before = kept();
    assert!((1..5).contains(&before), "{before}");

    let ran = eval(&data, &more).code(0);
    assert!(
        ran.stderr
            .contains(&format!("Going on with others: {before} of 5 categories")),
        "{}",
        ran.stderr
    );
    let report = |folder: &Path| timeless(json(&folder.join("report.json")));
    assert_eq!(report(&out), report(&whole));
    assert!(bench::timeless_page(&out) == bench::timeless_page(&whole));
    let names: Vec<String> = bench::files(&out)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // one defect of each category is shown
    let pictures = (1..=5).map(|number| format!("pictures/{number}.png"));
    let files = ["report.csv", "report.html", "report.json"].map(str::to_owned);
    let expected: Vec<String> = pictures.chain(files).collect();
    assert_eq!(names, expected, "nothing is left to go on with");
    let pictures = |folder: &Path| bench::files(&folder.join("pictures"));
    assert!(pictures(&out) == pictures(&whole));
}

#[test]
fn several_adapters_have_a_mean_and_a_deviation() {
    let folder = TempDir::new().unwrap();
    let data = categories(&folder.path().join("others"), &["dish"]);
    let other = folder.path().join("run");
    let seed = ["--set", "seed=7", "--out", &text(&other)];
    run(bench::training(&trained().join("data"), &clip(), &seed)).code(0);
    let other = text(&other.join("adapter"));
    let file = folder.path().join("both.json");
    let both = [
        "--adapter",
        &adapter(),
        "--adapter",
        &other,
        "--save",
        &text(&file),
    ];
    let ran = eval(&data, &both).code(0);
    assert!(
        ran.stdout.contains("others: 2 adapters") && ran.stdout.contains(" ± "),
        "{}",
        ran.stdout
    );
    let saved = json(&file);
    assert_eq!(saved["type"], "spread");
    let value = |number: usize| {
        let mean = &saved["adapters"][number]["datasets"][0]["mean"];
        mean["pixel_auroc"].as_f64().unwrap()
    };
    let (a, b) = (value(0), value(1));
    assert_ne!(a, b);
    let spread = &saved["spread"][0];
    let of = |kind: &str| spread[kind]["pixel_auroc"].as_f64().unwrap();
    assert!((of("mean") - (a + b) / 2.0).abs() < 1e-12);
    assert!((of("std") - (a - b).abs() / 2_f64.sqrt()).abs() < 1e-12);
    assert!(!folder.path().join("eval-state").exists());

    let both = [
        "--adapter",
        &adapter(),
        &other,
        "--report",
        &text(folder.path()),
    ];
    eval(&data, &both).refused(&["--report takes one adapter, and 2 are given"]);
}

#[test]
fn a_report_has_the_numbers_behind_the_papers_figures() {
    let folder = TempDir::new().unwrap();
    let data = categories(&folder.path().join("others"), &["dish"]);
    // a defect a quarter as large
    let small = data.join("dish/ground_truth/spot/001_mask.png");
    let mut mask = image::open(&small).unwrap().to_luma8();
    let (mut seen, all) = (0, mask.pixels().filter(|p| p.0[0] > 0).count());
    for pixel in mask.pixels_mut().filter(|pixel| pixel.0[0] > 0) {
        seen += 1;
        pixel.0[0] = if seen > all / 4 { 0 } else { 255 };
    }
    mask.save(&small).unwrap();
    let file = folder.path().join("report.json");
    eval(&data, &["--save", &text(&file)]).code(0);
    let figures = &json(&file)["datasets"][0]["figures"];

    let scales = figures["scales"].as_array().unwrap();
    let names: Vec<&str> = scales
        .iter()
        .map(|s| s["scale"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["tiny", "small", "medium", "large"]);
    let images: Vec<u64> = scales
        .iter()
        .map(|s| s["images"].as_u64().unwrap())
        .collect();
    assert_eq!(images.iter().sum::<u64>(), 5);
    assert!(images[0] >= 1 && scales[0]["pixel_auroc"].is_f64() && scales[0]["aupro"].is_f64());

    let experts = figures["experts"].as_array().unwrap();
    assert_eq!(experts[0]["expert"], "frozen");
    assert_eq!(experts.last().unwrap()["expert"], "zero");
    for share in ["share", "first_share"] {
        let sum: f64 = experts.iter().map(|e| e[share].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{share}: {sum}");
    }
    let cost = &figures["cost"];
    let seconds = cost["seconds_per_image"].as_f64().unwrap();
    assert!(
        seconds > 0.0 && (cost["images_per_second"].as_f64().unwrap() * seconds - 1.0).abs() < 1e-9
    );
    assert_eq!(cost["images"], 10);
    if cfg!(target_os = "linux") {
        assert!(cost["peak_memory"].as_u64().unwrap() > 1 << 20);
    }
}

#[test]
fn without_anything_written_nothing_is_kept() {
    let folder = TempDir::new().unwrap();
    let data = categories(&folder.path().join("others"), &["dish"]);
    save(
        &data.join("dish/test/good/900.png"),
        &bench::photo(3, false),
    );
    let before = bench::files(folder.path()).len();
    eval(&data, &[]).code(0);
    assert_eq!(bench::files(folder.path()).len(), before);
}

#[test]
fn counting_in_bins_says_what_the_exact_figures_lie_between() {
    let folder = TempDir::new().unwrap();
    let data = categories(&folder.path().join("others"), &["dish"]);
    let measured = |more: &[&str]| {
        let file = folder.path().join("report.json");
        let mut words = vec!["--save", file.to_str().unwrap()];
        words.extend(more);
        let ran = eval(&data, &words).code(0);
        (ran.stdout, json(&file)["datasets"][0].clone())
    };
    let (_, exact) = measured(&[]);
    let (table, counted) = measured(&["--bins", "1000"]);
    assert!(
        table.contains("the exact means lie within pixel AUROC"),
        "{table}"
    );
    for metric in ["pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"] {
        let bounds = &counted["bounds"][metric];
        let (lowest, highest) = (
            bounds["lowest"].as_f64().unwrap(),
            bounds["highest"].as_f64().unwrap(),
        );
        let value = exact["mean"][metric].as_f64().unwrap();
        assert!(
            lowest - 1e-9 <= value && value <= highest + 1e-9 && highest - lowest < 0.1,
            "{metric}: {value} in {bounds}"
        );
    }
    assert_eq!(counted["mean"]["aupro_200"], Value::Null);
    assert_eq!(counted["mean"]["image_auroc"], exact["mean"]["image_auroc"]);
    assert!(exact.get("bounds").is_none());
}
