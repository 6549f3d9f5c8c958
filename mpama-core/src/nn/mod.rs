//! Differentiable building blocks where Candle's own drop the gradient.
