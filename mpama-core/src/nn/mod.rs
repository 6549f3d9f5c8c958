//! Differentiable building blocks where Candle's own drop the gradient.

pub mod activation;
pub mod layer_norm;
pub mod linear;
pub mod normalize;
pub mod resize;
pub mod softmax;
