//! Sums of outer products: the gradient of weights.

use pulp::Simd;
use pulp::bytemuck::cast_slice;

use super::aligned::Aligned;
use super::precision::Precision;
use super::step::{Step, Work, dispatch};
use super::tile::{ROWS, product};

/// Rows of the operands that are summed at a time: what is laid out of them stays in the caches.
const INNER: usize = 128;

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
}

struct Adding<'a>(Outer<'a>, &'a mut [f32]);

impl Work for Adding<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(self, simd: S, step: M) {
        let Self(outer, out) = self;
        let (depth, width) = outer.widths;
        let across = V * S::F32_LANES;
        let rows = out.len() / width;
        let strip_rows = rows.next_multiple_of(ROWS);
        let mut strips = vec![0f32; strip_rows * INNER];
        let mut panel = Aligned::zeros(across * INNER);
        for chosen in outer.chosen.chunks(INNER) {
            let inner = chosen.len();
            let by_strip = strips.chunks_exact_mut(ROWS * inner);
            for (from, strip) in (0..rows).step_by(ROWS).zip(by_strip) {
                let here = ROWS.min(rows - from);
                for (k, n) in chosen.iter().enumerate() {
                    let left = &outer.left[n * depth + outer.top + from..][..here];
                    for (row, left) in strip.chunks_exact_mut(inner).zip(left) {
                        row[k] = *left;
                    }
                }
            }
            for from in (0..width).step_by(across) {
                let wide = across.min(width - from);
                for (n, panel) in chosen.iter().zip(panel.chunks_exact_mut(across)) {
                    panel[..wide]
                        .copy_from_slice(cast_slice(&outer.right[n * width + from..][..wide]));
                }
                let panel = &panel[..inner * across];
                let each = strips.chunks_exact(ROWS * inner);
                for (strip, out) in each.zip(out.chunks_mut(ROWS * width)) {
                    let sums = product::<S, M, V>(simd, step, cast_slice(strip), panel);
                    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(width)) {
                        let sums = sums.map(|sums| step.floats(simd, sums));
                        let sums: &[f32] = cast_slice(&sums);
                        let out = &mut out[from..][..wide];
                        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                    }
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
        for (depth, width, count, top, rows) in
            [(1, 1, 1, 0, 1), (13, 37, 5, 2, 9), (20, 70, 600, 6, 14)]
        {
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
