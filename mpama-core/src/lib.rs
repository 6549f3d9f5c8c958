//! The model of mpama: a frozen CLIP, prompts, perception, experts, losses and scores.
//!
//! A frozen CLIP looks at an image; an [`adapter`] learned once on an auxiliary labelled dataset
//! turns its patches into an anomaly score and a map. Read [`model`] first: it is the life of one
//! prediction. [`objective`] is what the two training stages minimise.
//!
//! Letters in shapes: `B` batch, `T` patch tokens, `W` width of a tower, `D` joint width of CLIP, `E`
//! learnable tokens of a prompt, `P` perception levels, `H_p·W_p` windows of level p.

pub mod adapter;
pub mod clip;
pub mod config;
pub mod device;
pub mod error;
pub mod experts;
pub mod import;
mod kernels;
pub mod loss;
pub mod map;
pub mod model;
pub mod nn;
pub mod objective;
pub mod perception;
pub mod preprocess;
pub mod prompt;
mod random;
pub mod score;
mod torch;

pub use adapter::{Adapter, AdapterConfig, BaseModel, Imported, Threshold, Training};
pub use config::ModelConfig;
pub use device::DeviceChoice;
pub use error::{Error, Result};
pub use kernels::{Registers, Throughput, registers, throughput, use_registers};
pub use map::{AnomalyMap, Peak};
pub use model::{Detector, Prediction, Routes};
pub use objective::{FeatureBatch, Objective, StageOne, StageTwo};
pub use prompt::{PromptLearner, TextVectors};
