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
mod start;
mod state;
mod student;
mod tokenizer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mpama_core::clip::ClipConfig;
use mpama_datasets::synth::Split;

use captions::vocabulary;
use pool::{Batch, Pool};
pub use recipe::{Phase, Recipe, Size};
use start::Start;
use student::Student;
use tokenizer::Vocabulary;

use crate::ahead::ahead;
use crate::control::Outcome;
use crate::disk;
use crate::error::{Error, Result};
use crate::optim::{Adam, AdamParams};
use crate::trainer::on_large_stack;

/// Parts of a step that are computed side by side, with losses of their own: Candle runs too much of
/// a small model on one core for two to help otherwise. Part of the recipe, not of the machine.
const SHARDS: usize = 2;
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

/// Makes a CLIP in `folder` from the categories of [`Split::Training`] and [`Split::Varied`]: `config.json`,
/// `tokenizer.json` and `model.safetensors` in half precision.
///
/// `progress` is told of every step. Between, `pretraining.safetensors` holds the state from which a
/// run that was stopped or killed continues to the same bytes on the same machine; a folder that has
/// its `model.safetensors` is left as it is.
///
/// # Errors
/// [`Error::RunFile`] if the state is of another recipe, or the folder to go on from is not there or another CLIP's;
/// what the disk fails with, and [`Error::NonFiniteLoss`].
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
    let start = recipe.from.as_deref().map(Start::read).transpose()?;
    let mut categories = Split::Training.categories();
    categories.extend(Split::Varied.categories());
    let pool = Pool::draw(&categories, recipe.twins, size, recipe.seed << 20)?;

    let vocabulary = Vocabulary::learn(&vocabulary(&categories, &pool.colours()));
    let tokenizer = folder.join("tokenizer.json");
    write_json(&tokenizer, &vocabulary.json())?;
    let config = folder.join("config.json");
    write_json(&config, &recipe.config(vocabulary.len()))?;
    let config = ClipConfig::read(&config)?;

    let variables = init::variables(&config, recipe.seed)?;
    if let Some(start) = start {
        start.set(&variables, &tokenizer)?;
    }
    let params = AdamParams {
        betas: (0.9, 0.98),
        eps: 1e-6,
    };
    let mut adam = Adam::new(&variables, params, |_| recipe.learning_rate)?;
    let digest = digest(recipe)?;
    state::restore(&unfinished, &digest, &mut adam)?;
    let student = Student::new(&config, &variables, folder, &categories, recipe.dense_depth)?;

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
