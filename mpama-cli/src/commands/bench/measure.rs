//! Round after round through the code of `mpama predict`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mpama_core::preprocess::{Orientation, Picture};
use mpama_core::throughput;
use mpama_train::eval::peak_memory;

use super::machine::Machine;
use super::report::{Report, Stage, Tower};
use super::subject::Subject;
use crate::commands::predict::pass::{self, Times, timed};
use crate::interrupt;
use crate::output::{Output, count};
use crate::problem::Mistake;

/// A step's name, and where its time is found.
type Step = (&'static str, fn(&Times) -> Duration);

const STEPS: [Step; 6] = [
    ("decode", |times| times.decode),
    ("resize", |times| times.resize),
    ("tower", |times| times.tower),
    ("maps", |times| times.maps),
    ("smooth", |times| times.smooth),
    ("write", |times| times.write),
];

/// Measures so many rounds after one to warm up; `None` if Ctrl-C came before the end.
pub(super) fn rounds(
    subject: &Subject,
    machine: Machine,
    rounds: usize,
    output: &Output,
) -> anyhow::Result<Option<Report>> {
    let folder = Scratch::new()?;
    let mut taken = Vec::new();
    output.progress().start("Measuring", rounds + 1, 0, 1);
    for round in 0..=rounds {
        if interrupt::requested() {
            return Ok(None);
        }
        let times = once(subject, &folder)?;
        if round > 0 {
            taken.push(times);
        }
        let message = if round == 0 { "warm" } else { "" };
        output.progress().advance(round + 1, message);
    }
    output.progress().finish(&count(rounds, "round"));
    let peak_memory = peak_memory();
    let peak = throughput();

    let batch = subject.work.batch as f64;
    let stage = |name: &str, time: &dyn Fn(&Times) -> Duration| {
        let ms = taken.iter().map(|t| time(t).as_secs_f64() * 1e3 / batch);
        Stage::new(name, ms.collect())
    };
    let mut stages: Vec<Stage> = STEPS.iter().map(|(name, time)| stage(name, time)).collect();
    stages.push(stage("all", &|times| {
        STEPS.iter().map(|(_, time)| time(times)).sum()
    }));
    let tower = stage("tower", &|times| times.tower);
    let vision = subject.loaded.detector.vision();
    let gflop = vision.operations(subject.size.height, subject.size.width) as f64 / 1e9;
    let per_second = |ms: f64| gflop / (ms / 1e3);
    Ok(Some(Report {
        mpama: env!("CARGO_PKG_VERSION").to_owned(),
        machine,
        subject: subject.named.clone(),
        work: subject.work.clone(),
        load_ms: subject.load.map(|time| time.as_secs_f64() * 1e3),
        tower: Tower {
            gflop,
            gflop_per_second: per_second(tower.median_ms),
            best_gflop_per_second: per_second(tower.best_ms),
            share_of_peak: per_second(tower.median_ms) * 1e9 / peak.all_threads,
        },
        stages,
        peak,
        peak_memory,
        compared: None,
    }))
}

/// A batch of photographs, from bytes to files.
fn once(subject: &Subject, folder: &Scratch) -> anyhow::Result<Times> {
    let mut times = Times::default();
    let decode = || Picture::decode(&subject.photo, &subject.photo_name, Orientation::Ignore);
    let pictures = (0..subject.work.batch)
        .map(|_| timed(&mut times.decode, decode))
        .collect::<Result<Vec<_>, _>>()?;
    let predictions = pass::score(&subject.loaded, subject.size, &pictures, &mut times)?;
    for (number, (picture, prediction)) in pictures.iter().zip(&predictions).enumerate() {
        let name = folder.0.join(number.to_string());
        pass::draw(&name, &prediction.map, picture, false, &mut times)?;
    }
    Ok(times)
}

/// A folder for heatmaps, which goes in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Mistake> {
        let path = std::env::temp_dir().join(format!("mpama-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| Mistake::file("create", &path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left is small, and in a place for such
    }
}
