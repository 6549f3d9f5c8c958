//! How long the parts of a run take on this machine, found by doing each of them once.

use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use mpama_core::{FeatureBatch, Objective, StageOne, StageTwo};
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::error::Result;
use crate::optim::Adam;
use crate::stage::Stage;
use crate::trainer::{Backbone, on_large_stack};

/// Every part is done this often, and the last time counts: the first one also fills caches.
const TIMES: usize = 2;

/// Seconds that the parts of a run take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// One image through the vision tower.
    pub encode: f64,
    /// One step of stage one.
    pub stage_one: f64,
    /// One step of stage two.
    pub stage_two: f64,
}

/// Does each part of a run with these settings on a drawn batch. Reading files is not in it, nor the
/// writing of checkpoints; nothing is written.
///
/// # Errors
/// What the model fails with.
pub fn measure_pace(
    config: &TrainConfig,
    backbone: &Backbone<'_>,
    device: &Device,
) -> Result<Pace> {
    on_large_stack(|| measure(config, backbone, device))
}

fn measure(config: &TrainConfig, backbone: &Backbone<'_>, device: &Device) -> Result<Pace> {
    let clip = backbone.checkpoint;
    let layers = clip.config().vision.blocks.layers;
    let tower = clip.vision(&config.model.vision.options(layers), device)?;
    let size = config.model.image_size;
    // on a CPU one image at a time is as fast as many
    let images = if device.is_cpu() {
        1
    } else {
        config.features.batch_size
    };
    let pixels = Tensor::randn(0f32, 1.0, (images, 3, size.height, size.width), device)?;
    let mut features = None;
    let encode = last_of(|| {
        let seen = tower.forward(&pixels)?;
        wait(&seen.class)?;
        features = Some(seen);
        Ok(())
    })?;
    let projection = tower.projection().clone();
    drop(tower);

    let mut pace = Pace {
        encode: encode / images as f64,
        stage_one: 0.0,
        stage_two: 0.0,
    };
    let Some(seen) = features else {
        return Ok(pace);
    };
    let batch = |count: usize| -> Result<FeatureBatch> {
        let many = |tensor: &Tensor| -> Result<Tensor> {
            let one = tensor.narrow(0, 0, 1)?;
            Ok(Tensor::cat(&vec![one; count], 0)?)
        };
        let rows = (count, size.height, size.width);
        // half of the images anomalous, in half of their pixels: every loss has its share
        let labels = Tensor::arange(0u32, count as u32, device)?;
        let labels = (labels.to_dtype(DType::F32)? * 0.5)?;
        let labels = ((&labels - labels.floor()?)? * 2.0)?;
        let top = Tensor::ones((1, size.height.div_ceil(2), size.width), DType::F32, device)?;
        let below = Tensor::zeros((1, size.height / 2, size.width), DType::F32, device)?;
        let mask = Tensor::cat(&[top, below], 1)?.broadcast_as(rows)?;
        let masks = mask.broadcast_mul(&labels.reshape((count, 1, 1))?)?;
        Ok(FeatureBatch {
            patches: many(&seen.patches)?,
            class: many(&seen.class)?,
            grid: seen.grid,
            masks: masks.contiguous()?,
            labels,
        })
    };
    let step = |stage: Stage, objective: &dyn Objective| -> Result<f64> {
        let plan = config.plan(stage);
        let batch = batch(plan.batch_size)?;
        let mut adam = Adam::new(objective.vars(), plan.adam, |name| plan.rate_of(name))?;
        last_of(|| {
            let losses = objective.loss(&batch)?;
            adam.step(&losses.total.backward()?)?;
            wait(&losses.total)
        })
    };
    let (text, tokenizer) = (clip.text(device)?, clip.tokenizer()?);
    let (model, seed) = (&config.model, config.seed);
    let one = StageOne::new(model, text, &tokenizer, &projection, seed, device)?;
    pace.stage_one = step(Stage::One, &one)?;
    if config.stage.include(Stage::Two) {
        let two = StageTwo::new(model, one.text_vectors()?, &projection, seed)?;
        pace.stage_two = step(Stage::Two, &two)?;
    }
    Ok(pace)
}

/// Seconds of the last of several times.
fn last_of(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = 0.0;
    for _ in 0..TIMES {
        let started = Instant::now();
        work()?;
        seconds = started.elapsed().as_secs_f64();
    }
    Ok(seconds)
}

/// Waits for a device that works on its own.
fn wait(tensor: &Tensor) -> Result<()> {
    let one = tensor.flatten_all()?.narrow(0, 0, 1)?;
    one.to_vec1::<f32>()?;
    Ok(())
}
