//! A whole run: features, stage one, stage two.

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

use candle_core::{Device, Tensor};
use mpama_core::adapter::SCHEMA_VERSION;
use mpama_core::clip;
use mpama_core::{
    Adapter, AdapterConfig, BaseModel, Objective, StageOne, StageTwo, TextVectors, Training,
};
use mpama_datasets::Dataset;

use crate::checkpoint::Checkpoint;
use crate::config::{Stages, TrainConfig};
use crate::control::{Control, Outcome};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::features::{CacheKey, FeatureCache, encode};
use crate::optim::Adam;
use crate::run::{Environment, RunFolder, Start};
use crate::stage::{Lesson, Stage};

/// Backward passes and the release of their graphs are recursive in Candle, as deep as the graph.
pub(crate) const STACK_BYTES: usize = 256 << 20;

/// The frozen CLIP of a run, with the names its adapter will give it.
#[derive(Debug, Clone, Copy)]
pub struct Backbone<'a> {
    /// Its files.
    pub checkpoint: &'a clip::Checkpoint,
    /// Its id on the Hub, or the name of its folder.
    pub id: &'a str,
    /// Its commit on the Hub, if known.
    pub revision: Option<&'a str>,
}

/// What a run ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trained {
    /// The adapter's folder: `adapter-mpa` if stage one was the last, else `adapter`.
    pub adapter: PathBuf,
    /// Images seen per epoch.
    pub images: usize,
}

/// Trains an adapter in the run folder `folder`.
///
/// Every image goes through the vision tower once; stage one then learns prompts and leaves the
/// adapter `adapter-mpa`, stage two starts from that folder, learns router and experts and leaves
/// `adapter`. A run that was stopped or killed at any moment continues with [`Start::Resume`] to the
/// bytes it would have ended with, on the same machine and device.
///
/// # Errors
/// See [`Error`]: settings, data, cache and run folder are checked before anything is computed.
pub fn train(
    config: &TrainConfig,
    backbone: &Backbone<'_>,
    folder: &Path,
    start: Start,
    device: &Device,
    control: &mut Control<'_>,
) -> Result<Outcome<Trained>> {
    on_large_stack(|| run(config, backbone, folder, start, device, control))
}

/// Runs `work` on a thread of its own with room for deep graphs.
pub(crate) fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK_BYTES);
        let worker: io::Result<_> = builder.spawn_scoped(scope, work);
        worker
            .map_err(Error::Thread)?
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// What both stages need.
struct Session<'a> {
    config: &'a TrainConfig,
    environment: Environment,
    features: FeatureCache,
    /// CLIP's visual projection `[D, W]`.
    projection: Tensor,
    device: &'a Device,
    run: RunFolder,
}

fn run(
    config: &TrainConfig,
    backbone: &Backbone<'_>,
    folder: &Path,
    start: Start,
    device: &Device,
    control: &mut Control<'_>,
) -> Result<Outcome<Trained>> {
    config.validate()?;
    let (run, checkpoint) = RunFolder::open(folder, start, config)?;
    let has_mpa = run.adapter(Stage::One).is_dir();
    if config.stage == Stages::Two && !has_mpa {
        return Err(Error::NoStageOne {
            folder: folder.to_owned(),
        });
    }

    let dataset = open_dataset(config)?;
    let layers = backbone.checkpoint.config().vision.blocks.layers;
    let options = config.model.vision.options(layers);
    let tower = backbone.checkpoint.vision(&options, device)?;
    let environment = run.settle(
        Environment {
            mpama: env!("CARGO_PKG_VERSION").to_owned(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            device: device_name(device),
            dataset: dataset.name.clone(),
            images: dataset.samples.len(),
            index_hash: dataset.index_hash(),
            backbone: backbone.id.to_owned(),
            revision: backbone.revision.map(str::to_owned),
            fingerprint: tower.fingerprint().to_owned(),
        },
        checkpoint.is_some(),
    )?;

    let key = CacheKey::new(config, &dataset, tower.fingerprint(), &options);
    let cache = config
        .features
        .folder
        .clone()
        .unwrap_or_else(|| run.features());
    let features = match encode(&cache, &key, &dataset.samples, &tower, device, control)? {
        Outcome::Done(features) => features,
        Outcome::Interrupted => return Ok(Outcome::Interrupted),
    };
    let projection = tower.projection().clone();
    drop(tower); // neither stage runs it: its memory is better spent on them

    let mut session = Session {
        config,
        environment,
        features,
        projection,
        device,
        run,
    };
    // A checkpoint of stage two means that stage one is over.
    let (one, two) = match checkpoint {
        Some(checkpoint) if checkpoint.position.stage == Stage::Two => (None, Some(checkpoint)),
        other => (other, None),
    };
    if config.stage.include(Stage::One)
        && two.is_none()
        && let Outcome::Interrupted = session.stage_one(backbone.checkpoint, one, control)?
    {
        return Ok(Outcome::Interrupted);
    }
    if config.stage.include(Stage::Two)
        && let Outcome::Interrupted = session.stage_two(two, control)?
    {
        return Ok(Outcome::Interrupted);
    }
    let last = if config.stage.include(Stage::Two) {
        Stage::Two
    } else {
        Stage::One
    };
    let images = session.features.len();
    Ok(Outcome::Done(Trained {
        adapter: session.run.adapter(last),
        images,
    }))
}

impl Session<'_> {
    /// Learns prompts and saves the MPA adapter.
    fn stage_one(
        &mut self,
        clip: &clip::Checkpoint,
        checkpoint: Option<Checkpoint>,
        control: &mut Control<'_>,
    ) -> Result<Outcome<()>> {
        let text = clip.text(self.device)?;
        let tokenizer = clip.tokenizer()?;
        let Self {
            config,
            projection,
            device,
            ..
        } = &*self;
        let stage = StageOne::new(
            &config.model,
            text,
            &tokenizer,
            projection,
            config.seed,
            device,
        )?;
        if let Outcome::Interrupted = self.learn(Stage::One, &stage, checkpoint, control)? {
            return Ok(Outcome::Interrupted);
        }
        let prompts = stage.vars().iter();
        let prompts = prompts
            .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
            .collect();
        let adapter = Adapter {
            config: self.adapter_config([self.config.stage_one.epochs, 0]),
            text: stage.text_vectors()?,
            prompts,
            experts: None,
        };
        self.save(Stage::One, &adapter, control)
    }

    /// Learns router and experts on top of the MPA adapter and saves the MPAMA adapter.
    fn stage_two(
        &mut self,
        checkpoint: Option<Checkpoint>,
        control: &mut Control<'_>,
    ) -> Result<Outcome<()>> {
        // Always from the file: then it is the same whether stage one ran in this process or another.
        let folder = self.run.adapter(Stage::One);
        if !folder.is_dir() {
            return Err(Error::NoStageOne {
                folder: self.run.path().to_owned(),
            });
        }
        let mpa = Adapter::load(&folder, self.device)?;
        let Self {
            config, projection, ..
        } = &*self;
        let text: TextVectors = mpa.text.clone();
        let stage = StageTwo::new(&config.model, text, projection, config.seed)?;
        if let Outcome::Interrupted = self.learn(Stage::Two, &stage, checkpoint, control)? {
            return Ok(Outcome::Interrupted);
        }
        let experts = stage.vars().iter();
        let experts = experts
            .map(|(name, var)| (name.clone(), var.as_detached_tensor()))
            .collect();
        let epochs = [self.config.stage_one.epochs, self.config.stage_two.epochs];
        let adapter = Adapter {
            config: self.adapter_config(epochs),
            experts: Some(experts),
            ..mpa
        };
        self.save(Stage::Two, &adapter, control)
    }

    /// Takes the steps of a stage that `checkpoint` has not taken.
    fn learn(
        &mut self,
        stage: Stage,
        objective: &dyn Objective,
        checkpoint: Option<Checkpoint>,
        control: &mut Control<'_>,
    ) -> Result<Outcome<()>> {
        let plan = self.config.plan(stage);
        let mut adam = Adam::new(objective.vars(), plan.adam, |name| plan.rate_of(name))?;
        if let Some(Checkpoint { position, state }) = checkpoint {
            adam.restore(state, position.step)?;
        }
        let Self {
            features,
            device,
            run,
            config,
            ..
        } = self;
        let lesson = Lesson {
            objective,
            plan,
            features,
            device,
            checkpoint_every: config.checkpoint_every,
        };
        lesson.run(&mut adam, run, control)
    }

    fn adapter_config(&self, epochs: [usize; 2]) -> AdapterConfig {
        let known = self.environment.clone();
        AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: known.backbone,
                revision: known.revision,
                fingerprint: known.fingerprint,
            },
            model: self.config.model.clone(),
            training: Some(Training {
                dataset: known.dataset,
                index_hash: known.index_hash,
                images: known.images,
                seed: self.config.seed,
                epochs,
            }),
            imported: None,
            threshold: None,
        }
    }

    fn save(
        &self,
        stage: Stage,
        adapter: &Adapter,
        control: &mut Control<'_>,
    ) -> Result<Outcome<()>> {
        let path = self.run.adapter(stage);
        adapter.save(&path).map_err(|error| match error {
            mpama_core::Error::Io { path, source } => Error::io("write", &path, source),
            other => other.into(),
        })?;
        control.emit(Event::Saved { path });
        Ok(Outcome::Done(()))
    }
}

/// The samples the settings ask for: what [`train`] will learn from.
///
/// # Errors
/// [`Error::Dataset`] if the folder is no dataset, lacks a category asked for, or has images of one
/// label only.
pub fn open_dataset(config: &TrainConfig) -> Result<Dataset> {
    let data = &config.data;
    let mut dataset = Dataset::open(&data.root, data.layout)?;
    if !data.categories.is_empty() {
        dataset = dataset.with_categories(&data.categories)?;
    }
    if let Some(limit) = data.limit {
        dataset = dataset.limited_to(limit);
    }
    dataset.require_both_labels()?;
    Ok(dataset)
}

/// The device in words: `cpu`, `cuda`, `metal`.
fn device_name(device: &Device) -> String {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
    .to_owned()
}
