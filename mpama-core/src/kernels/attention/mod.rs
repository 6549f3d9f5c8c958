//! Attention of sequences that learn, forward and backward.

mod causal;
mod head;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::{for_each, in_registers, slice, with_values};
pub(crate) use causal::{causal, causal_back};
use head::Head;

/// `softmax(q kᵀ / √d) v` for each of G heads: what `clip::attention::composed` composes, with gradients
/// for all three.
///
/// # Shapes
/// `query` `[G, N, d]`, `key` and `value` `[G, M, d]`. Returns `[G, N, d]`.
pub(crate) fn attention(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
    let (_, queries, depth) = query.dims3()?;
    let op = Attention(Head {
        queries,
        keys: key.dim(1)?,
        depth,
        first: None,
    });
    query
        .contiguous()?
        .apply_op3(&key.contiguous()?, &value.contiguous()?, op)
}

struct Attention(Head);

impl Attention {
    /// Elements of the queries and of the keys of one head.
    fn sizes(&self) -> (usize, usize) {
        let Head {
            queries,
            keys,
            depth,
            ..
        } = self.0;
        (queries * depth, keys * depth)
    }
}

in_registers! {
    fn forward<'a>(head: &'a Head, inputs: [&'a [f32]; 3], out: &'a mut [f32]) {
        head.forward(inputs, out);
    }

    fn backward<'a>(
        head: &'a Head,
        inputs: [&'a [f32]; 3],
        grad: &'a [f32],
        out: [&'a mut [f32]; 3],
    ) {
        head.backward(inputs, grad, out);
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
        let (head, other) = self.sizes();
        let mut out = vec![0f32; query.len()];
        let heads = out
            .chunks_exact_mut(head)
            .zip(query.chunks_exact(head))
            .zip(key.chunks_exact(other).zip(value.chunks_exact(other)));
        for_each(heads, |((out, query), (key, value))| {
            forward(&self.0, [query, key, value], out);
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
        let (head, other) = self.sizes();
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
                let out = [d_query, d_key, d_value];
                backward(&self.0, inputs, of(grad, head), out);
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
            assert_same(
                &inputs,
                |i| attention(&i[0], &i[1], &i[2]),
                |i| composed(&i[0], &i[1], &i[2], None),
            );
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let [key, value] = [1.0, 2.0].map(|seed| numbers(&[1, 20, 16], 2.0, seed));
        let number = numbers(&[1, 1, 16], 2.0, 0.0);
        let none = (&number * f64::NAN).unwrap();
        let query = Tensor::cat(&[number, none], 1).unwrap();
        let out = attention(&query, &key, &value).unwrap();
        let rows: Vec<Vec<f32>> = out.get(0).unwrap().to_vec2().unwrap();
        assert!(rows[0].iter().all(|x| x.is_finite()), "{:?}", rows[0]);
        assert!(rows[1].iter().all(|x| x.is_nan()), "{:?}", rows[1]);
    }
}
