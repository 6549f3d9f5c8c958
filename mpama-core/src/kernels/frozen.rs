//! Affine maps that do not learn inside a network that does.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::packed::{Packed, Then};
use super::precision::Precision;
use super::slice;

/// A matrix of weights and its transpose, both laid out for the loop that uses them. Backwards only the
/// gradient of the input is computed, none of the weights.
#[derive(Debug)]
pub(crate) struct Frozen {
    weight: Packed,
    transposed: Packed,
}

impl Frozen {
    /// Lays out `weight` `[O, I]` and `bias` `[O]`, zero if there is none; both in f32 on the processor.
    pub(crate) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        Ok(Self {
            weight: Packed::new(weight, bias, Precision::F32)?,
            transposed: Packed::new(&weight.t()?.contiguous()?, None, Precision::F32)?,
        })
    }

    /// The map itself, for input without gradient.
    pub(crate) fn packed(&self) -> &Packed {
        &self.weight
    }

    /// `grad W`, and `onto` if there is one: the gradient of the input, given that of the output.
    pub(crate) fn back(&self, grad: &Tensor, onto: Option<&Tensor>) -> Result<Tensor> {
        self.transposed.apply(grad, onto, Then::Keep)
    }

    /// `x Wᵀ + b` for `x` `[…, I]` in f32 on the processor. Differentiable with respect to `x`.
    pub(crate) fn apply(self: &Arc<Self>, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(Op(self.clone()))
    }
}

struct Op(Arc<Frozen>);

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let weight = &self.0.weight;
        let mut shape = layout.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = weight.outputs();
        }
        let out = weight.product(slice(x, layout)?, None, Then::Keep);
        Ok((CpuStorage::F32(out), Shape::from(shape)))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.0.back(grad, None).map(Some)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{assert_same, numbers};
    use super::*;

    #[test]
    fn it_equals_the_plain_one() {
        for (rows, inputs, outputs) in [(1, 1, 1), (9, 5, 3), (40, 17, 130), (7, 1100, 65)] {
            let weight = numbers(&[outputs, inputs], 0.5, 1.0);
            let bias = numbers(&[outputs], 1.0, 2.0);
            let frozen = Arc::new(Frozen::new(&weight, Some(&bias)).unwrap());
            assert_same(
                &[numbers(&[rows, inputs], 1.0, 0.0)],
                |i| frozen.apply(&i[0]),
                |i| i[0].matmul(&weight.t()?)?.broadcast_add(&bias),
            );
        }
    }
}
