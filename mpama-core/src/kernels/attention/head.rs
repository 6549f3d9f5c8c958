//! One head: scores stay in the cache, forward and backward, and nothing of their size is kept between.

use std::cell::Cell;

use super::super::exp;
use super::super::floats::{most, sum};
use super::super::product::{View, product};

thread_local! {
    /// Weights and their gradients, in memory that serves for the next head.
    static SCRATCH: Cell<[Vec<f32>; 2]> = Cell::default();
}

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
    fn scale(&self) -> f32 {
        (self.depth as f32).powf(-0.5)
    }

    /// Weights `[N, M]`; what is not seen is zero.
    #[inline(always)]
    fn weigh(&self, query: &[f32], key: &[f32], weights: &mut Vec<f32>) {
        let (query, key) = (View::of(query, self.depth), View::of(key, self.depth));
        weights.resize(self.queries * self.keys, 0.0);
        product(query, key.t(), weights);
        let scale = self.scale();
        for (i, row) in weights.chunks_exact_mut(self.keys).enumerate() {
            let seen = self
                .first
                .map_or(self.keys, |first| self.keys.min(first + i + 1));
            let (row, rest) = row.split_at_mut(seen);
            rest.fill(0.0);
            let most = scale * most(row);
            for score in row.iter_mut() {
                // Below, f32 has nothing left of it beside the largest; −∞ ends here too. What is no number stays none.
                let below = *score * scale - most;
                *score = if below < -80.0 { 0.0 } else { exp(below) };
            }
            let total = 1.0 / sum(row, row, |x, _| x);
            row.iter_mut().for_each(|weight| *weight *= total);
        }
    }

    /// `softmax(q kᵀ / √d) v` over the keys that are seen.
    #[inline(always)]
    pub(super) fn forward(&self, [query, key, value]: [&[f32]; 3], out: &mut [f32]) {
        let mut scratch = SCRATCH.take();
        let weights = &mut scratch[0];
        self.weigh(query, key, weights);
        let values = View::of(value, self.depth);
        let weights = View::of(weights, self.keys);
        product(weights, values, out);
        SCRATCH.set(scratch);
    }

    /// Gradients `[query, key, value]`, given that of the result.
    #[inline(always)]
    pub(super) fn backward(&self, inputs: [&[f32]; 3], grad: &[f32], out: [&mut [f32]; 3]) {
        let ([query, key, value], [d_query, d_key, d_value]) = (inputs, out);
        let heads = |values| View::of(values, self.depth);
        let mut scratch = SCRATCH.take();
        let [weights, d_weights] = &mut scratch;
        self.weigh(query, key, weights);
        let across = View::of(weights, self.keys).t();
        product(across, heads(grad), d_value);

        d_weights.resize(weights.len(), 0.0);
        product(heads(grad), heads(value).t(), d_weights);
        let scale = self.scale();
        for (weights, d) in weights
            .chunks_exact_mut(self.keys)
            .zip(d_weights.chunks_exact(self.keys))
        {
            let mean = sum(weights, d, |w, d| w * d);
            let each = weights.iter_mut().zip(d);
            each.for_each(|(w, d)| *w *= (d - mean) * scale);
        }
        let d_scores = View::of(weights, self.keys); // of q·k
        product(d_scores, heads(key), d_query);
        product(d_scores.t(), heads(query), d_key);
        SCRATCH.set(scratch);
    }
}
