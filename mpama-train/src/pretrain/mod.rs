//! The demo's own CLIP: a tiny one, taught by drawn twins and what can be said of them.
//!
//! Three losses: images and captions find each other (`losses::contrastive`, where a caption that
//! leaves something out is true of many images); of two twins the damaged one is nearer to the
//! damaged caption; and patches on a defect are nearest to the name of its kind. Patches never meet
//! the words "damaged" or "flawless" that prompts start from: as with a real CLIP, its patches know
//! more than plain prompts get out of them, and finding it is the adapter's work.
//!
//! The result is a folder in the Hugging Face layout.

mod captions;
mod init;
mod losses;
mod pool;
mod recipe;
mod state;
mod tokenizer;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use mpama_core::clip::{ClipConfig, ClipTokenizer, TextTower, VisionOptions, VisionTower};
use mpama_core::nn::normalize::unit_length;
use mpama_datasets::synth::{Category, Defect, Split};
use rand::Rng;

use captions::{Claim, kind, sentence, vocabulary, with_article};
use losses::{Place, contrastive, dense, twins};
use pool::{Batch, Pool};
pub use recipe::{Phase, Recipe, Size};
use tokenizer::Vocabulary;

use crate::ahead::ahead;
use crate::control::Outcome;
use crate::disk;
use crate::error::{Error, Result};
use crate::optim::{Adam, AdamParams};
use crate::trainer::{STACK_BYTES, on_large_stack};

/// Parts of a step that are computed side by side, with losses of their own: Candle runs too much of
/// a small model on one core for two to help otherwise. Part of the recipe, not of the machine.
const SHARDS: usize = 2;
/// Inverse temperature of the patch loss: that of the adapter's maps, 0.07.
const DENSE_SCALE: f64 = 1.0 / 0.07;
/// Inverse temperature of the twin loss.
const TWIN_SCALE: f64 = 1.0 / 0.07;
/// The logit scale is kept from growing further, as CLIP's.
const LARGEST_SCALE: f64 = 100.0;
/// A patch with this share of the defect, or the most of its image, is on it.
const ON_DEFECT: f32 = 0.25;

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PretrainStep {
    /// Steps taken so far.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// Loss between images and captions.
    pub contrastive: f32,
    /// Loss between twins.
    pub twins: f32,
    /// Loss of patches.
    pub dense: f32,
}

/// Makes a CLIP in `folder` from the categories of [`Split::Training`]: `config.json`,
/// `tokenizer.json` and `model.safetensors` in half precision.
///
/// `progress` is told of every step. Between, `pretraining.safetensors` holds the state from which a
/// run that was stopped or killed continues to the same bytes on the same machine; a folder that has
/// its `model.safetensors` is left as it is.
///
/// # Errors
/// [`Error::RunFile`] if the state is of another recipe, what the disk fails with, and
/// [`Error::NonFiniteLoss`].
pub fn pretrain(
    recipe: &Recipe,
    folder: &Path,
    stop: &AtomicBool,
    progress: &mut (dyn FnMut(PretrainStep) + Send),
) -> Result<Outcome<()>> {
    on_large_stack(|| run(recipe, folder, stop, progress))
}

fn run(
    recipe: &Recipe,
    folder: &Path,
    stop: &AtomicBool,
    progress: &mut (dyn FnMut(PretrainStep) + Send),
) -> Result<Outcome<()>> {
    disk::create_folder(folder)?;
    let _lock = disk::lock(folder)?;
    let [weights, unfinished] =
        ["model.safetensors", "pretraining.safetensors"].map(|name| folder.join(name));
    if weights.is_file() {
        return Ok(Outcome::Done(()));
    }
    let size = recipe.size;
    let categories = Split::Training.categories();
    let pool = Pool::draw(&categories, recipe.twins, size.image, recipe.seed << 20)?;

    let vocabulary = Vocabulary::learn(&vocabulary(&categories, &pool.colours()));
    write_json(&folder.join("tokenizer.json"), &vocabulary.json())?;
    let config = folder.join("config.json");
    write_json(&config, &recipe.config(vocabulary.len()))?;
    let config = ClipConfig::read(&config)?;

    let variables = init::variables(&config, recipe.seed)?;
    let params = AdamParams {
        betas: (0.9, 0.98),
        eps: 1e-6,
    };
    let mut adam = Adam::new(&variables, params, |_| recipe.learning_rate)?;
    let digest = digest(recipe)?;
    state::restore(&unfinished, &digest, &mut adam)?;
    let student = Student::new(&config, &variables, folder, &categories)?;

    let steps = adam.steps()..recipe.steps();
    let batch = |step: usize| -> Result<Vec<Batch>> {
        let phase = recipe.phase(step).unwrap_or(Phase {
            steps: 0,
            side: size.image,
            pairs: 1,
        });
        let mut dice = init::stream(recipe.seed, &format!("batch {step}"));
        let pairs = phase.pairs.div_ceil(SHARDS);
        let shard = |_| pool.batch(pairs, phase.side, size.patch, &mut dice);
        (0..SHARDS).map(shard).collect()
    };
    let done = ahead(2, steps, batch, |batches| -> Result<bool> {
        for shards in batches {
            if stop.load(Ordering::Relaxed) {
                state::save(&unfinished, &digest, &adam)?;
                return Ok(false);
            }
            let step = adam.steps();
            let learned = student.learn(&shards?, recipe, step)?;
            let [contrastive, twins, dense] = learned.losses;
            for (term, value) in [
                ("contrastive", contrastive),
                ("twin", twins),
                ("dense", dense),
            ] {
                if !value.is_finite() {
                    return Err(Error::NonFiniteLoss { term, value });
                }
            }
            adam.set_factor(recipe.rate(step));
            adam.step(&learned.gradients)?;
            let step = step + 1;
            progress(PretrainStep {
                step,
                steps: recipe.steps(),
                contrastive,
                twins,
                dense,
            });
            if step % recipe.save_every == 0 {
                state::save(&unfinished, &digest, &adam)?;
            }
        }
        Ok(true)
    })?;
    if !done {
        return Ok(Outcome::Interrupted);
    }
    state::export(&weights, &variables)?;
    disk::remove(&unfinished)?;
    Ok(Outcome::Done(()))
}

/// The towers that learn.
struct Student<'a> {
    vision: VisionTower,
    text: TextTower,
    tokenizer: ClipTokenizer,
    variables: &'a BTreeMap<String, Var>,
    categories: &'a [&'static Category],
}

impl<'a> Student<'a> {
    fn new(
        config: &ClipConfig,
        variables: &'a BTreeMap<String, Var>,
        folder: &Path,
        categories: &'a [&'static Category],
    ) -> Result<Self> {
        let tensors = variables
            .iter()
            .map(|(name, variable)| (name.clone(), variable.as_tensor().clone()))
            .collect();
        let options = VisionOptions {
            class_ln_post: true,
            ..VisionOptions::default()
        };
        Ok(Self {
            vision: VisionTower::from_tensors(config, &options, &tensors)?,
            text: TextTower::from_tensors(config, &tensors)?,
            tokenizer: ClipTokenizer::open(folder, config.text.context)?,
            variables,
            categories,
        })
    }

    /// Mean losses and gradients of the shards of a step, each on a thread of its own.
    fn learn(&self, shards: &[Batch], recipe: &Recipe, step: usize) -> Result<Learned> {
        let learn = |number: usize, shard: &Batch| -> Result<Learned> {
            let mut dice = init::stream(recipe.seed, &format!("captions {step} {number}"));
            let [a, b, c] = self.losses(shard, recipe.size.patch, &mut dice)?;
            let losses = [a.to_scalar()?, b.to_scalar()?, c.to_scalar()?];
            let total = ((a + (b * recipe.twin_weight)?)? + (c * recipe.dense_weight)?)?;
            let gradients = (total / shards.len() as f64)?.backward()?;
            Ok(Learned { losses, gradients })
        };
        let all = thread::scope(|scope| -> Result<Vec<Learned>> {
            let mut workers = Vec::new();
            for (number, shard) in shards.iter().enumerate() {
                let builder = thread::Builder::new().stack_size(STACK_BYTES);
                let worker = builder.spawn_scoped(scope, move || learn(number, shard));
                workers.push(worker.map_err(Error::Thread)?);
            }
            let join = |worker: thread::ScopedJoinHandle<'_, Result<Learned>>| {
                worker.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            workers.into_iter().map(join).collect()
        })?;
        let mut all = all.into_iter();
        let mut sum = all.next().ok_or(Error::NonFiniteLoss {
            term: "contrastive",
            value: f32::NAN,
        })?;
        for mut one in all {
            for (total, value) in sum.losses.iter_mut().zip(one.losses) {
                *total += value;
            }
            for variable in self.variables.values() {
                let theirs = one.gradients.remove(variable);
                let ours = sum.gradients.remove(variable);
                let both = match (ours, theirs) {
                    (Some(ours), Some(theirs)) => Some((ours + theirs)?),
                    (ours, theirs) => ours.or(theirs),
                };
                if let Some(both) = both {
                    sum.gradients.insert(variable, both);
                }
            }
        }
        sum.losses = sum.losses.map(|total| total / shards.len() as f32);
        Ok(sum)
    }

    /// Contrastive, twin and dense loss of a batch.
    fn losses(&self, batch: &Batch, patch: usize, dice: &mut impl Rng) -> Result<[Tensor; 3]> {
        let (images, pairs) = (batch.facts.len(), batch.cover.len());
        let mut texts = Texts::default();
        let claims: Vec<Claim> = batch.facts.iter().map(|f| Claim::about(f, dice)).collect();
        let captions: Vec<usize> = claims.iter().map(|c| texts.add(c.words(dice))).collect();
        let states: Vec<[usize; 2]> = batch.facts[..pairs]
            .iter()
            .map(|facts| {
                let category = dice.random_bool(0.6).then_some(facts.category);
                [false, true].map(|damaged| {
                    let claim = Claim {
                        category,
                        damaged: Some(damaged),
                        ..Claim::default()
                    };
                    texts.add(claim.words(dice))
                })
            })
            .collect();
        let kinds = Defect::ALL.map(kind);
        let names = kinds.iter().cloned();
        let names = names.chain(self.categories.iter().map(|category| category.words()));
        let names: Vec<usize> = names
            .map(|name| texts.add(sentence(&with_article(&name), dice)))
            .collect();

        let texts = self.embed(&texts.all)?;
        let rows = |rows: &[usize]| -> Result<Tensor> {
            let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
            let rows = Tensor::new(rows, texts.device())?;
            Ok(texts.index_select(&rows, 0)?)
        };
        let seen = self.vision.forward(&batch.pixels)?;
        let project = |tokens: &Tensor| -> Result<Tensor> {
            let flat = tokens.reshape(((), self.vision.width()))?;
            Ok(unit_length(&flat.matmul(&self.vision.projection().t()?)?)?)
        };

        let class = project(&seen.class)?;
        let scale = self.variables[init::LOGIT_SCALE]
            .exp()?
            .minimum(LARGEST_SCALE)?;
        let logits = class
            .matmul(&rows(&captions)?.t()?)?
            .broadcast_mul(&scale)?;
        let holds = |facts| claims.iter().map(|claim| claim.holds(facts)).collect();
        let holds: Vec<Vec<bool>> = batch.facts.iter().map(holds).collect();
        let contrastive = contrastive(&logits, &holds)?;

        let of = |state: usize| rows(&states.iter().map(|s| s[state]).collect::<Vec<_>>());
        let direction = (of(1)? - of(0)?)?;
        let margin = |start: usize| -> Result<Tensor> {
            let side = (class.narrow(0, start, pairs)? * &direction)?;
            Ok((side.sum(1)? * TWIN_SCALE)?)
        };
        let twins = twins(&margin(0)?, &margin(pairs)?)?;

        let patches = project(&seen.patches)?;
        let logits = (patches.matmul(&rows(&names)?.t()?)? * DENSE_SCALE)?;
        let places = places(batch, images * seen.grid.0 * seen.grid.1);
        debug_assert_eq!(seen.grid.0, batch.pixels.dims()[2] / patch);
        let dense = dense(&logits, &places, kinds.len())?;
        Ok([contrastive, twins, dense])
    }

    /// Unit vectors `[N, D]` of texts.
    fn embed(&self, texts: &[String]) -> Result<Tensor> {
        let ids: Vec<_> = texts
            .iter()
            .map(|text| self.tokenizer.encode(text))
            .collect::<Result<_, _>>()?;
        Ok(unit_length(&self.text.encode_ids(&ids)?)?)
    }
}

/// What a step learned.
struct Learned {
    /// Contrastive, twin and dense.
    losses: [f32; 3],
    gradients: GradStore,
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    rows: BTreeMap<String, usize>,
}

impl Texts {
    /// The row of a text.
    fn add(&mut self, text: String) -> usize {
        *self.rows.entry(text).or_insert_with_key(|text| {
            self.all.push(text.clone());
            self.all.len() - 1
        })
    }
}

/// Where each of `count` patches belongs: those of the damaged twins, then of the intact ones.
fn places(batch: &Batch, count: usize) -> Vec<Place> {
    let mut places = Vec::with_capacity(count);
    for (facts, cover) in batch.facts.iter().zip(&batch.cover) {
        let kind = facts.flaw.map_or(0, |(defect, _)| defect as usize);
        let least = cover.iter().fold(0f32, |most, share| most.max(*share));
        let least = least.min(ON_DEFECT);
        places.extend(cover.iter().map(|share| match *share {
            0.0 => Place::Elsewhere,
            share if share >= least => Place::Defect(kind),
            _ => Place::Edge,
        }));
    }
    places.resize(count, Place::Elsewhere);
    places
}

/// Hash of the recipe, whose settings all decide the result.
fn digest(recipe: &Recipe) -> Result<String> {
    let json = serde_json::to_vec(recipe).map_err(|error| Error::Setting {
        key: "recipe".to_owned(),
        expected: "finite numbers".to_owned(),
        found: error.to_string(),
    })?;
    Ok(blake3::hash(&json).to_hex().to_string())
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<()> {
    disk::write(path, format!("{value:#}\n").as_bytes())
}
