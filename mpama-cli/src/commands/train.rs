//! `mpama train`: both stages, in a run folder.

use std::path::Path;
use std::time::Instant;

use mpama_core::clip::Checkpoint;
use mpama_train::{Backbone, Control, Start, TrainConfig};
use serde_json::json;

use super::{Outcome, config, plan, watch::Watch};
use crate::cli::{Global, Stages, Train};
use crate::interrupt;
use crate::model::backbone;
use crate::output::{LITERAL, Output, shown};
use crate::problem::Mistake;
use crate::progress::duration;
use crate::settings::Assignment;

/// Trains, or says what it would do.
pub(crate) fn run(args: &Train, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let (folder, start) = match (&args.out, &args.resume) {
        (_, Some(folder)) => (folder.as_path(), Start::Resume),
        (Some(folder), None) => (folder.as_path(), Start::Fresh),
        (None, None) => {
            return Err(Mistake::Missing {
                what: "run",
                flag: "--out",
                variable: None,
            }
            .into());
        }
    };
    let clip = backbone(args.clip.as_deref(), global, output)?;
    let config = settings(args, folder, start)?;
    let checkpoint = Checkpoint::open(&clip.folder)?;
    let device = global.device.open()?;
    let plan = plan::describe(&config, &checkpoint, &clip.name, &device)?;
    plan.show(folder, args.dry_run, output)?;
    if args.dry_run {
        return Ok(Outcome::Done);
    }

    interrupt::listen(output.talks())?;
    let started = Instant::now();
    let backbone = Backbone {
        checkpoint: &checkpoint,
        id: &clip.name,
        revision: clip.revision.as_deref(),
    };
    let mut watch = Watch::new(output, config.stage);
    let mut events = |event| watch.event(event);
    let mut control = Control::new(interrupt::flag(), &mut events);
    let ended = mpama_train::train(&config, &backbone, folder, start, &device, &mut control)?;
    watch.finish()?;

    let here = format!("--clip {clip}");
    match ended {
        mpama_train::Outcome::Done(trained) => {
            let adapter = shown(&trained.adapter);
            output.success(format_args!("Trained in {}", duration(started.elapsed())));
            output.line(&adapter)?;
            output.record(
                "run",
                json!({
                    "run": shown(folder), "adapter": adapter, "images": trained.images,
                    "seconds": started.elapsed().as_secs_f64(),
                }),
            )?;
            output.note(format_args!(
                "Next: {LITERAL}mpama eval --adapter {adapter} {here} --data DATASET{LITERAL:#}\n      \
                 {LITERAL}mpama predict IMAGES --adapter {adapter} {here} --maps maps{LITERAL:#}"
            ));
            Ok(Outcome::Done)
        }
        mpama_train::Outcome::Interrupted => {
            output.note(format_args!(
                "Stopped and saved. Continue: {LITERAL}mpama train --resume {} {here}{LITERAL:#}",
                shown(folder)
            ));
            output.record("interrupted", json!({ "run": shown(folder) }))?;
            Ok(Outcome::Interrupted)
        }
    }
}

/// The settings of the run. A continued run starts from its own, and what is typed is compared with
/// them.
fn settings(args: &Train, folder: &Path, start: Start) -> anyhow::Result<TrainConfig> {
    let mut given = args.settings.clone();
    let recorded = folder.join("config.toml");
    if start == Start::Resume && given.config.is_none() {
        if !recorded.is_file() {
            return Err(mpama_train::Error::NoRun {
                folder: folder.to_owned(),
            }
            .into());
        }
        given.config = Some(recorded);
    }
    let mut flags = Vec::new();
    let mut flag = |name: &str, key: &str, value: Option<toml::Value>| {
        flags.extend(value.map(|value| (name.to_owned(), Assignment::new(key, value))));
    };
    let stage = args.stage.map(|stage| match stage {
        Stages::One => "one",
        Stages::Two => "two",
        Stages::Both => "both",
    });
    flag(
        "--data",
        "data.root",
        args.data
            .as_ref()
            .map(|data| data.to_string_lossy().into_owned().into()),
    );
    flag(
        "--layout",
        "data.layout",
        args.layout.clone().map(Into::into),
    );
    flag("--stage", "stage", stage.map(Into::into));
    flag(
        "--seed",
        "seed",
        args.seed.map(i64::try_from).transpose()?.map(Into::into),
    );
    let config = config::resolve(&given, flags)?.config;
    if config.data.root.as_os_str().is_empty() {
        return Err(Mistake::Missing {
            what: "dataset",
            flag: "--data",
            variable: None,
        }
        .into());
    }
    config.validate()?;
    Ok(config)
}
