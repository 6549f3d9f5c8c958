//! **The loop**, written once: both stages are an [`Objective`] over the same cached features.

use std::fmt;
use std::time::Instant;

use candle_core::{Device, Tensor};
use mpama_core::Objective;
use mpama_core::loss::Losses;
use serde::{Deserialize, Serialize};

use crate::batch::{images_of, order, steps};
use crate::control::{Control, Outcome};
use crate::error::{Error, Result};
use crate::event::{Event, LossValues};
use crate::features::FeatureCache;
use crate::optim::Adam;
use crate::plan::Plan;
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

/// One stage over one set of images.
pub(crate) struct Lesson<'a> {
    pub(crate) objective: &'a dyn Objective,
    pub(crate) plan: Plan,
    pub(crate) features: &'a FeatureCache,
    pub(crate) device: &'a Device,
    pub(crate) checkpoint_every: usize,
}

impl Lesson<'_> {
    /// Takes the steps that `adam` has not taken yet.
    ///
    /// A checkpoint is written every `checkpoint_every` steps, at the end of every epoch, and when
    /// asked to stop. Where it stopped does not show in the result: a step depends on the parameters,
    /// the moments and the number of the step alone.
    ///
    /// # Errors
    /// [`Error::Step`] says which step failed and why; the last checkpoint stays as it was.
    pub(crate) fn run(
        &self,
        adam: &mut Adam,
        run: &mut RunFolder,
        control: &mut Control<'_>,
    ) -> Result<Outcome<()>> {
        let Plan {
            stage,
            epochs,
            learning_rate,
            ..
        } = self.plan;
        let per_epoch = steps(self.features.len(), self.plan.batch_size);
        let all = per_epoch * epochs;
        let parameters = self.objective.vars().values();
        control.emit(Event::StageStarted {
            stage,
            epochs,
            steps: all,
            from: adam.steps(),
            parameters: parameters.map(|var| var.elem_count()).sum(),
        });

        while adam.steps() < all {
            let over = adam.steps() / per_epoch;
            let epoch = over + 1;
            let order = order(self.plan.seed, stage, over, self.features.len());
            let first = adam.steps() % per_epoch;
            let mut sum = 0.0;
            for within in first..per_epoch {
                if control.stopped() {
                    run.save_checkpoint(stage, over, adam, control)?;
                    return Ok(Outcome::Interrupted);
                }
                let started = Instant::now();
                let step = adam.steps() + 1;
                let images = images_of(&order, self.plan.batch_size, within);
                let losses = self.step(adam, images).map_err(|source| Error::Step {
                    stage,
                    epoch,
                    step,
                    source: Box::new(source),
                })?;
                let seconds = started.elapsed().as_secs_f64();
                sum += f64::from(losses.total);
                run.log(&Line {
                    stage,
                    epoch,
                    step,
                    losses,
                    learning_rate,
                    seconds,
                })?;
                control.emit(Event::Step {
                    stage,
                    epoch,
                    epochs,
                    step,
                    steps: all,
                    losses,
                    learning_rate,
                    seconds,
                });
                if step.is_multiple_of(self.checkpoint_every) && within + 1 < per_epoch {
                    run.save_checkpoint(stage, over, adam, control)?;
                }
            }
            run.save_checkpoint(stage, epoch, adam, control)?;
            let mean_loss = sum / (per_epoch - first) as f64;
            control.emit(Event::EpochEnded {
                stage,
                epoch,
                epochs,
                mean_loss,
            });
        }
        Ok(Outcome::Done(()))
    }

    /// Loss, gradients, update.
    fn step(&self, adam: &mut Adam, images: &[usize]) -> Result<LossValues> {
        let batch = self.features.batch(images, self.device)?;
        let losses = self.objective.loss(&batch)?;
        let values = read(&losses)?;
        adam.step(&losses.total.backward()?)?;
        Ok(values)
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicBool;

    use candle_core::Var;
    use mpama_core::FeatureBatch;

    use super::*;
    use crate::config::TrainConfig;
    use crate::run::Start;

    /// Draws `pull` towards the mean class token; `idle` is reached by nothing.
    struct Toy {
        vars: BTreeMap<String, Var>,
        scale: f64,
    }

    impl Objective for Toy {
        fn vars(&self) -> &BTreeMap<String, Var> {
            &self.vars
        }

        fn loss(&self, batch: &FeatureBatch) -> mpama_core::Result<Losses> {
            let mean = batch.class.mean(0)?;
            let total = ((self.vars["pull"].as_tensor() - mean)?.sqr()?.sum_all()? * self.scale)?;
            let none = total.zeros_like()?;
            Ok(Losses {
                global: None,
                focal: none.clone(),
                dice: none.clone(),
                hinge: none,
                total,
            })
        }
    }

    /// Trains the toy for two epochs of three steps.
    fn train(names: &[&str], scale: f64) -> (Result<Outcome<()>>, Vec<LossValues>, Toy) {
        let folder = tempfile::tempdir().unwrap();
        let features = crate::features::toy(&folder.path().join("cache"), 5);
        let mut config = TrainConfig::default();
        config.data.root = "toy".into();
        config.stage_one.epochs = 2;
        config.stage_one.batch_size = 2;
        config.stage_one.learning_rate = 0.1;
        let var = |name: &&str| {
            let var = Var::zeros(
                crate::features::TOY_WIDTH,
                candle_core::DType::F32,
                &Device::Cpu,
            );
            ((*name).to_owned(), var.unwrap())
        };
        let toy = Toy {
            vars: names.iter().map(var).collect(),
            scale,
        };
        let run = folder.path().join("run");
        let (mut run, _) = RunFolder::open(&run, Start::Fresh, &config).unwrap();
        let plan = config.plan(Stage::One);
        let mut adam = Adam::new(&toy.vars, plan.adam, |_| plan.learning_rate).unwrap();
        let mut seen = Vec::new();
        let mut events = |event| {
            if let Event::Step { losses, .. } = event {
                seen.push(losses);
            }
        };
        let lesson = Lesson {
            objective: &toy,
            plan,
            features: &features,
            device: &Device::Cpu,
            checkpoint_every: 2,
        };
        let stop = AtomicBool::new(false);
        let outcome = lesson.run(&mut adam, &mut run, &mut Control::new(&stop, &mut events));
        (outcome, seen, toy)
    }

    #[test]
    fn every_step_of_every_epoch_is_taken_and_told() {
        let (outcome, seen, toy) = train(&["pull"], 1.0);
        assert_eq!(outcome.unwrap(), Outcome::Done(()));
        assert_eq!(seen.len(), 6);
        // Six steps of about 0.1 from 0 towards class tokens around 2.
        let pull = toy.vars["pull"].to_vec1::<f32>().unwrap();
        assert!(pull.iter().all(|x| (0.3..0.7).contains(x)), "{pull:?}");
    }

    #[test]
    fn a_variable_that_the_loss_does_not_reach_stops_the_first_step() {
        let (outcome, seen, toy) = train(&["idle", "pull"], 1.0);
        let error = outcome.unwrap_err();
        assert_eq!(
            error.to_string(),
            "stage one, epoch 1, step 1: `idle` got no gradient"
        );
        assert!(seen.is_empty());
        assert!(
            toy.vars["pull"]
                .to_vec1::<f32>()
                .unwrap()
                .iter()
                .all(|&x| x == 0.0)
        );
    }

    #[test]
    fn a_loss_that_is_not_finite_stops_the_step() {
        let (outcome, _, _) = train(&["pull"], f64::INFINITY);
        let error = outcome.unwrap_err().to_string();
        assert_eq!(error, "stage one, epoch 1, step 1: the total loss is inf");
    }
}
