//! Layer normalisation that keeps the gradient.

use candle_core::{D, Result, Tensor};

use crate::kernels;

/// `(x − mean) / √(var + ε) · weight + bias` over the last dimension, with the biased variance, as
/// `torch.nn.LayerNorm`.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// A layer norm with `weight` and `bias`, both `[W]`.
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self { weight, bias, eps }
    }

    /// Normalises `x` `[…, W]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if kernels::serves(&[x, &self.weight, &self.bias]) {
            return kernels::layer_norm::layer_norm(x, &self.weight, &self.bias, self.eps);
        }
        // Candle's fused operation records no backward step (candle#3011): everything below it would
        // silently stop learning. It serves where there is nothing to learn.
        let tracked = x.track_op() || self.weight.track_op() || self.bias.track_op();
        if tracked {
            return self.composed(x);
        }
        let x = x.contiguous()?;
        candle_nn::ops::layer_norm(&x, &self.weight, &self.bias, self.eps as f32)
    }

    /// The gradient of `x`, given that of the result; in f32 on the processor.
    pub(crate) fn back(&self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        kernels::layer_norm::back(x, &self.weight, self.eps, grad)
    }

    /// [`LayerNorm::forward`] in Candle's differentiable operations.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + self.eps)?.sqrt()?)?;
        normed
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)
    }
}
