//! Multi-head attention.

use candle_core::{Device, Result, Tensor};

use super::config::BlocksConfig;
use super::error as clip;
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
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
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

    /// The same projections for a tower that does not learn.
    pub(super) fn packed(self, precision: Precision) -> Result<Self> {
        Ok(Self {
            query: self.query.packed(precision)?,
            key: self.key.packed(precision)?,
            value: self.value.packed(precision)?,
            out: self.out.packed(precision)?,
            heads: self.heads,
            precision,
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

    /// `softmax(q kᵀ / √d + mask) v` of each head. Differentiable.
    ///
    /// # Shapes
    /// `query` `[B, N, W]`, `key` and `value` `[B, M, W]`, `mask` `[N, M]` (added; −∞ hides). Returns
    /// `[B, N, W]`.
    pub(super) fn attend(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let all = [query, key, value];
        let learns = all.iter().any(|tensor| tensor.track_op());
        if !learns && mask.is_none() && kernels::serves(&all) {
            return kernels::heads::attend(query, key, value, self.heads, self.precision);
        }
        let (query, key, value) = (self.split(query)?, self.split(key)?, self.split(value)?);
        let attended = match learns && kernels::serves(&all) {
            true => kernels::attention::attention(&query, &key, &value, mask)?,
            false => composed(&query, &key, &value, mask)?,
        };
        self.join(&attended)
    }

    /// The stream `onto` `[B, N, W]` with the output projection of `x` added.
    pub(super) fn add_output(&self, onto: &Tensor, x: &Tensor) -> Result<Tensor> {
        self.out.forward_onto(onto, x)
    }

    /// Joins the heads `[B·heads, N, W/heads]` in each row: `[B, N, W]`.
    fn join(&self, x: &Tensor) -> Result<Tensor> {
        let (groups, rows, depth) = x.dims3()?;
        let batch = groups / self.heads;
        x.reshape((batch, self.heads, rows, depth))?
            .transpose(1, 2)?
            .reshape((batch, rows, self.heads * depth))
    }

    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, width) = x.dims3()?;
        let depth = width / self.heads;
        let heads = x
            .reshape((batch, rows, self.heads, depth))?
            .transpose(1, 2)?;
        heads.reshape((batch * self.heads, rows, depth))
    }
}

/// `softmax(q kᵀ / √d + mask) v` for each of G heads, in Candle's operations. Scores are held for a few
/// heads at a time.
///
/// # Shapes
/// `query` `[G, N, d]`, `key` and `value` `[G, M, d]`, `mask` `[N, M]`. Returns `[G, N, d]`.
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
