//! Seeded initial values. Candle's CPU generator cannot be seeded, so values come from here.
//!
//! Every tensor has a stream of its own, derived from the seed and the tensor's name: adding a
//! parameter changes no other one's start.

use candle_core::{Device, Result, Tensor};
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::Normal;

fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// Normal with mean 0 and deviation `std`, for the tensor `name` of a run with `seed`.
pub(crate) fn normal(
    shape: &[usize],
    std: f64,
    seed: u64,
    name: &str,
    device: &Device,
) -> Result<Tensor> {
    let distribution = Normal::new(0.0, std).map_err(candle_core::Error::wrap)?;
    fill(shape, distribution, seed, name, device)
}

/// Uniform in `[-bound, bound)`, for the tensor `name` of a run with `seed`.
pub(crate) fn uniform(
    shape: &[usize],
    bound: f64,
    seed: u64,
    name: &str,
    device: &Device,
) -> Result<Tensor> {
    let distribution = Uniform::new(-bound, bound).map_err(candle_core::Error::wrap)?;
    fill(shape, distribution, seed, name, device)
}

fn fill(
    shape: &[usize],
    distribution: impl Distribution<f64>,
    seed: u64,
    name: &str,
    device: &Device,
) -> Result<Tensor> {
    let count = shape.iter().product();
    let values = distribution
        .sample_iter(stream(seed, name))
        .take(count)
        .map(|x| x as f32);
    Tensor::from_vec(values.collect::<Vec<f32>>(), shape, device)
}
