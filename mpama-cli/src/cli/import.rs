//! `mpama import`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// Whose files can be made adapters of.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Make an adapter from the prompts that AnomalyCLIP learned
    Anomalyclip(FromAnomalyClip),
}

/// `mpama import anomalyclip`.
#[derive(Debug, Args)]
pub(crate) struct FromAnomalyClip {
    /// Prompt checkpoint of AnomalyCLIP, a .pth; it is read as data, nothing in it is executed
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,

    /// The CLIP that the prompts were learned with: its folder, or its id on the Hub
    #[arg(long, value_name = "CLIP", env = "MPAMA_CLIP", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) clip: Option<PathBuf>,

    /// Folder of the adapter to create
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
}
