//! What an experiment would do, and what that takes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::Duration;

use mpama_core::clip::Checkpoint;
use mpama_train::{Backbone, Pace, measure_pace};
use serde::Serialize;

use super::Outcome;
use crate::cli::{Experiment, Global};
use crate::experiment::{Before, Given, Plan, Run, Schedule, Speed, Work, cache_bytes};
use crate::hub;
use crate::model::device_name;
use crate::output::{Output, count, shown};
use crate::progress::duration;

/// What `--json` tells.
#[derive(Serialize)]
struct Answer<'a> {
    title: &'a str,
    variants: usize,
    seeds: &'a [u64],
    runs: usize,
    measurements: usize,
    absent: &'a [String],
    left: Left,
    /// Bytes of feature caches and of adapters with their checkpoints; absent without a backbone.
    disk: Option<Disk>,
    /// Seconds that are left in all, and how that was estimated; absent without a backbone.
    seconds: Option<f64>,
    pace: Option<Pace>,
}

#[derive(Serialize)]
struct Left {
    runs: usize,
    measurements: usize,
    images_to_encode: usize,
    steps: [usize; 2],
    images_to_score: usize,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Disk {
    features: u64,
    runs: u64,
}

/// Says it; writes nothing.
pub(super) fn show(
    args: &Experiment,
    plan: &Plan,
    given: &Given,
    schedule: &Schedule,
    seeds: &[u64],
    global: &Global,
    output: &Output,
) -> anyhow::Result<Outcome> {
    let (mut work, mut before) = (Work::default(), Before::default());
    let (mut runs_left, mut measurements_left) = (0, 0);
    for run in &schedule.runs {
        let left = Work::left(run, given, &mut before)?;
        runs_left += usize::from(left.encode + left.steps[0] + left.steps[1] > 0);
        measurements_left += run
            .measurements
            .iter()
            .filter(|m| !m.file.is_file())
            .count();
        work = work.and(left);
    }
    output.line(&plan.title)?;
    for name in plan.datasets() {
        if let Some(dataset) = given.get(name) {
            let counts = dataset.counts();
            output.line(format_args!(
                "  {name:<12} {} normal, {} anomalous: {}",
                counts.normal,
                counts.anomalous,
                shown(&dataset.root)
            ))?;
        }
    }
    output.line(format_args!(
        "runs      {} for {} and {}; {runs_left} to do",
        schedule.runs.len(),
        count(plan.variants.len(), "variant"),
        count(seeds.len(), "seed"),
    ))?;
    output.line(format_args!(
        "tests     {}; {measurements_left} to do",
        schedule.measurements()
    ))?;
    output.line(format_args!(
        "work      {} to encode, {} + {} steps of stage one and two, {} to score",
        count(work.encode, "image"),
        work.steps[0],
        work.steps[1],
        count(work.score, "image")
    ))?;
    let (mut disk, mut seconds, mut pace) = (None, None, None);
    match args.clip.as_deref() {
        None => output.note("Give --clip for an estimate of disk and time"),
        Some(given) => {
            let place = hub::place("backbone", given, global, output)?;
            let clip = Checkpoint::open(&place.folder)?;
            let needed = space(schedule, &clip)?;
            output.line(format_args!(
                "disk      up to {} of features, about {} of adapters and checkpoints",
                gigabytes(needed.features),
                gigabytes(needed.runs)
            ))?;
            disk = Some(needed);
            let mut speed = Speed::of_runs(&schedule.runs);
            let mut how = "the steps that these runs have logged";
            let device = global.device.open()?;
            if speed.total(&work).is_none() {
                let config = typical(schedule).map(|run| &run.config);
                if let Some(config) = config {
                    output.note("Timing one image and small steps of each stage");
                    let backbone = Backbone {
                        checkpoint: &clip,
                        id: &place.name,
                        revision: place.revision.as_deref(),
                    };
                    let measured = measure_pace(config, &backbone, &device)?;
                    how = match speed.knows_steps() {
                        true => {
                            "one image timed just now and the steps that these runs have logged"
                        }
                        false => "one image and small steps of each stage, timed just now",
                    };
                    speed = speed.or(&measured);
                    pace = Some(measured);
                }
            }
            if let Some(parts) = speed.time(&work) {
                let total: f64 = parts.iter().sum();
                let said = parts.map(|part| duration(Duration::from_secs_f64(part)));
                let [encode, one, two, score] = said;
                output.line(format_args!(
                    "time      about {} on {}: encoding {encode}, stage one {one}, stage two {two}, scoring \
                     {score}; from {how}. Reading files and the metrics come on top",
                    duration(Duration::from_secs_f64(total)),
                    device_name(&device),
                ))?;
                seconds = Some(total);
            }
        }
    }
    for note in &plan.notes {
        output.note(note);
    }
    output.line(format_args!(
        "out       {} (nothing was written)",
        shown(&args.out)
    ))?;
    output.record(
        "experiment-plan",
        Answer {
            title: &plan.title,
            variants: plan.variants.len(),
            seeds,
            runs: schedule.runs.len(),
            measurements: schedule.measurements(),
            absent: &schedule.absent,
            left: Left {
                runs: runs_left,
                measurements: measurements_left,
                images_to_encode: work.encode,
                steps: work.steps,
                images_to_score: work.score,
            },
            disk,
            seconds,
            pace,
        },
    )?;
    Ok(Outcome::Done)
}

/// The run whose steps are timed: the one with most windows that goes through both stages, so that the
/// estimate errs to the long side.
fn typical(schedule: &Schedule) -> Option<&Run> {
    schedule.runs.iter().max_by_key(|run| {
        let both = run.config.stage.include(mpama_train::Stage::Two);
        (both, run.config.model.perception.levels.len())
    })
}

/// What everything takes on the disk in the end, what is there already included.
fn space(schedule: &Schedule, clip: &Checkpoint) -> anyhow::Result<Disk> {
    let config = clip.config();
    let mut disk = Disk::default();
    let mut caches: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for run in &schedule.runs {
        let settings = &run.config;
        let folder = settings.features.folder.clone().unwrap_or_default();
        if let Entry::Vacant(cache) = caches.entry(folder) {
            let images = mpama_train::open_dataset(settings)?.samples.len();
            let bytes = images * cache_bytes(settings, &config.vision);
            cache.insert(bytes as u64);
        }
        // experts and bridge are the large parts; a checkpoint has each number three times
        let experts = settings.model.experts.learnable;
        let expert = config.vision.blocks.width * config.projection;
        let bridge = 3 * config.text.blocks.width * config.text.blocks.width;
        let one = 4 * bridge as u64;
        let two = 4 * (experts * expert) as u64;
        disk.runs += match settings.stage.include(mpama_train::Stage::Two) {
            true => 2 * one + two + 3 * one.max(two),
            false => 4 * one,
        };
    }
    disk.features = caches.values().sum();
    Ok(disk)
}

fn gigabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}
