//! The loop that products come down to: a tile of sums that stays in registers.
//!
//! Written once, over whatever registers `pulp` offers and over what a [`Step`] holds. Two registers lie across
//! where there are sixteen: twelve sums, two operands and a copied one; four where there are thirty-two. So many
//! independent chains of additions keep two multipliers busy.

use pulp::Simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

use super::precision::Precision;
use super::step::{Step, Work, computed, dispatch};
use super::written::Slots;

/// Rows of a tile.
pub(super) const ROWS: usize = 6;

/// Columns of a tile in the registers of this machine, for numbers that are kept in `precision`.
pub(super) fn width(precision: Precision) -> usize {
    struct Width;
    impl Work for Width {
        type Output = usize;
        #[inline(always)]
        fn run<S: Simd, M: Step<S>, const V: usize>(self, _: S, _: M) -> usize {
            V * S::F32_LANES
        }
    }
    dispatch(computed(precision), Width)
}

/// `a b` for `a` `[ROWS, inner]` and `b` `[inner, across]`, in steps, both row by row. The order of each sum is that
/// of `inner`.
#[inline(always)]
pub(super) fn product<S: Simd, M: Step<S>, const V: usize>(
    simd: S,
    step: M,
    a: &[u32],
    b: &[u32],
) -> [[M::Sums; V]; ROWS] {
    let mut sums = [[step.zero(simd); V]; ROWS];
    let mut rows = a.chunks_exact(a.len() / ROWS);
    let mut row = || rows.next().unwrap_or_default();
    // zipped, they are not checked for their lengths at every step
    let a = row().iter().zip(row()).zip(row());
    let a = a.zip(row()).zip(row()).zip(row());
    let b = S::as_simd_u32s(b).0.as_chunks::<V>().0;
    for ((((((a0, a1), a2), a3), a4), a5), b) in a.zip(b) {
        for (sums, a) in sums.iter_mut().zip([a0, a1, a2, a3, a4, a5]) {
            let a = simd.splat_u32s(*a);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = step.meet(simd, a, *b, *sum);
            }
        }
    }
    sums
}

/// Floats as rows of a tile; a last row that is not whole is left out.
#[inline(always)]
pub(super) fn rows<S: Simd, const V: usize>(_: S, values: &[f32]) -> &[[S::f32s; V]] {
    S::as_simd_f32s(values).0.as_chunks().0
}

/// [`rows`], to be written.
#[inline(always)]
pub(super) fn rows_mut<S: Simd, const V: usize>(_: S, values: &mut [f32]) -> &mut [[S::f32s; V]] {
    S::as_mut_simd_f32s(values).0.as_chunks_mut().0
}

/// Copies register by register.
#[inline(always)]
#[expect(
    clippy::manual_memcpy,
    reason = "of all at once the compiler makes a call of the library's"
)]
fn copy<T: Copy, const V: usize>(to: &mut [T; V], from: &[T; V]) {
    for v in 0..V {
        to[v] = from[v];
    }
}

/// As many floats as there are, or as the row of a tile holds.
#[inline(always)]
pub(super) fn load<S: Simd, const V: usize>(simd: S, from: &[f32], row: &mut [S::f32s; V]) {
    match rows::<S, V>(simd, from) {
        [whole] => copy(row, whole),
        _ => cast_slice_mut::<S::f32s, f32>(row)[..from.len()].copy_from_slice(from),
    }
}

/// [`store`] to what may not have been written yet.
#[inline(always)]
pub(super) fn write<S: Simd, const V: usize>(_: S, row: &[S::f32s; V], to: &mut Slots) {
    let whole: &mut [[_; V]] = S::as_uninit_mut_simd_f32s(to).0.as_chunks_mut().0;
    match whole {
        [whole] => {
            for v in 0..V {
                whole[v].write(row[v]);
            }
        }
        _ => {
            let row: &[f32] = cast_slice(row);
            to.write_copy_of_slice(&row[..to.len()]);
        }
    }
}

/// The other way round.
#[inline(always)]
pub(super) fn store<S: Simd, const V: usize>(simd: S, row: &[S::f32s; V], to: &mut [f32]) {
    match rows_mut::<S, V>(simd, to) {
        [whole] => copy(whole, row),
        _ => to.copy_from_slice(&cast_slice::<S::f32s, f32>(row)[..to.len()]),
    }
}
