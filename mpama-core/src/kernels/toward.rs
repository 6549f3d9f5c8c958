//! How far mixtures of experts point into one direction, without the mixtures' gradients leaving the step back.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::cosine::{back, cosine};
use super::experts::{Op, Routed};
use super::with_values;

/// [`cosine`] of what [`routed`](super::experts::routed) mixes with a constant `direction` `[D]`: `[N]`, with
/// gradients for gates and weights.
pub(crate) fn toward(
    gates: &Tensor,
    weights: &Tensor,
    routed: Routed,
    direction: &Tensor,
) -> Result<Tensor> {
    let op = Toward {
        mixing: Op::new(gates, weights, routed)?,
        direction: direction.contiguous()?,
        mixed: OnceLock::new(),
    };
    gates.contiguous()?.apply_op2(&weights.contiguous()?, op)
}

struct Toward {
    mixing: Op,
    direction: Tensor,
    mixed: OnceLock<Tensor>,
}

impl CustomOp2 for Toward {
    fn name(&self) -> &'static str {
        "experts-toward"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mixed = self
            .mixing
            .cpu_fwd(gates, layout, weights, weights_layout)?;
        let (CpuStorage::F32(mixed), shape) = mixed else {
            bail!("a kernel mixes f32")
        };
        let mixed = Tensor::from_vec(mixed, shape, self.direction.device())?;
        let odds = cosine(&mixed, &self.direction)?;
        let values = with_values([&odds], |[odds]| odds.to_vec())?;
        self.mixed.get_or_init(|| mixed);
        Ok((CpuStorage::F32(values), odds.shape().clone()))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        weights: &Tensor,
        _odds: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(mixed) = self.mixed.get() else {
            bail!("a step back without one forward")
        };
        let grad = back(mixed, &self.direction, grad)?;
        self.mixing.bwd(gates, weights, mixed, &grad)
    }
}
