//! **The loop**, written once: both stages are an [`Objective`] over the same cached features.

use std::fmt;
use std::time::Instant;

use candle_core::{Device, Tensor};
use mpama_core::Objective;
use mpama_core::loss::Losses;
use serde::{Deserialize, Serialize};

use crate::batch::{images_of, order, steps};
use crate::config::Plan;
use crate::control::{Control, Outcome};
use crate::error::{Error, Result};
use crate::event::{Event, LossValues};
use crate::features::FeatureCache;
use crate::optim::Adam;
use crate::run::{Line, RunFolder};

/// One of the two stages of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Prompts (MPA).
    One,
    /// Router and experts (MPAMA).
    Two,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one",
            Self::Two => "two",
        })
    }
}

/// Takes the steps of `plan` that `adam` has not taken yet.
///
/// A checkpoint is written every `checkpoint_every` steps, at the end of every epoch, and when asked
/// to stop. Where it stopped does not show in the result: a step depends on the parameters, the
/// moments and the number of the step alone.
///
/// # Errors
/// [`Error::Step`] says which step failed and why; the last checkpoint stays as it was.
pub(crate) fn run_stage(
    objective: &dyn Objective,
    adam: &mut Adam,
    plan: &Plan,
    features: &FeatureCache,
    device: &Device,
    checkpoint_every: usize,
    run: &mut RunFolder,
    control: &mut Control<'_>,
) -> Result<Outcome<()>> {
    let Plan { stage, epochs, .. } = *plan;
    let per_epoch = steps(features.len(), plan.batch_size);
    let all = per_epoch * epochs;
    let from = adam.steps();
    let parameters = objective.vars().values().map(|var| var.elem_count()).sum();
    control.emit(Event::StageStarted {
        stage,
        epochs,
        steps: all,
        from,
        parameters,
    });

    while adam.steps() < all {
        let epoch = adam.steps() / per_epoch;
        let order = order(plan.seed, stage, epoch, features.len());
        let first = adam.steps() % per_epoch;
        let mut sum = 0.0;
        for within in first..per_epoch {
            if control.stopped() {
                run.save_checkpoint(plan, adam, epoch, control)?;
                return Ok(Outcome::Interrupted);
            }
            let started = Instant::now();
            let images = images_of(&order, plan.batch_size, within);
            let step = adam.steps() + 1;
            let losses =
                take_step(objective, adam, features, images, device).map_err(|source| {
                    Error::Step {
                        stage,
                        epoch: epoch + 1,
                        step,
                        source: Box::new(source),
                    }
                })?;
            sum += f64::from(losses.total);
            let seconds = started.elapsed().as_secs_f64();
            let learning_rate = plan.learning_rate;
            run.log(&Line {
                stage,
                epoch: epoch + 1,
                step,
                losses,
                learning_rate,
                seconds,
            })?;
            control.emit(Event::Step {
                stage,
                epoch: epoch + 1,
                epochs,
                step,
                steps: all,
                losses,
                learning_rate,
                seconds,
            });
            if step % checkpoint_every == 0 && within + 1 < per_epoch {
                run.save_checkpoint(plan, adam, epoch, control)?;
            }
        }
        run.save_checkpoint(plan, adam, epoch + 1, control)?;
        let mean_loss = sum / (per_epoch - first) as f64;
        control.emit(Event::EpochEnded {
            stage,
            epoch: epoch + 1,
            epochs,
            mean_loss,
        });
    }
    Ok(Outcome::Done(()))
}

/// Loss, gradients, update.
fn take_step(
    objective: &dyn Objective,
    adam: &mut Adam,
    features: &FeatureCache,
    images: &[usize],
    device: &Device,
) -> Result<LossValues> {
    let batch = features.batch(images, device)?;
    let losses = objective.loss(&batch)?;
    let values = read(&losses)?;
    adam.step(&losses.total.backward()?)?;
    Ok(values)
}

/// The losses as numbers, fetched from the device at once.
fn read(losses: &Losses) -> Result<LossValues> {
    let mut terms = vec![
        ("total", &losses.total),
        ("focal", &losses.focal),
        ("dice", &losses.dice),
        ("hinge", &losses.hinge),
    ];
    terms.extend(losses.global.as_ref().map(|global| ("global", global)));
    let scalars: Vec<Tensor> = terms.iter().map(|(_, tensor)| tensor.detach()).collect();
    let values: Vec<f32> = Tensor::stack(&scalars, 0)?.to_vec1()?;
    for ((term, _), &value) in terms.iter().zip(&values) {
        if !value.is_finite() {
            return Err(Error::NonFiniteLoss { term, value });
        }
    }
    Ok(LossValues {
        total: values[0],
        global: values.get(4).copied(),
        focal: values[1],
        dice: values[2],
        hinge: values[3],
    })
}
