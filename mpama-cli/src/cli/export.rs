//! `mpama export`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `mpama export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A trained adapter: its folder, or its id on the Hub
    #[arg(value_name = "ADAPTER", value_hint = ValueHint::DirPath)]
    pub(crate) adapter: PathBuf,

    /// Folder to create: the adapter, and detect.py, which scores images with it in PyTorch
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
}
