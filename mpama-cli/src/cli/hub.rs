//! `mpama pull`, `push`, `cache`, `login`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use mpama_hub::ModelId;

/// `mpama pull`.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Model ids on the Hub: `owner/name`, or `owner/name@revision`
    #[arg(required_unless_present = "list", value_name = "ID")]
    pub(crate) ids: Vec<ModelId>,

    /// List backbones that are known to work, and stop
    #[arg(long)]
    pub(crate) list: bool,

    /// Fetch every file again, whatever is in the cache
    #[arg(long, conflicts_with = "offline")]
    pub(crate) force: bool,
}

/// `mpama push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Folder of an adapter, or of a run that made one
    #[arg(value_name = "RUN_OR_ADAPTER", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,

    /// Where to: `owner/name`
    #[arg(value_name = "ID")]
    pub(crate) id: ModelId,

    /// Only you may see it, if it has to be created
    #[arg(long)]
    pub(crate) private: bool,

    /// Show what would be published, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Put the figures of this report.json of `mpama eval --report` on the model card, and the pictures
    /// beside it: up to six defects, photo and heatmap
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,

    /// Publish no picture of the report: its photos stay here
    #[arg(long, requires = "report")]
    pub(crate) no_pictures: bool,

    /// Publish this picture with it, a heatmap of `mpama predict --maps --overlay` say; may be repeated
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) picture: Vec<PathBuf>,

    /// Licence of the adapter, as the Hub calls it, such as apache-2.0
    #[arg(long, value_name = "NAME")]
    pub(crate) license: Option<String>,
}

/// `mpama cache`.
#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// List the models of the cache, which all Hugging Face tools share
    List,
    /// Remove models with everything of them
    Remove {
        /// Their ids, without revisions
        #[arg(required = true, value_name = "ID")]
        ids: Vec<ModelId>,
    },
    /// Remove files of no commit, downloads that were not finished, and weights laid out for this processor
    Prune,
}
