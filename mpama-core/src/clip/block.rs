//! One transformer block of either tower.

use candle_core::{Device, Result, Tensor};

use super::attention::Attention;
use super::config::BlocksConfig;
use super::error as clip;
use super::weights::{Wanted, Weights};
use crate::kernels::precision::Precision;
use crate::nn::activation::Activation;
use crate::nn::layer_norm::LayerNorm;
use crate::nn::linear::Linear;

/// A pre-norm block: attention and an MLP, each on a normalised copy and added to the stream. The
/// tower does the adding: it decides which rows and which streams take part.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) norm: LayerNorm,
    pub(super) attention: Attention,
    pub(super) mlp_norm: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) activation: Activation,
    width: usize,
}

impl Block {
    /// Names and shapes of the tensors below `prefix`.
    pub(super) fn wanted(prefix: &str, config: &BlocksConfig) -> Vec<Wanted> {
        let (width, mlp) = (config.width, config.mlp_width);
        let mut wanted = Attention::wanted(&format!("{prefix}.self_attn"), config);
        for (name, shape) in [
            ("layer_norm1.weight", &[width][..]),
            ("layer_norm1.bias", &[width]),
            ("layer_norm2.weight", &[width]),
            ("layer_norm2.bias", &[width]),
            ("mlp.fc1.weight", &[mlp, width]),
            ("mlp.fc1.bias", &[mlp]),
            ("mlp.fc2.weight", &[width, mlp]),
            ("mlp.fc2.bias", &[width]),
        ] {
            wanted.push(Wanted::new(format!("{prefix}.{name}"), shape));
        }
        wanted
    }

    /// Takes the tensors below `prefix`.
    pub(super) fn new(
        prefix: &str,
        config: &BlocksConfig,
        weights: &mut Weights,
        device: &Device,
    ) -> clip::Result<Self> {
        let attention = Attention::new(&format!("{prefix}.self_attn"), config, weights, device)?;
        let mut pair = |part| -> clip::Result<(Tensor, Tensor)> {
            Ok((
                weights.take(&format!("{prefix}.{part}.weight"), device)?,
                weights.take(&format!("{prefix}.{part}.bias"), device)?,
            ))
        };
        let (norm, mlp_norm) = (pair("layer_norm1")?, pair("layer_norm2")?);
        let mut linear = |part| weights.linear(&format!("{prefix}.{part}"), device);
        let (up, down) = (linear("mlp.fc1")?, linear("mlp.fc2")?);
        Ok(Self {
            norm: LayerNorm::new(norm.0, norm.1, config.layer_norm_eps),
            attention,
            mlp_norm: LayerNorm::new(mlp_norm.0, mlp_norm.1, config.layer_norm_eps),
            up,
            down,
            activation: config.activation,
            width: config.width,
        })
    }

    /// The same block for a tower that does not learn, with its scores in `precision`.
    pub(super) fn packed(self, precision: Precision) -> Result<Self> {
        Ok(Self {
            attention: self.attention.packed(precision)?,
            up: self.up.packed()?,
            down: self.down.packed()?,
            ..self
        })
    }

    /// The same block for a tower that does not learn, but has something learned below it.
    pub(super) fn frozen(self) -> Result<Self> {
        Ok(Self {
            attention: self.attention.frozen()?,
            up: self.up.frozen()?,
            down: self.down.frozen()?,
            ..self
        })
    }

    /// Whether all of it is laid out for both ways.
    pub(super) fn is_frozen(&self) -> bool {
        let Attention {
            query,
            key,
            value,
            out,
            ..
        } = &self.attention;
        let linears = [query, key, value, out, &self.up, &self.down];
        linears.into_iter().all(Linear::is_frozen) && self.activation == Activation::QuickGelu
    }

    /// Width W of the stream.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The stream `x` `[B, N, W]` after the MLP.
    pub(super) fn add_mlp(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.mlp_norm.forward(x)?;
        let Self { up, down, .. } = self;
        down.forward_after(up, self.activation, &normed, x)
    }
}
