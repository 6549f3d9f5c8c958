//! `experiment` from the outside: a plan trained, measured and tabulated, with the tiny CLIP.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};

use bench::{Ran, clip, dataset, files, run, text};
use serde_json::Value;
use tempfile::TempDir;

const PLAN: &str = "
title = 'Both methods'
notes = ['Of no meaning.']
seeds = [1, 2]
metrics = ['image-auroc', 'pixel-auroc']
[[training]]
on = 'one'
test = ['two']
[[training]]
on = 'two'
test = ['one']
[[variant]]
name = 'AnomalyCLIP'
adapter = 'mpa'
set = ['model.prompt.coupled=true', 'model.bridge.kind=off', 'model.perception.levels=[1]']
[[variant]]
name = 'MPA'
adapter = 'mpa'
[[variant]]
name = 'MPAMA'
[variant.paper]
two = [94.5, nan]
";

/// Settings with which every run is over in a second.
const QUICK: [&str; 10] = [
    "--set",
    "model.image-size=56",
    "--set",
    "stage-one.epochs=1",
    "--set",
    "stage-two.epochs=1",
    "--set",
    "stage-two.learning-rate=1e-3",
    "--set",
    "checkpoint-every=1",
];

struct Ground {
    folder: TempDir,
    plan: PathBuf,
}

fn ground() -> Ground {
    let folder = TempDir::new().unwrap();
    let one = dataset(&folder.path().join("data/one"));
    let two = dataset(&folder.path().join("data/two"));
    fs::rename(one.join("plate"), one.join("dish")).unwrap();
    fs::remove_file(two.join("plate/test/good/000.png")).unwrap();
    let plan = folder.path().join("plan.toml");
    fs::write(&plan, PLAN).unwrap();
    Ground { folder, plan }
}

fn experiment(plan: &Path, data: &str, out: &Path, more: &[&str]) -> Ran {
    let plan = text(plan);
    let (clip, out) = (clip(), text(out));
    let first = [
        "experiment",
        &plan,
        "--data",
        data,
        "--clip",
        &clip,
        "--out",
        &out,
    ];
    run(first.iter().chain(&QUICK).chain(more))
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_plan_becomes_a_table_and_what_is_done_stays_done() {
    let Ground { folder, plan } = ground();
    let data = text(&folder.path().join("data"));
    let out = folder.path().join("out");

    // first a part: one seed, one variant
    let part = ["--seeds", "1", "--variant", "MPA"];
    experiment(&plan, &data, &out, &part).code(0);
    let adapter = out.join("mpa/one/seed-1/adapter-mpa/adapter_model.safetensors");
    assert!(adapter.is_file() && !out.join("mpa/one/seed-1/adapter").exists());
    let before = fs::read(&adapter).unwrap();

    // then all of it, on the same runs
    let ran = experiment(&plan, &data, &out, &["--json"]).code(0);
    assert!(
        fs::read(&adapter).unwrap() == before,
        "stage one was trained again"
    );
    assert!(
        ran.stderr.contains("[8/8] MPA, seed 2, on two"),
        "{}",
        ran.stderr
    );
    let table = ran.records().pop().unwrap();
    assert_eq!(table["type"], "experiment");
    let rows: Vec<[&str; 3]> = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["variant", "trained_on", "tested_on"].map(|key| row[key].as_str().unwrap()))
        .collect();
    let names = ["AnomalyCLIP", "MPA", "MPAMA"];
    let expected: Vec<[&str; 3]> = [["one", "two"], ["two", "one"]]
        .iter()
        .flat_map(|[on, test]| names.map(|name| [name, *on, *test]))
        .collect();
    assert_eq!(rows, expected);

    // every figure is the mean over the seeds of what the reports say
    for row in table["rows"].as_array().unwrap() {
        let runs = row["runs"].as_array().unwrap();
        assert_eq!([&runs[0]["seed"], &runs[1]["seed"]], [1, 2]);
        for (place, metric) in ["image_auroc", "pixel_auroc"].iter().enumerate() {
            let values: Vec<f64> = runs
                .iter()
                .map(|run| {
                    let report = json(Path::new(run["file"].as_str().unwrap()));
                    assert_eq!(report["datasets"][0]["dataset"], row["tested_on"]);
                    assert_eq!(
                        report["adapter_config"]["training"]["dataset"],
                        row["trained_on"]
                    );
                    report["datasets"][0]["mean"][*metric].as_f64().unwrap()
                })
                .collect();
            let figure = &row["figures"][place];
            let mean = (values[0] + values[1]) / 2.0;
            let deviation = (values[0] - values[1]).abs() / 2f64.sqrt();
            assert!((figure["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
            assert!((figure["deviation"].as_f64().unwrap() - deviation).abs() < 1e-12);
        }
    }
    assert_eq!(table["rows"][2]["figures"][0]["paper"], 0.945);
    assert_eq!(table["rows"][2]["figures"][1]["paper"], Value::Null);

    // the same as files
    assert_eq!(json(&out.join("table.json")), table);
    let document = fs::read_to_string(out.join("table.md")).unwrap();
    for words in [
        "# Both methods",
        "## two, trained on one",
        "| MPAMA | 2 |",
        "| 94.5 |",
        "- Of no meaning.",
    ] {
        assert!(document.contains(words), "`{words}` in {document}");
    }
    assert_eq!(
        csv::Reader::from_path(out.join("table.csv"))
            .unwrap()
            .records()
            .count(),
        6
    );
    assert_eq!(fs::read_to_string(out.join("plan.toml")).unwrap(), PLAN);
    // two datasets, two vision settings at most: the features are shared by all variants and seeds
    let caches: Vec<_> = fs::read_dir(out.join("features")).unwrap().collect();
    assert_eq!(caches.len(), 2);

    // once more: nothing is done, nothing changes
    let before = files(&out);
    let again = experiment(&plan, &data, &out, &["--json"]).code(0);
    assert!(files(&out) == before, "something was written");
    assert_eq!(again.records().pop().unwrap(), table);
    assert!(
        !again.stderr.contains("epoch") && !again.stderr.contains("Scoring"),
        "{}",
        again.stderr
    );

    // one result is lost: only that one is measured again
    let lost = out.join("mpa/two/seed-2/measured/mpama-on-one.json");
    fs::remove_file(&lost).unwrap();
    let mended = experiment(&plan, &data, &out, &["--json"]).code(0);
    assert_eq!(
        mended.stderr.matches("Scoring images").count(),
        1,
        "{}",
        mended.stderr
    );
    assert_eq!(mended.records().pop().unwrap()["rows"], table["rows"]);

    // other settings are other runs: they are refused, not mixed in
    experiment(
        &plan,
        &data,
        &out,
        &["--set", "stage-one.learning-rate=0.5"],
    )
    .refused(&["seed 1", "started differently", "learning-rate"]);
    let mut expected = before;
    for (name, bytes) in &mut expected {
        if *name == text(lost.strip_prefix(&out).unwrap()) {
            *bytes = fs::read(&lost).unwrap(); // measured anew, in another time
        }
    }
    assert!(files(&out) == expected, "a refused run wrote something");
}

#[test]
fn a_killed_experiment_ends_where_an_unbroken_one_does() {
    let Ground { folder, plan } = ground();
    let data = text(&folder.path().join("data"));
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let more = [
        "--seeds",
        "1",
        "--variant",
        "MPAMA",
        "--set",
        "stage-one.epochs=6",
    ];
    experiment(&plan, &data, &whole, &more).code(0);

    let arguments = [
        "experiment",
        &text(&plan),
        "--data",
        &data,
        "--clip",
        &clip(),
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(["--out".to_owned(), text(&broken)])
    .chain(QUICK.iter().chain(&more).map(|word| (*word).to_owned()));
    let mut child = bench::mpama()
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = broken.join("mpa/one/seed-1/metrics.jsonl");
    let lines = || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    while lines() < 4 {
        assert!(child.try_wait().unwrap().is_none(), "it was over too early");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!broken.join("mpa/one/seed-1/adapter").exists());

    experiment(&plan, &data, &broken, &more).code(0);
    for name in ["mpa/one/seed-1/adapter", "mpa/two/seed-1/adapter"] {
        assert_eq!(
            files(&whole.join(name)),
            files(&broken.join(name)),
            "{name}"
        );
    }
    let rows = |out: &Path| {
        let table = json(&out.join("table.json"));
        table["rows"][0]["figures"].clone()
    };
    assert_eq!(rows(&whole), rows(&broken));
}

#[test]
fn prompts_are_learned_once_for_all_pools_of_experts() {
    let Ground { folder, plan } = ground();
    let wide =
        PLAN.to_owned() + "[[variant]]\nname = 'wide'\nset = ['model.experts.learnable=5']\n";
    fs::write(&plan, wide).unwrap();
    let data = text(&folder.path().join("data"));
    let (both, alone) = (folder.path().join("both"), folder.path().join("alone"));
    let seed = ["--seeds", "1", "--variant", "wide"];
    let dry = [&seed[..], &["--variant", "MPAMA", "--dry-run", "--json"]].concat();
    let left = experiment(&plan, &data, &both, &dry).code(0).records();
    assert_eq!(left[0]["left"]["steps"], serde_json::json!([4, 8]));

    let ran = experiment(
        &plan,
        &data,
        &both,
        &[&seed[..], &["--variant", "MPAMA"]].concat(),
    );
    let ran = ran.code(0);
    assert_eq!(
        ran.stderr.matches("Stage one is that of").count(),
        2,
        "{}",
        ran.stderr
    );
    experiment(&plan, &data, &alone, &seed).code(0);
    let log = fs::read_to_string(both.join("wide/one/seed-1/metrics.jsonl")).unwrap();
    assert!(!log.contains("\"stage\":\"one\"") && log.contains("\"stage\":\"two\""));
    for name in [
        "wide/one/seed-1/adapter-mpa",
        "wide/two/seed-1/adapter-mpa",
        "wide/one/seed-1/adapter",
    ] {
        assert_eq!(files(&both.join(name)), files(&alone.join(name)), "{name}");
    }
    // an experiment that is gone through again leaves them as they are
    let before = files(&both);
    experiment(
        &plan,
        &data,
        &both,
        &[&seed[..], &["--variant", "MPAMA"]].concat(),
    )
    .code(0);
    assert!(files(&both) == before);
}

#[test]
fn a_dry_run_tells_what_is_left_and_writes_nothing() {
    let Ground { folder, plan } = ground();
    let data = text(&folder.path().join("data"));
    let out = folder.path().join("out");
    let dry = || {
        let ran = experiment(&plan, &data, &out, &["--dry-run", "--json"]).code(0);
        ran.records().pop().unwrap()
    };
    let all = dry();
    assert!(!out.exists());
    assert_eq!(all["type"], "experiment-plan");
    // AnomalyCLIP's runs and those that MPA and MPAMA share, on two datasets with two seeds
    assert_eq!(
        (&all["runs"], &all["measurements"]),
        (&8.into(), &12.into())
    );
    let left = &all["left"];
    // 10 and 9 images, each once for all variants and seeds
    assert_eq!(left["images_to_encode"], 19);
    // 2 steps of one epoch of each run in stage one; only half of the runs have a stage two
    assert_eq!(left["steps"], serde_json::json!([16, 8]));
    assert_eq!(left["images_to_score"], 2 * 3 * 19);
    assert!(all["seconds"].as_f64().unwrap() > 0.0);
    for part in ["encode", "stage_one", "stage_two"] {
        assert!(all["pace"][part].as_f64().unwrap() > 0.0, "{part}");
    }
    // 16 patches of 14 px: no less than their features
    assert!(all["disk"]["features"].as_u64().unwrap() > 19 * 56 * 56);

    experiment(&plan, &data, &out, &["--seeds", "1"]).code(0);
    let half = dry();
    assert_eq!(half["left"]["images_to_encode"], 0);
    assert_eq!(half["left"]["steps"], serde_json::json!([8, 4]));
    assert_eq!(half["left"]["measurements"], 6);
    experiment(&plan, &data, &out, &[]).code(0);
    let none = dry();
    assert_eq!(none["left"]["runs"], 0);
    assert_eq!(none["seconds"], 0.0);
}

#[test]
fn the_committed_plans_run() {
    // the plan with most kinds of variants, whole but for its size
    let Ground { folder, .. } = ground();
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/experiments");
    let data: Vec<String> = [("mvtec", "one"), ("visa", "two")]
        .iter()
        .map(|(name, at)| format!("{name}={}", text(&folder.path().join("data").join(at))))
        .collect();
    let out = folder.path().join("table-3");
    let more = ["--data", &data[1], "--seeds", "111"];
    let ran = experiment(&plans.join("table-3.toml"), &data[0], &out, &more).code(0);
    let rows = [
        "none (AnomalyCLIP)",
        "T1",
        "T1 + T2 (MPA)",
        "T1 + T3",
        "T1 + T2 + T3 (MPAMA)",
    ];
    for row in rows {
        assert_eq!(
            ran.stdout
                .lines()
                .filter(|line| line.split("  ").next() == Some(row))
                .count(),
            2,
            "`{row}` in {}",
            ran.stdout
        );
    }
    assert!(
        ran.stdout.contains("97.6") && ran.stdout.contains("88.6"),
        "the paper's"
    );
    // the others are at least scheduled
    for entry in fs::read_dir(plans).unwrap() {
        let plan = entry.unwrap().path();
        let name = plan.file_stem().unwrap().to_owned();
        if name == "table-2" {
            continue; // has none of these two to test on
        }
        let out = folder.path().join("dry");
        // windows of six patches need as many
        let size = ["--set", "model.image-size=84"];
        let more = [&["--data", &data[1], "--dry-run"], &size[..]].concat();
        experiment(&plan, &data[0], &out, &more).code(0);
        assert!(!out.exists());
    }
}

#[test]
fn what_cannot_be_done_is_said_before_the_work() {
    let Ground { folder, plan } = ground();
    let out = folder.path().join("out");
    let one = format!("one={}", text(&folder.path().join("data/one")));
    experiment(&plan, &one, &out, &[]).refused(&["nothing can be both trained and tested", "two"]);
    experiment(&plan, "three=x", &out, &[]).refused(&["no dataset `three`", "one, two"]);
    let data = text(&folder.path().join("data"));
    experiment(&plan, &data, &out, &["--variant", "none"]).refused(&["no variant `none`", "MPAMA"]);
    fs::write(&plan, PLAN.replace("levels=[1]", "levels=[0]")).unwrap();
    experiment(&plan, &data, &out, &[]).refused(&["perception.levels"]);
    fs::write(&plan, "title = 'x'").unwrap();
    experiment(&plan, &data, &out, &[]).refused(&["plan ", "metrics"]);
    assert!(!out.exists());
}
