//! The towers as they learn: from a batch to losses and gradients.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use mpama_core::clip::{ClipConfig, ClipTokenizer, TextTower, VisionOptions, VisionTower};
use mpama_core::nn::normalize::unit_length;
use mpama_datasets::synth::{Category, Defect};
use rand::Rng;

use super::captions::{Claim, kind, sentence, with_article};
use super::init;
use super::losses::{Place, contrastive, dense, twins};
use super::pool::Batch;
use super::recipe::Recipe;
use crate::error::{Error, Result};
use crate::trainer::STACK_BYTES;

/// Inverse temperature of the patch loss: that of the adapter's maps, 0.07.
const DENSE_SCALE: f64 = 1.0 / 0.07;
/// Inverse temperature of the twin loss.
const TWIN_SCALE: f64 = 1.0 / 0.07;
/// The logit scale is kept from growing further, as CLIP's.
const LARGEST_SCALE: f64 = 100.0;
/// A patch with this share of the defect, or the most of its image, is on it.
const ON_DEFECT: f32 = 0.25;

/// The towers that learn.
pub(super) struct Student<'a> {
    vision: VisionTower,
    text: TextTower,
    tokenizer: ClipTokenizer,
    variables: &'a BTreeMap<String, Var>,
    categories: &'a [&'static Category],
}

impl<'a> Student<'a> {
    pub(super) fn new(
        config: &ClipConfig,
        variables: &'a BTreeMap<String, Var>,
        folder: &Path,
        categories: &'a [&'static Category],
        dense_depth: usize,
    ) -> Result<Self> {
        let tensors = variables
            .iter()
            .map(|(name, variable)| (name.clone(), variable.as_tensor().clone()))
            .collect();
        let options = VisionOptions {
            class_ln_post: true,
            intermediate: (0..dense_depth)
                .map(|above| config.vision.blocks.layers.saturating_sub(above))
                .collect(),
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
    pub(super) fn learn(&self, shards: &[Batch], recipe: &Recipe, step: usize) -> Result<Learned> {
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
        let mut losses = [0.0; 3];
        for (i, mean) in losses.iter_mut().enumerate() {
            *mean = all.iter().map(|one| one.losses[i]).sum::<f32>() / all.len() as f32;
        }
        let gradients = self.sum(all.into_iter().map(|one| one.gradients))?;
        Ok(Learned { losses, gradients })
    }

    /// The sum of gradients, variable by variable.
    fn sum(&self, parts: impl Iterator<Item = GradStore>) -> Result<GradStore> {
        let mut sum = GradStore::default();
        for mut part in parts {
            for variable in self.variables.values() {
                let both = match (sum.remove(variable), part.remove(variable)) {
                    (Some(one), Some(other)) => Some((one + other)?),
                    (one, other) => one.or(other),
                };
                if let Some(both) = both {
                    sum.insert(variable, both);
                }
            }
        }
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

        let places = places(batch, images * seen.grid.0 * seen.grid.1);
        debug_assert_eq!(seen.grid.0, batch.pixels.dims()[2] / patch);
        let names = rows(&names)?.t()?;
        let depths = seen.intermediate.iter().map(|patches| -> Result<Tensor> {
            let logits = (project(patches)?.matmul(&names)? * DENSE_SCALE)?;
            Ok(dense(&logits, &places, kinds.len())?)
        });
        let depths = depths.collect::<Result<Vec<_>>>()?;
        let dense = Tensor::stack(&depths, 0)?.mean_all()?;
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
pub(super) struct Learned {
    /// Contrastive, twin and dense.
    pub(super) losses: [f32; 3],
    pub(super) gradients: GradStore,
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
