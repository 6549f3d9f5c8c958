//! The text tower, differentiable with respect to what learned prompts put into it.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::block::Block;
use super::config::ClipConfig;
use super::error::{ClipError, Result};
use super::weights::{Source, Wanted, Weights};
use crate::nn::layer_norm::LayerNorm;
use crate::nn::linear::Linear;

/// A frozen text tower.
///
/// Attention is causal and only one row is read, the end token's, so that whatever follows it has no
/// influence: sequences may end there instead of being padded to the full context.
#[derive(Debug, Clone)]
pub struct TextTower {
    tokens: Tensor,
    positions: Tensor,
    blocks: Vec<Block>,
    final_norm: LayerNorm,
    projection: Linear,
}

impl TextTower {
    pub(super) fn load(source: &Source, config: &ClipConfig, device: &Device) -> Result<Self> {
        Self::build(source.read(&wanted(config))?, config, device)
    }

    /// A tower over tensors in memory, named and shaped as [`ClipConfig::tensors`] says; others are
    /// ignored. They are shared, not copied: where they are variables, the tower is differentiable
    /// with respect to them and follows their values.
    ///
    /// # Errors
    /// As [`super::Checkpoint::text`].
    pub fn from_tensors(config: &ClipConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let weights = Weights::select(&wanted(config), tensors)?;
        let device = tensors.values().next().map(Tensor::device);
        Self::build(weights, config, device.unwrap_or(&Device::Cpu))
    }

    fn build(mut weights: Weights, config: &ClipConfig, device: &Device) -> Result<Self> {
        let text = &config.text;
        let mut take = |name: &str| weights.take(name, device);
        let norm = (
            take("text_model.final_layer_norm.weight")?,
            take("text_model.final_layer_norm.bias")?,
        );
        let tokens = take("text_model.embeddings.token_embedding.weight")?;
        let positions = take("text_model.embeddings.position_embedding.weight")?;
        let projection = Linear::new(take("text_projection.weight")?, None);
        let block = |i| Block::new(&format!("{BLOCKS}.{i}"), &text.blocks, &mut weights, device);
        Ok(Self {
            tokens,
            positions,
            blocks: (0..text.blocks.layers).map(block).collect::<Result<_>>()?,
            final_norm: LayerNorm::new(norm.0, norm.1, text.blocks.layer_norm_eps),
            projection,
        })
    }

    /// Token embeddings of `ids`, `[L, W]`, without positions.
    ///
    /// # Errors
    /// [`ClipError::Token`] for an id outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let vocabulary = self.tokens.dim(0)?;
        if let Some(&id) = ids.iter().find(|id| **id as usize >= vocabulary) {
            return Err(ClipError::Token { id, vocabulary });
        }
        let ids = Tensor::new(ids, self.tokens.device())?;
        Ok(self.tokens.index_select(&ids, 0)?)
    }

    /// Encodes N sequences of token embeddings: the end token's row after the last block, normalised
    /// and projected, not yet of unit length. Differentiable with respect to `embeddings` and `deep`.
    ///
    /// # Shapes
    /// `embeddings` `[N, L, W]` without positions, which are added here; L at most the context.
    /// `eot` has N positions of end tokens. Each of `deep` is `[len, W]` and overwrites, at the input
    /// of the second block, the third, …, the positions 1..=len of every sequence (MaPLe's compound
    /// prompts, as AnomalyCLIP uses them). Returns `[N, D]`.
    ///
    /// # Errors
    /// [`ClipError::Shape`] if any of these does not fit.
    pub fn encode(&self, embeddings: &Tensor, eot: &[usize], deep: &[Tensor]) -> Result<Tensor> {
        let (sequences, length) = self.check(embeddings, eot, deep)?;
        let width = self.width();
        let device = embeddings.device();
        let mut x = embeddings.broadcast_add(&self.positions.narrow(0, 0, length)?)?;
        let mask = causal_mask(length, device)?;
        for (i, block) in self.blocks.iter().enumerate() {
            if let Some(prompt) = i.checked_sub(1).and_then(|i| deep.get(i)) {
                let rows = prompt.dim(0)?;
                let before = x.narrow(1, 0, 1)?;
                let prompt = prompt
                    .unsqueeze(0)?
                    .broadcast_as((sequences, rows, width))?
                    .contiguous()?;
                let after = x.narrow(1, 1 + rows, length - 1 - rows)?;
                x = Tensor::cat(&[before, prompt, after], 1)?;
            }
            let u = block.norm.forward(&x)?; // [N, L, W]
            let attention = &block.attention;
            let (query, key, value) = (
                attention.queries(&u)?,
                attention.keys(&u)?,
                attention.values(&u)?,
            );
            let attended = attention.attend(&query, &key, &value, Some(&mask))?;
            x = block.add_mlp(&attention.add_output(&x, &attended)?)?;
        }
        let rows: Vec<u32> = eot
            .iter()
            .enumerate()
            .map(|(n, end)| (n * length + end) as u32)
            .collect();
        let ends = x
            .reshape((sequences * length, width))?
            .index_select(&Tensor::new(rows, device)?, 0)?;
        Ok(self.projection.forward(&self.final_norm.forward(&ends)?)?)
    }

    /// Encodes token ids as plain CLIP does: `[N, D]`, not yet of unit length.
    ///
    /// Sequences may differ in length and may be padded after the end token, which is found as OpenAI's
    /// code finds it: the first of the highest id.
    ///
    /// # Errors
    /// [`ClipError::Token`] for an id outside the vocabulary, [`ClipError::Shape`] for no sequence, an
    /// empty one, or one longer than the context.
    pub fn encode_ids(&self, ids: &[Vec<u32>]) -> Result<Tensor> {
        let end = |ids: &Vec<u32>| {
            let highest = ids.iter().max()?;
            ids.iter().position(|id| id == highest)
        };
        let eot: Option<Vec<usize>> = ids.iter().map(end).collect();
        let eot = eot.filter(|eot| !eot.is_empty()).ok_or_else(|| {
            let found = ids.iter().map(Vec::len).collect();
            ClipError::Shape {
                what: "token ids",
                expected: "sequences of at least one".to_owned(),
                found,
            }
        })?;
        // Behind the end token nothing counts: every sequence is cut or repeats its end there.
        let length = eot.iter().max().map_or(0, |end| end + 1);
        let padded: Vec<u32> = ids
            .iter()
            .zip(&eot)
            .flat_map(|(ids, end)| (0..length).map(|i| ids[i.min(*end)]))
            .collect();
        let embeddings = self
            .embed(&padded)?
            .reshape((ids.len(), length, self.width()))?;
        self.encode(&embeddings, &eot, &[])
    }

    /// Width W of the token embeddings.
    pub fn width(&self) -> usize {
        self.blocks[0].width()
    }

    /// Number of blocks.
    pub fn layers(&self) -> usize {
        self.blocks.len()
    }

    /// Longest sequence, start and end included.
    pub fn context(&self) -> usize {
        self.positions.dims()[0]
    }

    fn check(&self, embeddings: &Tensor, eot: &[usize], deep: &[Tensor]) -> Result<(usize, usize)> {
        let (width, context) = (self.width(), self.context());
        let shape = |what, expected, found: &[usize]| {
            Err(ClipError::Shape {
                what,
                expected,
                found: found.to_vec(),
            })
        };
        let (sequences, length) = match *embeddings.dims() {
            [n, l, w] if n > 0 && (1..=context).contains(&l) && w == width => (n, l),
            ref found => {
                let expected = format!("[sequences, 1 to {context}, {width}]");
                return shape("text embeddings", expected, found);
            }
        };
        if eot.len() != sequences || eot.iter().any(|end| *end >= length) {
            let expected = format!("{sequences} positions below {length}");
            return shape("end positions", expected, eot);
        }
        if deep.len() >= self.layers() {
            let expected = format!(
                "at most {}, one per block after the first",
                self.layers() - 1
            );
            return shape("list of deep prompts", expected, &[deep.len()]);
        }
        for prompt in deep {
            match *prompt.dims() {
                [rows, w] if rows < length && w == width => {}
                ref found => {
                    return shape("deep prompt", format!("[below {length}, {width}]"), found);
                }
            }
        }
        Ok((sequences, length))
    }
}

/// `[L, L]`: 0 where a row may look, −∞ at what follows it.
fn causal_mask(length: usize, device: &Device) -> Result<Tensor> {
    let hidden = |row, column| if column > row { f32::NEG_INFINITY } else { 0.0 };
    let values: Vec<f32> = (0..length * length)
        .map(|i| hidden(i / length, i % length))
        .collect();
    Ok(Tensor::from_vec(values, (length, length), device)?)
}

const BLOCKS: &str = "text_model.encoder.layers";

/// Names and shapes of the tower's tensors, the text projection included.
pub(super) fn wanted(config: &ClipConfig) -> Vec<Wanted> {
    let text = &config.text;
    let width = text.blocks.width;
    let mut wanted: Vec<_> = [
        (
            "text_model.embeddings.token_embedding.weight",
            &[text.vocabulary, width][..],
        ),
        (
            "text_model.embeddings.position_embedding.weight",
            &[text.context, width],
        ),
        ("text_model.final_layer_norm.weight", &[width]),
        ("text_model.final_layer_norm.bias", &[width]),
        ("text_projection.weight", &[config.projection, width]),
    ]
    .into_iter()
    .map(|(name, shape)| Wanted::new(name, shape))
    .collect();
    for i in 0..text.blocks.layers {
        wanted.extend(Block::wanted(&format!("{BLOCKS}.{i}"), &text.blocks));
    }
    wanted
}
