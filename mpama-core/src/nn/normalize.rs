//! Unit length.

use candle_core::{D, Result, Tensor};

/// Squared floor under the norm: a zero vector stays zero instead of becoming NaN, and nothing else
/// changes in f32.
const FLOOR: f64 = 1e-24;

/// Scales the last dimension of `x` `[.., D]` to unit length; zero stays zero. Differentiable.
pub fn unit_length(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&length(x)?)
}

/// Euclidean length along the last dimension: `[.., D]` to `[.., 1]`, at least 1e-12. Differentiable.
pub fn length(x: &Tensor) -> Result<Tensor> {
    (x.sqr()?.sum_keepdim(D::Minus1)? + FLOOR)?.sqrt()
}
