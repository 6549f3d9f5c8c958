//! Values that were computed without a graph, with the step back that belongs to them.
//!
//! Candle allocates zeros and adds to them for every edge of a graph, on a pool of its own that spins between
//! two operations while ours would use its cores. One node for a whole block leaves that out.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::with_values;

/// `value`, which is a function of `x`, with the gradient of `x` as `back` makes it of that of the value. All
/// in f32 on the processor.
pub(crate) fn recorded(
    x: &Tensor,
    value: Tensor,
    back: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let back = Box::new(back);
    x.apply_op1(Recorded { value, back })
}

/// `a + b` of equal shapes, without gradient: candle's own wakes its pool for it.
pub(crate) fn plus(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let sum = with_values([a, b], |[a, b]| {
        a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f32>>()
    })?;
    Tensor::from_vec(sum, a.shape(), a.device())
}

/// The gradient of an input, given that of the output.
type Back = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

struct Recorded {
    value: Tensor,
    back: Box<Back>,
}

impl CustomOp1 for Recorded {
    fn name(&self) -> &'static str {
        "recorded"
    }

    fn cpu_fwd(&self, _x: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let value = with_values([&self.value], |[value]| value.to_vec())?;
        Ok((CpuStorage::F32(value), self.value.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.back)(&grad.contiguous()?).map(Some)
    }
}
