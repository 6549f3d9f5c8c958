//! Multi-head attention.

use candle_core::{CpuStorage, Device, Result, Storage, Tensor};

use super::config::BlocksConfig;
use super::error as clip;
use super::vv;
use super::weights::{Wanted, Weights};
use crate::kernels;
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
        let mut linear = |part| -> clip::Result<Linear> {
            let weight = weights.take(&format!("{prefix}.{part}.weight"), device)?;
            let bias = weights.take(&format!("{prefix}.{part}.bias"), device)?;
            Ok(Linear::new(weight, Some(bias)))
        };
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            out: linear("out_proj")?,
            heads: config.heads,
        })
    }

    /// Queries of `x` `[B, N, W]`: `[B·heads, N, W/heads]`.
    pub(super) fn queries(&self, x: &Tensor) -> Result<Tensor> {
        self.split(&self.query.forward(x)?)
    }

    /// Keys of `x`, shaped as the queries.
    pub(super) fn keys(&self, x: &Tensor) -> Result<Tensor> {
        self.split(&self.key.forward(x)?)
    }

    /// Values of `x`, shaped as the queries.
    pub(super) fn values(&self, x: &Tensor) -> Result<Tensor> {
        self.split(&self.value.forward(x)?)
    }

    /// Joins the heads `[B·heads, N, W/heads]` and applies the output projection: `[B, N, W]`.
    pub(super) fn output(&self, x: &Tensor) -> Result<Tensor> {
        let (groups, rows, depth) = x.dims3()?;
        let joined = x
            .reshape((groups / self.heads, self.heads, rows, depth))?
            .transpose(1, 2)?;
        self.out
            .forward(&joined.reshape((groups / self.heads, rows, self.heads * depth))?)
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

/// `softmax(q kᵀ / √d + mask) v` for each of G heads. Differentiable.
///
/// # Shapes
/// `query` `[G, N, d]`, `key` and `value` `[G, M, d]`, `mask` `[N, M]` (added; −∞ hides). Returns
/// `[G, N, d]`.
pub(super) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let all = [query, key, value];
    match all.iter().any(|tensor| tensor.track_op()) && kernels::serves(&all) {
        true => kernels::attention::attention(query, key, value, mask),
        false => composed(query, key, value, mask),
    }
}

/// [`attend`] in Candle's operations. Scores are held for a few heads at a time.
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

/// `softmax(v vᵀ / √d) v`: [`attend`] of values to themselves, on the CPU by the symmetric path where
/// their range allows.
pub(super) fn attend_values(value: &Tensor) -> Result<Tensor> {
    let (_, rows, depth) = value.dims3()?;
    let attended = {
        let (storage, layout) = value.storage_and_layout();
        match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::F32(all)), Some((start, end))) if !value.track_op() => {
                vv::attend(&all[start..end], rows, depth)
            }
            _ => None,
        }
    };
    match attended {
        Some(attended) => Tensor::from_vec(attended, value.shape(), value.device()),
        None => attend(value, value, value, None),
    }
}
