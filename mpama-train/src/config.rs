//! Every setting of a training run, strict and with the paper's values as defaults.

use std::path::PathBuf;

use mpama_core::ModelConfig;
use mpama_datasets::Layout;
use serde::{Deserialize, Serialize};

use crate::difference::{Difference, compare};
use crate::error::{Error, Result};
use crate::optim::AdamParams;
use crate::plan::{Plan, setting};
use crate::stage::Stage;

/// All settings of a run. Read with [`TrainConfig::parse`], written as the run folder's
/// `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TrainConfig {
    /// Seed of the initial parameters and of the order of images. The paper averages 111 to 115.
    pub seed: u64,
    /// Which stages to run.
    pub stage: Stages,
    /// Steps between checkpoints; one is also written at the end of every epoch and on a stop.
    pub checkpoint_every: usize,
    /// What is trained on.
    pub data: DataConfig,
    /// The cache of what the frozen vision tower sees.
    pub features: FeatureConfig,
    /// The stage of the prompts (MPA).
    pub stage_one: StageOneConfig,
    /// The stage of router and experts (MPAMA).
    pub stage_two: StageTwoConfig,
    /// The model.
    pub model: ModelConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 111,
            stage: Stages::Both,
            checkpoint_every: 100,
            data: DataConfig::default(),
            features: FeatureConfig::default(),
            stage_one: StageOneConfig::default(),
            stage_two: StageTwoConfig::default(),
            model: ModelConfig::default(),
        }
    }
}

/// Which stages a run goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stages {
    /// Prompts only: the run ends with an MPA adapter.
    One,
    /// Router and experts only, on top of the MPA adapter that the run folder holds.
    Two,
    /// One after the other.
    Both,
}

impl Stages {
    /// Whether `stage` is among them.
    pub fn include(self, stage: Stage) -> bool {
        match self {
            Self::One => stage == Stage::One,
            Self::Two => stage == Stage::Two,
            Self::Both => true,
        }
    }
}

/// What is trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DataConfig {
    /// The dataset's folder.
    pub root: PathBuf,
    /// How its files are laid out; absent: recognised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The categories to take; empty: all.
    pub categories: Vec<String>,
    /// At most this many images of each category, half of them normal; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Mask values above it are anomalous, 0 to 255; absent: what suits the dataset's masks
    /// ([`mpama_datasets::Dataset::mask_threshold`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_threshold: Option<u8>,
    /// Turn images as their EXIF orientation says. The field's code does not.
    pub exif_orientation: bool,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            root: PathBuf::new(),
            layout: None,
            categories: Vec::new(),
            limit: None,
            mask_threshold: None,
            exif_orientation: false,
        }
    }
}

/// The cache of what the frozen vision tower sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct FeatureConfig {
    /// Its folder, which runs over the same data can share; absent: `features` in the run folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Number type of the patch tokens on disk.
    pub dtype: FeatureType,
    /// Images per pass through the vision tower, and per file of the cache.
    pub batch_size: usize,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            folder: None,
            dtype: FeatureType::F16,
            batch_size: 8,
        }
    }
}

/// Number type of cached patch tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureType {
    /// Half precision: half the disk, a relative rounding of at most 2⁻¹¹.
    F16,
    /// Exact.
    F32,
}

impl FeatureType {
    /// As in the configuration: `f16` or `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        }
    }
}

/// The first stage: prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct StageOneConfig {
    /// Times every image is seen.
    pub epochs: usize,
    /// Constant learning rate.
    pub learning_rate: f64,
    /// Images per step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// Adam's decay rates.
    pub betas: (f64, f64),
    /// Adam's ε.
    pub eps: f64,
}

impl Default for StageOneConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            learning_rate: 1e-3,
            batch_size: 8,
            betas: (0.5, 0.999),
            eps: 1e-8,
        }
    }
}

/// The second stage: router and experts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct StageTwoConfig {
    /// Times every image is seen.
    pub epochs: usize,
    /// Constant learning rate of the experts.
    pub learning_rate: f64,
    /// Constant learning rate of the router; absent: that of the experts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_learning_rate: Option<f64>,
    /// Images per step; the last step of an epoch takes what is left.
    pub batch_size: usize,
    /// Adam's decay rates.
    pub betas: (f64, f64),
    /// Adam's ε.
    pub eps: f64,
}

impl Default for StageTwoConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            learning_rate: 1e-6,
            router_learning_rate: None,
            batch_size: 8,
            betas: (0.5, 0.999),
            eps: 1e-8,
        }
    }
}

impl TrainConfig {
    /// Reads a configuration; what it leaves out has its default.
    ///
    /// # Errors
    /// [`Error::Toml`] for text that is not TOML, unknown keys and values of a wrong type, naming
    /// `origin` and the line; then what [`TrainConfig::validate`] finds.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|error| Error::Toml {
            origin: origin.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// The whole configuration as TOML, defaults written out.
    ///
    /// # Errors
    /// [`Error::Toml`] for what TOML cannot hold: a path that is not Unicode, a seed above 2⁶³ − 1.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| not_toml(&error))
    }

    /// Checks what can be checked without data and backbone.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first key out of its range.
    pub fn validate(&self) -> Result<()> {
        setting(
            self.checkpoint_every > 0,
            "checkpoint-every",
            "above 0",
            &self.checkpoint_every,
        )?;
        let root = &self.data.root;
        setting(!root.as_os_str().is_empty(), "data.root", "a folder", root)?;
        setting(
            self.data.limit != Some(0),
            "data.limit",
            "above 0",
            &self.data.limit,
        )?;
        let batch = self.features.batch_size;
        setting(batch > 0, "features.batch-size", "above 0", &batch)?;
        for stage in [Stage::One, Stage::Two] {
            self.plan(stage).validate()?;
        }
        self.model.validate()?;
        Ok(())
    }

    /// What the loop needs to know of `stage`.
    pub fn plan(&self, stage: Stage) -> Plan {
        let (one, two) = (&self.stage_one, &self.stage_two);
        match stage {
            Stage::One => Plan {
                stage,
                seed: self.seed,
                epochs: one.epochs,
                batch_size: one.batch_size,
                learning_rate: one.learning_rate,
                router_learning_rate: None,
                adam: AdamParams {
                    betas: one.betas,
                    eps: one.eps,
                },
            },
            Stage::Two => Plan {
                stage,
                seed: self.seed,
                epochs: two.epochs,
                batch_size: two.batch_size,
                learning_rate: two.learning_rate,
                router_learning_rate: two.router_learning_rate,
                adam: AdamParams {
                    betas: two.betas,
                    eps: two.eps,
                },
            },
        }
    }

    /// The settings that a continued run may not change, and how they differ from `recorded`.
    ///
    /// Not compared, because they do not touch the result: which stages run, how often it is saved,
    /// and where data and cache lie (the data itself is compared by its hash).
    ///
    /// # Errors
    /// As [`TrainConfig::to_toml`].
    pub fn differences(&self, recorded: &Self) -> Result<Vec<Difference>> {
        Ok(compare(&recorded.identity()?, &self.identity()?))
    }

    /// A hash of the settings that decide the result.
    pub(crate) fn hash(&self) -> Result<String> {
        let text = self.identity()?.to_string();
        Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
    }

    /// The settings that decide the result, as a tree.
    fn identity(&self) -> Result<toml::Table> {
        let mut plain = self.clone();
        let fixed = Self::default();
        plain.stage = fixed.stage;
        plain.checkpoint_every = fixed.checkpoint_every;
        plain.data.root = fixed.data.root;
        plain.features.folder = None;
        toml::Table::try_from(plain).map_err(|error| not_toml(&error))
    }
}

fn not_toml(error: &toml::ser::Error) -> Error {
    Error::Toml {
        origin: "this configuration".to_owned(),
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
