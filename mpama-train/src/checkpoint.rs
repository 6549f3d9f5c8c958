//! A stage in the middle: one file from which it continues to the same bytes.
//!
//! It holds parameters and moments as tensors and one line of JSON. There is no state of a random
//! generator to keep: the order of images is a function of seed, stage and epoch.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::error::{Error, Result};
use crate::stage::Stage;

/// The one metadata key: with more, the order of a hash map would reach the file.
const METADATA: &str = "mpama";
/// The version of the file.
const FORMAT: u32 = 1;

/// Where in a run a checkpoint was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Position {
    format: u32,
    /// The stage it is of.
    pub(crate) stage: Stage,
    /// Epochs that are over.
    pub(crate) epoch: usize,
    /// Steps of the stage that are over.
    pub(crate) step: usize,
    /// Hash of the settings that decide the result.
    pub(crate) config: String,
    /// Length of `metrics.jsonl` at that moment.
    pub(crate) metrics_bytes: u64,
}

impl Position {
    pub(crate) fn new(
        stage: Stage,
        epoch: usize,
        step: usize,
        config: &str,
        metrics_bytes: u64,
    ) -> Self {
        let config = config.to_owned();
        Self {
            format: FORMAT,
            stage,
            epoch,
            step,
            config,
            metrics_bytes,
        }
    }
}

/// A checkpoint as read.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    /// Where it was taken.
    pub(crate) position: Position,
    /// What [`crate::Adam::state`] gave, on the CPU.
    pub(crate) state: BTreeMap<String, Tensor>,
}

/// Writes a checkpoint in place of the one before.
pub(crate) fn save(
    path: &Path,
    position: &Position,
    state: &BTreeMap<String, Tensor>,
) -> Result<()> {
    let invalid = |e: &dyn std::fmt::Display| Error::RunFile {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let json = serde_json::to_string(position).map_err(|e| invalid(&e))?;
    let metadata = HashMap::from([(METADATA.to_owned(), json)]);
    let bytes = safetensors::serialize(state, Some(metadata)).map_err(|e| invalid(&e))?;
    disk::write(path, &bytes)
}

/// Reads the checkpoint; `None` if there is none yet.
pub(crate) fn load(path: &Path) -> Result<Option<Checkpoint>> {
    let Some(bytes) = disk::read_if_present(path)? else {
        return Ok(None);
    };
    let broken = |e: &dyn std::fmt::Display| Error::RunFile {
        path: path.to_owned(),
        reason: e.to_string(),
    };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(&e))?;
    let json = header.metadata().as_ref().and_then(|all| all.get(METADATA));
    let json = json.ok_or_else(|| broken(&"not a checkpoint of a run"))?;
    let position: Position = serde_json::from_str(json).map_err(|e| broken(&e))?;
    if position.format != FORMAT {
        return Err(broken(&format_args!(
            "format {}, not {FORMAT}",
            position.format
        )));
    }
    let tensors =
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|e| broken(&e))?;
    Ok(Some(Checkpoint {
        position,
        state: tensors.into_iter().collect(),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn state(value: f32) -> BTreeMap<String, Tensor> {
        let tensor =
            |x: f32| Tensor::new(&[[x, -x], [0.5 * x, f32::MIN_POSITIVE]], &Device::Cpu).unwrap();
        ["parameter.a", "first-moment.a", "second-moment.a"]
            .into_iter()
            .zip(1u8..)
            .map(|(name, i)| (name.to_owned(), tensor(value / f32::from(i))))
            .collect()
    }

    #[test]
    fn reads_back_exactly_and_writes_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        assert!(load(&path).unwrap().is_none());
        let position = Position::new(Stage::Two, 3, 17, "c0ff", 1234);
        save(&path, &position, &state(0.1)).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = load(&path).unwrap().unwrap();
        assert_eq!(read.position, position);
        for (name, tensor) in state(0.1) {
            let (ours, theirs) = (&read.state[&name], tensor.to_vec2::<f32>().unwrap());
            assert_eq!(ours.to_vec2::<f32>().unwrap(), theirs, "{name}");
        }
        save(&path, &position, &read.state).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.safetensors");
        save(
            &path,
            &Position::new(Stage::One, 0, 1, "c0ff", 0),
            &state(1.0),
        )
        .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in [0, 5, 40, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(
                matches!(load(&path), Err(Error::RunFile { .. })),
                "cut at {length}"
            );
        }
    }
}
