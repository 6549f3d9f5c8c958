//! Sums of outer products: the gradient of weights.

use pulp::Simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

use super::aligned::Aligned;
use super::precision::Precision;
use super::step::{Step, Work, dispatch};
use super::tile::{ROWS, load, product, rows_mut, store};

/// Rows of the operands that are summed at a time: what is laid out of them stays in the caches.
const INNER: usize = 128;

/// Rows of the operands that are laid out at a time, so that the sums are read and written once for many.
const GROUP: usize = 8 * INNER;

/// Some rows of `Σ_n left[n] ⊗ right[n]`, a matrix `[D, W]`, over chosen rows `n` of the operands.
pub(super) struct Outer<'a> {
    /// `[N, D]`.
    pub(super) left: &'a [f32],
    /// `[N, W]`.
    pub(super) right: &'a [f32],
    /// D and W.
    pub(super) widths: (usize, usize),
    /// The rows that are summed.
    pub(super) chosen: &'a [usize],
    /// The first row of the sum that is wanted.
    pub(super) top: usize,
}

impl Outer<'_> {
    /// Adds as many rows of the sum as `out` `[…, W]` has. The order of each sum is that of `chosen`.
    pub(super) fn add_to(self, out: &mut [f32]) {
        dispatch(Precision::F32, Adding(self, out));
    }

    /// Lays out columns of the left operand as strips.
    #[inline(always)]
    fn turn(&self, chosen: &[usize], rows: usize, strips: &mut [f32]) {
        let inner = chosen.len();
        let strips = strips.chunks_exact_mut(ROWS * inner);
        for (from, strip) in (0..rows).step_by(ROWS).zip(strips) {
            let here = ROWS.min(rows - from);
            for (k, n) in chosen.iter().enumerate() {
                let left = &self.left[n * self.widths.0 + self.top + from..][..here];
                for (row, left) in strip.chunks_exact_mut(inner).zip(left) {
                    row[k] = *left;
                }
            }
        }
    }
}

struct Adding<'a>(Outer<'a>, &'a mut [f32]);

impl Work for Adding<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(self, simd: S, step: M) {
        let Self(outer, out) = self;
        let (_, width) = outer.widths;
        let across = V * S::F32_LANES;
        let rows = out.len() / width;
        let strip_rows = rows.next_multiple_of(ROWS);
        let mut strips = vec![0f32; strip_rows * GROUP];
        let mut panel = Aligned::zeros(across * INNER);
        let mut sums = Aligned::zeros(strip_rows * across);
        for chosen in outer.chosen.chunks(GROUP) {
            for (chosen, strips) in chosen
                .chunks(INNER)
                .zip(strips.chunks_mut(strip_rows * INNER))
            {
                outer.turn(chosen, rows, strips);
            }
            for from in (0..width).step_by(across) {
                let wide = across.min(width - from);
                let tiles: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(&mut sums));
                for (tile, out) in tiles.iter_mut().zip(out.chunks_exact(width)) {
                    load(simd, &out[from..][..wide], tile);
                }
                for (chosen, strips) in chosen.chunks(INNER).zip(strips.chunks(strip_rows * INNER))
                {
                    let right: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(&mut panel));
                    for (n, right) in chosen.iter().zip(right) {
                        load(simd, &outer.right[n * width + from..][..wide], right);
                    }
                    let strips = strips.chunks_exact(ROWS * chosen.len());
                    for (strip, tile) in strips.zip(tiles.chunks_exact_mut(ROWS)) {
                        let sums = product::<S, M, V>(simd, step, cast_slice(strip), &panel);
                        for r in 0..ROWS {
                            for v in 0..V {
                                let sum = step.floats(simd, sums[r][v]);
                                tile[r][v] = simd.add_f32s(tile[r][v], sum);
                            }
                        }
                    }
                }
                for (tile, out) in tiles.iter().zip(out.chunks_exact_mut(width)) {
                    store(simd, tile, &mut out[from..][..wide]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::numbers;
    use super::*;

    #[test]
    fn it_is_the_sum_of_outer_products() {
        for (depth, width, count, top, rows) in [
            (1, 1, 1, 0, 1),
            (13, 37, 5, 2, 9),
            (20, 70, 600, 6, 14),
            (9, 130, 1500, 2, 7), // more than are laid out at a time
        ] {
            let operand = |wide| {
                let x = numbers(&[count, wide], 1.0, 0.3).flatten_all();
                x.and_then(|x| x.to_vec1::<f32>()).expect("numbers")
            };
            let (left, right) = (operand(depth), operand(width));
            let chosen: Vec<usize> = (0..count).filter(|n| n % 5 != 1).collect();
            let mut ours = vec![1f32; rows * width];
            Outer {
                left: &left,
                right: &right,
                widths: (depth, width),
                chosen: &chosen,
                top,
            }
            .add_to(&mut ours);
            for (i, ours) in ours.iter().enumerate() {
                let (row, col) = (top + i / width, i % width);
                let term = |n: &usize| {
                    f64::from(left[n * depth + row]) * f64::from(right[n * width + col])
                };
                let exact = 1.0 + chosen.iter().map(term).sum::<f64>();
                assert!((f64::from(*ours) - exact).abs() < 1e-4, "{ours} vs {exact}");
            }
        }
    }
}
