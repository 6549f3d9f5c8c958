//! Where the weights of a new CLIP start.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use candle_core::{Device, Tensor, Var};
use mpama_core::clip::ClipConfig;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Result;

/// Name of the logarithm of the inverse temperature in the Hub's layout.
pub(super) const LOGIT_SCALE: &str = "logit_scale";

/// Fresh variables for every tensor of `config`, and the logit scale.
///
/// Matrices are normal with deviation `1/√inputs`, less in what adds to the stream; the patch
/// projection is made of cosines by colours, and position embeddings are sines and cosines: a tower
/// that starts from them sees edges and places at once instead of after thousands of steps.
pub(super) fn variables(config: &ClipConfig, seed: u64) -> Result<BTreeMap<String, Var>> {
    let mut variables = BTreeMap::new();
    for (name, shape) in config.tensors() {
        let values = values(&name, &shape, config, seed);
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        variables.insert(name, Var::from_tensor(&tensor)?);
    }
    let scale = Tensor::new((1.0f32 / 0.07).ln(), &Device::Cpu)?;
    variables.insert(LOGIT_SCALE.to_owned(), Var::from_tensor(&scale)?);
    Ok(variables)
}

fn values(name: &str, shape: &[usize], config: &ClipConfig, seed: u64) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let is = |part: &str| name.contains(part);
    if is("norm") {
        return vec![if name.ends_with("weight") { 1.0 } else { 0.0 }; count];
    }
    if name.ends_with("bias") {
        return vec![0.0; count];
    }
    let vision = &config.vision;
    if is("patch_embedding") {
        return cosines(shape[0], vision.patch_size);
    }
    if is("vision_model.embeddings.position_embedding") {
        return waves(vision.grid(), shape[1]);
    }
    let layers = match is("vision_model") {
        true => vision.blocks.layers,
        false => config.text.blocks.layers,
    };
    let inputs = shape.last().copied().unwrap_or(1) as f64;
    let deviation = if is("token_embedding") {
        0.1
    } else if is("embedding") {
        0.02
    } else if is("out_proj") || is("fc2") {
        1.0 / (inputs * 2.0 * layers as f64).sqrt()
    } else {
        1.0 / inputs.sqrt()
    };
    let mut dice = stream(seed, name);
    (0..count)
        .map(|_| (deviation * normal(&mut dice)) as f32)
        .collect()
}

/// A stream of random numbers that belongs to `name`.
pub(super) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("mpama pretraining 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// Box and Muller's.
fn normal(dice: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (dice.random(), dice.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (2.0 * PI * angle).cos()
}

/// `count` filters `[3, side, side]`: the cosine transform's, low frequencies first, for grey and two
/// opposed colours; grey has half of them.
fn cosines(count: usize, side: usize) -> Vec<f32> {
    let colours = [[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0f64]];
    let mut waves: Vec<(usize, usize)> = (0..side * side).map(|i| (i / side, i % side)).collect();
    waves.sort_by_key(|(u, v)| (u * u + v * v, *u));
    let mut next = [0usize; 3];
    let mut values = Vec::with_capacity(count * 3 * side * side);
    for i in 0..count {
        let colour = [0, 1, 0, 2][i % 4];
        let (u, v) = waves[next[colour] % waves.len()];
        next[colour] += 1;
        let wave = |at: usize, k: usize| (PI * (at as f64 + 0.5) * k as f64 / side as f64).cos();
        let strength: f64 = colours[colour].iter().map(|c| c * c).sum::<f64>().sqrt();
        for c in colours[colour] {
            for at in 0..side * side {
                let value = c / strength * wave(at / side, u) * wave(at % side, v);
                values.push((value * 2.0 / side as f64) as f32);
            }
        }
    }
    values
}

/// Position embeddings `[1 + grid², width]`: zero for the class token, then sines and cosines of row
/// and column in falling frequencies.
fn waves(grid: usize, width: usize) -> Vec<f32> {
    let mut values = vec![0.0; width];
    let quarter = (width / 4).max(1);
    for cell in 0..grid * grid {
        let (row, column) = ((cell / grid) as f64, (cell % grid) as f64);
        values.extend((0..width).map(|i| {
            let along = if (i / quarter).is_multiple_of(2) {
                row
            } else {
                column
            };
            let turn = along * 32f64.powf(-((i % quarter) as f64) / quarter as f64);
            (0.2 * if i / quarter < 2 {
                turn.sin()
            } else {
                turn.cos()
            }) as f32
        }));
    }
    values
}
