//! Every setting of a training run, strict and with the paper's values as defaults.

use std::path::PathBuf;

use mpama_core::ModelConfig;
use mpama_datasets::Layout;
use serde::{Deserialize, Serialize};

use crate::difference::{Difference, compare};
use crate::error::{Error, Result};
use crate::optim::AdamParams;
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
    /// Mask values above it are anomalous, 0 to 255.
    pub mask_threshold: u8,
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
            mask_threshold: 0,
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

/// One stage as the loop sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which stage.
    pub stage: Stage,
    /// The run's seed: with stage and epoch it decides the order of images.
    pub seed: u64,
    /// Times every image is seen.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Constant learning rate.
    pub learning_rate: f64,
    /// The learning rate of variables named `router.…`, if it is another.
    pub router_learning_rate: Option<f64>,
    /// Adam's constants.
    pub adam: AdamParams,
}

impl Plan {
    /// The learning rate of the variable of this name.
    pub fn rate_of(&self, variable: &str) -> f64 {
        match self.router_learning_rate {
            Some(rate) if variable.starts_with("router.") => rate,
            _ => self.learning_rate,
        }
    }

    fn validate(&self) -> Result<()> {
        let check = |holds: bool, key: &str, expected: &str, found: &dyn std::fmt::Debug| {
            setting(
                holds,
                &format!("stage-{}.{key}", self.stage),
                expected,
                found,
            )
        };
        check(self.epochs > 0, "epochs", "above 0", &self.epochs)?;
        check(
            self.batch_size > 0,
            "batch-size",
            "above 0",
            &self.batch_size,
        )?;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let rate = self.learning_rate;
        check(positive(rate), "learning-rate", "above 0", &rate)?;
        let rate = self.router_learning_rate.unwrap_or(rate);
        check(positive(rate), "router-learning-rate", "above 0", &rate)?;
        let AdamParams {
            betas: (beta1, beta2),
            eps,
        } = self.adam;
        let decays = [beta1, beta2].iter().all(|beta| (0.0..1.0).contains(beta));
        check(decays, "betas", "two numbers in [0, 1)", &self.adam.betas)?;
        check(positive(eps), "eps", "above 0", &eps)
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

fn setting(holds: bool, key: &str, expected: &str, found: &dyn std::fmt::Debug) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Setting {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: format!("{found:?}"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sound() -> TrainConfig {
        let mut config = TrainConfig::default();
        config.data.root = "visa".into();
        config
    }

    #[test]
    fn the_defaults_are_the_papers() {
        let config = TrainConfig::parse("[data]\nroot = \"visa\"", "test").unwrap();
        assert_eq!(config, sound());
        assert_eq!(
            (config.stage_one.epochs, config.stage_one.learning_rate),
            (30, 1e-3)
        );
        assert_eq!(
            (config.stage_two.epochs, config.stage_two.learning_rate),
            (10, 1e-6)
        );
        assert_eq!(
            (config.stage_one.betas, config.stage_two.batch_size),
            ((0.5, 0.999), 8)
        );
    }

    #[test]
    fn a_key_of_stage_two_leaves_its_other_defaults() {
        let text = "[data]\nroot = \"visa\"\n[stage-two]\nbatch-size = 4";
        let two = TrainConfig::parse(text, "test").unwrap().stage_two;
        assert_eq!(
            (two.batch_size, two.epochs, two.learning_rate),
            (4, 10, 1e-6)
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut config = sound();
        config.stage = Stages::Two;
        config.data.limit = Some(3);
        config.data.layout = Some(Layout::YesNo);
        config.data.categories = vec!["pcb1".into(), "it's \"new\"".into()];
        config.features.folder = Some("a b/c".into());
        config.features.dtype = FeatureType::F32;
        config.stage_two.router_learning_rate = Some(1e-4);
        config.model.perception.levels = vec![1, 3];
        assert_eq!(
            TrainConfig::parse(&config.to_toml().unwrap(), "test").unwrap(),
            config
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = "seed = 3\n[stage-one]\nlearning-rat = 0.1\n";
        let error = TrainConfig::parse(text, "mine.toml")
            .unwrap_err()
            .to_string();
        for part in ["mine.toml", "line 3", "learning-rat", "learning-rate"] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        type Change = fn(&mut TrainConfig);
        let changes: [(&str, Change); 9] = [
            ("data.root", |c| c.data.root = PathBuf::new()),
            ("data.limit", |c| c.data.limit = Some(0)),
            ("checkpoint-every", |c| c.checkpoint_every = 0),
            ("features.batch-size", |c| c.features.batch_size = 0),
            ("stage-one.epochs", |c| c.stage_one.epochs = 0),
            ("stage-two.learning-rate", |c| {
                c.stage_two.learning_rate = f64::NAN
            }),
            ("stage-two.router-learning-rate", |c| {
                c.stage_two.router_learning_rate = Some(-1.0)
            }),
            ("stage-one.betas", |c| c.stage_one.betas = (0.5, 1.0)),
            ("stage-two.eps", |c| c.stage_two.eps = 0.0),
        ];
        for (key, change) in changes {
            let mut config = sound();
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert!(
                matches!(&error, Error::Setting { key: named, .. } if named == key),
                "{error}"
            );
        }
    }

    #[test]
    fn only_the_router_has_its_own_rate() {
        let mut config = sound();
        config.stage_two.router_learning_rate = Some(0.5);
        let plan = config.plan(Stage::Two);
        assert_eq!(
            (
                plan.rate_of("router.weight"),
                plan.rate_of("experts.1.weight")
            ),
            (0.5, 1e-6)
        );
        assert_eq!(config.plan(Stage::One).rate_of("router.weight"), 1e-3);
    }

    #[test]
    fn differences_name_the_keys_that_decide_the_result() {
        let (old, mut new) = (sound(), sound());
        new.stage = Stages::One;
        new.checkpoint_every = 1;
        new.data.root = "elsewhere".into();
        new.features.folder = Some("cache".into());
        assert_eq!(new.differences(&old).unwrap(), []);
        new.stage_two.epochs = 12;
        new.stage_two.router_learning_rate = Some(0.5);
        let shown: Vec<String> = new
            .differences(&old)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "`stage-two.epochs` was 10, is 12",
                "`stage-two.router-learning-rate` was absent, is 0.5"
            ]
        );
    }
}
