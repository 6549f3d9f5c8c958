//! Models by id: wherever a folder is taken, an id of the Hub is as good.

use std::path::{Path, PathBuf};

use mpama_hub::{Hub, ModelId, PullEvent, Pulled, Settings};

use crate::cli::Global;
use crate::interrupt;
use crate::model::name_of;
use crate::output::{Output, shown};
use crate::problem::Mistake;
use crate::progress::{NEVER, duration};

/// A model's folder, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    /// The id on the Hub, without a revision, or the folder's name.
    pub(crate) name: String,
    /// The commit, if it is from the Hub.
    pub(crate) revision: Option<String>,
    /// As it was given.
    pub(crate) given: PathBuf,
}

/// The Hub as the environment and `--offline` have it.
pub(crate) fn connect(global: &Global, output: &Output) -> mpama_hub::Result<Hub> {
    let mut settings = Settings::read(|name| std::env::var_os(name))?;
    settings.offline |= global.offline;
    Ok(with(settings, output))
}

/// The Hub with these settings. It says when it waits, and why: silence looks like a hang.
pub(crate) fn with(settings: Settings, output: &Output) -> Hub {
    let output = output.clone();
    Hub::new(settings).telling(move |error, wait| {
        output.warn(format_args!("{error}; trying again in {}", duration(wait)));
    })
}

/// The folder that was given, or that of the model with the given id: from the cache if all of it is
/// there, or else from the Hub.
pub(crate) fn place(
    what: &'static str,
    given: &Path,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Place> {
    if given.is_dir() {
        return Ok(Place {
            folder: given.to_owned(),
            name: name_of(given),
            revision: None,
            given: given.to_owned(),
        });
    }
    let id = id_of(given).filter(|_| !given.exists());
    let id = id.ok_or(Mistake::NoFolder {
        what,
        path: given.to_owned(),
    })?;
    let hub = connect(global, output)?;
    let pulled = match hub.cached(&id) {
        Some(pulled) => pulled,
        None => pull(&hub, &id, false, output)?.ok_or(Mistake::Stopped)?,
    };
    Ok(Place {
        folder: pulled.folder,
        name: format!("{}/{}", id.owner(), id.name()),
        revision: Some(pulled.commit),
        given: given.to_owned(),
    })
}

/// Whether what was given can be an id of the Hub.
pub(crate) fn is_id(given: &Path) -> bool {
    id_of(given).is_some()
}

fn id_of(given: &Path) -> Option<ModelId> {
    given.to_str()?.parse().ok()
}

/// Pulls, and shows how it goes; `None` if stopped.
pub(crate) fn pull(
    hub: &Hub,
    id: &ModelId,
    again: bool,
    output: &Output,
) -> anyhow::Result<Option<Pulled>> {
    let progress = output.progress();
    let name = format!("Fetching {id}");
    let mut found = (0, 0);
    let pulled = hub.pull(id, again, interrupt::flag(), &mut |event| match event {
        PullEvent::Found { bytes, cached } => {
            found = (bytes, cached);
            if cached < bytes {
                progress.start_bytes(&name, bytes, cached, NEVER);
            }
        }
        PullEvent::Waiting { .. } => {}
        PullEvent::Progress { file, done } => progress.advance(done as usize, file),
    });
    match pulled {
        Ok(Some(pulled)) => {
            let (bytes, cached) = found;
            if cached < bytes {
                progress.finish(&size(bytes));
            }
            if let Some(moved) = &pulled.moved {
                output.warn(format_args!("`{id}` has moved: it is `{moved}` now"));
            }
            Ok(Some(pulled))
        }
        Ok(None) => {
            progress.clear();
            Ok(None)
        }
        Err(error) => {
            progress.clear();
            Err(error.into())
        }
    }
}

/// `1.71 GB`, as the Hub counts.
pub(crate) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1e3 => format!("{bytes} B"),
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

/// A model as it was given, for a command that can be typed.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(&self.given))
    }
}
