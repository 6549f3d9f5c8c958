//! Softmax that keeps the gradient.

use candle_core::{D, Result, Tensor};

/// Softmax over the last dimension of `x` `[…, N]`. Finite for finite input and for −∞ in some, but
/// not all, places of a row.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if !x.track_op() {
        // Fused, but without a backward step (candle#3569): only where nothing is tracked.
        return candle_nn::ops::softmax_last_dim(&x.contiguous()?);
    }
    // The maximum only keeps exp in range and cancels in the result: no gradient through it.
    let shift = x.detach().max_keepdim(D::Minus1)?;
    let exp = x.broadcast_sub(&shift)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)
}
