//! The words of `mpama experiment`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::settings::Assignment;

/// `mpama experiment`.
#[derive(Debug, Args)]
pub(crate) struct Experiment {
    /// The plan: one of configs/experiments, or your own
    #[arg(value_name = "PLAN", value_hint = ValueHint::FilePath)]
    pub(crate) plan: PathBuf,

    /// Datasets by their names in the plan, or a folder that holds them under these names
    #[arg(long, required = true, num_args = 1.., value_name = "NAME=DIR")]
    pub(crate) data: Vec<String>,

    /// Folder of a CLIP in the Hugging Face layout
    #[arg(long, value_name = "DIR", env = "MPAMA_CLIP", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) clip: Option<PathBuf>,

    /// Folder for all runs and the table; repeat the command to go on
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,

    /// Seeds instead of the plan's, separated by commas
    #[arg(long, value_name = "SEEDS", value_delimiter = ',')]
    pub(crate) seeds: Vec<u64>,

    /// Only this variant; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) variant: Vec<String>,

    /// Change one setting of every variant; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<Assignment>,

    /// Check everything, say what is left to do and what it takes, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
}
