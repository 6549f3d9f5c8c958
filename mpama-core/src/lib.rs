//! The model of mpama: a frozen CLIP, prompts, perception, experts, losses and scores.

pub mod clip;
pub mod nn;
pub mod preprocess;
