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

/// Does each part of a run with these settings on drawn images: one image through the tower, steps of one
/// and of two images, from which a step of a whole batch is extended in a straight line. Reading files is
/// not in it, nor the writing of checkpoints; nothing is written.
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
    if !device.is_cpu() {
        wait(&tower.forward(&pixels)?.class)?; // kernels are loaded at their first use
    }
    let started = Instant::now();
    let seen = tower.forward(&pixels)?;
    wait(&seen.class)?;
    let encode = started.elapsed().as_secs_f64();
    let projection = tower.projection().clone();
    drop(tower);

    let mut pace = Pace {
        encode: encode / images as f64,
        stage_one: 0.0,
        stage_two: 0.0,
    };
    let batch = |count: usize| -> Result<FeatureBatch> {
        let many = |tensor: &Tensor| -> Result<Tensor> {
            let one = tensor.narrow(0, 0, 1)?;
            Ok(Tensor::cat(&vec![one; count], 0)?)
        };
        let rows = (count, size.height, size.width);
        // half of the images anomalous, in half of their pixels: every loss has its share
        let labels: Vec<f32> = (0..count).map(|image| ((image + 1) % 2) as f32).collect();
        let labels = Tensor::from_vec(labels, count, device)?;
        let top = Tensor::ones((1, size.height.div_ceil(2), size.width), DType::F32, device)?;
        let below = Tensor::zeros((1, size.height / 2, size.width), DType::F32, device)?;
        let mask = Tensor::cat(&[top, below], 1)?.broadcast_as(rows)?;
        let masks = mask.broadcast_mul(&labels.reshape((count, 1, 1))?)?;
        Ok(FeatureBatch {
            images: (0..count).collect(),
            patches: many(&seen.patches)?,
            class: many(&seen.class)?,
            grid: seen.grid,
            masks: masks.contiguous()?,
            labels,
        })
    };
    let step = |stage: Stage, objective: &dyn Objective| -> Result<f64> {
        let plan = config.plan(stage);
        let mut adam = Adam::new(objective.vars(), plan.adam, |name| plan.rate_of(name))?;
        let mut seconds = |images: usize| -> Result<f64> {
            let batch = batch(images)?;
            let started = Instant::now();
            let losses = objective.loss(&batch)?;
            adam.step(&losses.total.backward()?)?;
            wait(&losses.total)?;
            Ok(started.elapsed().as_secs_f64())
        };
        seconds(2)?; // what is computed once per image, or at the first use of a device
        let (two, one) = (seconds(2)?, seconds(1)?);
        let more = (two - one).max(0.0) * plan.batch_size.saturating_sub(1) as f64;
        Ok(one + more)
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

/// Waits for a device that works on its own.
fn wait(tensor: &Tensor) -> Result<()> {
    let one = tensor.flatten_all()?.narrow(0, 0, 1)?;
    one.to_vec1::<f32>()?;
    Ok(())
}
