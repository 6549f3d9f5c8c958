//! An affine map whose weights learn.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::slice;

/// `x Wᵀ + b` for `x` `[M, I]`, `W` `[O, I]` and `b` `[O]`, with gradients for whichever of the three is
/// tracked: what [`Linear`](crate::nn::linear::Linear) composes, without copies of transposed weights
/// and of the bias in every row.
pub(crate) fn affine(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op3(weight, bias, Affine)
}

struct Affine;

impl CustomOp3 for Affine {
    fn name(&self) -> &'static str {
        "affine"
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
        let (rows, inputs) = layout.shape().dims2()?;
        let outputs = weight_layout.shape().dims2()?.0;
        let sizes = (1, rows, outputs, inputs);
        let mut product = x.matmul(weight, sizes, layout, &weight_layout.transpose(0, 1)?)?;
        let bias = slice(bias, bias_layout)?;
        if let CpuStorage::F32(values) = &mut product {
            for row in values.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
        Ok((product, Shape::from((rows, outputs))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let of = |tensor: &Tensor, gradient: &dyn Fn() -> Result<Tensor>| {
            tensor.track_op().then(gradient).transpose()
        };
        // A sum over rows as a product: Candle's own sum takes longer than the rest.
        let ones = Tensor::ones((1, grad.dim(0)?), grad.dtype(), grad.device())?;
        Ok((
            of(x, &|| grad.matmul(weight))?,
            of(weight, &|| grad.t()?.matmul(x))?,
            of(bias, &|| ones.matmul(&grad)?.squeeze(0))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same, numbers};
    use super::*;

    #[test]
    fn it_equals_the_plain_one() {
        for (rows, inputs, outputs) in [(1, 1, 1), (9, 5, 3), (40, 17, 33)] {
            let inputs = [
                numbers(&[rows, inputs], 1.0, 0.0),
                numbers(&[outputs, inputs], 1.0, 1.0),
                numbers(&[outputs], 1.0, 2.0),
            ];
            assert_same(
                &inputs,
                |i| affine(&i[0], &i[1], &i[2]),
                |i| i[0].matmul(&i[1].t()?)?.broadcast_add(&i[2]),
            );
        }
    }
}
