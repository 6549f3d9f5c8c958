//! Measures the demo's CLIP: prompts written by hand, MPA and MPAMA, on categories that neither it nor
//! the adapter has seen.
//!
//! ```console
//! $ cargo run --release -p mpama-train --example measure_demo -- CLIP WORK selection [SEED [CONFIG.toml]]
//! ```
//!
//! Settings are chosen on `selection`; `test` is for the end.
#![allow(clippy::print_stdout)] // an example is a program

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::{Device, Tensor};
use mpama_core::adapter::SCHEMA_VERSION;
use mpama_core::clip::Checkpoint;
use mpama_core::nn::normalize::unit_length;
use mpama_core::{Adapter, AdapterConfig, BaseModel, Detector, ModelConfig, TextVectors};
use mpama_datasets::Dataset;
use mpama_datasets::synth::{Split, SynthOptions, write_mvtec};
use mpama_train::eval::{EvalConfig, evaluate};
use mpama_train::{Backbone, Control, Outcome, Start, TrainConfig, train};

/// Side of a drawing in pixels, as in `mpama demo`.
const DRAWN: usize = 128;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The settings of `mpama demo`.
const DEMO: &str = include_str!("../../mpama-cli/assets/demo.toml");

/// What a person would write for normal and damaged.
const PROMPTS: [[&str; 3]; 2] = [
    [
        "a photo of a flawless object.",
        "a photo of a perfect object.",
        "a photo of an object without damage.",
    ],
    [
        "a photo of a damaged object.",
        "a photo of a broken object.",
        "a photo of an object with damage.",
    ],
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [clip, work, split, more @ ..] = &arguments[..] else {
        return Err("expected CLIP WORK selection|test [SEED [CONFIG.toml]]".into());
    };
    let (clip, work) = (Path::new(clip), Path::new(work));
    let split = match split.as_str() {
        "selection" => Split::Selection,
        "test" => Split::Test,
        other => return Err(format!("no split {other:?}").into()),
    };
    let seed: u64 = more.first().map_or(Ok(1), |seed| seed.parse())?;
    let (settings, origin) = match more.get(1) {
        Some(path) => (std::fs::read_to_string(path)?, path.as_str()),
        None => (DEMO.to_owned(), "the demo's settings"),
    };
    let checkpoint = Checkpoint::open(clip)?;
    let known = draw(work, Split::Training, 10, 1000 + seed)?;
    let root = toml::Value::from(known.to_string_lossy().into_owned());
    let mut settings: toml::Table = settings.parse()?;
    let data = toml::Table::from_iter([("root".to_owned(), root)]);
    settings.insert("data".to_owned(), data.into());
    let mut config = TrainConfig::parse(&settings.to_string(), origin)?;
    config.seed = seed;
    config.features.folder = Some(work.join(format!("features-{seed}")));
    let truth = draw(work, split, 24, 5000)?;
    let truth = Dataset::open(&truth, None)?;

    let adapter = by_hand(&checkpoint, &config.model)?;
    report("untrained prompts", &checkpoint, adapter, &truth)?;
    let started = Instant::now();
    let run = work.join(format!("run-{seed}"));
    let _ = std::fs::remove_dir_all(&run); // an earlier measurement
    let backbone = Backbone {
        checkpoint: &checkpoint,
        id: "demo",
        revision: None,
    };
    let stop = AtomicBool::new(false);
    let mut events = |_| {};
    let mut control = Control::new(&stop, &mut events);
    let start = Start::Fresh;
    match train(&config, &backbone, &run, start, &Device::Cpu, &mut control)? {
        Outcome::Done(trained) => println!(
            "trained on {} images in {:.0} s",
            trained.images,
            started.elapsed().as_secs_f64()
        ),
        Outcome::Interrupted => return Ok(()),
    }
    for (name, folder) in [("MPA", "adapter-mpa"), ("MPAMA", "adapter")] {
        let adapter = Adapter::load(&run.join(folder), &Device::Cpu)?;
        report(name, &checkpoint, adapter, &truth)?;
    }
    Ok(())
}

/// Draws the categories of a split, half as many normal images as anomalous ones.
fn draw(work: &Path, split: Split, good: usize, seed: u64) -> Result<std::path::PathBuf> {
    let folder = work.join(format!("{split:?}-{seed}").to_lowercase());
    let options = SynthOptions {
        categories: split.categories(),
        good,
        defective: 2 * good,
        train: 0,
        size: DRAWN,
        seed,
    };
    write_mvtec(&folder, &options, |_| ControlFlow::Continue(()))?;
    Ok(folder)
}

fn by_hand(checkpoint: &Checkpoint, model: &ModelConfig) -> Result<Adapter> {
    let (text, tokenizer) = (checkpoint.text(&Device::Cpu)?, checkpoint.tokenizer()?);
    let vector = |prompts: [&str; 3]| -> Result<Tensor> {
        let ids = prompts.map(|prompt| tokenizer.encode(prompt));
        let ids = ids
            .into_iter()
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let vectors = unit_length(&text.encode_ids(&ids)?)?;
        Ok(unit_length(&vectors.mean(0)?)?)
    };
    let [normal, damaged] = PROMPTS;
    let pair = Tensor::stack(&[vector(normal)?, vector(damaged)?], 0)?;
    let options = model
        .vision
        .options(checkpoint.config().vision.blocks.layers);
    let tower = checkpoint.vision(&options, &Device::Cpu)?;
    Ok(Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: "demo".to_owned(),
                revision: None,
                fingerprint: tower.fingerprint().to_owned(),
            },
            model: model.clone(),
            training: None,
            imported: None,
            threshold: None,
        },
        text: TextVectors {
            local: Tensor::stack(&vec![pair.clone(); model.perception.levels.len()], 0)?,
            global: pair,
        },
        prompts: BTreeMap::new(),
        experts: None,
    })
}

fn report(name: &str, checkpoint: &Checkpoint, adapter: Adapter, truth: &Dataset) -> Result<()> {
    let layers = checkpoint.config().vision.blocks.layers;
    let options = adapter.config.model.vision.options(layers);
    let detector = Detector::new(checkpoint.vision(&options, &Device::Cpu)?, adapter)?;
    let stop = AtomicBool::new(false);
    let mut events = |_| {};
    let mut control = Control::new(&stop, &mut events);
    let Outcome::Done(report) = evaluate(&detector, truth, &EvalConfig::default(), &mut control)?
    else {
        return Ok(());
    };
    println!("{name}: image AUROC, pixel AUROC, exact AUPRO");
    let rows = report
        .categories
        .iter()
        .map(|c| (c.category.as_str(), c.scores));
    for (category, scores) in rows.chain([("mean", report.mean)]) {
        let value = |score: Option<f64>| score.map_or("-".to_owned(), |s| format!("{s:.3}"));
        println!(
            "  {category:18} {} {} {}",
            value(scores.image_auroc),
            value(scores.pixel_auroc),
            value(scores.aupro)
        );
    }
    Ok(())
}
