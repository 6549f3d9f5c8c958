//! `train` from the outside: what it leaves behind, and that stopping it at any moment changes
//! nothing.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bench::{clip, dataset, files, mpama, run, text, training};
use tempfile::TempDir;

/// Starts a training run and leaves it running.
fn start(arguments: &[String]) -> Child {
    mpama()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until `reached` holds; false if the process ended before.
fn wait_until(child: &mut Child, reached: impl Fn() -> bool) -> bool {
    let started = Instant::now();
    while !reached() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "the run does not get on"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Enough steps that a kill finds the run at work.
const LONGER: [&str; 6] = [
    "--set",
    "stage-one.epochs=12",
    "--set",
    "stage-two.epochs=12",
    "--set",
    "checkpoint-every=2",
];

fn arguments(data: &Path, how: &str, folder: &Path) -> Vec<String> {
    training(
        data,
        &clip(),
        &[&LONGER[..], &[how, &text(folder)]].concat(),
    )
}

#[test]
fn killed_at_any_moment_a_run_continues_to_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    run(arguments(&data, "--out", &whole)).code(0);

    // what is on the disk at the moment of each kill: while encoding, and in both stages
    let shards = || {
        let folder = fs::read_dir(broken.join("features"));
        let names = folder
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .map(|entry| entry.file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".safetensors"))
            .count()
    };
    let steps = || lines(&broken.join("metrics.jsonl"));
    let moments: [(&str, &dyn Fn() -> bool); 5] = [
        ("encoding", &|| shards() >= 2),
        ("first steps", &|| steps() >= 1),
        ("stage one", &|| steps() >= 11),
        ("the adapter of stage one", &|| {
            broken.join("adapter-mpa").exists()
        }),
        ("stage two", &|| steps() >= 29),
    ];
    let mut how = "--out";
    for (moment, reached) in moments {
        let mut child = start(&arguments(&data, how, &broken));
        let reached = wait_until(&mut child, reached);
        child.kill().unwrap(); // SIGKILL: no chance to tidy up
        child.wait().unwrap();
        assert!(reached, "the run was over before {moment}");
        how = "--resume";
    }
    assert!(
        !broken.join("adapter").exists(),
        "nothing was left to continue"
    );
    run(arguments(&data, "--resume", &broken)).code(0);
    for adapter in ["adapter-mpa", "adapter"] {
        assert_eq!(
            files(&whole.join(adapter)),
            files(&broken.join(adapter)),
            "{adapter}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_says_how_to_go_on() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run(arguments(&data, "--out", &whole)).code(0);

    let mut child = start(&arguments(&data, "--out", &stopped));
    assert!(wait_until(&mut child, || lines(
        &stopped.join("metrics.jsonl")
    ) >= 5));
    let sent = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains(&format!("mpama train --resume {}", text(&stopped))),
        "{said}"
    );
    assert!(!stopped.join("adapter").exists());

    // as it says: no other settings are needed
    run(["train", "--resume", &text(&stopped), "--clip", &clip()]).code(0);
    assert_eq!(
        files(&whole.join("adapter")),
        files(&stopped.join("adapter"))
    );
}

#[test]
fn same_seed_same_bytes_other_seed_other_bytes() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let train = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        run(training(
            &data,
            &clip(),
            &["--out", &text(&out), "--seed", seed],
        ))
        .code(0);
        files(&out.join("adapter"))
    };
    let first = train("a", "7");
    assert_eq!(first, train("b", "7"));
    assert_ne!(first, train("c", "8"));
}

#[test]
fn stages_can_be_trained_one_after_the_other() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let (both, apart) = (folder.path().join("both"), folder.path().join("apart"));
    run(training(&data, &clip(), &["--out", &text(&both)])).code(0);
    run(training(
        &data,
        &clip(),
        &["--out", &text(&apart), "--stage", "two"],
    ))
    .refused(&["stage one"]);
    let elsewhere = folder.path().join("elsewhere");
    let one = run(training(
        &data,
        &clip(),
        &["--out", &text(&elsewhere), "--stage", "one"],
    ))
    .code(0);
    assert!(one.stdout.trim_end().ends_with("adapter-mpa") && !elsewhere.join("adapter").exists());
    run(training(
        &data,
        &clip(),
        &["--resume", &text(&elsewhere), "--stage", "two"],
    ))
    .code(0);
    assert_eq!(
        files(&both.join("adapter")),
        files(&elsewhere.join("adapter"))
    );
}

#[test]
fn a_run_is_neither_overwritten_nor_continued_by_accident() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let out = text(&folder.path().join("run"));
    run(training(&data, &clip(), &["--resume", &out])).refused(&["no run to continue", "--out"]);
    run(training(&data, &clip(), &["--out", &out])).code(0);
    run(training(&data, &clip(), &["--out", &out])).refused(&["has a run already", "--resume"]);
    let other = ["--resume", &out, "--set", "stage-one.learning-rate=0.5"];
    run(training(&data, &clip(), &other)).refused(&[
        "started differently",
        "stage-one.learning-rate",
        "0.5",
    ]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let out = folder.path().join("run");
    let ran = run(training(
        &data,
        &clip(),
        &["--out", &text(&out), "--dry-run", "--json"],
    ))
    .code(0);
    let [plan] = &ran.records()[..] else {
        panic!("{}", ran.stdout)
    };
    assert_eq!(plan["type"], "plan");
    assert_eq!(
        (&plan["images"]["normal"], &plan["images"]["masks"]),
        (&5.into(), &5.into())
    );
    assert_eq!(plan["stages"][0]["steps"], 6);
    assert!(!out.exists());
}

#[test]
fn the_end_of_a_run_is_a_path_that_works() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let out = text(&folder.path().join("run"));
    let ran = run(training(&data, &clip(), &["--out", &out])).code(0);
    let adapter = ran.stdout.trim_end();
    assert!(
        ran.stderr.contains("mpama eval --adapter") && ran.stderr.contains("mpama predict"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        ran.stderr.matches("epoch 3/3").count(),
        2,
        "one line per epoch: {}",
        ran.stderr
    );
    run([
        "predict",
        &text(&data),
        "--clip",
        &clip(),
        "--adapter",
        adapter,
    ])
    .code(0);
    run(["info", adapter]).code(0);
}
