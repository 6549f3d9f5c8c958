//! What a run would do, known before it starts.

use std::path::Path;

use candle_core::Device;
use mpama_core::clip::Checkpoint;
use mpama_datasets::Counts;
use mpama_train::{Stage, TrainConfig, steps};
use serde::Serialize;

use crate::experiment::cache_bytes;
use crate::model::device_name;
use crate::output::{Output, count, shown};

/// A run in numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    dataset: String,
    layout: String,
    images: Counts,
    backbone: String,
    image_size: [usize; 2],
    seed: u64,
    device: String,
    stages: Vec<StagePlan>,
    /// Largest size of the feature cache.
    cache_bytes: u64,
}

#[derive(Debug, Clone, Serialize)]
struct StagePlan {
    stage: Stage,
    epochs: usize,
    steps: usize,
    learning_rate: f64,
}

/// Reads the dataset's listing and the backbone's sizes; decodes and computes nothing.
pub(crate) fn describe(
    config: &TrainConfig,
    clip: &Checkpoint,
    backbone: &str,
    device: &Device,
) -> anyhow::Result<Plan> {
    let dataset = mpama_train::open_dataset(config)?;
    let images = dataset.samples.len();
    let stages = [Stage::One, Stage::Two]
        .into_iter()
        .filter(|stage| config.stage.include(*stage));
    let size = config.model.image_size;
    Ok(Plan {
        dataset: dataset.name.clone(),
        layout: dataset.layout.to_string(),
        images: dataset.counts(),
        backbone: backbone.to_owned(),
        image_size: [size.height, size.width],
        seed: config.seed,
        device: device_name(device),
        stages: stages
            .map(|stage| {
                let plan = config.plan(stage);
                let steps = plan.epochs * steps(images, plan.batch_size);
                StagePlan {
                    stage,
                    epochs: plan.epochs,
                    steps,
                    learning_rate: plan.learning_rate,
                }
            })
            .collect(),
        cache_bytes: (images * cache_bytes(config, &clip.config().vision)) as u64,
    })
}

impl Plan {
    /// Says it: briefly before a run, in full as the answer of a dry one.
    pub(crate) fn show(&self, run: &Path, dry: bool, output: &Output) -> anyhow::Result<()> {
        let images = self.images.normal + self.images.anomalous;
        if !dry {
            output.note(format_args!(
                "Run {}  seed {}  {} of {}  {}  {}",
                shown(run),
                self.seed,
                count(images, "image"),
                self.dataset,
                self.backbone,
                self.device
            ));
            return Ok(());
        }
        output.line(format_args!(
            "dataset   {} ({}): {} normal, {} anomalous, {} masks",
            self.dataset, self.layout, self.images.normal, self.images.anomalous, self.images.masks
        ))?;
        let [height, width] = self.image_size;
        output.line(format_args!(
            "backbone  {} at {height}x{width} px on {}",
            self.backbone, self.device
        ))?;
        output.line(format_args!(
            "features  up to {:.2} GB on disk",
            self.cache_bytes as f64 / 1e9
        ))?;
        for stage in &self.stages {
            output.line(format_args!(
                "stage {:<4}{} epochs, {} steps, learning rate {:e}",
                stage.stage, stage.epochs, stage.steps, stage.learning_rate
            ))?;
        }
        output.line(format_args!(
            "run       {} (nothing was written)",
            shown(run)
        ))?;
        output.record("plan", self)
    }
}
