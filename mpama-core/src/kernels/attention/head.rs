//! One head: scores stay in the cache, forward and backward, and nothing of their size is kept between.

use super::super::exp;
use super::super::floats::sum;
use super::super::product::{LANES, View, add_product, padded, transposed};

/// Sizes of a head, and which keys its queries see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) depth: usize,
    /// Query `i` sees the keys up to `first + i`; all of them if there is none.
    pub(super) first: Option<usize>,
}

impl Head {
    /// Rows of scores and of heads, filled up to whole registers.
    fn strides(&self) -> (usize, usize) {
        (
            self.keys.next_multiple_of(LANES),
            self.depth.next_multiple_of(LANES),
        )
    }

    fn scale(&self) -> f32 {
        (self.depth as f32).powf(-0.5)
    }

    /// Weights `[N, M]`, in rows of the padded length; what fills them up and what is not seen is zero.
    #[inline(always)]
    fn weights(&self, query: &[f32], key: &[f32]) -> Vec<f32> {
        let (stride, _) = self.strides();
        let mut weights = vec![0f32; self.queries * stride];
        let across = transposed(key, self.depth, stride);
        add_product(
            &mut weights,
            rows_of(query, self.depth),
            &across,
            stride,
            self.depth,
        );
        let scale = self.scale();
        for (i, row) in weights.chunks_exact_mut(stride).enumerate() {
            let seen = self
                .first
                .map_or(self.keys, |first| self.keys.min(first + i + 1));
            let (row, rest) = row.split_at_mut(seen);
            rest.fill(0.0);
            row.iter_mut().for_each(|score| *score *= scale);
            let most = row.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
            for score in row.iter_mut() {
                // Below, f32 has nothing left of it beside the largest; −∞ ends here too.
                let below = *score - most;
                *score = if below < -80.0 {
                    0.0
                } else {
                    exp(below.max(-80.0))
                };
            }
            let total = 1.0 / sum(row, row, |x, _| x);
            row.iter_mut().for_each(|weight| *weight *= total);
        }
        weights
    }

    /// `softmax(q kᵀ / √d) v` over the keys that are seen.
    #[inline(always)]
    pub(super) fn forward(&self, [query, key, value]: [&[f32]; 3], out: &mut [f32]) {
        let (stride, wide) = self.strides();
        let weights = self.weights(query, key);
        let mut mixed = vec![0f32; self.queries * wide];
        let values = padded(value, self.depth, wide);
        add_product(
            &mut mixed,
            rows_of(&weights, stride),
            &values,
            wide,
            self.keys,
        );
        unpadded(&mixed, wide, out, self.depth, 1.0);
    }

    /// Gradients `[query, key, value]`, given that of the result.
    #[inline(always)]
    pub(super) fn backward(&self, inputs: [&[f32]; 3], grad: &[f32], out: [&mut [f32]; 3]) {
        let (stride, wide) = self.strides();
        let ([query, key, value], [d_query, d_key, d_value]) = (inputs, out);
        let mut weights = self.weights(query, key);

        let mut mixed = vec![0f32; self.keys * wide];
        let rows = padded(grad, self.depth, wide);
        add_product(
            &mut mixed,
            columns_of(&weights, stride),
            &rows,
            wide,
            self.queries,
        );
        unpadded(&mixed, wide, d_value, self.depth, 1.0);

        let mut d_weights = vec![0f32; self.queries * stride];
        let values = transposed(value, self.depth, stride);
        add_product(
            &mut d_weights,
            rows_of(grad, self.depth),
            &values,
            stride,
            self.depth,
        );
        for (weights, d) in weights
            .chunks_exact_mut(stride)
            .zip(d_weights.chunks_exact(stride))
        {
            let mean = sum(weights, d, |w, d| w * d);
            weights.iter_mut().zip(d).for_each(|(w, d)| *w *= d - mean);
        }
        let d_scores = weights; // of q·k/√d

        let mut mixed = vec![0f32; self.queries * wide];
        let rows = padded(key, self.depth, wide);
        add_product(
            &mut mixed,
            rows_of(&d_scores, stride),
            &rows,
            wide,
            self.keys,
        );
        unpadded(&mixed, wide, d_query, self.depth, self.scale());

        let mut mixed = vec![0f32; self.keys * wide];
        let rows = padded(query, self.depth, wide);
        add_product(
            &mut mixed,
            columns_of(&d_scores, stride),
            &rows,
            wide,
            self.queries,
        );
        unpadded(&mixed, wide, d_key, self.depth, self.scale());
    }
}

/// A matrix with rows of `stride`.
#[inline(always)]
fn rows_of(values: &[f32], stride: usize) -> View<'_> {
    View {
        values,
        row: stride,
        column: 1,
    }
}

/// The transpose of a matrix with rows of `stride`.
#[inline(always)]
fn columns_of(values: &[f32], stride: usize) -> View<'_> {
    View {
        values,
        row: 1,
        column: stride,
    }
}

/// Copies rows of `wide` into rows of `columns`, times `scale`.
#[inline(always)]
fn unpadded(values: &[f32], wide: usize, out: &mut [f32], columns: usize, scale: f32) {
    for (out, row) in out.chunks_exact_mut(columns).zip(values.chunks_exact(wide)) {
        out.iter_mut()
            .zip(row)
            .for_each(|(out, x)| *out = x * scale);
    }
}
