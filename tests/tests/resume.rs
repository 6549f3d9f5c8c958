//! A run that is stopped or dies, at any moment, ends with the bytes of one that was left alone.
#![allow(clippy::unwrap_used)]

mod small_run;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;

use mpama_train::{Error, Event, Line, Outcome, Stage, Start, TrainConfig};
use small_run::{bytes, config, draw, run};
use tempfile::{TempDir, tempdir};

/// What a run is worth, without the seconds its steps took.
#[derive(Debug, PartialEq)]
struct Result {
    mpa: Vec<(String, Vec<u8>)>,
    mpama: Vec<(String, Vec<u8>)>,
    features: Vec<(String, Vec<u8>)>,
    lines: Vec<Line>,
}

fn result(folder: &Path) -> Result {
    let metrics = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let line = |text: &str| Line {
        seconds: 0.0,
        ..serde_json::from_str(text).unwrap()
    };
    Result {
        mpa: bytes(&folder.join("adapter-mpa")),
        mpama: bytes(&folder.join("adapter")),
        features: bytes(&folder.join("features")),
        lines: metrics.lines().map(line).collect(),
    }
}

/// A dataset of 10 images, and the result of a run that was left alone: 3 shards, 6 + 6 steps.
fn reference() -> (TempDir, TempDir, TrainConfig, Result) {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat", "tile"], 2, 3);
    let config = config(data.path());
    let folder = home.path().join("left alone");
    let outcome = run(&config, &folder, Start::Fresh, |_, _| {}).unwrap();
    assert!(matches!(outcome, Outcome::Done(_)));
    let result = result(&folder);
    (data, home, config, result)
}

/// Whether an event is progress that the next process can build on.
fn progress(event: &Event) -> bool {
    match event {
        Event::Encoded { done, found, .. } => done > found,
        Event::Step { .. } => true,
        _ => false,
    }
}

fn start(times: usize) -> Start {
    if times == 0 {
        Start::Fresh
    } else {
        Start::Resume
    }
}

#[test]
fn a_run_stopped_after_every_few_steps_ends_with_the_same_bytes() {
    let (_data, home, config, expected) = reference();
    for every in 1..=4 {
        let folder = home.path().join(format!("stopped after {every}"));
        let mut stages = Vec::new();
        let mut times = 0;
        loop {
            let mut seen = 0;
            let outcome = run(&config, &folder, start(times), |event, stop| {
                seen += usize::from(progress(event));
                if seen == every {
                    stop.store(true, Ordering::Relaxed);
                }
                if let Event::StageStarted { stage, from, .. } = event {
                    stages.push((*stage, *from));
                }
            });
            if let Outcome::Done(_) = outcome.unwrap() {
                break;
            }
            times += 1;
            assert!(times <= 16, "no progress");
        }
        // 15 pieces of progress: it was stopped in the features and in both stages.
        assert!(times >= 14 / every, "stopped {times} times");
        assert!(
            every > 2
                || stages
                    .iter()
                    .any(|&(stage, from)| stage == Stage::Two && from > 0)
        );
        assert_eq!(result(&folder), expected, "stopped after every {every}");
    }
}

#[test]
fn a_run_that_dies_anywhere_ends_with_the_same_bytes() {
    // A panic while an event is told leaves the disk as a killed process would: no step is finished,
    // nothing is saved. Every event of the run is one such moment.
    let (_data, home, config, expected) = reference();
    let mut moment = 0;
    loop {
        let folder = home.path().join(format!("died at {moment}"));
        let mut seen = 0;
        let died = catch_unwind(AssertUnwindSafe(|| {
            run(&config, &folder, Start::Fresh, |_, _| {
                assert!(seen < moment, "died at event {moment}");
                seen += 1;
            })
        }));
        if let Ok(outcome) = died {
            assert!(matches!(outcome.unwrap(), Outcome::Done(_)));
            break;
        }
        let outcome = run(&config, &folder, Start::Resume, |_, _| {}).unwrap();
        assert!(matches!(outcome, Outcome::Done(_)));
        assert_eq!(result(&folder), expected, "died at event {moment}");
        moment += 1;
    }
    // 3 shards, 12 steps, 2 epochs twice, checkpoints and adapters.
    assert!(moment > 25, "{moment} events");
}

#[test]
fn a_finished_run_is_not_run_again() {
    let (_data, home, config, expected) = reference();
    let mut steps = 0;
    let folder = home.path().join("left alone");
    let outcome = run(&config, &folder, Start::Resume, |event, _| {
        steps += usize::from(matches!(event, Event::Step { .. }));
    });
    assert!(matches!(outcome.unwrap(), Outcome::Done(_)));
    assert_eq!(steps, 0);
    assert_eq!(result(&folder), expected);
}

#[test]
fn damaged_features_are_found_and_made_again() {
    let (_data, home, config, expected) = reference();
    let folder = home.path().join("left alone");
    let shard = |n: usize| folder.join(format!("features/features-0000{n}.safetensors"));
    let mut flipped = fs::read(shard(0)).unwrap();
    let last = flipped.len() - 9;
    flipped[last] ^= 0x10;
    fs::write(shard(0), flipped).unwrap();
    let whole = fs::read(shard(2)).unwrap();
    fs::write(shard(2), &whole[..whole.len() - 1]).unwrap();

    let mut discarded = Vec::new();
    let mut fresh = 0;
    let _ = run(&config, &folder, Start::Resume, |event, _| match event {
        Event::Discarded { path, .. } => discarded.push(path.clone()),
        Event::Encoded { done, found, .. } => fresh = done - found,
        _ => {}
    })
    .unwrap();
    assert_eq!(discarded, [shard(0), shard(2)]);
    assert_eq!(fresh, 6);
    assert_eq!(result(&folder), expected);
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let (_data, home, config, expected) = reference();
    let folder = home.path().join("left alone");
    let error = run(&config, &folder, Start::Fresh, |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "{error}");
    assert_eq!(result(&folder), expected);
    let somebodys = home.path().join("somebody's");
    fs::create_dir(&somebodys).unwrap();
    fs::write(somebodys.join("config.toml"), "mine = true").unwrap();
    let error = run(&config, &somebodys, Start::Fresh, |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }), "{error}");
    let nowhere = home.path().join("nowhere");
    let error = run(&config, &nowhere, Start::Resume, |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::NoRun { .. }), "{error}");
    assert!(!nowhere.exists());
}

#[test]
fn other_settings_or_data_do_not_continue_a_run() {
    let (data, home, config, expected) = reference();
    let folder = home.path().join("left alone");
    let mut other = config.clone();
    other.stage_two.epochs = 3;
    other.model.temperature = 0.1;
    let error = run(&other, &folder, Start::Resume, |_, _| {}).unwrap_err();
    match &error {
        Error::RunMismatch { differences, .. } => {
            let keys: Vec<&str> = differences.iter().map(|d| d.key.as_str()).collect();
            assert_eq!(keys, ["model.temperature", "stage-two.epochs"]);
        }
        other => panic!("{other}"),
    }
    assert_eq!(result(&folder), expected);

    fs::remove_file(data.path().join("mat/test/good/001.png")).unwrap();
    let error = run(&config, &folder, Start::Resume, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("`dataset index`"), "{error}");
}

#[test]
fn two_processes_do_not_share_a_run_folder() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 2, 2);
    let config = config(data.path());
    let mut refused = 0;
    let _ = run(&config, home.path(), Start::Fresh, |event, _| {
        if let Event::Step { step: 1, .. } = event {
            let error = run(&config, home.path(), Start::Resume, |_, _| {}).unwrap_err();
            assert!(matches!(error, Error::Busy { .. }), "{error}");
            refused += 1;
        }
    })
    .unwrap();
    assert_eq!(refused, 2); // once in each stage
}

#[test]
fn a_data_folder_may_move_between_two_parts_of_a_run() {
    let (data, home, mut config, expected) = reference();
    let folder = home.path().join("moved");
    let outcome = run(&config, &folder, Start::Fresh, |event, stop| {
        if let Event::Step { step: 3, .. } = event {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(outcome.unwrap(), Outcome::Interrupted);
    let elsewhere = home.path().join("elsewhere");
    fs::rename(data.path(), &elsewhere).unwrap();
    config.data.root = elsewhere;
    let _ = run(&config, &folder, Start::Resume, |_, _| {}).unwrap();
    assert_eq!(result(&folder), expected);
}
