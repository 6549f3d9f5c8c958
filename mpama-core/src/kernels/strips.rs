//! Rows of numbers, laid out for the left side of a tile.

use super::convert;
use super::precision::Precision;
use super::tile::ROWS;

/// Converted rows, [`ROWS`] side by side.
#[derive(Debug, Default, Clone)]
pub(super) struct Strips {
    /// `[strips, steps, ROWS]`; rows behind the last hold whatever they held.
    steps: Vec<u32>,
    /// What the numbers of each row are worth.
    worth: Vec<f32>,
    /// Steps of a row.
    inner: usize,
}

impl Strips {
    /// Takes in `count` rows of so many `inputs`, in place of those it had.
    #[inline(always)]
    pub(super) fn fill(
        &mut self,
        rows: impl Iterator<Item = impl AsRef<[f32]>>,
        (count, inputs): (usize, usize),
        precision: Precision,
    ) {
        self.inner = inputs.div_ceil(precision.per_step());
        let wide = count.next_multiple_of(ROWS);
        self.steps.resize(wide * self.inner, 0);
        self.worth.resize(wide, 0.0);
        let mut converted = vec![0; self.inner];
        let size = ROWS * self.inner;
        for (r, (row, worth)) in rows.zip(&mut self.worth).enumerate() {
            *worth = convert::token(precision, row.as_ref(), &mut converted);
            let strip = &mut self.steps[r / ROWS * size..][..size];
            for (column, step) in strip.as_chunks_mut::<ROWS>().0.iter_mut().zip(&converted) {
                column[r % ROWS] = *step;
            }
        }
    }

    /// Steps `[inner, ROWS]` and worths `[ROWS]` of each strip.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        let steps = self.steps.chunks_exact(ROWS * self.inner);
        steps.zip(self.worth.chunks_exact(ROWS))
    }
}
