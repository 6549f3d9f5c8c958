//! What went wrong, in words for whoever has to put it right: the message is the library's, what to
//! do next is said in [`advice`].

mod advice;
mod hub;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::output::shown;
use crate::settings::Origin;

/// What a user did that cannot be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mistake {
    /// Something that has no default was not given.
    #[error("no {what} given")]
    Missing {
        what: &'static str,
        flag: &'static str,
        variable: Option<&'static str>,
    },
    /// A folder that is not there.
    #[error("there is no {what} folder `{}`", shown(path))]
    NoFolder { what: &'static str, path: PathBuf },
    /// A key that is not a setting.
    #[error("unknown key `{key}` in {origin}")]
    UnknownKey {
        key: String,
        origin: Origin,
        nearest: Option<String>,
    },
    /// A setting that takes no such value.
    #[error("`{key}` in {origin}: {reason}")]
    BadValue {
        key: String,
        origin: Origin,
        reason: String,
    },
    /// A file of settings that cannot be read.
    #[error("{}: {reason}", shown(path))]
    ConfigFile { path: PathBuf, reason: String },
    /// No input is an image.
    #[error("no images in {}", inputs.join(", "))]
    NoImages { inputs: Vec<String> },
    /// A pattern that is malformed.
    #[error("pattern `{pattern}`: {reason}")]
    Pattern { pattern: String, reason: String },
    /// A verdict was asked for, and nothing says from which score on an image is anomalous.
    #[error("the adapter has no threshold, so no image can be called anomalous")]
    NoThreshold,
    /// Some files failed; the others were done.
    #[error("{failed} of {all} failed:{list}")]
    SomeFailed {
        failed: usize,
        all: String,
        list: String,
    },
    /// What would be measured is what was learned from.
    #[error("the adapter was trained on {}: `{}`", if *same { "these very images" } else { "a dataset of this name" }, shown(Path::new(dataset)))]
    TrainingData { dataset: String, same: bool },
    /// What is made for one adapter at a time.
    #[error("{flag} takes one adapter, and {adapters} are given")]
    OneAdapter { flag: &'static str, adapters: usize },
    /// A file that would be overwritten.
    #[error("`{}` is there already", shown(path))]
    Exists { path: PathBuf },
    /// A list that would not be recognised by its name.
    #[error("`{}` is no name of a list: it has to end in .jsonl", shown(path))]
    NotJsonl { path: PathBuf },
    /// A category that cannot be drawn.
    #[error("nothing draws a category `{name}`")]
    UnknownCategory {
        name: String,
        nearest: Option<&'static str>,
    },
    /// A file that is no report of an evaluation.
    #[error("`{}` is no report: {reason}", shown(path))]
    NoReport { path: PathBuf, reason: String },
    /// A report on other data.
    #[error("cannot compare with `{}`:{}", shown(path), indented(reasons))]
    NotComparable { path: PathBuf, reasons: Vec<String> },
    /// A file that holds no measurement of speed.
    #[error("`{}` is no benchmark: {reason}", shown(path))]
    NoBenchmark { path: PathBuf, reason: String },
    /// Speed at other work.
    #[error("`{}` measured other work:{}", shown(path), indented(reasons))]
    OtherWork { path: PathBuf, reasons: Vec<String> },
    /// A file that is no plan of an experiment.
    #[error("plan {}: {reason}", shown(path))]
    Plan { path: PathBuf, reason: String },
    /// A dataset that a plan does not name.
    #[error("the plan has no dataset `{name}`")]
    UnknownDataset { name: String, known: Vec<String> },
    /// A variant that a plan does not name.
    #[error("the plan has no variant `{name}`")]
    UnknownVariant { name: String, known: Vec<String> },
    /// No variant can be trained and tested with what was given.
    #[error("nothing can be both trained and tested")]
    NothingToRun { absent: Vec<String> },
    /// A thing that `info` does not know.
    #[error("`{}` is no adapter, backbone, run, dataset or image", shown(path))]
    Unrecognised { path: PathBuf },
    /// A path that leads nowhere.
    #[error("there is no `{}`", shown(path))]
    NoFile { path: PathBuf },
    /// Ctrl-C came before all files were there.
    #[error("stopped before all files had come")]
    Stopped,
    /// A question to the Hub that may not be asked.
    #[error("only the Hub knows, and no connection may be opened")]
    Offline,
    /// A model that the cache has not.
    #[error("`{id}` is not in the cache")]
    NotCached { id: mpama_hub::ModelId },
    /// Figures of another adapter.
    #[error("`{}` is a report on another adapter", shown(path))]
    OtherAdapter { path: PathBuf },
    /// A picture that a report names and that is not beside it.
    #[error("there is no picture `{}`, which the report names", shown(path))]
    NoReportPicture { path: PathBuf },
    /// A file that is no picture.
    #[error("`{}` is no picture", shown(path))]
    NotPicture { path: PathBuf },
    /// Nobody is there to agree.
    #[error("publishing has to be agreed to, and nobody is there to ask")]
    Unasked,
    /// A score that is not a number.
    #[error("{what} is {value}")]
    NotFinite { what: &'static str, value: f32 },
    /// A file or folder that could not be read or written.
    #[error("cannot {action} `{}`: {source}", shown(path))]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

/// One indented line for each.
fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

impl Mistake {
    /// A failed file operation.
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// What, where and why.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// The words for `error`; `None` if it only says that the reader of stdout has gone.
    pub(crate) fn of(error: &anyhow::Error) -> Option<Self> {
        let gone = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref::<io::Error>().is_some_and(gone) {
            return None;
        }
        Some(Self {
            message: chain(error),
            hint: advice::hint(error),
        })
    }
}

/// The error and its causes on one line, without the causes that their effect already spells out.
fn chain(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}
