//! The activations of CLIP's MLPs.

use candle_core::{Result, Tensor};

use crate::kernels::{self, quick_gelu::quick_gelu};

/// An activation, named as in the Hub's `config.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`: OpenAI's checkpoints (`quick_gelu`).
    QuickGelu,
    /// `x · Φ(x)` with the exact error function: most of LAION's (`gelu`).
    Gelu,
    /// The tanh approximation of GELU (`gelu_new`, `gelu_fast`, `gelu_pytorch_tanh`).
    GeluTanh,
}

impl Activation {
    /// The activation that `transformers` runs under this name, or `None` for a name unknown here.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "quick_gelu" => Some(Self::QuickGelu),
            "gelu" | "gelu_python" => Some(Self::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            _ => None,
        }
    }

    /// Applies the activation to every element of a tensor of any shape. Differentiable.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::QuickGelu if kernels::serves(&[x]) => quick_gelu(x),
            _ => self.composed(x),
        }
    }

    /// The gradient of `x`, given that of the result; of [`Activation::QuickGelu`] in f32 on the processor.
    pub(crate) fn back(self, x: &Tensor, grad: &Tensor) -> Result<Tensor> {
        match self {
            Self::QuickGelu => kernels::quick_gelu::back(x, grad),
            other => candle_core::bail!("{other:?} has no step back of its own"),
        }
    }

    /// [`Activation::forward`] in Candle's operations.
    pub(crate) fn composed(self, x: &Tensor) -> Result<Tensor> {
        match self {
            // silu(ax)/a = x·sigmoid(ax). Candle runs silu on all cores, its sigmoid on one.
            Self::QuickGelu => x.affine(1.702, 0.0)?.silu()?.affine(1.0 / 1.702, 0.0),
            Self::Gelu => x.gelu_erf(),
            Self::GeluTanh => x.gelu(),
        }
    }
}
