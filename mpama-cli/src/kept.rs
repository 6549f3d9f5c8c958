//! Weights laid out for this machine's processor, kept so that the next start maps them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{env, fs, io};

use mpama_core::clip::Checkpoint;

/// Checkpoints of less are laid out faster than a file is worth.
const LEAST: u64 = 64 << 20;

/// The folder: `MPAMA_CACHE/packed`, with `XDG_CACHE_HOME/mpama` or `~/.cache/mpama` in place of a variable that
/// is not set. None is kept where it is set to nothing.
pub(crate) fn folder() -> Option<PathBuf> {
    place(|name| env::var_os(name))
}

fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let root = match variable("MPAMA_CACHE") {
        Some(given) if given.is_empty() => return None,
        Some(given) => PathBuf::from(given),
        None => path("XDG_CACHE_HOME")
            .or_else(|| Some(path("HOME").or_else(|| path("USERPROFILE"))?.join(".cache")))?
            .join("mpama"),
    };
    Some(root.join("packed"))
}

/// The checkpoint, which then keeps what it lays out if that is worth it and there is a place.
pub(crate) fn keep(checkpoint: Checkpoint) -> Checkpoint {
    match folder() {
        Some(folder) if checkpoint.bytes() >= LEAST && fs::create_dir_all(&folder).is_ok() => {
            checkpoint.kept_in(&folder)
        }
        _ => checkpoint,
    }
}

/// The files and their sizes in bytes.
pub(crate) fn files() -> io::Result<Vec<(PathBuf, u64)>> {
    let Some(folder) = folder().filter(|folder| folder.is_dir()) else {
        return Ok(Vec::new());
    };
    fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.path(), entry.metadata()?.len()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_says_where() {
        let with = |set: &[(&str, &str)]| {
            place(|name| {
                set.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| value.into())
            })
        };
        let (ours, xdg, home) = (
            ("MPAMA_CACHE", "/m"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        );
        assert_eq!(with(&[home, xdg, ours]), Some("/m/packed".into()));
        assert_eq!(with(&[home, xdg]), Some("/x/mpama/packed".into()));
        assert_eq!(with(&[home]), Some("/h/.cache/mpama/packed".into()));
        assert_eq!(with(&[home, ("MPAMA_CACHE", "")]), None);
        assert_eq!(with(&[]), None);
    }
}
