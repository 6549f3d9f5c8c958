//! Image towers with random weights: as one is initialised, and one made to be hard on small numbers.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Result, Tensor};
use mpama_core::clip::{ClipConfig, Precision, VisionFeatures, VisionOptions, VisionTower};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What the weights are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As `transformers` initialises a CLIP: every token looks at all others alike.
    Initial,
    /// Attention that picks out few tokens, gains that differ from channel to channel, and of 1,024 channels
    /// six eight times as loud as the rest, as trained towers have them.
    Stress,
}

/// The shape of a tower of patches of 14 pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Side of the images, in pixels.
    pub(crate) image: usize,
}

/// A tower with a V-V stream in all but the first fifth of its blocks, and what it runs on.
pub(crate) struct Network {
    config: ClipConfig,
    tensors: BTreeMap<String, Tensor>,
    pub(crate) pixels: Tensor,
    vv_depth: usize,
}

impl Network {
    pub(crate) fn new(kind: Kind, shape: Shape) -> Self {
        let Shape {
            width,
            layers,
            heads,
            image,
        } = shape;
        let json = format!(
            r#"{{"model_type": "clip", "projection_dim": {width},
            "text_config": {{"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1,
                "num_hidden_layers": 1, "vocab_size": 8, "max_position_embeddings": 8}},
            "vision_config": {{"hidden_size": {width}, "intermediate_size": {mlp},
                "num_attention_heads": {heads}, "num_hidden_layers": {layers},
                "image_size": {image}, "patch_size": 14}}}}"#,
            mlp = 4 * width,
        );
        let config = ClipConfig::parse(json.as_bytes(), Path::new("config.json")).unwrap();
        let mut random = Random(ChaCha8Rng::seed_from_u64(7));
        let loud = (0..(6 * width / 1024).max(1)).map(|_| random.0.random_range(0..width));
        let loud: Vec<usize> = loud.collect();
        let tensors = config
            .tensors()
            .into_iter()
            .filter(|(name, _)| name.starts_with("vision") || name.starts_with("visual"))
            .map(|(name, shape)| {
                let values = random.tensor(kind, &name, &shape, layers, &loud);
                let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
                (name, tensor)
            })
            .collect();
        let pixels = random.normal(3 * image * image, 1.0);
        Self {
            config,
            tensors,
            pixels: Tensor::from_vec(pixels, (1, 3, image, image), &Device::Cpu).unwrap(),
            vv_depth: layers - layers / 5,
        }
    }

    /// The tower in Candle's operations, or in the kernels'.
    pub(crate) fn tower(&self, precision: Option<Precision>) -> VisionTower {
        let options = VisionOptions {
            vv_depth: self.vv_depth,
            precision: precision.unwrap_or_default(),
            ..VisionOptions::default()
        };
        let tower = VisionTower::from_tensors(&self.config, &options, &self.tensors).unwrap();
        match precision {
            Some(_) => tower.packed().unwrap(),
            None => tower,
        }
    }
}

struct Random(ChaCha8Rng);

impl Random {
    fn normal(&mut self, count: usize, size: f32) -> Vec<f32> {
        let mut one = || -> f32 {
            // Box and Muller
            let (a, b): (f32, f32) = (1.0 - self.0.random::<f32>(), self.0.random());
            size * (-2.0 * a.ln()).sqrt() * (std::f32::consts::TAU * b).cos()
        };
        (0..count).map(|_| one()).collect()
    }

    fn tensor(
        &mut self,
        kind: Kind,
        name: &str,
        shape: &[usize],
        layers: usize,
        loud: &[usize],
    ) -> Vec<f32> {
        let count = shape.iter().product();
        let stress = kind == Kind::Stress;
        if name.contains("norm") && name.ends_with("weight") {
            let mut gains = vec![1.0; count];
            if stress {
                gains = self.normal(count, 0.5).iter().map(|x| x.exp()).collect();
                if name.contains("encoder") {
                    loud.iter().for_each(|channel| gains[*channel] *= 8.0);
                }
            }
            return gains;
        }
        if name.ends_with("bias") {
            return self.normal(count, if stress { 0.1 } else { 0.0 });
        }
        let inputs: usize = shape[1..].iter().product();
        let size = match name {
            _ if shape.len() == 1 || name.contains("position") => 0.5,
            _ if stress && (name.contains("q_proj") || name.contains("k_proj")) => 1.3,
            _ if stress => 0.7,
            // those that write into the stream
            _ if name.contains("out_proj") || name.contains("fc2") => {
                (2.0 * layers as f32).powf(-0.5)
            }
            _ => 1.0,
        };
        self.normal(count, size * (inputs.max(1) as f32).powf(-0.5))
    }
}

/// How far features are from those of the reference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Apart {
    /// Of all patches, the least cosine between a token and the reference's.
    pub(crate) worst: f64,
    /// The same of the class token.
    pub(crate) class: f64,
    /// Norm of the difference of all patches over that of the reference.
    pub(crate) relative: f64,
}

pub(crate) fn apart(ours: &VisionFeatures, reference: &VisionFeatures) -> Result<Apart> {
    let worst = |a: &Tensor, b: &Tensor| -> Result<f64> {
        let (a, b) = (
            a.flatten_all()?.to_vec1::<f32>()?,
            b.flatten_all()?.to_vec1::<f32>()?,
        );
        let width = ours.class.dim(1)?;
        let cosines = a.chunks(width).zip(b.chunks(width)).map(|(a, b)| {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum()
            };
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        });
        Ok(cosines.fold(1.0, f64::min))
    };
    let norm = |x: Tensor| -> Result<f64> {
        Ok(f64::from(x.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt())
    };
    Ok(Apart {
        worst: worst(&ours.patches, &reference.patches)?,
        class: worst(&ours.class, &reference.class)?,
        relative: norm((&ours.patches - &reference.patches)?)? / norm(reference.patches.clone())?,
    })
}
