//! Differentiable building blocks where Candle's own drop the gradient.

pub mod normalize;
pub mod resize;
