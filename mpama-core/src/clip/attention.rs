//! Multi-head attention.

use candle_core::{Device, Result, Tensor};

use super::config::BlocksConfig;
use super::error as clip;
use super::rows::Rows;
use super::weights::{Wanted, Weights};
use crate::kernels;
use crate::kernels::precision::Precision;
use crate::nn::linear::Linear;
use crate::nn::softmax::softmax;

/// Most scores held at once, a few heads of a large image: 32 MB in f32.
const SCORES: usize = 8 << 20;

/// The four projections of multi-head attention (`self_attn` in the Hub's layout).
#[derive(Debug, Clone)]
pub(super) struct Attention {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) out: Linear,
    heads: usize,
    /// What attention that does not learn is computed in.
    precision: Precision,
}

impl Attention {
    /// Names and shapes of the tensors below `prefix`.
    pub(super) fn wanted(prefix: &str, config: &BlocksConfig) -> Vec<Wanted> {
        let width = config.width;
        let pair = |part| {
            [
                Wanted::new(format!("{prefix}.{part}.weight"), &[width, width]),
                Wanted::new(format!("{prefix}.{part}.bias"), &[width]),
            ]
        };
        ["q_proj", "k_proj", "v_proj", "out_proj"]
            .into_iter()
            .flat_map(pair)
            .collect()
    }

    /// Takes the tensors below `prefix`.
    pub(super) fn new(
        prefix: &str,
        config: &BlocksConfig,
        weights: &mut Weights,
        device: &Device,
    ) -> clip::Result<Self> {
        let mut linear = |part| weights.linear(&format!("{prefix}.{part}"), device);
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
            heads: config.heads,
            precision: Precision::F32,
        })
    }

    /// The same for a tower that does not learn, with its scores in `precision`.
    pub(super) fn packed(self, precision: Precision) -> Result<Self> {
        Ok(Self {
            query: self.query.packed()?,
            key: self.key.packed()?,
            value: self.value.packed()?,
            out: self.out.packed()?,
            heads: self.heads,
            precision,
        })
    }

    /// The same projections for a tower that does not learn, but has something learned below it.
    pub(super) fn frozen(self) -> Result<Self> {
        Ok(Self {
            query: self.query.frozen()?,
            key: self.key.frozen()?,
            value: self.value.frozen()?,
            out: self.out.frozen()?,
            ..self
        })
    }

    /// Queries of `x` `[B, N, W]`, head by head in each row.
    pub(super) fn queries(&self, x: &Tensor) -> Result<Tensor> {
        self.query.forward(x)
    }

    /// Keys of `x`, shaped as the queries.
    pub(super) fn keys(&self, x: &Tensor) -> Result<Tensor> {
        self.key.forward(x)
    }

    /// Values of `x`, shaped as the queries.
    pub(super) fn values(&self, x: &Tensor) -> Result<Tensor> {
        self.value.forward(x)
    }

    /// `softmax(q kᵀ / √d) v` of each head. Differentiable.
    ///
    /// # Shapes
    /// `query` `[B, N, W]`, `key` and `value` `[B, M, W]`. Returns `[B, N, W]`.
    pub(super) fn attend(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
        let all = [query, key, value];
        let learns = all.iter().any(|tensor| tensor.track_op());
        if !learns && kernels::serves(&all) {
            return kernels::heads::attend(query, key, value, self.heads, self.precision);
        }
        let [query, key, value] = all.map(|x| split(x, self.heads));
        let (query, key, value) = (query?, key?, value?);
        let attended = match learns && kernels::serves(&all) {
            true => kernels::attention::attention(&query, &key, &value)?,
            false => composed(&query, &key, &value, None)?,
        };
        join(&attended, self.heads)
    }

    /// [`Attention::attend`] with `value` for queries, keys and values.
    pub(super) fn attend_alike(&self, value: &Tensor) -> Result<Tensor> {
        match !value.track_op() && kernels::serves(&[value]) {
            true => kernels::heads::attend_alike(value, self.heads, self.precision),
            false => self.attend(value, value, value),
        }
    }

    /// The same of sequences that begin alike, where no row sees what follows it. Differentiable.
    ///
    /// # Shapes
    /// `key` and `value` `[S + N·l, W]` as [`Rows`] says; `query` the same, or `[N, W]` with the place of
    /// each sequence's row in `ends`, counted after the shared ones. Returns the shape of `query`.
    pub(super) fn attend_causal(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        rows: Rows,
        ends: Option<&[usize]>,
    ) -> Result<Tensor> {
        match kernels::serves(&[query, key, value]) {
            true => kernels::attention::causal(query, key, value, rows, ends, self.heads),
            false => composed_causal(query, key, value, rows, ends, self.heads),
        }
    }

    /// Gradients of query, key and value of [`Attention::attend_causal`], given that of the result; in f32 on the
    /// processor.
    pub(super) fn back_causal(
        &self,
        [query, key, value]: [&Tensor; 3],
        rows: Rows,
        grad: &Tensor,
    ) -> Result<[Tensor; 3]> {
        kernels::attention::causal_back([query, key, value], rows, self.heads, grad)
    }

    /// The stream `onto` `[B, N, W]` with the output projection of `x` added.
    pub(super) fn add_output(&self, onto: &Tensor, x: &Tensor) -> Result<Tensor> {
        self.out.forward_onto(onto, x)
    }
}

/// Joins the heads `[B·heads, N, W/heads]` in each row: `[B, N, W]`.
fn join(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (groups, rows, depth) = x.dims3()?;
    let batch = groups / heads;
    x.reshape((batch, heads, rows, depth))?
        .transpose(1, 2)?
        .reshape((batch, rows, heads * depth))
}

fn split(x: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, rows, width) = x.dims3()?;
    let depth = width / heads;
    let x = x.reshape((batch, rows, heads, depth))?.transpose(1, 2)?;
    x.reshape((batch * heads, rows, depth))
}

/// `softmax(q kᵀ / √d + mask) v` for each of G heads, in Candle's operations. Scores are held for a few
/// heads at a time.
///
/// # Shapes
/// `query` `[G, N, d]`, `key` and `value` `[G, M, d]`, `mask` `[N, M]` (added; −∞ hides). Returns
/// `[G, N, d]`.
pub(crate) fn composed(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let (groups, rows, depth) = query.dims3()?;
    let query = (query * (depth as f64).powf(-0.5))?;
    let some = |start: usize, length: usize| -> Result<Tensor> {
        let scores = query
            .narrow(0, start, length)?
            .matmul(&key.narrow(0, start, length)?.t()?)?;
        let scores = match mask {
            Some(mask) => scores.broadcast_add(mask)?,
            None => scores,
        };
        softmax(&scores)?.matmul(&value.narrow(0, start, length)?)
    };
    let at_once = (SCORES / (rows * key.dim(1)?)).clamp(1, groups);
    let starts = (0..groups).step_by(at_once);
    let parts = starts
        .map(|start| some(start, at_once.min(groups - start)))
        .collect::<Result<Vec<_>>>()?;
    match parts.as_slice() {
        [all] => Ok(all.clone()),
        parts => Tensor::cat(parts, 0),
    }
}

/// [`Attention::attend_causal`] in Candle's operations.
pub(crate) fn composed_causal(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    rows: Rows,
    ends: Option<&[usize]>,
    heads: usize,
) -> Result<Tensor> {
    let (keys, values) = (rows.in_full(key)?, rows.in_full(value)?); // [N, S + l, W]
    let of = |query: &Tensor, key: &Tensor, value: &Tensor, seen: Vec<usize>| -> Result<Tensor> {
        let mask = mask(&seen, key.dim(1)?, query.device())?;
        let [query, key, value] = [query, key, value].map(|x| split(x, heads));
        let attended = composed(&query?, &key?, &value?, Some(&mask))?;
        join(&attended, heads)?.flatten_to(1)
    };
    let Rows { shared, own, .. } = rows;
    if let Some(ends) = ends {
        let each = ends.iter().enumerate().map(|(n, end)| {
            let [query, key, value] = [query, &keys, &values].map(|x| x.narrow(0, n, 1));
            of(
                &query?.unsqueeze(0)?,
                &key?,
                &value?,
                vec![shared + end + 1],
            )
        });
        return Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0);
    }
    let [query_first, key_first, value_first] =
        [query, key, value].map(|x| x.narrow(0, 0, shared)?.unsqueeze(0));
    let first = of(
        &query_first?,
        &key_first?,
        &value_first?,
        (1..=shared).collect(),
    )?;
    let seen = (shared + 1..=shared + own).collect();
    let rest = of(&rows.own(query)?, &keys, &values, seen)?;
    Tensor::cat(&[first, rest], 0)
}

/// `[rows, keys]`: 0 for as many keys as each row sees, −∞ for those that follow.
fn mask(seen: &[usize], keys: usize, device: &Device) -> Result<Tensor> {
    let hidden = |seen: usize, key: usize| if key < seen { 0.0 } else { f32::NEG_INFINITY };
    let row = |seen: &usize| {
        let seen = *seen;
        (0..keys).map(move |key| hidden(seen, key))
    };
    let values: Vec<f32> = seen.iter().flat_map(row).collect();
    Tensor::from_vec(values, (seen.len(), keys), device)
}
