//! `mpama info`: what is this?

use std::fmt::Display;
use std::path::Path;

use candle_core::Device;
use mpama_core::Adapter;
use mpama_core::adapter::CONFIG_FILE;
use mpama_core::clip::Checkpoint;
use mpama_core::preprocess::{Orientation, Picture};
use mpama_datasets::{Dataset, Layout};
use mpama_train::{Environment, Line};
use serde_json::{Value, json};

use super::Outcome;
use crate::cli::{Global, Info};
use crate::hub;
use crate::output::{Output, count, shown, snake_case};
use crate::problem::Mistake;

/// The files by which a run folder is known.
const RUN_FILES: [&str; 2] = ["config.toml", "environment.json"];

/// A thing described twice: in lines for people and as a record.
struct Description {
    kind: &'static str,
    lines: Vec<(&'static str, String)>,
    record: Value,
}

/// Describes every path; a model of the Hub by its id.
pub(crate) fn run(args: &Info, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    for path in &args.paths {
        let place = match path.exists() || !hub::is_id(path) {
            true => path.clone(),
            false => hub::place("model", path, global, output)?.folder,
        };
        let Description {
            kind,
            lines,
            mut record,
        } = describe(&place)?;
        output.line(format_args!("{}: {kind}", shown(path)))?;
        for (name, text) in lines {
            output.line(format_args!("  {name:<12}{text}"))?;
        }
        record["path"] = shown(path).into();
        output.record(kind, record)?;
    }
    Ok(Outcome::Done)
}

fn describe(path: &Path) -> anyhow::Result<Description> {
    let holds = |name: &str| path.join(name).is_file();
    if path.is_file() && Layout::of_file(path).is_some() {
        dataset(path)
    } else if path.is_file() {
        image(path)
    } else if !path.is_dir() {
        Err(Mistake::NoFile {
            path: path.to_owned(),
        }
        .into())
    } else if holds(CONFIG_FILE) {
        adapter(path)
    } else if RUN_FILES.iter().all(|name| holds(name)) {
        run_folder(path)
    } else if holds("config.json") {
        backbone(path)
    } else {
        dataset(path)
    }
}

fn image(path: &Path) -> anyhow::Result<Description> {
    let picture = Picture::open(path, Orientation::Ignore)?;
    let bytes = path
        .metadata()
        .map_err(|error| Mistake::file("read", path, error))?
        .len();
    let (width, height) = (picture.width, picture.height);
    Ok(Description {
        kind: "image",
        lines: vec![
            ("size", format!("{width}x{height} pixels")),
            ("file", format!("{bytes} bytes")),
        ],
        record: json!({ "width": width, "height": height, "bytes": bytes }),
    })
}

fn adapter(path: &Path) -> anyhow::Result<Description> {
    let adapter = Adapter::load(path, &Device::Cpu)?;
    let config = &adapter.config;
    let parameters: usize = adapter
        .prompts
        .values()
        .chain(adapter.experts.iter().flat_map(|e| e.values()))
        .map(|t| t.elem_count())
        .sum();
    let base = &config.base_model;
    let size = config.model.image_size;
    let mut lines = vec![
        ("method", adapter.method().to_owned()),
        (
            "backbone",
            format!("{}, vision tower {}", base.id, base.fingerprint),
        ),
        (
            "image size",
            format!("{}x{} pixels", size.height, size.width),
        ),
        (
            "windows",
            format!("{:?} patches", config.model.perception.levels),
        ),
        ("learned", format!("{parameters} numbers")),
    ];
    if let Some(training) = &config.training {
        let [one, two] = training.epochs;
        lines.push((
            "trained on",
            format!(
                "{}: {}, {one} + {two} epochs, seed {}",
                training.dataset,
                count(training.images, "image"),
                training.seed
            ),
        ));
    }
    if let Some(imported) = &config.imported {
        lines.push((
            "imported",
            format!(
                "{} ({}, sha256 {})",
                shown(Path::new(&imported.file)),
                imported.format,
                shown(Path::new(&imported.sha256))
            ),
        ));
    }
    let threshold = config.threshold.as_ref();
    lines.push((
        "threshold",
        threshold.map_or("none chosen".to_owned(), |t| {
            format!("{} ({})", t.value, t.origin)
        }),
    ));
    let mut record = json!({ "method": adapter.method(), "parameters": parameters });
    record["config"] = snake_case(serde_json::to_value(config)?);
    Ok(Description {
        kind: "adapter",
        lines,
        record,
    })
}

fn run_folder(path: &Path) -> anyhow::Result<Description> {
    let file = path.join(RUN_FILES[1]);
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| Mistake::file("read", file, error))
    };
    let environment: Environment = serde_json::from_str(&read(&file)?)?;
    let last: Option<Line> = match std::fs::read_to_string(path.join("metrics.jsonl")) {
        Ok(text) => text
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok()),
        Err(_) => None, // no step was taken yet
    };
    let adapters: Vec<String> = ["adapter-mpa", "adapter"]
        .into_iter()
        .filter(|name| path.join(name).join(CONFIG_FILE).is_file())
        .map(|name| shown(&path.join(name)))
        .collect();
    let mut lines = vec![
        (
            "dataset",
            format!(
                "{}: {}",
                environment.dataset,
                count(environment.images, "image")
            ),
        ),
        (
            "backbone",
            format!(
                "{}, vision tower {}",
                environment.backbone, environment.fingerprint
            ),
        ),
        (
            "made by",
            format!(
                "mpama {} on {}, {}",
                environment.mpama, environment.system, environment.device
            ),
        ),
    ];
    lines.push((
        "last step",
        last.as_ref().map_or("none".to_owned(), |line| {
            format!(
                "stage {}, epoch {}, step {}, loss {}",
                line.stage, line.epoch, line.step, line.losses.total
            )
        }),
    ));
    lines.push((
        "adapters",
        if adapters.is_empty() {
            "none yet".to_owned()
        } else {
            adapters.join(", ")
        },
    ));
    let mut record = json!({ "last_step": last, "adapters": adapters });
    record["environment"] = snake_case(serde_json::to_value(&environment)?);
    Ok(Description {
        kind: "run",
        lines,
        record,
    })
}

fn backbone(path: &Path) -> anyhow::Result<Description> {
    let checkpoint = Checkpoint::open(path)?;
    let config = checkpoint.config();
    let (vision, text) = (&config.vision, &config.text);
    let tower = |what: &dyn Display, blocks: &mpama_core::clip::BlocksConfig| {
        format!("{} blocks of width {}, {what}", blocks.layers, blocks.width)
    };
    let lines = vec![
        (
            "vision",
            tower(
                &format_args!(
                    "patches of {} in {} pixels",
                    vision.patch_size, vision.image_size
                ),
                &vision.blocks,
            ),
        ),
        (
            "text",
            tower(
                &format_args!("{} tokens, {} words", text.context, text.vocabulary),
                &text.blocks,
            ),
        ),
        ("joint", format!("{} dimensions", config.projection)),
    ];
    let record = json!({
        "vision": {
            "layers": vision.blocks.layers, "width": vision.blocks.width,
            "patch_size": vision.patch_size, "image_size": vision.image_size,
        },
        "text": {
            "layers": text.blocks.layers, "width": text.blocks.width,
            "context": text.context, "vocabulary": text.vocabulary,
        },
        "joint": config.projection,
    });
    Ok(Description {
        kind: "backbone",
        lines,
        record,
    })
}

fn dataset(path: &Path) -> anyhow::Result<Description> {
    let dataset = Dataset::open(path, None).map_err(|error| match error {
        mpama_datasets::Error::Unrecognised { .. } => {
            anyhow::Error::from(error).context(Mistake::Unrecognised {
                path: path.to_owned(),
            })
        }
        error => error.into(),
    })?;
    let counts = dataset.counts();
    let mut lines = vec![
        ("layout", dataset.layout.to_string()),
        (
            "images",
            format!(
                "{} normal, {} anomalous, {} with masks",
                counts.normal, counts.anomalous, counts.masks
            ),
        ),
        ("index", dataset.index_hash()),
    ];
    let mut categories = Vec::new();
    for (category, samples) in dataset.by_category() {
        let anomalous = samples
            .iter()
            .filter(|s| s.label == mpama_datasets::Label::Anomalous)
            .count();
        let normal = samples.len() - anomalous;
        lines.push((
            "category",
            format!("{category}: {normal} normal, {anomalous} anomalous"),
        ));
        categories.push(json!({ "category": category, "normal": normal, "anomalous": anomalous }));
    }
    let orphans: Vec<String> = dataset
        .orphans
        .iter()
        .map(|orphan| format!("{}: {}", shown(&orphan.path), orphan.reason))
        .collect();
    lines.extend(orphans.iter().map(|orphan| ("left out", orphan.clone())));
    let record = json!({
        "layout": dataset.layout.as_str(),
        "normal": counts.normal, "anomalous": counts.anomalous, "masks": counts.masks,
        "index_hash": dataset.index_hash(), "categories": categories, "orphans": orphans,
    });
    Ok(Description {
        kind: "dataset",
        lines,
        record,
    })
}
