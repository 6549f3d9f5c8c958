//! Products of small matrices that live in the first-level cache.

/// Floats of a block of columns held in registers; matrices have rows of a multiple of it.
pub(crate) const LANES: usize = 16;
const ROWS: usize = 4;

/// A matrix to be read, with the distances in memory between its rows and between its columns.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// `c += a b` for `c` `[rows, columns]` and `b` `[inner, columns]`, both row by row; `columns` is a
/// multiple of [`LANES`], `a` is `[rows, inner]` in any order.
#[inline(always)]
pub(crate) fn add_product(c: &mut [f32], a: View<'_>, b: &[f32], columns: usize, inner: usize) {
    let rows = c.len() / columns;
    let whole = rows / ROWS * ROWS;
    for top in (0..whole).step_by(ROWS) {
        block::<ROWS>(c, top, a, b, columns, inner);
    }
    for top in whole..rows {
        block::<1>(c, top, a, b, columns, inner);
    }
}

#[inline(always)]
fn block<const N: usize>(
    c: &mut [f32],
    top: usize,
    a: View<'_>,
    b: &[f32],
    columns: usize,
    inner: usize,
) {
    for left in (0..columns).step_by(LANES) {
        let mut sum = [[0f32; LANES]; N];
        for k in 0..inner {
            let b = &b[k * columns + left..][..LANES];
            for (r, sum) in sum.iter_mut().enumerate() {
                let a = a.values[(top + r) * a.row + k * a.column];
                sum.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
            }
        }
        for (r, sum) in sum.iter().enumerate() {
            let c = &mut c[(top + r) * columns + left..][..LANES];
            c.iter_mut().zip(sum).for_each(|(c, sum)| *c += sum);
        }
    }
}

/// Copies `[rows, columns]` into rows of `stride`, filled up with zeros.
#[inline(always)]
pub(crate) fn padded(values: &[f32], columns: usize, stride: usize) -> Vec<f32> {
    let mut out = vec![0f32; values.len() / columns * stride];
    for (out, row) in out
        .chunks_exact_mut(stride)
        .zip(values.chunks_exact(columns))
    {
        out[..columns].copy_from_slice(row);
    }
    out
}

/// Copies `[rows, columns]` into its transpose `[columns, rows]`, with rows of `stride`.
#[inline(always)]
pub(crate) fn transposed(values: &[f32], columns: usize, stride: usize) -> Vec<f32> {
    let mut out = vec![0f32; columns * stride];
    for (r, row) in values.chunks_exact(columns).enumerate() {
        for (c, value) in row.iter().enumerate() {
            out[c * stride + r] = *value;
        }
    }
    out
}
