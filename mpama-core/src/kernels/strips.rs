//! Rows of numbers, laid out for the left side of a tile.

use super::convert;
use super::precision::Precision;
use super::tile::ROWS;

/// Converted rows, [`ROWS`] of them a strip.
#[derive(Debug, Default, Clone)]
pub(super) struct Strips {
    /// `[rows, steps]`, as many rows as fill whole strips; those behind the last hold whatever they held.
    steps: Vec<u32>,
    /// What the numbers of each row are worth.
    worth: Vec<f32>,
    /// Steps of a row.
    inner: usize,
}

impl Strips {
    /// Makes room for `count` rows of so many `inputs`; what they hold is not said.
    #[inline(always)]
    pub(super) fn resize(&mut self, count: usize, inputs: usize, precision: Precision) {
        self.inner = inputs.div_ceil(precision.per_step());
        let wide = count.next_multiple_of(ROWS);
        self.steps.resize(wide * self.inner, 0);
        self.worth.resize(wide, 0.0);
    }

    /// Takes in row `r`.
    #[inline(always)]
    pub(super) fn put(&mut self, r: usize, row: &[f32], precision: Precision) {
        let steps = &mut self.steps[r * self.inner..][..self.inner];
        self.worth[r] = convert::token(precision, row, steps);
    }

    /// How many strips there are.
    pub(super) fn count(&self) -> usize {
        self.worth.len() / ROWS
    }

    /// Steps `[ROWS, inner]` and worths `[ROWS]` of each strip.
    #[inline(always)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &[f32])> {
        let steps = self.steps.chunks_exact(ROWS * self.inner);
        steps.zip(self.worth.chunks_exact(ROWS))
    }
}
