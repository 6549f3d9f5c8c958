//! Pretraining in the middle, and its result.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

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

pub(super) fn broken(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::RunFile {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
