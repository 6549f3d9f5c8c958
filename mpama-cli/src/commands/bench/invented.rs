//! Random weights of a known shape. They are only ever timed: no score of theirs is shown.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use mpama_core::adapter::SCHEMA_VERSION;
use mpama_core::clip::{ClipConfig, Precision, VisionOptions, VisionTower};
use mpama_core::config::ImageSize;
use mpama_core::experts::ExpertPool;
use mpama_core::{Adapter, AdapterConfig, BaseModel, ModelConfig, TextVectors};
use rayon::prelude::*;
use serde_json::json;

use crate::cli::Shape;

/// A size that is usual for anomalies, in pixels a side; brought down to a multiple of the patch.
const SIDE: usize = 518;

impl Shape {
    /// Patch, side of the images it was trained on, width of the joint space, width, blocks and heads.
    fn sizes(self) -> [usize; 6] {
        match self {
            Shape::B32 => [32, 224, 512, 768, 12, 12],
            Shape::B16 => [16, 224, 512, 768, 12, 12],
            Shape::L14 => [14, 224, 768, 1024, 24, 16],
            Shape::L14At336 => [14, 336, 768, 1024, 24, 16],
        }
    }

    fn config(self) -> mpama_core::clip::Result<ClipConfig> {
        let [patch, side, joint, width, layers, heads] = self.sizes();
        let json = json!({
            "projection_dim": joint,
            "vision_config": {
                "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
                "num_attention_heads": heads, "patch_size": patch, "image_size": side,
            },
        });
        ClipConfig::parse(json.to_string().as_bytes(), Path::new("(--shape)"))
    }
}

/// An image tower of this shape.
pub(super) fn tower(
    shape: Shape,
    precision: Precision,
    device: &Device,
) -> anyhow::Result<VisionTower> {
    let config = shape.config()?;
    let tensors = config.tensors().into_iter();
    let tensors = tensors
        .filter(|(name, _)| name.starts_with("vision_model.") || name.starts_with("visual_"))
        .zip(1..)
        .map(|((name, dims), seed)| {
            let tensor = match name.contains("norm") && name.ends_with(".weight") {
                true => Tensor::ones(dims, candle_core::DType::F32, device)?,
                false => numbers(&dims, seed, device)?,
            };
            Ok((name, tensor))
        })
        .collect::<candle_core::Result<BTreeMap<_, _>>>()?;
    let options = ModelConfig::default().vision;
    let options = VisionOptions {
        precision,
        ..options.options(config.vision.blocks.layers)
    };
    Ok(VisionTower::from_tensors(&config, &options, &tensors)?.packed()?)
}

/// An adapter with the default settings and experts for this tower, which is called `id`.
pub(super) fn adapter(tower: &VisionTower, id: &str) -> anyhow::Result<Adapter> {
    let projection = tower.projection();
    let (joint, device) = (projection.dim(0)?, projection.device());
    let side = SIDE / tower.patch_size() * tower.patch_size();
    let model = ModelConfig {
        image_size: ImageSize {
            height: side,
            width: side,
        },
        ..ModelConfig::default()
    };
    let levels = model.perception.levels.len();
    let experts = ExpertPool::init(&model.experts, projection, 0)?;
    let experts = experts
        .into_iter()
        .map(|(name, variable)| (name, variable.as_detached_tensor()));
    Ok(Adapter {
        text: TextVectors {
            global: numbers(&[2, joint], 0, device)?,
            local: numbers(&[levels, 2, joint], 0, device)?,
        },
        prompts: BTreeMap::new(),
        experts: Some(experts.collect()),
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: id.to_owned(),
                revision: None,
                fingerprint: tower.fingerprint().to_owned(),
            },
            model,
            training: None,
            imported: None,
            threshold: None,
        },
    })
}

/// Numbers without a pattern, of the deviation 0.02 that an untrained CLIP has.
fn numbers(dims: &[usize], seed: u64, device: &Device) -> candle_core::Result<Tensor> {
    let count: usize = dims.iter().product();
    let number = |i: usize| {
        // SplitMix64
        let z = (seed << 40 ^ i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ z >> 31) >> 40) as f32 / (1 << 24) as f32;
        (unit - 0.5) * 0.02 * 12f32.sqrt()
    };
    let values: Vec<f32> = (0..count).into_par_iter().map(number).collect();
    Tensor::from_vec(values, dims, device)
}
