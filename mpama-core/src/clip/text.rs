//! The text tower, differentiable with respect to what learned prompts put into it.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::block::Block;
use super::config::ClipConfig;
use super::error::{ClipError, Result};
use super::rows::Rows;
use super::weights::{Source, Wanted, Weights};
use crate::nn::layer_norm::LayerNorm;
use crate::nn::linear::Linear;

/// A frozen text tower.
///
/// Attention is causal and only one row is read, the end token's, so that whatever follows it has no
/// influence: sequences may end there instead of being padded to the full context. For the same reason
/// the rows that all sequences begin with go through the tower once.
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

    /// The same tower with its weights laid out for the kernels, for prompts that learn: gradients go through
    /// it, but its weights get none and their tensors are let go. Where they are variables, or on another
    /// device, nothing changes.
    ///
    /// # Errors
    /// Candle's.
    pub fn frozen(self) -> Result<Self> {
        let blocks = self.blocks.into_iter().map(Block::frozen);
        Ok(Self {
            blocks: blocks.collect::<candle_core::Result<_>>()?,
            projection: self.projection.frozen()?,
            ..self
        })
    }

    /// Encodes N sequences of token embeddings: the end token's row after the last block, normalised
    /// and projected, not yet of unit length. Differentiable with respect to `start`, `embeddings` and
    /// `deep`.
    ///
    /// # Shapes
    /// `start` `[1, W]` is what every sequence begins with and `embeddings` `[N, L − 1, W]` what follows, both
    /// without positions, which are added here; L at most the context. `eot` has N positions of end tokens,
    /// the start being 0. Each of `deep` is `[len, W]` and overwrites, at the input of the second block, the
    /// third, …, the positions 1..=len of every sequence (MaPLe's compound prompts, as AnomalyCLIP uses
    /// them); the end tokens come after. Returns `[N, D]`.
    ///
    /// # Errors
    /// [`ClipError::Shape`] if any of these does not fit.
    pub fn encode(
        &self,
        start: &Tensor,
        embeddings: &Tensor,
        eot: &[usize],
        deep: &[Tensor],
    ) -> Result<Tensor> {
        let mut rows = self.check(start, embeddings, eot, deep)?;
        let positions = self.positions.narrow(0, 0, 1 + rows.own)?;
        let start = (start + positions.narrow(0, 0, 1)?)?;
        let own = embeddings.broadcast_add(&positions.narrow(0, 1, rows.own)?)?;
        let mut x = Tensor::cat(&[start, own.flatten_to(1)?], 0)?; // [S + N·l, W]
        for (i, block) in self.blocks.iter().enumerate() {
            if let Some(prompt) = i.checked_sub(1).and_then(|i| deep.get(i)) {
                (rows, x) = rows.overwritten(&x, prompt)?;
            }
            let last = i + 1 == self.layers();
            if !last && let Some(y) = block.through(&x, rows)? {
                x = y;
                continue;
            }
            let u = block.norm.forward(&x)?;
            let attention = &block.attention;
            let (key, value) = (attention.keys(&u)?, attention.values(&u)?);
            // of what comes out of the last block only the ends are read
            let ends: Option<Vec<usize>> =
                last.then(|| eot.iter().map(|end| end - rows.shared).collect());
            let asking = match &ends {
                Some(ends) => {
                    let at = |(n, end): (usize, &usize)| (rows.shared + n * rows.own + end) as u32;
                    let ends: Vec<u32> = ends.iter().enumerate().map(at).collect();
                    let ends = Tensor::new(ends, x.device())?;
                    x = x.index_select(&ends, 0)?;
                    u.index_select(&ends, 0)?
                }
                None => u,
            };
            let query = attention.queries(&asking)?;
            let attended = attention.attend_causal(&query, &key, &value, rows, ends.as_deref())?;
            x = block.add_mlp(&attention.add_output(&x, &attended)?)?;
        }
        Ok(self.projection.forward(&self.final_norm.forward(&x)?)?)
    }

    /// Encodes token ids as plain CLIP does: `[N, D]`, not yet of unit length.
    ///
    /// Sequences may differ in length and may be padded after the end token, which is found as OpenAI's
    /// code finds it: the first of the highest id.
    ///
    /// # Errors
    /// [`ClipError::Token`] for an id outside the vocabulary, [`ClipError::Shape`] for no sequence, one
    /// that ends where it starts, or one longer than the context.
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
        let length = eot.iter().max().map_or(0, |end| end + 1).max(2);
        let padded: Vec<u32> = ids
            .iter()
            .zip(&eot)
            .flat_map(|(ids, end)| (0..length).map(|i| ids[i.min(*end)]))
            .collect();
        let embeddings = self
            .embed(&padded)?
            .reshape((ids.len(), length, self.width()))?;
        let alike = ids.iter().all(|sequence| sequence[0] == ids[0][0]);
        let together = if alike { ids.len() } else { 1 };
        let encoded = eot.chunks(together).enumerate().map(|(i, eot)| {
            let some = embeddings.narrow(0, i * together, eot.len())?;
            let start = some.get(0)?.narrow(0, 0, 1)?;
            self.encode(&start, &some.narrow(1, 1, length - 1)?, eot, &[])
        });
        Ok(Tensor::cat(&encoded.collect::<Result<Vec<_>>>()?, 0)?)
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

    /// The rows of the first block.
    fn check(
        &self,
        start: &Tensor,
        embeddings: &Tensor,
        eot: &[usize],
        deep: &[Tensor],
    ) -> Result<Rows> {
        let (width, context) = (self.width(), self.context());
        let shape = |what, expected, found: &[usize]| {
            Err(ClipError::Shape {
                what,
                expected,
                found: found.to_vec(),
            })
        };
        if start.dims() != [1, width] {
            return shape(
                "embedding of the start",
                format!("[1, {width}]"),
                start.dims(),
            );
        }
        let (sequences, own) = match *embeddings.dims() {
            [n, l, w] if n > 0 && (1..context).contains(&l) && w == width => (n, l),
            ref found => {
                let expected = format!("[sequences, 1 to {}, {width}]", context - 1);
                return shape("text embeddings", expected, found);
            }
        };
        if deep.len() >= self.layers() {
            let most = self.layers() - 1;
            let expected = format!("at most {most}, one per block after the first");
            return shape("list of deep prompts", expected, &[deep.len()]);
        }
        let mut overwritten = 0;
        for prompt in deep {
            match *prompt.dims() {
                [rows, w] if rows < own && w == width => overwritten = overwritten.max(rows),
                ref found => return shape("deep prompt", format!("[below {own}, {width}]"), found),
            }
        }
        let ends = overwritten + 1..own + 1;
        if eot.len() != sequences || !eot.iter().all(|end| ends.contains(end)) {
            let expected = format!("{sequences} positions in {ends:?}");
            return shape("end positions", expected, eot);
        }
        Ok(Rows {
            shared: 1,
            sequences,
            own,
        })
    }
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
