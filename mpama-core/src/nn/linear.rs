//! Affine maps, with a backward step for frozen weights that computes only what is needed.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail,
};

use crate::kernels::{self, affine::affine};

/// `x Wᵀ + b`, as `torch.nn.Linear`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// A map with `weight` `[O, I]` and, if any, `bias` `[O]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self { weight, bias }
    }

    /// The weight, `[O, I]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Maps `x` `[…, I]` to `[…, O]`. Differentiable with respect to `x`, and to the weights where
    /// they are variables.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        let mut shape = x.dims().to_vec();
        let last = shape.pop();
        if last != Some(inputs) {
            bail!("linear expects {inputs} features, found {:?}", x.dims());
        }
        let rows = shape.iter().product::<usize>();
        let flat = x.reshape((rows, inputs))?;
        shape.push(outputs);
        if let Some(bias) = &self.bias
            && (self.weight.track_op() || bias.track_op())
            && kernels::serves(&[x, &self.weight, bias])
        {
            return affine(&flat, &self.weight, bias)?.reshape(shape);
        }
        let y = if flat.track_op() && !self.weight.track_op() {
            flat.contiguous()?.apply_op1(Frozen {
                transposed: self.weight.t()?,
            })?
        } else {
            flat.matmul(&self.weight.t()?)?
        };
        match &self.bias {
            Some(bias) => y.reshape(shape)?.broadcast_add(bias),
            None => y.reshape(shape),
        }
    }
}

/// `x W` for a constant `W` `[I, O]`. Candle's matmul has the gradient of both operands computed and
/// kept, for a frozen text tower a third of the work and a copy of the model (candle#3773).
struct Frozen {
    transposed: Tensor,
}

impl Frozen {
    /// Batch, rows, columns and depth of the product with `x` `[M, I]`.
    fn sizes(&self, x: &Layout) -> Result<(usize, usize, usize, usize)> {
        let (inputs, outputs) = self.transposed.dims2()?;
        Ok((1, x.shape().dims2()?.0, outputs, inputs))
    }
}

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(layout)?;
        let (weight, weight_layout) = self.transposed.storage_and_layout();
        let Storage::Cpu(weight) = &*weight else {
            bail!("frozen-linear: weight is not on the CPU")
        };
        Ok((
            x.matmul(weight, sizes, layout, weight_layout)?,
            Shape::from((sizes.1, sizes.2)),
        ))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let sizes = self.sizes(layout)?;
        let (weight, weight_layout) = self.transposed.storage_and_layout();
        let Storage::Cuda(weight) = &*weight else {
            bail!("frozen-linear: weight is not on the GPU")
        };
        Ok((
            x.matmul(weight, sizes, layout, weight_layout)?,
            Shape::from((sizes.1, sizes.2)),
        ))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        grad.contiguous()?.matmul(&self.transposed.t()?).map(Some)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{Device, Var};

    fn ramp(shape: &[usize], step: f32) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|i| (i as f32 * step).sin()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_frozen_weight_gives_the_same_value_and_gradient_as_a_trained_one() {
        let (x, w, b) = (ramp(&[2, 3, 5], 0.7), ramp(&[4, 5], 1.3), ramp(&[4], 2.1));
        let run = |weight: Tensor| {
            let x = Var::from_tensor(&x).unwrap();
            let y = Linear::new(weight, Some(b.clone())).forward(&x).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            (
                y.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                grads
                    .get(&x)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap(),
            )
        };
        let frozen = run(w.clone());
        let trained = run(Var::from_tensor(&w).unwrap().into_inner());
        assert_eq!(frozen.0, trained.0);
        for (a, b) in frozen.1.iter().zip(&trained.1) {
            assert!((a - b).abs() < 1e-5, "{a} vs {b}");
        }
    }
}
