//! `datasets synth` from the outside: what it draws, and that stopping it changes nothing.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench::{files, mpama, run, text};
use tempfile::TempDir;

/// Two categories, small.
const FEW: [&str; 8] = [
    "--categories",
    "nut,bolt",
    "--size",
    "48",
    "--good",
    "2",
    "--defective",
    "3",
];

fn synth<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["datasets", "synth", "--out", out][..], &FEW, more].concat()
}

#[test]
fn what_is_drawn_is_a_dataset() {
    let folder = TempDir::new().unwrap();
    let out = text(&folder.path().join("drawn"));
    let record = &run(synth(&out, &["--json", "--train", "1"]))
        .code(0)
        .records()[0];
    assert_eq!(
        (&record["type"], &record["drawn"], &record["found"]),
        (&"synth".into(), &12.into(), &0.into())
    );
    assert_eq!(record["categories"], serde_json::json!(["bolt", "nut"]));
    let info = &run(["info", "--json", &out]).code(0).records()[0];
    assert_eq!(info["layout"], "mvtec", "{info}");
    assert!(folder.path().join("drawn/bolt/train/good/000.png").exists());

    let again = run(synth(&out, &["--json", "--train", "1"])).code(0);
    assert_eq!(again.records()[0]["found"], 12);
    let plain = run(synth(&out, &["--train", "1"])).code(0);
    assert_eq!(plain.stdout, format!("{out}\n"));
    assert!(
        plain.stderr.contains("mpama train --data"),
        "{}",
        plain.stderr
    );
}

#[test]
fn the_seed_decides_the_bytes() {
    let folder = TempDir::new().unwrap();
    let draw = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        run(synth(&text(&out), &["--seed", seed])).code(0);
        let mut images = files(&out);
        images.retain(|(name, _)| name.ends_with(".png"));
        images
    };
    let first = draw("a", "7");
    assert_eq!(first.len(), 2 * (2 + 3 + 3));
    assert_eq!(first, draw("b", "7"));
    assert_ne!(first, draw("c", "8"));
}

#[test]
fn the_list_names_what_can_be_drawn() {
    let ran = run(["datasets", "synth", "--list"]).code(0);
    assert!(ran.stdout.lines().count() >= 20, "{}", ran.stdout);
    let bolt = ran.stdout.lines().find(|line| line.starts_with("bolt "));
    assert!(bolt.unwrap().contains("object"), "{}", ran.stdout);
    let records = run(["datasets", "synth", "--list", "--json"])
        .code(0)
        .records();
    assert_eq!(records.len(), ran.stdout.lines().count());
    assert!(records.iter().all(|category| {
        let defects = category["defects"].as_array().unwrap();
        category["type"] == "category" && !defects.is_empty()
    }));
}

#[test]
fn mistakes_are_explained() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    let with =
        |out: &str, words: &[&str]| run(["datasets", "synth", "--out", out].iter().chain(words));
    with(&at("a"), &["--categories", "bolt,nutt"]).refused(&["`nutt`", "did you mean `nut`"]);
    with(&at("a"), &["--categories", "zzz"]).refused(&["`zzz`", "--list"]);
    with(&at("a"), &["--size", "5"]).refused(&["size 5", "--size"]);
    with(&at("a"), &["--good", "0", "--defective", "0"]).refused(&["no image", "--good"]);
    assert!(!Path::new(&at("a")).exists(), "nothing was asked for");

    std::fs::write(folder.path().join("file"), "x").unwrap();
    run(synth(&at("file"), &[])).refused(&["not a folder", "--out"]);
    run(synth(&at("file/below"), &[])).refused(&["cannot write"]);
    run(synth(&text(folder.path()), &[])).refused(&["not empty", "`file`"]);
    run(synth(&at("b"), &[])).code(0);
    run(synth(&at("b"), &["--seed", "9"])).refused(&["other options"]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_drawing_is_completed_by_repeating_the_command() {
    let folder = TempDir::new().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    let more = ["--defective", "40", "--size", "96"];
    let arguments = |out: &Path| -> Vec<String> {
        let few = ["--categories", "bolt", "--good", "40"];
        ["datasets", "synth", "--out", &text(out)]
            .iter()
            .chain(&few)
            .chain(&more)
            .map(|word| (*word).to_owned())
            .collect()
    };
    run(arguments(&whole)).code(0);

    let mut child = mpama()
        .args(arguments(&stopped))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // Names only: a file that is being written is renamed under the eyes of whoever opens it.
    let good = stopped.join("bolt/test/good");
    while fs::read_dir(&good).map_or(0, Iterator::count) < 3 {
        assert!(child.try_wait().unwrap().is_none(), "it was over too soon");
        assert!(started.elapsed() < Duration::from_secs(60), "it hangs");
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("repeat the command"), "{said}");
    assert!(files(&stopped).len() < files(&whole).len());

    run(arguments(&stopped)).code(0);
    assert_eq!(files(&whole), files(&stopped));
}
