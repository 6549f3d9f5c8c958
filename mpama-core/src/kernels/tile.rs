//! The loop that products come down to: a tile of sums that stays in registers.
//!
//! Written once, over whatever registers `pulp` offers: 8 floats with AVX2, 16 with AVX-512, 4 with NEON,
//! 1 without any. Twelve sums, two operands and a copied scalar fit the sixteen registers of AVX2, and twelve
//! independent chains of additions keep two multipliers busy.

use pulp::{Arch, Simd, WithSimd};

/// Rows of a tile.
pub(super) const ROWS: usize = 6;
/// Registers across a tile.
pub(super) const VECTORS: usize = 2;

/// A row of a tile.
pub(super) type Row<S> = [<S as Simd>::f32s; VECTORS];
/// Sums of a product, row by row.
pub(super) type Tile<S> = [Row<S>; ROWS];

/// Columns of a tile.
#[inline(always)]
pub(super) fn across<S: Simd>(_: S) -> usize {
    VECTORS * S::F32_LANES
}

/// Columns of a tile in the registers of this machine.
pub(super) fn width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> usize {
            across(simd)
        }
    }
    Arch::new().dispatch(Width)
}

/// `a b` for `a` `[ROWS, inner]` column by column and `b` `[inner, across]` row by row. The order of each sum
/// is that of `inner`.
#[inline(always)]
pub(super) fn product<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> Tile<S> {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (a, _) = a.as_chunks::<ROWS>();
    for (a, b) in a.iter().zip(rows(simd, b)) {
        for (sums, a) in sums.iter_mut().zip(a) {
            let a = simd.splat_f32s(*a);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a, *b, *sum);
            }
        }
    }
    sums
}

/// Floats as rows of a tile; a last row that is not whole is left out.
#[inline(always)]
pub(super) fn rows<S: Simd>(_: S, values: &[f32]) -> &[Row<S>] {
    S::as_simd_f32s(values).0.as_chunks().0
}

/// [`rows`], to be written.
#[inline(always)]
pub(super) fn rows_mut<S: Simd>(_: S, values: &mut [f32]) -> &mut [Row<S>] {
    S::as_mut_simd_f32s(values).0.as_chunks_mut().0
}

/// Copies rows into strips of [`ROWS`] of them, each column by column: the `a` of [`product`]. Rows are
/// filled up with whatever `strips` holds.
#[inline(always)]
pub(super) fn pack<'a>(rows: impl Iterator<Item = &'a [f32]>, inner: usize, strips: &mut [f32]) {
    for (r, row) in rows.enumerate() {
        let strip = &mut strips[r / ROWS * ROWS * inner..][..ROWS * inner];
        for (column, x) in strip.chunks_exact_mut(ROWS).zip(row) {
            column[r % ROWS] = *x;
        }
    }
}
