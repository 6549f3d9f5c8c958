//! `mpama experiment`: every variant of a plan trained with every seed, measured and tabulated. Repeated, it
//! does what is left.

mod dry;

use std::cell::OnceCell;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use candle_core::Device;
use mpama_core::clip::Checkpoint;
use mpama_core::config::VisionConfig;
use mpama_core::{Adapter, AdapterConfig, Detector};
use mpama_datasets::Dataset;
use mpama_train::eval::{EvalConfig, evaluate};
use mpama_train::{Backbone, Control, Event, Stages, Start, TrainConfig};

use super::Outcome;
use super::watch::Watch;
use crate::cli::{Experiment, Global};
use crate::experiment::{Before, Given, Measurement, Plan, Run, Schedule, Speed, Table, Work};
use crate::files::{writable_folder, write_whole};
use crate::interrupt;
use crate::model::{Loaded, backbone};
use crate::output::{Output, Record, count, shown, snake_case};
use crate::problem::Mistake;
use crate::progress::duration;
use crate::report::Saved;

/// A backbone and where it runs.
struct Ground<'a> {
    clip: &'a Checkpoint,
    name: String,
    /// Its commit, if it is from the Hub.
    revision: Option<String>,
    device: Device,
    fingerprint: OnceCell<String>,
}

impl Ground<'_> {
    /// Of the vision tower: what adapters know their backbone by.
    fn fingerprint(&self) -> anyhow::Result<&str> {
        if let Some(known) = self.fingerprint.get() {
            return Ok(known);
        }
        let options = VisionConfig::default().options(self.clip.config().vision.blocks.layers);
        let tower = self.clip.vision(&options, &Device::Cpu)?;
        Ok(self
            .fingerprint
            .get_or_init(|| tower.fingerprint().to_owned()))
    }
}

/// Runs what is left of a plan, or says what that is.
pub(crate) fn run(args: &Experiment, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let plan = Plan::read(&args.plan)?;
    let given = Given::open(&plan, &args.data)?;
    let seeds = match args.seeds.is_empty() {
        true => plan.seeds.clone(),
        false => args.seeds.clone(),
    };
    let schedule = Schedule::new(&plan, &given, &args.out, &args.variant, &seeds, &args.set)?;
    for name in &schedule.absent {
        output.warn(format_args!(
            "no dataset `{name}`: what needs it is left out; give it with --data {name}=DIR"
        ));
    }
    if args.dry_run {
        return dry::show(args, &plan, &given, &schedule, &seeds, global, output);
    }

    let place = backbone(args.clip.as_deref(), global, output)?;
    let clip = Checkpoint::open(&place.folder)?;
    let ground = Ground {
        clip: &clip,
        name: place.name,
        revision: place.revision,
        device: global.device.open()?,
        fingerprint: OnceCell::new(),
    };
    writable_folder(&args.out)?;
    interrupt::listen(output.talks())?;
    write_whole(&args.out.join("plan.toml"), plan.text.as_bytes())?;
    let mut experiment = Session {
        plan: &plan,
        given: &given,
        schedule: &schedule,
        ground: &ground,
        speed: Speed::of_runs(&schedule.runs),
        failed: 0,
        output,
    };
    for (number, run) in schedule.runs.iter().enumerate() {
        let training = &plan.trainings[run.training];
        let title = format!("{}, seed {}, on {}", run.variant, run.seed, training.on);
        let left = experiment.time_left(&schedule.runs[number..])?;
        output.note(format_args!(
            "[{}/{}] {title}{left}",
            number + 1,
            schedule.runs.len()
        ));
        let done = experiment
            .train(run)
            .and_then(|trained| match trained {
                Outcome::Done => experiment.measure(run),
                other => Ok(other),
            })
            .with_context(|| title.clone())?;
        if done != Outcome::Done {
            output.note("Stopped and saved; repeat the command to go on");
            output.record(
                "interrupted",
                serde_json::json!({ "out": shown(&args.out) }),
            )?;
            return Ok(Outcome::Interrupted);
        }
        // after every run, so that a long experiment can be watched
        tabulate(&plan, &schedule, &seeds, &args.out)?;
    }
    let table = tabulate(&plan, &schedule, &seeds, &args.out)?;
    for line in table.lines() {
        output.line(line)?;
    }
    for note in &table.notes {
        output.note(note);
    }
    output.record("experiment", &table)?;
    output.note(format_args!("Wrote {}", shown(&args.out.join("table.md"))));
    match experiment.failed {
        0 => Ok(Outcome::Done),
        failed => Err(Mistake::SomeFailed {
            failed,
            all: count(schedule.measurements(), "measurement"),
            list: "\n  images could not be read: the reports in the run folders name them"
                .to_owned(),
        }
        .into()),
    }
}

/// An experiment under way.
struct Session<'a> {
    plan: &'a Plan,
    given: &'a Given,
    schedule: &'a Schedule,
    ground: &'a Ground<'a>,
    speed: Speed,
    /// Measurements in which images could not be read.
    failed: usize,
    output: &'a Output,
}

impl Session<'_> {
    /// Trains a run, or the rest of it; one that is done is not touched.
    fn train(&mut self, run: &Run) -> anyhow::Result<Outcome> {
        let dataset = mpama_train::open_dataset(&run.config)?;
        if self.has(run, run.config.stage, &dataset)? {
            return Ok(Outcome::Done);
        }
        let mut config = run.config.clone();
        if self.take_prompts(run, &dataset)? {
            config.stage = Stages::Two;
        }
        let started = run.folder.join("config.toml").is_file();
        let start = if started { Start::Resume } else { Start::Fresh };
        let backbone = Backbone {
            checkpoint: self.ground.clip,
            id: &self.ground.name,
            revision: self.ground.revision.as_deref(),
        };
        let mut watch = Watch::new(self.output, config.stage);
        let speed = &mut self.speed;
        let mut encoding: Option<Instant> = None;
        let mut events = |event: Event| {
            match &event {
                Event::Checked { .. } => encoding = Some(Instant::now()),
                Event::Encoded { done, total, found } if done == total && done > found => {
                    let seconds = encoding.map_or(0.0, |since| since.elapsed().as_secs_f64());
                    speed.encoded(done - found, seconds);
                }
                Event::Step { stage, seconds, .. } => speed.stepped(*stage, *seconds),
                _ => {}
            }
            watch.event(event);
        };
        let mut control = Control::new(interrupt::flag(), &mut events);
        let ended = mpama_train::train(
            &config,
            &backbone,
            &run.folder,
            start,
            &self.ground.device,
            &mut control,
        )?;
        watch.finish()?;
        Ok(match ended {
            mpama_train::Outcome::Done(_) => Outcome::Done,
            mpama_train::Outcome::Interrupted => Outcome::Interrupted,
        })
    }

    /// Whether a run has ended with these stages, its settings, this backbone and this data.
    fn has(&self, run: &Run, stages: Stages, dataset: &Dataset) -> anyhow::Result<bool> {
        let last = match stages {
            Stages::One => "adapter-mpa",
            _ => "adapter",
        };
        let adapter = run.folder.join(last);
        let recorded = run.folder.join("config.toml");
        if !adapter.is_dir() || !recorded.is_file() {
            return Ok(false);
        }
        let text = std::fs::read_to_string(&recorded)
            .map_err(|error| Mistake::file("read", &recorded, error))?;
        let recorded = TrainConfig::parse(&text, &shown(&recorded))?;
        let adapter = Adapter::load(&adapter, &Device::Cpu)?.config;
        let hash = dataset.index_hash();
        let same_data = adapter.training.is_some_and(|t| t.index_hash == hash);
        let same_backbone = adapter.base_model.fingerprint == self.ground.fingerprint()?;
        let same_settings = run.config.differences(&recorded)?.is_empty();
        Ok(same_data && same_backbone && same_settings)
    }

    /// Gives a run that has not begun the prompts of another one that has learned the very same, as if it had
    /// learned them itself: its stage one would end with these bytes.
    fn take_prompts(&self, run: &Run, dataset: &Dataset) -> anyhow::Result<bool> {
        let begun = run.folder.join("checkpoint.safetensors").exists();
        if run.config.stage == Stages::One || begun {
            return Ok(false);
        }
        let settings = run.of_stage_one();
        for other in &self.schedule.runs {
            let same = other.folder != run.folder && other.of_stage_one() == settings;
            if !same || !self.has(other, Stages::One, dataset)? {
                continue;
            }
            let mut prompts = Adapter::load(&other.folder.join("adapter-mpa"), &Device::Cpu)?;
            prompts.config.model = run.config.model.clone();
            let epochs = [run.config.stage_one.epochs, 0];
            if let Some(training) = &mut prompts.config.training {
                training.epochs = epochs;
            }
            // the settings first, and never over others: with them alone the run learns its own prompts
            let recorded = run.folder.join("config.toml");
            if !recorded.is_file() {
                writable_folder(&run.folder)?;
                write_whole(&recorded, run.config.to_toml()?.as_bytes())?;
            }
            prompts.save(&run.folder.join("adapter-mpa"))?;
            self.output.note(format_args!(
                "Stage one is that of {}",
                shown(&other.folder)
            ));
            return Ok(true);
        }
        Ok(false)
    }

    /// Measures what has not been measured of a trained run.
    fn measure(&mut self, run: &Run) -> anyhow::Result<Outcome> {
        let mut vision = None;
        for measurement in &run.measurements {
            let Some(dataset) = self.given.get(&measurement.test) else {
                continue;
            };
            let adapter = run.folder.join(measurement.adapter.folder());
            let config = Adapter::load(&adapter, &Device::Cpu)?.config;
            if let Some(saved) = measured(measurement, dataset, &config)? {
                self.failed += usize::from(!saved.datasets[0].failures.is_empty());
                continue;
            }
            let device = &self.ground.device;
            let tower = match vision.take() {
                Some(tower) => tower,
                None => {
                    let layers = self.ground.clip.config().vision.blocks.layers;
                    let options = config.model.vision.options(layers);
                    self.ground.clip.vision(&options, device)?
                }
            };
            let name = shown(&adapter);
            let adapter = Adapter::load(&adapter, device)?;
            let loaded = Loaded {
                method: adapter.method(),
                config,
                detector: Detector::new(tower.clone(), adapter)?,
                name,
                device: device.clone(),
            };
            vision = Some(tower);
            let defaults = EvalConfig::default();
            let config = EvalConfig {
                batch_size: self.plan.batch_size.unwrap_or(defaults.batch_size),
                per_image: true,
                figures: true,
                ..defaults
            };
            let mut watch = Watch::new(self.output, Stages::Both);
            let mut events = |event| watch.event(event);
            let mut control = Control::new(interrupt::flag(), &mut events);
            let ended = evaluate(&loaded.detector, dataset, &config, &mut control)?;
            watch.finish()?;
            let mpama_train::Outcome::Done(report) = ended else {
                return Ok(Outcome::Interrupted);
            };
            self.speed.scored(dataset.samples.len(), report.seconds);
            self.failed += usize::from(!report.failures.is_empty());
            if let Some(folder) = measurement.file.parent() {
                writable_folder(folder)?;
            }
            Saved::new(&loaded, vec![report], None)?.write(&measurement.file)?;
        }
        Ok(Outcome::Done)
    }

    /// How long these runs will take, in brackets; nothing if that is not known.
    fn time_left(&self, runs: &[Run]) -> mpama_train::Result<String> {
        let (mut left, mut before) = (Work::default(), Before::default());
        for run in runs {
            left = left.and(Work::left(run, self.given, &mut before)?);
        }
        let seconds = self.speed.total(&left).filter(|seconds| *seconds >= 1.0);
        Ok(seconds.map_or_else(String::new, |seconds| {
            let time = duration(Duration::from_secs_f64(seconds));
            format!("  (about {time} left)")
        }))
    }
}

/// What was measured before, if it was of this adapter and these images.
fn measured(
    measurement: &Measurement,
    dataset: &Dataset,
    adapter: &AdapterConfig,
) -> anyhow::Result<Option<Saved>> {
    if !measurement.file.is_file() {
        return Ok(None);
    }
    let saved = Saved::read(&measurement.file)?;
    let same_images =
        saved.datasets.len() == 1 && saved.datasets[0].index_hash == dataset.index_hash();
    let same_adapter = saved.adapter_config == snake_case(serde_json::to_value(adapter)?);
    Ok(Some(saved).filter(|_| same_images && same_adapter))
}

/// Writes table.md, table.csv and table.json.
fn tabulate(plan: &Plan, schedule: &Schedule, seeds: &[u64], out: &Path) -> anyhow::Result<Table> {
    let scores = |file: &Path| {
        let saved = file.is_file().then(|| Saved::read(file).ok()).flatten()?;
        Some(saved.datasets.first()?.mean)
    };
    let table = Table::new(plan, schedule, seeds, scores);
    write_whole(&out.join("table.md"), table.markdown().as_bytes())?;
    write_whole(&out.join("table.csv"), &table.csv()?)?;
    let json = serde_json::to_string_pretty(&Record::new("experiment", &table))? + "\n";
    write_whole(&out.join("table.json"), json.as_bytes())?;
    Ok(table)
}
