//! `mpama bench`.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum, ValueHint};

use super::Model;

/// `mpama bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) model: Model,

    /// Instead of --clip and --adapter: random weights of a known CLIP's shape, made in memory
    #[arg(long, value_name = "SHAPE")]
    pub(crate) shape: Option<Shape>,

    /// The photograph to measure with; without it, one is drawn, of 1024 by 1024 pixels
    #[arg(long, value_name = "PHOTO", value_hint = ValueHint::FilePath)]
    pub(crate) image: Option<PathBuf>,

    /// Side of the network's input in pixels; without it, as the adapter says
    #[arg(long, value_name = "PIXELS")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=4096))]
    pub(crate) size: Option<usize>,

    /// Images that go through the model together
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=256))]
    pub(crate) batch: usize,

    /// Rounds that are measured, after one to warm up
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    pub(crate) rounds: usize,

    /// What an earlier `mpama bench --json` printed, to show ratios beside the figures
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) compare: Option<PathBuf>,
}

/// The image towers that OpenAI published as Vision Transformers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    #[value(name = "vit-b-32")]
    B32,
    #[value(name = "vit-b-16")]
    B16,
    #[value(name = "vit-l-14")]
    L14,
    #[value(name = "vit-l-14-336")]
    L14At336,
}
