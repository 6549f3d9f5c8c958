//! Pretraining in the middle, and its result.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, Var};
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Result};
use crate::optim::Adam;

/// The one metadata key.
const METADATA: &str = "mpama-pretraining";

/// Where it was taken.
#[derive(Serialize, Deserialize)]
struct Position {
    /// Hash of the recipe.
    recipe: String,
    /// Steps that are over.
    step: usize,
}

/// Writes parameters and moments in place of the ones before.
pub(super) fn save(path: &Path, recipe: &str, adam: &Adam) -> Result<()> {
    let position = Position {
        recipe: recipe.to_owned(),
        step: adam.steps(),
    };
    let json = serde_json::to_string(&position).map_err(|e| broken(path, &e))?;
    let metadata = HashMap::from([(METADATA.to_owned(), json)]);
    let bytes = safetensors::serialize(adam.state()?, Some(metadata));
    disk::write(path, &bytes.map_err(|e| broken(path, &e))?)
}

/// Puts back what [`save`] wrote; `false` if there is nothing yet.
pub(super) fn restore(path: &Path, recipe: &str, adam: &mut Adam) -> Result<bool> {
    let Some(bytes) = disk::read_if_present(path)? else {
        return Ok(false);
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(path, &e))?;
    let json = header.metadata().as_ref().and_then(|all| all.get(METADATA));
    let json = json.ok_or_else(|| broken(path, &"not a state of pretraining"))?;
    let position: Position = serde_json::from_str(json).map_err(|e| broken(path, &e))?;
    if position.recipe != recipe {
        return Err(broken(path, &"it is of another recipe"));
    }
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| broken(path, &e))?;
    adam.restore(tensors.into_iter().collect(), position.step)?;
    Ok(true)
}

/// Writes the weights in half precision.
pub(super) fn export(path: &Path, variables: &BTreeMap<String, Var>) -> Result<()> {
    let half = |(name, variable): (&String, &Var)| -> Result<(String, Tensor)> {
        Ok((
            name.clone(),
            variable.as_tensor().detach().to_dtype(DType::F16)?,
        ))
    };
    let tensors = variables
        .iter()
        .map(half)
        .collect::<Result<BTreeMap<_, _>>>()?;
    // `transformers` wants to be told which library the file is for.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(tensors, Some(metadata));
    disk::write(path, &bytes.map_err(|e| broken(path, &e))?)
}

/// A CLIP that was made before, to go on from.
pub(super) struct Start {
    weights: PathBuf,
    tensors: HashMap<String, Tensor>,
    tokenizer: PathBuf,
    vocabulary: Vec<u8>,
}

impl Start {
    /// Reads what [`export`] wrote in a folder, and the tokenizer beside it.
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
    pub(super) fn set(&self, variables: &BTreeMap<String, Var>, tokenizer: &Path) -> Result<()> {
        if disk::read_if_present(tokenizer)?.as_ref() != Some(&self.vocabulary) {
            return Err(broken(&self.tokenizer, &"its vocabulary is another"));
        }
        for (name, variable) in variables {
            let tensor = self.tensors.get(name);
            let tensor = tensor.filter(|tensor| tensor.shape() == variable.shape());
            let expected = || format!("it has no {name} of shape {:?}", variable.shape());
            let tensor = tensor.ok_or_else(|| broken(&self.weights, &expected()))?;
            variable.set(&tensor.to_dtype(variable.dtype())?)?;
        }
        Ok(())
    }
}

fn broken(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::RunFile {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
