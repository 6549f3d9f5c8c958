//! Products of small matrices, such as those of one attention head.

use std::cell::Cell;

use pulp::Simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

use super::aligned::Aligned;
use super::precision::Precision;
use super::step::{Step, Work, dispatch};
use super::tile::{self, ROWS, load, rows_mut, store};

thread_local! {
    /// Columns of the right operand and the last rows of the left one, in memory that serves for the next product.
    static SCRATCH: Cell<(Aligned, Vec<f32>)> = Cell::default();
}

/// A matrix to be read.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    values: &'a [f32],
    /// From a row, or a column if it is turned, to the next.
    stride: usize,
    turned: bool,
}

impl<'a> View<'a> {
    /// The matrix whose rows of `columns` follow each other.
    pub(crate) fn of(values: &'a [f32], columns: usize) -> Self {
        Self {
            values,
            stride: columns,
            turned: false,
        }
    }

    /// Its transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            turned: !self.turned,
            ..self
        }
    }

    fn columns(self) -> usize {
        match self.turned {
            false => self.stride,
            true => self.values.len() / self.stride,
        }
    }
}

/// Writes `a b` to `out`, row by row. Each sum goes through the columns of `a` in their order.
pub(crate) fn product(a: View<'_>, b: View<'_>, out: &mut [f32]) {
    let (inner, columns) = (a.columns(), b.columns());
    debug_assert_eq!(inner, b.t().columns());
    let product = Product {
        a,
        b,
        inner,
        columns,
        out,
    };
    dispatch(Precision::F32, product);
}

struct Product<'a> {
    a: View<'a>,
    b: View<'a>,
    inner: usize,
    columns: usize,
    out: &'a mut [f32],
}

impl Work for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(mut self, simd: S, step: M) {
        let mut scratch = SCRATCH.take();
        let across = V * S::F32_LANES;
        let whole = self.columns / across * across;
        self.lay_out_last(&mut scratch.1);
        for left in (0..whole).step_by(across) {
            self.panel::<S, M, V>(simd, step, left, &mut scratch);
        }
        for left in (whole..self.columns).step_by(S::F32_LANES) {
            self.panel::<S, M, 1>(simd, step, left, &mut scratch);
        }
        SCRATCH.set(scratch);
    }
}

impl Product<'_> {
    /// Copies the rows of `a` that are too few for a tile.
    #[inline(always)]
    fn lay_out_last(&self, last: &mut Vec<f32>) {
        let rows = self.out.len() / self.columns;
        let View {
            values,
            stride,
            turned,
        } = self.a;
        last.resize(ROWS * self.inner, 0.0);
        let rows = (0..rows).skip(rows / ROWS * ROWS);
        for (r, last) in rows.zip(last.chunks_exact_mut(self.inner)) {
            if turned {
                let column = values.iter().skip(r).step_by(stride);
                last.iter_mut().zip(column).for_each(|(last, x)| *last = *x);
            } else {
                last.copy_from_slice(&values[r * stride..][..self.inner]);
            }
        }
    }

    /// Columns of `b` from `left` on, side by side as a tile is wide; those behind the last hold whatever they held.
    #[inline(always)]
    fn lay_out<S: Simd, const V: usize>(&self, simd: S, left: usize, panel: &mut Aligned) {
        let across = V * S::F32_LANES;
        let wide = across.min(self.columns - left);
        let View {
            values,
            stride,
            turned,
        } = self.b;
        panel.resize(self.inner * across);
        if turned {
            let panel: &mut [f32] = cast_slice_mut(panel);
            let columns = values.chunks(stride).skip(left).take(wide);
            for (j, column) in columns.enumerate() {
                for (row, x) in panel.chunks_exact_mut(across).zip(column) {
                    row[j] = *x;
                }
            }
        } else {
            let panel: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(panel));
            for (row, b) in panel.iter_mut().zip(values.chunks(stride)) {
                load(simd, &b[left..][..wide], row);
            }
        }
    }

    /// Writes the columns of the result from `left` on.
    #[inline(always)]
    fn panel<S: Simd, M: Step<S>, const V: usize>(
        &mut self,
        simd: S,
        step: M,
        left: usize,
        (panel, last): &mut (Aligned, Vec<f32>),
    ) {
        self.lay_out::<S, V>(simd, left, panel);
        let wide = (V * S::F32_LANES).min(self.columns - left);
        let View {
            values,
            stride,
            turned,
        } = self.a;
        let tiles = self.out.chunks_mut(ROWS * self.columns);
        for (top, tile) in (0..).step_by(ROWS).zip(tiles) {
            let sums: [[M::Sums; V]; ROWS] = if tile.len() < ROWS * self.columns {
                tile::product(simd, step, cast_slice(last), panel)
            } else if turned {
                across_rows(simd, step, &values[top..], stride, panel)
            } else {
                let rows = values[top * stride..].chunks(ROWS * stride).next();
                tile::product(simd, step, cast_slice(rows.unwrap_or_default()), panel)
            };
            for (sums, out) in sums.iter().zip(tile.chunks_exact_mut(self.columns)) {
                let row = sums.map(|sum| step.floats(simd, sum));
                store(simd, &row, &mut out[left..][..wide]);
            }
        }
    }
}

/// [`tile::product`] where the rows of `a` lie side by side: `[inner, ROWS]`, every `stride`.
#[inline(always)]
fn across_rows<S: Simd, M: Step<S>, const V: usize>(
    simd: S,
    step: M,
    a: &[f32],
    stride: usize,
    b: &[u32],
) -> [[M::Sums; V]; ROWS] {
    let mut sums = [[step.zero(simd); V]; ROWS];
    let b = S::as_simd_u32s(b).0.as_chunks::<V>().0;
    // as many as the compiler knows of, or the sums would lie in memory
    let a = a.chunks(stride).filter_map(|a| a.first_chunk::<ROWS>());
    for (a, b) in a.zip(b) {
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = simd.splat_u32s(a.to_bits());
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = step.meet(simd, a, *b, *sum);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_product(
            rows in 1usize..40, inner in 1usize..40, columns in 1usize..90,
            turned in any::<[bool; 2]>(), seed in any::<u32>(),
        ) {
            let number = |i: usize| ((i as f32 + 0.1) * 0.618 + (seed % 97) as f32).sin();
            let a: Vec<f32> = (0..rows * inner).map(number).collect();
            let b: Vec<f32> = (7..7 + inner * columns).map(number).collect();
            let view = |values, [rows, columns]: [usize; 2], turned| match turned {
                false => View::of(values, columns),
                true => View::of(values, rows).t(),
            };
            let mut out = vec![f32::NAN; rows * columns];
            let (left, right) = (
                view(&a, [rows, inner], turned[0]),
                view(&b, [inner, columns], turned[1]),
            );
            product(left, right, &mut out);
            let place = |[r, c]: [usize; 2], [rows, columns]: [usize; 2], turned| match turned {
                false => r * columns + c,
                true => c * rows + r,
            };
            for (i, ours) in out.iter().enumerate() {
                let (r, c) = (i / columns, i % columns);
                let exact: f64 = (0..inner).map(|k| {
                    let a = a[place([r, k], [rows, inner], turned[0])];
                    f64::from(a) * f64::from(b[place([k, c], [inner, columns], turned[1])])
                }).sum();
                prop_assert!((f64::from(*ours) - exact).abs() < 1e-5, "{ours} vs {exact}");
            }
        }
    }
}
