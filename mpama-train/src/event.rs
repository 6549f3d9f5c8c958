//! What happens while work goes on. The library tells, the caller decides how it looks.

use std::path::PathBuf;

use serde::Serialize;

use crate::Stage;

/// The losses of one step (paper, Eq. 3 to 6), as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, serde::Deserialize)]
pub struct LossValues {
    /// What the step minimised.
    pub total: f32,
    /// Cross-entropy of the global prompts; stage one only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub global: Option<f32>,
    /// Focal loss of the maps, summed over the windows.
    pub focal: f32,
    /// Dice losses of the maps, summed over the windows.
    pub dice: f32,
    /// Hinge loss of the maps, before its weight.
    pub hinge: f32,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Images and masks were decoded once to see that all of them can be.
    Checked {
        /// Images so far.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// A shard of the feature cache is damaged and will be made again.
    Discarded {
        /// The shard.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Images went through the vision tower, or their features were found in the cache.
    Encoded {
        /// Images so far.
        done: usize,
        /// Images in all.
        total: usize,
        /// How many of `done` were found in the cache.
        found: usize,
    },
    /// A stage begins, or continues.
    StageStarted {
        /// Which.
        stage: Stage,
        /// Epochs in all.
        epochs: usize,
        /// Steps in all.
        steps: usize,
        /// Steps taken before: zero unless a run is continued.
        from: usize,
        /// Numbers it trains.
        parameters: usize,
    },
    /// A step was taken.
    Step {
        /// The stage.
        stage: Stage,
        /// The epoch, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// The step of the stage, from 1.
        step: usize,
        /// Steps of the stage in all.
        steps: usize,
        /// Its losses.
        losses: LossValues,
        /// Its learning rate.
        learning_rate: f64,
        /// Time it took.
        seconds: f64,
    },
    /// Every image was seen once more.
    EpochEnded {
        /// The stage.
        stage: Stage,
        /// The epoch, from 1.
        epoch: usize,
        /// Epochs in all.
        epochs: usize,
        /// Mean of the total loss over the steps this process took in the epoch.
        mean_loss: f64,
    },
    /// A checkpoint or an adapter was written.
    Saved {
        /// The file or folder.
        path: PathBuf,
    },
    /// A category of an evaluation begins.
    CategoryStarted {
        /// Its name.
        category: String,
        /// Its place, from 1.
        number: usize,
        /// Categories in all.
        of: usize,
    },
    /// Images were scored in an evaluation.
    Scored {
        /// Images so far, unreadable ones included.
        done: usize,
        /// Images in all.
        total: usize,
    },
    /// A file of an evaluation could not be read; the others go on.
    Failed {
        /// The image's id.
        id: String,
        /// Why.
        reason: String,
    },
}
