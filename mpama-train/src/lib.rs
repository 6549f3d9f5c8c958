//! Training of adapters in two stages, and their evaluation.
//!
//! ```text
//! dataset → features: every image through the frozen vision tower once, onto the disk
//!         → stage one: prompts          → adapter-mpa/
//!         → stage two: router, experts  → adapter/
//!         → eval: metrics per category
//! ```
//!
//! [`train`] does all of it but the last in a run folder, and continues a run that was stopped or
//! killed to the same bytes; [`eval::evaluate`] measures a detector. Both tell what happens through
//! [`Event`]s and stop when the caller's flag asks them to ([`Control`]). Nothing here prints, reads
//! the environment or touches a network.
//!
//! Read [`stage`](crate::Stage)'s file first: it is the loop both stages share.

mod ahead;
mod batch;
mod checkpoint;
mod config;
mod control;
mod difference;
mod disk;
mod error;
pub mod eval;
mod event;
mod features;
mod optim;
mod pace;
mod plan;
mod prepare;
pub mod pretrain;
mod run;
mod stage;
mod trainer;

pub use batch::{images_of, order, steps};
pub use config::{
    DataConfig, FeatureConfig, FeatureType, StageOneConfig, StageTwoConfig, Stages, TrainConfig,
};
pub use control::{Control, Outcome};
pub use difference::Difference;
pub use error::{BadFile, Error, Result};
pub use event::{Event, LossValues};
pub use features::{CacheKey, FeatureCache, encode};
pub use optim::{Adam, AdamParams};
pub use pace::{Pace, measure_pace};
pub use plan::Plan;
pub use run::{Environment, Line, Start};
pub use stage::Stage;
pub use trainer::{Backbone, Trained, open_dataset, train};
