//! Affine maps, with a backward step for frozen weights that computes only what is needed.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail,
};

use super::activation::Activation;
use crate::kernels::frozen::Frozen as Both;
use crate::kernels::packed::{Packed, Then};
use crate::kernels::precision::Precision;
use crate::kernels::{self, affine::affine};

/// `x Wᵀ + b`, as `torch.nn.Linear`.
#[derive(Debug, Clone)]
pub struct Linear {
    weights: Weights,
}

#[derive(Debug, Clone)]
enum Weights {
    Plain {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    Packed(Arc<Packed>),
    Frozen(Arc<Both>),
}

impl Linear {
    /// A map with `weight` `[O, I]` and, if any, `bias` `[O]`.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Self {
        Self {
            weights: Weights::Plain { weight, bias },
        }
    }

    /// The same map, for good: on the processor, where its weights are no variables, they are laid out for the
    /// kernels, and the tensors let go. No gradient goes through it any more.
    ///
    /// # Errors
    /// Candle's, for a weight that is no matrix.
    pub fn packed(self) -> Result<Self> {
        let Some((weight, bias)) = self.constant() else {
            return Ok(self);
        };
        let packed = Packed::new(weight, bias, Precision::F32)?;
        Ok(Self {
            weights: Weights::Packed(Arc::new(packed)),
        })
    }

    /// A map that is laid out already.
    pub(crate) fn from_packed(packed: Arc<Packed>) -> Self {
        Self {
            weights: Weights::Packed(packed),
        }
    }

    /// As [`Linear::packed`], but gradients go through it to its input: its weights are laid out for both ways.
    ///
    /// # Errors
    /// Candle's, for a weight that is no matrix.
    pub fn frozen(self) -> Result<Self> {
        let Some((weight, bias)) = self.constant() else {
            return Ok(self);
        };
        let frozen = Both::new(weight, bias)?;
        Ok(Self {
            weights: Weights::Frozen(Arc::new(frozen)),
        })
    }

    /// Weights that the kernels can take for good.
    fn constant(&self) -> Option<(&Tensor, Option<&Tensor>)> {
        let Weights::Plain { weight, bias } = &self.weights else {
            return None;
        };
        let tensors: Vec<&Tensor> = [weight].into_iter().chain(bias).collect();
        let learns = tensors.iter().any(|tensor| tensor.track_op());
        (kernels::serves(&tensors) && !learns).then_some((weight, bias.as_ref()))
    }

    /// Whether it is laid out for both ways.
    pub(crate) fn is_frozen(&self) -> bool {
        matches!(self.weights, Weights::Frozen(_))
    }

    /// `onto`, or nothing, and the gradient of the input of a [frozen](Linear::frozen) map, given that of the output.
    pub(crate) fn back(&self, grad: &Tensor, onto: Option<&Tensor>) -> Result<Tensor> {
        match &self.weights {
            Weights::Frozen(frozen) => frozen.back(grad, onto),
            _ => bail!("only a frozen linear has a step back of its own"),
        }
    }

    /// Length O of the output.
    ///
    /// # Errors
    /// Candle's, for a weight that is no matrix.
    pub fn outputs(&self) -> Result<usize> {
        match &self.weights {
            Weights::Plain { weight, .. } => Ok(weight.dims2()?.0),
            Weights::Packed(packed) => Ok(packed.outputs()),
            Weights::Frozen(frozen) => Ok(frozen.packed().outputs()),
        }
    }

    /// Maps `x` `[…, I]` to `[…, O]`. Differentiable with respect to `x`, and to the weights where
    /// they are variables, unless the map is [packed](Linear::packed).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weights {
            Weights::Plain { weight, bias } => plain(weight, bias.as_ref(), x),
            Weights::Packed(packed) => apply(packed, x, None),
            Weights::Frozen(frozen) if x.track_op() => {
                expects(frozen.packed().inputs(), x)?;
                frozen.apply(x)
            }
            Weights::Frozen(frozen) => apply(frozen.packed(), x, None),
        }
    }

    /// `onto + forward(activation(before(x)))`, for `onto` `[…, O]`: both layers of an MLP. On the processor, where they
    /// are packed, what lies between them is not held whole.
    pub(crate) fn forward_after(
        &self,
        before: &Self,
        activation: Activation,
        x: &Tensor,
        onto: &Tensor,
    ) -> Result<Tensor> {
        match (&before.weights, activation, &self.weights) {
            (Weights::Packed(before), Activation::QuickGelu, Weights::Packed(packed)) => {
                takes(before, x)?;
                packed.apply_after(before, Then::QuickGelu, x, onto)
            }
            _ => self.forward_onto(onto, &activation.forward(&before.forward(x)?)?),
        }
    }

    /// `onto + forward(x)`, for `onto` `[…, O]`.
    pub fn forward_onto(&self, onto: &Tensor, x: &Tensor) -> Result<Tensor> {
        match &self.weights {
            Weights::Packed(packed) => apply(packed, x, Some(onto)),
            Weights::Frozen(frozen) if !x.track_op() && !onto.track_op() => {
                apply(frozen.packed(), x, Some(onto))
            }
            Weights::Plain { .. } | Weights::Frozen(_) => onto + self.forward(x)?,
        }
    }
}

fn expects(inputs: usize, x: &Tensor) -> Result<()> {
    if x.dims().last() != Some(&inputs) {
        bail!("linear expects {inputs} features, found {:?}", x.dims());
    }
    Ok(())
}

/// Refuses what a packed map cannot take.
fn takes(packed: &Packed, x: &Tensor) -> Result<()> {
    expects(packed.inputs(), x)?;
    if x.track_op() || !kernels::serves(&[x]) {
        bail!("a packed linear takes f32 on the processor without gradient");
    }
    Ok(())
}

fn apply(packed: &Packed, x: &Tensor, onto: Option<&Tensor>) -> Result<Tensor> {
    takes(packed, x)?;
    packed.apply(x, onto, Then::Keep)
}

fn plain(weight: &Tensor, bias: Option<&Tensor>, x: &Tensor) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    expects(inputs, x)?;
    let mut shape = x.dims().to_vec();
    shape.pop();
    let rows = shape.iter().product::<usize>();
    let flat = x.reshape((rows, inputs))?;
    shape.push(outputs);
    let learns = weight.track_op() || bias.is_some_and(Tensor::track_op);
    if learns && kernels::serves(&[x, weight]) && bias.is_none_or(|bias| kernels::serves(&[bias])) {
        let none = || Tensor::zeros(outputs, x.dtype(), x.device());
        let bias = bias.map_or_else(none, |bias| Ok(bias.clone()))?;
        return affine(&flat, weight, &bias)?.reshape(shape);
    }
    let y = if flat.track_op() && !weight.track_op() {
        flat.contiguous()?.apply_op1(Frozen {
            transposed: weight.t()?,
        })?
    } else {
        flat.matmul(&weight.t()?)?
    };
    match bias {
        Some(bias) => y.reshape(shape)?.broadcast_add(bias),
        None => y.reshape(shape),
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
