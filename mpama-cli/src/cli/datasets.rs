//! Arguments of `mpama datasets`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

/// `mpama datasets`.
#[derive(Debug, Subcommand)]
pub(crate) enum Datasets {
    /// List the datasets of the paper, and the layouts that can be read
    List,
    /// Look through a dataset: what it is, and what is missing, damaged or mismatched
    Check(Check),
    /// Write a list of a dataset's images that every command reads; no file is moved
    Prepare(Prepare),
    /// Draw images of things and their defects, with exact masks, in MVTec AD's layout
    Synth(Synth),
}

/// `mpama datasets check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Dataset: a folder, or a list of images; exit code 1 if something is wrong with it
    #[arg(value_name = "DATASET", value_hint = ValueHint::AnyPath)]
    pub(crate) data: PathBuf,

    /// How its files are arranged (`mpama datasets list`); recognised if not given
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
}

/// `mpama datasets prepare`.
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// Dataset: a folder, or a list of images
    #[arg(value_name = "DATASET", value_hint = ValueHint::AnyPath)]
    pub(crate) data: PathBuf,

    /// List to write, NAME.jsonl; beside the dataset if not given
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,

    /// How its files are arranged (`mpama datasets list`); recognised if not given
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
}

/// `mpama datasets synth`.
#[derive(Debug, Args)]
pub(crate) struct Synth {
    /// Folder to write; one that this command began is completed
    #[arg(short, long, value_name = "DIR", required_unless_present = "list")]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,

    /// What to draw, separated by commas; everything there is if not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) categories: Vec<String>,

    /// Pixels a side
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(crate) size: usize,

    /// Normal images of each category
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) good: usize,

    /// Anomalous images of each category
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) defective: usize,

    /// Normal images of each category in train/good, as MVTec AD has for other methods
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) train: usize,

    /// Another seed draws other images
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// List what can be drawn, and stop
    #[arg(long)]
    pub(crate) list: bool,
}
