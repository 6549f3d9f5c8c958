//! What has to be run for a plan, and where each thing lies.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mpama_datasets::Dataset;
use mpama_train::{Stages, TrainConfig};

use super::plan::{Plan, Stage, slug};
use crate::problem::Mistake;
use crate::settings::Assignment;

/// The datasets that were given, by their names in the plan.
#[derive(Debug)]
pub(crate) struct Given {
    datasets: BTreeMap<String, Dataset>,
}

/// One training run with all that is measured of it.
#[derive(Debug)]
pub(crate) struct Run {
    /// The variant that gave it its name.
    pub(crate) variant: String,
    /// Place of the training in the plan.
    pub(crate) training: usize,
    pub(crate) seed: u64,
    pub(crate) config: TrainConfig,
    pub(crate) folder: PathBuf,
    /// In the order of the plan.
    pub(crate) measurements: Vec<Measurement>,
}

/// One adapter on one dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measurement {
    pub(crate) adapter: Stage,
    pub(crate) test: String,
    /// Where its figures are kept.
    pub(crate) file: PathBuf,
}

/// All runs, in the order they are done: seed by seed, so that a whole table is there early.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) runs: Vec<Run>,
    /// For every variant, training and seed (their places in the plan's and the caller's lists) the run.
    by_row: BTreeMap<(usize, usize, u64), usize>,
    /// Datasets of the plan that were not given: what needs them is left out.
    pub(crate) absent: Vec<String>,
}

impl Given {
    /// Opens what `--data` names: `NAME=DIR` for one dataset of the plan, or a folder that holds datasets under
    /// their names in the plan.
    ///
    /// # Errors
    /// [`Mistake::UnknownDataset`] for a name that is not in the plan, and what a dataset is refused for.
    pub(crate) fn open(plan: &Plan, data: &[String]) -> anyhow::Result<Self> {
        let names = plan.datasets();
        let mut datasets = BTreeMap::new();
        for text in data {
            let named = text.split_once('=').filter(|_| !Path::new(text).is_dir());
            if let Some((name, folder)) = named {
                if !names.contains(name) {
                    return Err(Mistake::UnknownDataset {
                        name: name.to_owned(),
                        known: names.iter().map(|name| (*name).to_owned()).collect(),
                    }
                    .into());
                }
                let dataset = Dataset::open(Path::new(folder), None)?;
                datasets.insert(name.to_owned(), dataset);
                continue;
            }
            if !Path::new(text).is_dir() {
                return Err(Mistake::NoFolder {
                    what: "dataset",
                    path: text.into(),
                }
                .into());
            }
            for name in &names {
                let folder = Path::new(text).join(name);
                if folder.is_dir() {
                    datasets.insert((*name).to_owned(), Dataset::open(&folder, None)?);
                }
            }
        }
        Ok(Self { datasets })
    }

    /// The dataset of this name, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<&Dataset> {
        self.datasets.get(name)
    }
}

impl Schedule {
    /// The runs below `out` for the plan's variants that `wanted` names (none: all), with these seeds and with
    /// `over` set over every variant's settings.
    ///
    /// Variants whose settings are the same share a run: MPA is measured on the way to MPAMA. Runs whose
    /// images go through the vision tower in the same way share its features.
    ///
    /// # Errors
    /// [`Mistake::UnknownVariant`], [`Mistake::NothingToRun`], and what settings are refused for.
    pub(crate) fn new(
        plan: &Plan,
        given: &Given,
        out: &Path,
        wanted: &[String],
        seeds: &[u64],
        over: &[Assignment],
    ) -> anyhow::Result<Self> {
        if let Some(name) = wanted
            .iter()
            .find(|name| plan.variants.iter().all(|v| v.name != **name))
        {
            return Err(Mistake::UnknownVariant {
                name: name.clone(),
                known: plan.variants.iter().map(|v| v.name.clone()).collect(),
            }
            .into());
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut by_row = BTreeMap::new();
        let mut caches = Caches::default();
        for &seed in seeds {
            for (place, training) in plan.trainings.iter().enumerate() {
                let Some(dataset) = given.get(&training.on) else {
                    continue;
                };
                // all variants are walked through, so that names do not depend on which are wanted
                let mut owners: Vec<(TrainConfig, String, Option<usize>)> = Vec::new();
                for (row, variant) in plan.variants.iter().enumerate() {
                    let mut config = plan.settings(training, variant, over)?;
                    config.seed = seed;
                    config.stage = Stages::Both;
                    config.data.root.clone_from(&dataset.root);
                    config.features.folder = Some(caches.of(out, &training.on, &config));
                    config.validate()?;
                    let owner = match owners.iter().position(|(other, ..)| *other == config) {
                        Some(owner) => owner,
                        None => {
                            owners.push((config, variant.name.clone(), None));
                            owners.len() - 1
                        }
                    };
                    if !wanted.is_empty() && !wanted.contains(&variant.name) {
                        continue;
                    }
                    let (config, name, run) = &mut owners[owner];
                    let index = *run.get_or_insert_with(|| {
                        let folder = out.join(slug(name)).join(&training.on);
                        runs.push(Run {
                            variant: name.clone(),
                            training: place,
                            seed,
                            config: TrainConfig {
                                stage: Stages::One,
                                ..config.clone()
                            },
                            folder: folder.join(format!("seed-{seed}")),
                            measurements: Vec::new(),
                        });
                        runs.len() - 1
                    });
                    let run = &mut runs[index];
                    if variant.adapter == Stage::Mpama {
                        run.config.stage = Stages::Both;
                    }
                    for test in &training.test {
                        let measurement = run.measurement(variant.adapter, test);
                        if given.get(test).is_some() && !run.measurements.contains(&measurement) {
                            run.measurements.push(measurement);
                        }
                    }
                    by_row.insert((row, place, seed), index);
                }
            }
        }
        runs.iter_mut()
            .for_each(|run| run.measurements.sort_by_key(|m| m.adapter.name()));
        let absent: Vec<String> = plan
            .datasets()
            .into_iter()
            .filter(|name| given.get(name).is_none())
            .map(str::to_owned)
            .collect();
        if runs.iter().all(|run| run.measurements.is_empty()) {
            return Err(Mistake::NothingToRun { absent }.into());
        }
        Ok(Self {
            runs,
            by_row,
            absent,
        })
    }

    /// The run of a variant and a training, by their places in the plan.
    pub(crate) fn run_of(&self, variant: usize, training: usize, seed: u64) -> Option<&Run> {
        let run = self.by_row.get(&(variant, training, seed))?;
        self.runs.get(*run)
    }

    /// Measurements of all runs.
    pub(crate) fn measurements(&self) -> usize {
        self.runs.iter().map(|run| run.measurements.len()).sum()
    }
}

impl Run {
    /// The settings that its stage one depends on: runs in which these are the same, the seed among them, learn
    /// the same prompts.
    pub(crate) fn of_stage_one(&self) -> TrainConfig {
        let fixed = TrainConfig::default();
        let mut config = TrainConfig {
            stage: fixed.stage,
            stage_two: fixed.stage_two,
            ..self.config.clone()
        };
        config.model.experts = fixed.model.experts;
        config.model.score = fixed.model.score;
        config
    }

    /// What is measured of an adapter on a dataset.
    pub(crate) fn measurement(&self, adapter: Stage, test: &str) -> Measurement {
        let name = format!("{}-on-{test}.json", adapter.name());
        Measurement {
            adapter,
            test: test.to_owned(),
            file: self.folder.join("measured").join(name),
        }
    }
}

/// Which feature cache belongs to which settings.
#[derive(Debug, Default)]
struct Caches {
    /// By dataset: what the features depend on, in the order of appearance.
    known: BTreeMap<String, Vec<TrainConfig>>,
}

impl Caches {
    fn of(&mut self, out: &Path, dataset: &str, config: &TrainConfig) -> PathBuf {
        let mut kind = TrainConfig {
            data: config.data.clone(),
            features: config.features.clone(),
            ..TrainConfig::default()
        };
        kind.model.image_size = config.model.image_size;
        kind.model.vision = config.model.vision.clone();
        let kinds = self.known.entry(dataset.to_owned()).or_default();
        let number = match kinds.iter().position(|other| *other == kind) {
            Some(number) => number,
            None => {
                kinds.push(kind);
                kinds.len() - 1
            }
        };
        let name = match number {
            0 => dataset.to_owned(),
            more => format!("{dataset}-{}", more + 1),
        };
        out.join("features").join(name)
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
