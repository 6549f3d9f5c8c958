//! An adapter: everything that training adds to a frozen CLIP.
//!
//! On disk it is a folder with `adapter_model.safetensors`, `adapter_config.json` and `README.md`;
//! `docs/format.md` describes them.

mod card;
mod check;
mod file;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::error::Result;
use crate::prompt::TextVectors;

pub use file::{CONFIG_FILE, WEIGHTS_FILE};

/// Version of `adapter_config.json` that this build writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A trained adapter in memory.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// What it is and where it comes from.
    pub config: AdapterConfig,
    /// All that inference needs of the text side.
    pub text: TextVectors,
    /// Parameters of stage one by name: kept for research and further training.
    pub prompts: BTreeMap<String, Tensor>,
    /// Router and experts by name; `None` for MPA.
    pub experts: Option<BTreeMap<String, Tensor>>,
}

/// `adapter_config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdapterConfig {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// The backbone it belongs to.
    pub base_model: BaseModel,
    /// Every setting of the model.
    pub model: ModelConfig,
    /// How it was trained, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// The file of another project it was made from, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// Score from which an image counts as anomalous, if one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
}

/// A backbone by name and by content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseModel {
    /// Model id on the Hub, or the name of the folder it was loaded from.
    pub id: String,
    /// Commit on the Hub, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Fingerprint of the vision tower's values.
    pub fingerprint: String,
}

/// Where an adapter's parameters come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Training {
    /// Name of the auxiliary dataset.
    pub dataset: String,
    /// Hash of its index: which images, labels and masks.
    pub index_hash: String,
    /// Images seen per epoch.
    pub images: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Epochs of stage one and two.
    pub epochs: [usize; 2],
}

/// The file of another project that an adapter was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Imported {
    /// What kind of file it is: `anomalyclip`.
    pub format: String,
    /// Its name, without its folder.
    pub file: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A decision threshold and its origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Threshold {
    /// Image score in [0, 1].
    pub value: f32,
    /// How it was chosen, in words.
    pub origin: String,
}

impl Adapter {
    /// `MPA` or `MPAMA`.
    pub fn method(&self) -> &'static str {
        if self.experts.is_some() {
            "MPAMA"
        } else {
            "MPA"
        }
    }
}

impl TextVectors {
    /// The same vectors on `device`.
    pub fn to_device(&self, device: &Device) -> Result<TextVectors> {
        Ok(TextVectors {
            global: self.global.to_device(device)?,
            local: self.local.to_device(device)?,
        })
    }
}
