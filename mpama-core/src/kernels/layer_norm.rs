//! Layer normalisation.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::floats::sum;
use super::written::{Slots, written};
use super::{for_each, in_registers, slice, with_values};

/// Rows that one thread takes at a time; sums over all rows are made of these.
const ROWS: usize = 64;

/// `(x − mean) / √(var + ε) · weight + bias` over the last dimension of `x` `[…, W]`: what
/// [`LayerNorm`](crate::nn::layer_norm::LayerNorm) composes, with gradients for all three.
pub(crate) fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let op = LayerNorm { eps: eps as f32 };
    x.contiguous()?.apply_op3(weight, bias, op)
}

/// The gradient of `x`, given that of the result.
pub(crate) fn back(x: &Tensor, weight: &Tensor, eps: f64, grad: &Tensor) -> Result<Tensor> {
    let op = LayerNorm { eps: eps as f32 };
    Ok(op.gradients(x, weight, grad)?.0)
}

struct LayerNorm {
    eps: f32,
}

impl LayerNorm {
    /// Mean and reciprocal deviation of a row.
    #[inline(always)]
    fn moments(&self, x: &[f32]) -> (f32, f32) {
        let count = x.len() as f32;
        let mean = sum(x, x, |x, _| x) / count;
        let variance = sum(x, x, |x, _| (x - mean) * (x - mean)) / count;
        (mean, 1.0 / (variance + self.eps).sqrt())
    }

    /// Gradients of `x`, and those of weight and bias behind each other.
    fn gradients(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<(Tensor, Vec<f32>)> {
        let width = weight.elem_count();
        let grad = grad.contiguous()?;
        let (dx, sums) = with_values([x, weight, &grad], |[x, weight, grad]| {
            let block = ROWS * width;
            let mut parts = vec![0f32; 2 * width * x.len().div_ceil(block)];
            let write = |dx: &mut Slots| {
                let tasks = dx
                    .chunks_mut(block)
                    .zip(x.chunks(block).zip(grad.chunks(block)))
                    .zip(parts.chunks_mut(2 * width));
                for_each(tasks, |((dx, (x, grad)), sums)| {
                    backward(self, [x, weight, grad], dx, sums);
                });
            };
            assert_eq!(
                grad.len(),
                x.len(),
                "a gradient has the shape of its result"
            );
            // SAFETY: every row is of one task, which writes it whole.
            let dx = unsafe { written(x.len(), write) };
            let mut sums = vec![0f32; 2 * width];
            for part in parts.chunks_exact(2 * width) {
                sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
            (dx, sums)
        })?;
        Ok((Tensor::from_vec(dx, x.shape(), x.device())?, sums))
    }
}

in_registers! {
    /// Some rows, given `[x, weight, bias]`.
    fn forward<'a>(op: &'a LayerNorm, inputs: [&'a [f32]; 3], y: &'a mut Slots) {
        let [x, weight, bias] = inputs;
        let width = weight.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let (mean, scale) = op.moments(x);
            for i in 0..width {
                y[i].write((x[i] - mean) * scale * weight[i] + bias[i]);
            }
        }
    }

    /// Gradients of some rows, given `[x, weight, grad]`: into `dx`, and added to those of weight and bias.
    fn backward<'a>(
        op: &'a LayerNorm,
        inputs: [&'a [f32]; 3],
        dx: &'a mut Slots,
        sums: &'a mut [f32],
    ) {
        let [x, weight, grad] = inputs;
        let width = weight.len();
        let (dw, db) = sums.split_at_mut(width);
        let mut scaled = vec![0f32; width];
        let mut normed = vec![0f32; width];
        for ((x, grad), dx) in x
            .chunks_exact(width)
            .zip(grad.chunks_exact(width))
            .zip(dx.chunks_exact_mut(width))
        {
            let (mean, scale) = op.moments(x);
            for i in 0..width {
                normed[i] = (x[i] - mean) * scale;
                scaled[i] = grad[i] * weight[i];
                dw[i] += grad[i] * normed[i];
                db[i] += grad[i];
            }
            let along = sum(&scaled, &normed, |g, n| g * n) / width as f32;
            let mean = sum(&scaled, &scaled, |g, _| g) / width as f32;
            for i in 0..width {
                dx[i].write(scale * (scaled[i] - mean - normed[i] * along));
            }
        }
    }
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let width = weight.len();
        if !x.len().is_multiple_of(width) || bias.len() != width {
            bail!(
                "layer norm of {width} expects rows of it, found {:?}",
                layout.dims()
            );
        }
        let write = |y: &mut Slots| {
            let blocks = y.chunks_mut(ROWS * width).zip(x.chunks(ROWS * width));
            for_each(blocks, |(y, x)| {
                forward(self, [x, weight, bias], y);
            });
        };
        // SAFETY: every row is of one task, which writes it whole.
        let y = unsafe { written(x.len(), write) };
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = weight.elem_count();
        let (dx, sums) = self.gradients(x, weight, grad)?;
        let vector = |values: &[f32]| Tensor::from_slice(values, width, x.device());
        Ok((
            Some(dx),
            weight
                .track_op()
                .then(|| vector(&sums[..width]))
                .transpose()?,
            bias.track_op()
                .then(|| vector(&sums[width..]))
                .transpose()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same, numbers};
    use super::*;
    use crate::nn::layer_norm::LayerNorm as Plain;

    #[test]
    fn it_equals_the_plain_one() {
        for (rows, width) in [(1, 1), (3, 5), (70, 16), (130, 37), (65, 128)] {
            let x = numbers(&[rows, width], 2.0, 0.1);
            let inputs = [x, numbers(&[width], 1.5, 2.0), numbers(&[width], 0.5, 3.0)];
            assert_same(
                &inputs,
                |i| layer_norm(&i[0], &i[1], &i[2], 1e-5),
                |i| Plain::new(i[1].clone(), i[2].clone(), 1e-5).composed(&i[0]),
            );
        }
    }
}
