//! Separable linear maps of the plane as two matrix products: pooling and bilinear resizing.
//!
//! Candle's bilinear upsampling has no backward and its average pooling is wrong for stride 1, so
//! both are written `rows · x · colsᵀ`, which is exact and differentiable. Most weights are zero: a kernel
//! leaves them out.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::kernels;
use crate::kernels::separable::{Plane, Taps, of_vectors, separable};

/// A linear map of one axis, dense and row-major `[to, from]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisMap {
    /// Length of the result.
    pub to: usize,
    /// Length of the input.
    pub from: usize,
    /// Weights, `to · from` of them.
    pub weights: Vec<f32>,
}

impl AxisMap {
    /// The map whose row `i` has `weights(i)` as its `(column, weight)` pairs, summed.
    pub fn new<I: IntoIterator<Item = (usize, f64)>>(
        to: usize,
        from: usize,
        weights: impl Fn(usize) -> I,
    ) -> Self {
        let mut dense = vec![0f64; to * from];
        for row in 0..to {
            for (column, weight) in weights(row) {
                dense[row * from + column] += weight;
            }
        }
        AxisMap {
            to,
            from,
            weights: dense.into_iter().map(|w| w as f32).collect(),
        }
    }

    /// Linear interpolation between `from` samples at the positions `at(i)`, in samples, clamped to
    /// the first and the last one.
    pub fn bilinear(to: usize, from: usize, at: impl Fn(usize) -> f64) -> Self {
        AxisMap::new(to, from, |row| {
            let t = at(row).clamp(0.0, (from - 1) as f64);
            let low = t.floor() as usize;
            let high = (low + 1).min(from - 1);
            [(low, 1.0 - t.fract()), (high, t.fract())]
        })
    }

    /// As a tensor `[to, from]`.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&self.weights, (self.to, self.from), device)
    }
}

/// `rows · x · colsᵀ` for planes `x` `[H, W]`, with `rows` `[H', H]` and `cols` `[W', W]`.
#[derive(Debug, Clone)]
pub struct Separable {
    rows: Tensor,
    cols: Tensor,
    few: Arc<Plane>,
}

impl Separable {
    /// The map that is `rows` along the height and `cols` along the width.
    pub fn new(rows: &AxisMap, cols: &AxisMap, device: &Device) -> Result<Self> {
        let taps = |axis: &AxisMap| Taps::new(&axis.weights, axis.from);
        Ok(Self {
            rows: rows.tensor(device)?,
            cols: cols.tensor(device)?,
            few: Arc::new(Plane {
                rows: taps(rows),
                cols: taps(cols),
            }),
        })
    }

    /// The two maps by their weights that are not zero.
    pub(crate) fn plane(&self) -> &Arc<Plane> {
        &self.few
    }

    /// H and W.
    pub fn input(&self) -> (usize, usize) {
        (self.rows.dims()[1], self.cols.dims()[1])
    }

    /// Each plane of `x` `[N, H, W]`: `[N, H', W']`. Differentiable.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match kernels::serves(&[x]) {
            true => separable(x, &self.few),
            false => self.composed(x),
        }
    }

    /// [`Separable::forward`] in Candle's operations.
    pub(crate) fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, cols) = (&self.rows, &self.cols);
        let (n, h, w) = x.dims3()?;
        let (to_w, to_h) = (cols.dim(0)?, rows.dim(0)?);
        let x = x.contiguous()?.reshape((n * h, w))?.matmul(&cols.t()?)?; // [N·H, W']
        let x = x.reshape((n, h, to_w))?.transpose(1, 2)?.contiguous()?; // [N, W', H]
        let x = x.reshape((n * to_w, h))?.matmul(&rows.t()?)?; // [N·W', H']
        x.reshape((n, to_w, to_h))?.transpose(1, 2)?.contiguous()
    }

    /// Planes of vectors: `x` `[N, H·W, C]` to `[N, H'·W', C]`.
    pub fn vectors(&self, x: &Tensor) -> Result<Tensor> {
        if kernels::serves(&[x]) && !x.track_op() {
            return of_vectors(x, &self.few);
        }
        let (rows, cols) = (&self.rows, &self.cols);
        let (n, _, c) = x.dims3()?;
        let ((h, w), (to_h, to_w)) = (self.input(), (rows.dim(0)?, cols.dim(0)?));
        let along_rows = x.contiguous()?.reshape((n, h, w * c))?;
        let rows = rows.broadcast_left(n)?.contiguous()?;
        let x = rows.matmul(&along_rows)?.reshape((n * to_h, w, c))?; // [N·H', W, C]
        let cols = cols.broadcast_left(n * to_h)?.contiguous()?;
        cols.matmul(&x)?.reshape((n, to_h * to_w, c)) // [N·H', W', C]
    }
}
