//! Linear maps of the plane by the few weights of each row that are not zero.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::{for_each, in_registers, slice, with_values, zeros};

/// A linear map of one axis, each row with its weights from the first to the last that is not zero.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Taps {
    from: usize,
    rows: Vec<(usize, Vec<f32>)>,
}

impl Taps {
    /// Those of dense `weights` `[to, from]`.
    pub(crate) fn new(weights: &[f32], from: usize) -> Self {
        let rows = weights.chunks_exact(from).map(|row| {
            let first = row.iter().position(|w| *w != 0.0).unwrap_or(0);
            let last = row.iter().rposition(|w| *w != 0.0).unwrap_or(0);
            (first, row[first..=last].to_vec())
        });
        Self {
            from,
            rows: rows.collect(),
        }
    }

    fn to(&self) -> usize {
        self.rows.len()
    }

    /// Elements of each row, with their weights.
    fn of(&self, row: usize) -> impl Iterator<Item = (usize, f32)> {
        let (first, weights) = &self.rows[row];
        (*first..).zip(weights.iter().copied())
    }
}

/// The two maps of a plane.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) rows: Taps,
    pub(crate) cols: Taps,
}

impl Plane {
    /// Elements of a plane before and after.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let Self { rows, cols } = self;
        (rows.from * cols.from, rows.to() * cols.to())
    }

    /// Columns of the result.
    pub(crate) fn to_cols(&self) -> usize {
        self.cols.to()
    }

    /// The first half of the map: every row of a plane `x` as wide as the result.
    #[inline(always)]
    pub(crate) fn across(&self, x: &[f32]) -> Vec<f32> {
        let cols = &self.cols;
        let mut wide = vec![0f32; self.rows.from * cols.to()];
        let lines = wide.chunks_exact_mut(cols.to());
        for (wide, x) in lines.zip(x.chunks_exact(cols.from)) {
            for (col, wide) in wide.iter_mut().enumerate() {
                *wide = cols.of(col).map(|(from, weight)| weight * x[from]).sum();
            }
        }
        wide
    }

    /// The second half: rows of the result from the row `first` on, as many as `out` holds.
    #[inline(always)]
    pub(crate) fn down(&self, wide: &[f32], first: usize, out: &mut [f32]) {
        let to = self.cols.to();
        for (row, out) in (first..).zip(out.chunks_exact_mut(to)) {
            out.fill(0.0);
            for (from, weight) in self.rows.of(row) {
                add(out, &wide[from * to..][..to], weight);
            }
        }
    }

    /// The gradient of [`Plane::down`], added to that of `wide`.
    #[inline(always)]
    pub(crate) fn down_backward(&self, grad: &[f32], first: usize, wide: &mut [f32]) {
        let to = self.cols.to();
        for (row, grad) in (first..).zip(grad.chunks_exact(to)) {
            for (from, weight) in self.rows.of(row) {
                add(&mut wide[from * to..][..to], grad, weight);
            }
        }
    }

    /// The gradient of [`Plane::across`], added to that of `x`.
    #[inline(always)]
    pub(crate) fn across_backward(&self, wide: &[f32], dx: &mut [f32]) {
        let cols = &self.cols;
        let lines = wide.chunks_exact(cols.to());
        for (wide, dx) in lines.zip(dx.chunks_exact_mut(cols.from)) {
            for (col, wide) in wide.iter().enumerate() {
                for (from, weight) in cols.of(col) {
                    dx[from] += weight * wide;
                }
            }
        }
    }

    /// What an element of the result is made of: elements of the plane, with their weights.
    #[inline(always)]
    pub(super) fn of(&self, element: usize) -> impl Iterator<Item = (usize, f32)> {
        let (row, col) = (element / self.cols.to(), element % self.cols.to());
        self.rows.of(row).flat_map(move |(row, down)| {
            let cols = self.cols.of(col);
            cols.map(move |(col, across)| (row * self.cols.from + col, down * across))
        })
    }
}

/// `rows · x · colsᵀ` for each plane of `x` `[N, H, W]`: `[N, H', W']`. Differentiable in `x`.
pub(crate) fn separable(x: &Tensor, plane: &Arc<Plane>) -> Result<Tensor> {
    x.contiguous()?.apply_op1(Separable(plane.clone()))
}

/// The same of vectors: `x` `[N, H·W, C]` to `[N, H'·W', C]`. Carries no gradient.
pub(crate) fn of_vectors(x: &Tensor, plane: &Plane) -> Result<Tensor> {
    let (count, _, width) = x.dims3()?;
    let Plane { rows, cols } = plane;
    let (line, out_line) = (cols.from * width, cols.to() * width);
    let mut out = zeros(count * rows.to() * out_line);
    with_values([&x.contiguous()?], |[x]| {
        let planes = x.chunks_exact(rows.from * line);
        let lines = out.chunks_exact_mut(out_line).enumerate();
        let planes: Vec<&[f32]> = planes.collect();
        for_each(lines, |(i, out)| {
            let (x, row) = (planes[i / rows.to()], i % rows.to());
            line_of_vectors(plane, x, row, width, out);
        });
    })?;
    Tensor::from_vec(out, (count, rows.to() * cols.to(), width), x.device())
}

in_registers! {
    /// Adds one row of the result.
    fn line_of_vectors<'a>(
        plane: &'a Plane,
        x: &'a [f32],
        row: usize,
        width: usize,
        out: &'a mut [f32],
    ) {
        let Plane { rows, cols } = plane;
        let line = cols.from * width;
        let mut mixed = vec![0f32; line];
        for (from, weight) in rows.of(row) {
            add(&mut mixed, &x[from * line..][..line], weight);
        }
        for (col, out) in out.chunks_exact_mut(width).enumerate() {
            for (from, weight) in cols.of(col) {
                add(out, &mixed[from * width..][..width], weight);
            }
        }
    }
}

/// `sums += weight · x`.
#[inline(always)]
pub(super) fn add(sums: &mut [f32], x: &[f32], weight: f32) {
    sums.iter_mut()
        .zip(x)
        .for_each(|(sum, x)| *sum += weight * x);
}

struct Separable(Arc<Plane>);

in_registers! {
    fn forward<'a>(plane: &'a Plane, x: &'a [f32], out: &'a mut [f32]) {
        plane.down(&plane.across(x), 0, out);
    }

    /// Adds the gradient of one plane.
    fn backward<'a>(plane: &'a Plane, grad: &'a [f32], dx: &'a mut [f32]) {
        let mut wide = vec![0f32; plane.rows.from * plane.cols.to()];
        plane.down_backward(grad, 0, &mut wide);
        plane.across_backward(&wide, dx);
    }
}

impl CustomOp1 for Separable {
    fn name(&self) -> &'static str {
        "separable"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, ..) = layout.shape().dims3()?;
        let (plane, out_plane) = self.0.sizes();
        let mut out = zeros(count * out_plane);
        let planes = slice(x, layout)?.chunks_exact(plane);
        for_each(planes.zip(out.chunks_exact_mut(out_plane)), |(x, out)| {
            forward(&self.0, x, out);
        });
        let Plane { rows, cols } = &*self.0;
        Ok((CpuStorage::F32(out), (count, rows.to(), cols.to()).into()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (plane, out_plane) = self.0.sizes();
        let mut dx = zeros(x.elem_count());
        with_values([&grad.contiguous()?], |[grad]| {
            let planes = grad.chunks_exact(out_plane);
            for_each(planes.zip(dx.chunks_exact_mut(plane)), |(grad, dx)| {
                backward(&self.0, grad, dx);
            });
        })?;
        Tensor::from_vec(dx, x.shape(), x.device()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candle_core::Device;

    use super::super::tests::{assert_same, numbers};
    use crate::nn::resize::{AxisMap, Separable};

    fn pair(rows: AxisMap, cols: AxisMap) -> Separable {
        Separable::new(&rows, &cols, &Device::Cpu).unwrap()
    }

    #[test]
    fn it_equals_the_plain_one() {
        let mean = |to, from| AxisMap::new(to, from, |i| [(i, 0.25), (i + 1, 0.5), (i + 2, 0.25)]);
        let up = |to: usize, from: usize| {
            AxisMap::bilinear(to, from, move |i| {
                (i as f64 + 0.5) * from as f64 / to as f64 - 0.5
            })
        };
        for map in [
            pair(mean(1, 3), mean(4, 6)),
            pair(up(33, 5), up(70, 4)),
            pair(up(1, 1), mean(2, 9)),
        ] {
            let (height, width) = map.input();
            let x = numbers(&[3, height, width], 1.0, 0.2);
            assert_same(&[x], |i| map.forward(&i[0]), |i| map.composed(&i[0]));
        }
    }

    #[test]
    fn vectors_are_mixed_as_numbers_are() {
        let mean = |to, from| AxisMap::new(to, from, |i| [(i, 0.5), (i + 1, 0.5)]);
        let map = pair(mean(4, 5), mean(6, 7));
        let x = numbers(&[2, 35, 19], 1.0, 0.2);
        let vectors = map.vectors(&x).unwrap();
        let planes = x.transpose(1, 2).unwrap().contiguous().unwrap();
        let planes = map.composed(&planes.reshape((38, 5, 7)).unwrap()).unwrap();
        let planes = planes
            .reshape((2, 19, 24))
            .unwrap()
            .transpose(1, 2)
            .unwrap();
        let apart = (vectors - planes)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        assert!(apart.to_scalar::<f32>().unwrap() < 1e-6);
    }
}
