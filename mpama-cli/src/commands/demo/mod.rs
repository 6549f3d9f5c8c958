//! `mpama demo`: the main job on a fresh machine. Trains an adapter on drawn things through the code of
//! `mpama train`, finds defects in things that neither backbone nor adapter has seen, and shows them.

mod show;

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Device;
use mpama_core::adapter::SCHEMA_VERSION;
use mpama_core::clip::Checkpoint;
use mpama_core::{Adapter, AdapterConfig, BaseModel, Detector, ModelConfig, TextVectors};
use mpama_datasets::Dataset;
use mpama_datasets::synth::{Split, SynthOptions};
use mpama_train::eval::{EvalConfig, Report, Seen, evaluate_with};
use mpama_train::{Backbone, Control, Stages, Start, TrainConfig};

use super::Outcome;
use super::datasets::draw;
use super::watch::Watch;
use crate::cli::{Demo, Global};
use crate::embedded;
use crate::files::write_whole;
use crate::interrupt;
use crate::model::Loaded;
use crate::output::{LITERAL, Output, shown};
use crate::progress::duration;
use crate::report::{self, CURVE_POINTS, Collector};

/// Side of a drawing in pixels, as those that the backbone learned from: the network sees them enlarged.
const DRAWN: usize = 128;

/// Images of each category on the page: the most wrong, and as many of the most right.
const GALLERY: usize = 6;

/// The folders of a demo.
struct Folders {
    clip: PathBuf,
    known: PathBuf,
    unseen: PathBuf,
    run: PathBuf,
    page: PathBuf,
    sheet: PathBuf,
}

impl Folders {
    fn below(out: &Path) -> Self {
        Self {
            clip: out.join("clip"),
            known: out.join("data").join("known"),
            unseen: out.join("data").join("unseen"),
            run: out.join("run"),
            page: out.join("report.html"),
            sheet: out.join("contact-sheet.png"),
        }
    }
}

/// Images of each category.
struct Amount {
    good: usize,
    defective: usize,
}

/// Does all of it; a demo that was stopped goes on where it was.
pub(crate) fn run(args: &Demo, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    interrupt::listen(output.talks())?;
    let folders = Folders::below(&args.out);
    output.note(format_args!(
        "A demo with a tiny backbone and drawn images: how the method works, not how well a real CLIP does"
    ));
    embedded::write_backbone(&folders.clip)?;
    let checkpoint = Checkpoint::open(&folders.clip)?;
    let device = global.device.open()?;
    let config = settings(args, &folders)?;

    let (known, unseen) = amounts(args.small);
    let sets = [
        (
            &folders.known,
            Split::Training,
            known,
            args.seed,
            "Drawing things to learn from",
        ),
        (
            &folders.unseen,
            Split::Test,
            unseen,
            args.seed + 1,
            "Drawing things never seen",
        ),
    ];
    for (folder, split, amount, seed, title) in sets {
        let options = SynthOptions {
            categories: split.categories(),
            good: amount.good,
            defective: amount.defective,
            train: 0,
            size: DRAWN,
            seed,
        };
        if draw(folder, &options, title, output)?.is_none() {
            return Ok(Outcome::Interrupted);
        }
    }

    let start = match folders.run.join("config.toml").is_file() {
        true => Start::Resume,
        false => Start::Fresh,
    };
    let backbone = Backbone {
        checkpoint: &checkpoint,
        id: embedded::BACKBONE,
        revision: None,
    };
    let mut watch = Watch::new(output, config.stage);
    let mut events = |event| watch.event(event);
    let mut control = Control::new(interrupt::flag(), &mut events);
    let ended = mpama_train::train(
        &config,
        &backbone,
        &folders.run,
        start,
        &device,
        &mut control,
    )?;
    watch.finish()?;
    let mpama_train::Outcome::Done(trained) = ended else {
        output.note(format_args!(
            "Stopped and saved; repeat {LITERAL}mpama demo --out {}{LITERAL:#} to go on",
            shown(&args.out)
        ));
        return Ok(Outcome::Interrupted);
    };

    let dataset = Dataset::open(&folders.unseen, None)?;
    let vision = checkpoint.vision(&vision_options(&config.model, &checkpoint), &device)?;
    let mpa = Adapter::load(&folders.run.join("adapter-mpa"), &device)?;
    let bare = untrained(&config.model, &checkpoint, vision.fingerprint(), &device)?;
    let mpama = Adapter::load(&trained.adapter, &device)?;
    let mut reports = Vec::new();
    for (name, adapter) in [("untrained", bare), ("MPA", mpa), ("MPAMA", mpama)] {
        let loaded = Loaded {
            method: adapter.method(),
            config: adapter.config.clone(),
            detector: Detector::new(vision.clone(), adapter)?,
            name: name.to_owned(),
            device: device.clone(),
        };
        let last = name == "MPAMA";
        let Some(report) = measure(&loaded, &dataset, last.then_some(&folders), output)? else {
            return Ok(Outcome::Interrupted);
        };
        reports.push((name, report));
    }

    show::table(&reports, output)?;
    output.record(
        "demo",
        Summary::of(&args.out, &reports, started.elapsed().as_secs_f64()),
    )?;
    output.success(format_args!("Done in {}", duration(started.elapsed())));
    show::next(&folders, &trained.adapter, output);
    if args.open {
        show::open(&folders.page)?;
    }
    Ok(Outcome::Done)
}

/// Measures one system; with `folders`, writes its page and the contact sheet too. `None` if the user
/// stopped it.
fn measure(
    loaded: &Loaded,
    dataset: &Dataset,
    folders: Option<&Folders>,
    output: &Output,
) -> anyhow::Result<Option<Report>> {
    let gallery = folders.map_or(0, |_| GALLERY);
    let config = EvalConfig {
        per_image: folders.is_some(),
        curve_points: folders.map_or(0, |_| CURVE_POINTS),
        figures: folders.is_some(),
        ..EvalConfig::default()
    };
    let mut watch = Watch::new(output, Stages::Both);
    let mut events = |event| watch.event(event);
    let mut control = Control::new(interrupt::flag(), &mut events);
    let mut collector = Collector::new(gallery);
    let mut look = |seen: &Seen<'_>| {
        collector.look(seen);
        Ok(())
    };
    let detector = &loaded.detector;
    let ended = evaluate_with(detector, dataset, &config, None, &mut control, &mut look)?;
    watch.finish()?;
    let mpama_train::Outcome::Done(report) = ended else {
        return Ok(None);
    };
    if let Some(folders) = folders {
        let reports = std::slice::from_ref(&report);
        let collected = vec![collector];
        let page = report::html(loaded, &config, reports, collected, gallery, None, output)?;
        let Some(page) = page else {
            return Ok(None);
        };
        write_whole(&folders.page, page.as_bytes())?;
        show::contact_sheet(&folders.sheet, dataset, &loaded.detector, &loaded.device)?;
    }
    Ok(Some(report))
}

/// What `--json` tells at the end.
#[derive(serde::Serialize)]
struct Summary<'a> {
    out: String,
    seconds: f64,
    systems: Vec<System<'a>>,
}

#[derive(serde::Serialize)]
struct System<'a> {
    name: &'a str,
    report: &'a Report,
}

impl<'a> Summary<'a> {
    fn of(out: &Path, reports: &'a [(&str, Report)], seconds: f64) -> Self {
        let systems = reports.iter().map(|(name, report)| System { name, report });
        Self {
            out: shown(out),
            seconds,
            systems: systems.collect(),
        }
    }
}

fn amounts(small: bool) -> (Amount, Amount) {
    let amount = |good, defective| Amount { good, defective };
    match small {
        true => (amount(2, 4), amount(3, 6)),
        false => (amount(12, 18), amount(15, 25)),
    }
}

fn settings(args: &Demo, folders: &Folders) -> anyhow::Result<TrainConfig> {
    let mut table: toml::Table = embedded::SETTINGS.parse()?;
    let root = toml::Value::from(folders.known.to_string_lossy().into_owned());
    table.insert(
        "data".to_owned(),
        toml::Table::from_iter([("root".to_owned(), root)]).into(),
    );
    let mut config = TrainConfig::parse(&table.to_string(), "the demo's settings")?;
    config.seed = args.seed;
    if args.small {
        config.stage_one.epochs = config.stage_one.epochs.div_ceil(10);
        config.stage_two.epochs = config.stage_two.epochs.div_ceil(10);
    }
    config.validate()?;
    Ok(config)
}

fn vision_options(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
) -> mpama_core::clip::VisionOptions {
    config
        .vision
        .options(checkpoint.config().vision.blocks.layers)
}

/// The backbone with nothing learned: its own idea of "object" and "damaged object".
fn untrained(
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    fingerprint: &str,
    device: &Device,
) -> anyhow::Result<Adapter> {
    let text = TextVectors::untrained(config, &checkpoint.text(device)?, &checkpoint.tokenizer()?)?;
    Ok(Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: embedded::BACKBONE.to_owned(),
                revision: None,
                fingerprint: fingerprint.to_owned(),
            },
            model: config.clone(),
            training: None,
            imported: None,
            threshold: None,
        },
        text,
        prompts: Default::default(),
        experts: None,
    })
}
