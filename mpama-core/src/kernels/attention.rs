//! Attention of short sequences that learn: scores of one head stay in the cache, forward and backward,
//! and nothing of their size is kept between the two.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::floats::sum;
use super::product::{LANES, View, add_product, padded, transposed};
use super::{exp, for_each, slice, with_values};

/// `softmax(q kᵀ / √d + mask) v` for each of G heads: what `clip::attention::attend` composes, with
/// gradients for all three.
///
/// # Shapes
/// `query` `[G, N, d]`, `key` and `value` `[G, M, d]`, `mask` `[N, M]` (added; −∞ hides). Returns
/// `[G, N, d]`.
pub(crate) fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let (_, queries, depth) = query.dims3()?;
    let mask = mask.map(|mask| mask.flatten_all()?.to_vec1()).transpose()?;
    let op = Attention {
        queries,
        keys: key.dim(1)?,
        depth,
        mask,
    };
    query
        .contiguous()?
        .apply_op3(&key.contiguous()?, &value.contiguous()?, op)
}

struct Attention {
    queries: usize,
    keys: usize,
    depth: usize,
    mask: Option<Vec<f32>>,
}

impl Attention {
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

    /// Weights `[N, M]` of one head, in rows of the padded length; what fills them up is zero.
    #[inline(always)]
    fn weights(&self, query: &[f32], key: &[f32]) -> Vec<f32> {
        let (stride, _) = self.strides();
        let mut weights = vec![0f32; self.queries * stride];
        let across = transposed(key, self.depth, stride);
        let query = View {
            values: query,
            row: self.depth,
            column: 1,
        };
        add_product(&mut weights, query, &across, stride, self.depth);
        let scale = self.scale();
        for (i, row) in weights.chunks_exact_mut(stride).enumerate() {
            let (row, rest) = row.split_at_mut(self.keys);
            rest.fill(0.0);
            row.iter_mut().for_each(|score| *score *= scale);
            if let Some(mask) = &self.mask {
                let mask = &mask[i * self.keys..][..self.keys];
                row.iter_mut().zip(mask).for_each(|(score, m)| *score += m);
            }
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

    #[inline(always)]
    fn forward(&self, query: &[f32], key: &[f32], value: &[f32], out: &mut [f32]) {
        let (stride, wide) = self.strides();
        let weights = self.weights(query, key);
        let mut mixed = vec![0f32; self.queries * wide];
        let view = View {
            values: &weights,
            row: stride,
            column: 1,
        };
        add_product(
            &mut mixed,
            view,
            &padded(value, self.depth, wide),
            wide,
            self.keys,
        );
        unpadded(&mixed, wide, out, self.depth, 1.0);
    }

    /// Gradients of one head: `[query, key, value]`, given that of the result.
    #[inline(always)]
    fn backward(&self, inputs: [&[f32]; 3], grad: &[f32], out: [&mut [f32]; 3]) {
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
        let view = View {
            values: grad,
            row: self.depth,
            column: 1,
        };
        let values = transposed(value, self.depth, stride);
        add_product(&mut d_weights, view, &values, stride, self.depth);
        for (weights, d) in weights
            .chunks_exact_mut(stride)
            .zip(d_weights.chunks_exact(stride))
        {
            let mean = sum(weights, d, |w, d| w * d);
            weights.iter_mut().zip(d).for_each(|(w, d)| *w *= d - mean);
        }
        let d_scores = weights; // of q·k/√d

        let mut mixed = vec![0f32; self.queries * wide];
        let view = View {
            values: &d_scores,
            row: stride,
            column: 1,
        };
        add_product(
            &mut mixed,
            view,
            &padded(key, self.depth, wide),
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

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        query: &CpuStorage,
        layout: &Layout,
        key: &CpuStorage,
        key_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let query = slice(query, layout)?;
        let (key, value) = (slice(key, key_layout)?, slice(value, value_layout)?);
        let (head, other) = (self.queries * self.depth, self.keys * self.depth);
        let mut out = vec![0f32; query.len()];
        let heads = out
            .chunks_exact_mut(head)
            .zip(query.chunks_exact(head))
            .zip(key.chunks_exact(other).zip(value.chunks_exact(other)));
        for_each(heads, |((out, query), (key, value))| {
            pulp::Arch::new().dispatch(|| self.forward(query, key, value, out));
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        _result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (head, other) = (self.queries * self.depth, self.keys * self.depth);
        let all = [query, key, value, &grad];
        let [d_query, d_key, d_value] = with_values(all, |[query, key, value, grad]| {
            let mut out = [query, key, value].map(|of| vec![0f32; of.len()]);
            let [d_query, d_key, d_value] = &mut out;
            let heads = d_query
                .chunks_exact_mut(head)
                .zip(d_key.chunks_exact_mut(other))
                .zip(d_value.chunks_exact_mut(other))
                .enumerate();
            for_each(heads, |(i, ((d_query, d_key), d_value))| {
                let of = |values, size| &(values as &[f32])[i * size..][..size];
                let inputs = [of(query, head), of(key, other), of(value, other)];
                pulp::Arch::new()
                    .dispatch(|| self.backward(inputs, of(grad, head), [d_query, d_key, d_value]));
            });
            out
        })?;
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((
            Some(tensor(d_query, query)?),
            Some(tensor(d_key, key)?),
            Some(tensor(d_value, value)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candle_core::Device;

    use super::super::tests::{assert_same, numbers};
    use super::*;
    use crate::clip::attention::composed;

    #[test]
    fn it_equals_the_plain_one() {
        for (heads, queries, keys, depth) in [
            (1, 1, 1, 1),
            (2, 5, 5, 7),
            (3, 37, 37, 64),
            (2, 1, 18, 48),
            (1, 33, 20, 16),
        ] {
            let inputs = [
                numbers(&[heads, queries, depth], 2.0, 0.0),
                numbers(&[heads, keys, depth], 2.0, 1.0),
                numbers(&[heads, keys, depth], 1.0, 2.0),
            ];
            let mask: Vec<f32> = (0..queries * keys)
                .map(|i| match i % keys > i / keys {
                    true => f32::NEG_INFINITY,
                    false => 0.0,
                })
                .collect();
            let mask = Tensor::from_vec(mask, (queries, keys), &Device::Cpu).unwrap();
            for mask in [None, Some(&mask)] {
                assert_same(
                    &inputs,
                    |i| attention(&i[0], &i[1], &i[2], mask),
                    |i| composed(&i[0], &i[1], &i[2], mask),
                );
            }
        }
    }
}
