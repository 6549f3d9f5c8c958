//! OpenAI's activation.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::written::{Slots, written};
use super::{exp, for_each, in_registers, slice, with_values};

/// Elements that one thread takes at a time.
const BLOCK: usize = 1 << 14;

/// `x · sigmoid(1.702 x)`, element by element.
pub(crate) fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(QuickGelu)
}

/// The gradient of `x`, given that of the result.
pub(crate) fn back(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    let dx = with_values([x, &grad], |[x, grad]| {
        let write = |dx: &mut Slots| {
            let inputs = x.chunks(BLOCK).zip(grad.chunks(BLOCK));
            let tasks = dx.chunks_mut(BLOCK).zip(inputs);
            for_each(tasks, |(dx, (x, grad))| backward(x, grad, dx));
        };
        assert_eq!(
            grad.len(),
            x.len(),
            "a gradient has the shape of its result"
        );
        // SAFETY: every element is of one task, which writes it.
        unsafe { written(x.len(), write) }
    })?;
    Tensor::from_vec(dx, x.shape(), x.device())
}

struct QuickGelu;

const SLOPE: f32 = 1.702;

/// `1 / (1 + e⁻ˣ)`; beyond ±80 nothing changes in f32.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp((-x).clamp(-80.0, 80.0)))
}

in_registers! {
    fn forward<'a>(x: &'a [f32], y: &'a mut Slots) {
        for (y, x) in y.iter_mut().zip(x) {
            y.write(x * sigmoid(SLOPE * x));
        }
    }

    fn backward<'a>(x: &'a [f32], grad: &'a [f32], dx: &'a mut Slots) {
        for ((dx, x), grad) in dx.iter_mut().zip(x).zip(grad) {
            let s = sigmoid(SLOPE * x);
            dx.write(grad * s * (1.0 + SLOPE * x * (1.0 - s)));
        }
    }
}

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "quick-gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let write = |y: &mut Slots| {
            let tasks = y.chunks_mut(BLOCK).zip(x.chunks(BLOCK));
            for_each(tasks, |(y, x)| forward(x, y));
        };
        // SAFETY: every element is of one task, which writes it.
        let y = unsafe { written(x.len(), write) };
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        back(x, grad).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same, numbers};
    use super::*;
    use crate::nn::activation::Activation;

    #[test]
    fn it_equals_the_plain_one() {
        for size in [0.1, 3.0, 90.0] {
            assert_same(
                &[numbers(&[7, 33], size, 0.5)],
                |i| quick_gelu(&i[0]),
                |i| Activation::QuickGelu.composed(&i[0]),
            );
        }
    }
}
