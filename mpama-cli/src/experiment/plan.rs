//! The file of an experiment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mpama_train::TrainConfig;
use serde::Deserialize;

use crate::metric::Metric;
use crate::problem::Mistake;
use crate::settings::{self, Assignment};

/// A plan, read and found sound: every setting in it is one and takes its value.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What the table shows, in a line.
    pub(crate) title: String,
    /// What to bear in mind when reading the table.
    pub(crate) notes: Vec<String>,
    pub(crate) seeds: Vec<u64>,
    /// The columns.
    pub(crate) metrics: Vec<Metric>,
    /// Images per pass when measuring, if the plan says.
    pub(crate) batch_size: Option<usize>,
    pub(crate) trainings: Vec<Training>,
    pub(crate) variants: Vec<Variant>,
    /// The file's text, kept beside the results.
    pub(crate) text: String,
}

/// On what is trained, and on what the result is measured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Training {
    /// Name of the dataset; `--data` says where it is.
    pub(crate) on: String,
    /// Settings that hold for all variants; relative to the plan.
    config: Option<PathBuf>,
    /// Names of datasets.
    pub(crate) test: Vec<String>,
}

/// One row of the table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Variant {
    pub(crate) name: String,
    /// Which of a run's adapters is measured.
    #[serde(default)]
    pub(crate) adapter: Stage,
    /// Settings over those of the training; relative to the plan.
    config: Option<PathBuf>,
    /// Settings over all files, as `--set` takes them.
    #[serde(default)]
    set: Vec<String>,
    /// The paper's figures by the dataset tested on, in per cent and in the order of the plan's metrics;
    /// `nan` where it has none.
    #[serde(default)]
    pub(crate) paper: BTreeMap<String, Vec<f64>>,
}

/// The adapter of stage one or that of stage two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Stage {
    Mpa,
    #[default]
    Mpama,
}

impl Stage {
    /// As in plans and file names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mpa => "mpa",
            Self::Mpama => "mpama",
        }
    }

    /// The adapter's folder below the run's.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Mpa => "adapter-mpa",
            Self::Mpama => "adapter",
        }
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    title: String,
    #[serde(default)]
    notes: Vec<String>,
    /// The paper averages five.
    #[serde(default = "five_seeds")]
    seeds: Vec<u64>,
    metrics: Vec<String>,
    batch_size: Option<usize>,
    training: Vec<Training>,
    variant: Vec<Variant>,
}

fn five_seeds() -> Vec<u64> {
    (111..=115).collect()
}

impl Plan {
    /// Reads a plan and checks all of it, the settings of every variant included.
    ///
    /// # Errors
    /// [`Mistake::Plan`] for what is not a plan, and what settings are refused for.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let wrong = |reason: String| Mistake::Plan {
            path: path.to_owned(),
            reason,
        };
        let text =
            std::fs::read_to_string(path).map_err(|error| Mistake::file("read", path, error))?;
        let written: Written =
            toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().into()))?;
        let metrics: Result<Vec<Metric>, String> =
            written.metrics.iter().map(|text| text.parse()).collect();
        let mut plan = Self {
            title: written.title,
            notes: written.notes,
            seeds: written.seeds,
            metrics: metrics.map_err(wrong)?,
            batch_size: written.batch_size,
            trainings: written.training,
            variants: written.variant,
            text,
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let trainings = plan.trainings.iter_mut().map(|t| &mut t.config);
        let variants = plan.variants.iter_mut().map(|v| &mut v.config);
        for config in trainings.chain(variants).flatten() {
            *config = folder.join(&*config);
        }
        plan.check().map_err(wrong)?;
        for training in &plan.trainings {
            for variant in &plan.variants {
                let mut config = plan.settings(training, variant, &[])?;
                config.data.root = "given by --data".into();
                config.validate()?;
            }
        }
        Ok(plan)
    }

    /// What does not depend on any other file.
    fn check(&self) -> Result<(), String> {
        for (what, empty) in [
            ("seeds", self.seeds.is_empty()),
            ("metrics", self.metrics.is_empty()),
            ("training", self.trainings.is_empty()),
            ("variant", self.variants.is_empty()),
        ] {
            if empty {
                return Err(format!("`{what}` is empty"));
            }
        }
        if self.batch_size == Some(0) {
            return Err("`batch-size` is 0".to_owned());
        }
        let mut on = BTreeSet::new();
        for training in &self.trainings {
            if slug(&training.on) != training.on || !on.insert(&training.on) {
                return Err(format!(
                    "training on `{}`: names of datasets are small letters, digits and `-`, and each is \
                     trained on once",
                    training.on
                ));
            }
            if training.test.is_empty() || training.test.contains(&training.on) {
                return Err(format!(
                    "training on `{}`: it needs other datasets to be tested on",
                    training.on
                ));
            }
            if let Some(odd) = training.test.iter().find(|name| slug(name) != **name) {
                return Err(format!(
                    "`{odd}`: names of datasets are small letters, digits and `-`"
                ));
            }
        }
        let mut names = BTreeSet::new();
        for variant in &self.variants {
            let name = slug(&variant.name);
            if name.is_empty() || !names.insert(name) {
                return Err(format!(
                    "variant `{}`: letters and digits of the names must tell the variants apart",
                    variant.name
                ));
            }
            for (dataset, figures) in &variant.paper {
                if !self.tested().contains(dataset.as_str()) {
                    return Err(format!(
                        "variant `{}`: nothing is tested on `{dataset}`",
                        variant.name
                    ));
                }
                if figures.len() != self.metrics.len() {
                    return Err(format!(
                        "variant `{}`: {} figures of the paper on `{dataset}` for {} metrics",
                        variant.name,
                        figures.len(),
                        self.metrics.len()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Names of all datasets.
    pub(crate) fn datasets(&self) -> BTreeSet<&str> {
        let trained = self.trainings.iter().map(|t| t.on.as_str());
        trained.chain(self.tested()).collect()
    }

    fn tested(&self) -> BTreeSet<&str> {
        let tests = self.trainings.iter().flat_map(|t| &t.test);
        tests.map(String::as_str).collect()
    }

    /// The settings of a variant on a training: the training's file, the variant's file, the variant's own,
    /// and `over` all. The environment has no say: a plan means the same everywhere.
    pub(crate) fn settings(
        &self,
        training: &Training,
        variant: &Variant,
        over: &[Assignment],
    ) -> anyhow::Result<TrainConfig> {
        let files = [&training.config, &variant.config].into_iter().flatten();
        let own = variant.set.iter().map(|text| {
            let set: Result<Assignment, String> = text.parse();
            set.map_err(|reason| Mistake::BadValue {
                key: text.clone(),
                origin: settings::Origin::Flag(format!("variant `{}`", variant.name)),
                reason,
            })
        });
        let mut flags = Vec::new();
        for set in own {
            flags.push((format!("variant `{}`", variant.name), set?));
        }
        let over = over.iter().map(|set| ("--set".to_owned(), set.clone()));
        let files = files.map(PathBuf::as_path);
        let resolved = settings::layered(files, |_| None, flags.into_iter().chain(over))?;
        Ok(resolved.config)
    }
}

impl Variant {
    /// The paper's figure on `dataset` in a metric of the plan, by its place, in per cent.
    pub(crate) fn printed(&self, dataset: &str, metric: usize) -> Option<f64> {
        let figures = self.paper.get(dataset)?;
        figures.get(metric).copied().filter(|v| v.is_finite())
    }
}

/// A name as part of a path: small letters and digits, all else one `-`.
pub(super) fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join("-").to_lowercase()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
