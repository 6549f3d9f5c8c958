//! Fast second implementations on the processor, forward and backward in one operation each.
//!
//! The plain Candle expression of each stays where it was, in [`nn`](crate::nn) and
//! [`clip`](crate::clip): it is the reference, and what runs on other devices and in other precisions.
//! A test compares value and gradient. What Candle composes of ten tensors with as many passes over
//! memory is done in one here.
//!
//! Loops are plain; `pulp` compiles them for the widest registers that the machine has and chooses at run time
//! ([`registers`]). Unsafe are instructions that `pulp` does not have (`step`), and results whose memory is not
//! filled before they are written (`written`, and who uses it). Sums have a fixed order: results do not depend on the number of threads.

pub(crate) mod affine;
mod aligned;
pub(crate) mod attention;
mod convert;
pub(crate) mod experts;
mod floats;
pub(crate) mod frozen;
pub(crate) mod heads;
pub(crate) mod layer_norm;
mod outer;
pub(crate) mod packed;
mod peak;
pub(crate) mod precision;
pub(crate) mod product;
pub(crate) mod quick_gelu;
pub(crate) mod recorded;
mod registers;
pub(crate) mod separable;
mod step;
mod strips;
mod tile;
mod written;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Device, Layout, Result, Storage, Tensor, bail};
use rayon::prelude::*;

pub(crate) use floats::{exp, ln};
pub use peak::{Throughput, throughput};
pub use registers::{Registers, registers, use_registers};
pub(crate) use registers::{arch, in_registers};

/// Whether a kernel takes these tensors: all in f32 on the processor.
pub(crate) fn serves(tensors: &[&Tensor]) -> bool {
    let fits =
        |tensor: &&Tensor| tensor.dtype() == DType::F32 && matches!(tensor.device(), Device::Cpu);
    tensors.iter().all(fits)
}

/// The values of a contiguous operand.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(all), Some((start, end))) => Ok(&all[start..end]),
        _ => bail!(
            "a kernel expects contiguous f32, found {:?}",
            storage.dtype()
        ),
    }
}

/// Shows `work` the values of contiguous tensors.
pub(crate) fn with_values<const N: usize, R>(
    tensors: [&Tensor; N],
    work: impl FnOnce([&[f32]; N]) -> R,
) -> Result<R> {
    let held = tensors.map(Tensor::storage_and_layout);
    let mut values = [&[] as &[f32]; N];
    for (values, (storage, layout)) in values.iter_mut().zip(&held) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("a kernel expects tensors on the processor")
        };
        *values = slice(storage, layout)?;
    }
    Ok(work(values))
}

/// Does `work` on every task, side by side where there are threads for it. A pool of one is not used:
/// whoever set it up computes on threads of their own.
pub(crate) fn for_each<T: Send>(tasks: impl Iterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    if rayon::current_num_threads() == 1 {
        tasks.for_each(work);
    } else {
        tasks.collect::<Vec<T>>().into_par_iter().for_each(work);
    }
}

/// Zeros to add to. They are written here, side by side: a page that is read before it is first written
/// costs two faults, and one thread would take long over memory that served before.
fn zeros(count: usize) -> Vec<f32> {
    const SOME: usize = 64;
    let some = 0..count.div_ceil(SOME);
    let zeros: Vec<_> = if rayon::current_num_threads() == 1 {
        some.map(|_| [0.0; SOME]).collect()
    } else {
        let some = some.into_par_iter().with_min_len(256);
        some.map(|_| [0.0; SOME]).collect()
    };
    let mut zeros = zeros.into_flattened();
    zeros.truncate(count);
    zeros
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candle_core::{Device, Result, Tensor, Var};

    /// Numbers without a pattern, in ±`size`.
    pub(super) fn numbers(shape: &[usize], size: f32, seed: f32) -> Tensor {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count)
            .map(|i| size * (i as f32 * 0.618 + seed + (i % 11) as f32).sin())
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    /// Asserts that two functions of `inputs` have the same value and the same gradients.
    pub(super) fn assert_same(
        inputs: &[Tensor],
        fast: impl Fn(&[Tensor]) -> Result<Tensor>,
        plain: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) {
        let run = |function: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
            let variables: Vec<Var> = inputs
                .iter()
                .map(|t| Var::from_tensor(t).unwrap())
                .collect();
            let tensors: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
            let value = function(&tensors).unwrap();
            let weights = numbers(value.dims(), 1.0, 0.3);
            let loss = (&value * weights).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            let mut all = vec![value];
            all.extend(variables.iter().map(|v| gradients.get(v).unwrap().clone()));
            all
        };
        for (number, (fast, plain)) in run(&fast).iter().zip(run(&plain)).enumerate() {
            assert_eq!(fast.dims(), plain.dims());
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let (fast, plain) = (flat(fast), flat(&plain));
            let size = plain.iter().fold(1e-3f32, |size, x| size.max(x.abs()));
            for (place, (a, b)) in fast.iter().zip(&plain).enumerate() {
                assert!(
                    (a - b).abs() <= 1e-5 * size,
                    "output {number} at {place}: {a} vs {b}"
                );
            }
        }
    }
}
