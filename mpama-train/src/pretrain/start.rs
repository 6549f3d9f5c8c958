//! A CLIP that was made before, to go on from.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use mpama_core::clip::resized_positions;

use super::state::broken;
use crate::disk;
use crate::error::Result;

/// What the names of the vision tower's blocks begin with.
const BLOCKS: &str = "vision_model.encoder.layers.";

/// The places of the class token and of patches, which depend on the size of images.
const POSITIONS: &str = "vision_model.embeddings.position_embedding.weight";

/// What was made.
pub(super) struct Start {
    weights: PathBuf,
    tensors: HashMap<String, Tensor>,
    tokenizer: PathBuf,
    vocabulary: Vec<u8>,
}

impl Start {
    /// Reads the weights in a folder and the tokenizer beside them.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| -> Result<(PathBuf, Vec<u8>)> {
            let path = folder.join(name);
            let bytes = disk::read_if_present(&path)?;
            let bytes = bytes.ok_or_else(|| broken(&path, &"it is not there"))?;
            Ok((path, bytes))
        };
        let (weights, bytes) = read("model.safetensors")?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        let tensors = tensors.map_err(|e| broken(&weights, &e))?;
        let (tokenizer, vocabulary) = read("tokenizer.json")?;
        Ok(Self {
            weights,
            tensors,
            tokenizer,
            vocabulary,
        })
    }

    /// Sets every variable, of a CLIP whose tokenizer is that of this one, token by token.
    ///
    /// Its vision tower may have up to twice as many blocks. The new ones come right before the last, one before
    /// each, and are left as they are but for what they add to the stream: zero, so that the deeper tower sees at
    /// first what the other sees. Its images may be of another size: position embeddings are resized.
    pub(super) fn set(&self, variables: &BTreeMap<String, Var>, tokenizer: &Path) -> Result<()> {
        if disk::read_if_present(tokenizer)?.as_ref() != Some(&self.vocabulary) {
            return Err(broken(&self.tokenizer, &"its vocabulary is another"));
        }
        let (before, now) = (blocks(self.tensors.keys()), blocks(variables.keys()));
        if !(before..=2 * before).contains(&now) {
            let reason = format!("it has {before} blocks, of which {now} cannot be made");
            return Err(broken(&self.weights, &reason));
        }
        for (name, variable) in variables {
            let old = match block(name) {
                None => name.clone(),
                Some((at, part)) => match origin(at, before, now) {
                    Some(old) => format!("{BLOCKS}{old}.{part}"),
                    None => {
                        if part.contains("out_proj") || part.contains("fc2") {
                            variable.set(&variable.zeros_like()?)?;
                        }
                        continue;
                    }
                },
            };
            let expected = || format!("it has no {old} of shape {:?}", variable.shape());
            let tensor = self.tensors.get(&old);
            let tensor = tensor.ok_or_else(|| broken(&self.weights, &expected()))?;
            let mut tensor = tensor.to_dtype(variable.dtype())?;
            if name == POSITIONS {
                let side = variable.dim(0)?.saturating_sub(1).isqrt();
                tensor = resized_positions(&tensor, side)
                    .map_err(|error| broken(&self.weights, &error))?;
            }
            if tensor.shape() != variable.shape() {
                return Err(broken(&self.weights, &expected()));
            }
            variable.set(&tensor)?;
        }
        Ok(())
    }
}

/// The block of the vision tower, counted from 0, that a tensor belongs to, and its name there.
fn block(name: &str) -> Option<(usize, &str)> {
    let (at, part) = name.strip_prefix(BLOCKS)?.split_once('.')?;
    Some((at.parse().ok()?, part))
}

fn blocks<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    let ends = names.filter_map(|name| block(name)).map(|(at, _)| at + 1);
    ends.max().unwrap_or(0)
}

/// Which block of a tower of `before` is block `at` of one of `now`; `None` if it is new.
fn origin(at: usize, before: usize, now: usize) -> Option<usize> {
    let kept = 2 * before - now;
    match at.checked_sub(kept) {
        None => Some(at),
        Some(further) => (further % 2 == 1).then_some(kept + further / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_blocks_come_before_the_last() {
        let origins = |before, now| -> Vec<_> {
            let all = (0..now).map(|at| origin(at, before, now));
            all.collect()
        };
        let old = Some;
        assert_eq!(origins(3, 3), [old(0), old(1), old(2)]);
        assert_eq!(origins(4, 6), [old(0), old(1), None, old(2), None, old(3)]);
        assert_eq!(origins(2, 4), [None, old(0), None, old(1)]);
    }
}
