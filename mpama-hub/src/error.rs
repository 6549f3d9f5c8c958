//! What can go wrong between here and the Hub, by situation.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::id::ModelId;

/// The result of a fallible operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the Hub could not be used. No variant ever holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An environment variable with an impossible value.
    #[error("{name} {reason}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What is wrong with it, as the end of a sentence.
        reason: String,
    },
    /// The Hub knows no such model, or does not show it to whoever asks.
    #[error("the Hub shows no model `{id}`")]
    NoModel {
        /// The id.
        id: ModelId,
        /// Whether a token was sent along.
        with_token: bool,
    },
    /// The model has no such branch, tag or commit.
    #[error("`{id}` has no revision `{revision}`")]
    NoRevision {
        /// The id.
        id: ModelId,
        /// The revision that was asked for.
        revision: String,
    },
    /// The model lacks a file that is needed.
    #[error("`{id}` has no {file}")]
    NoFile {
        /// The id.
        id: ModelId,
        /// The file, or the files of which it has none.
        file: String,
    },
    /// The owner wants to be asked first.
    #[error("access to `{id}` is granted on request")]
    Gated {
        /// The id.
        id: ModelId,
    },
    /// The Hub wants a token, or another one.
    #[error("the Hub {}", if *with_token { "does not accept the token" } else { "asks for a token" })]
    Unauthorized {
        /// Whether a token was sent along.
        with_token: bool,
    },
    /// The token may not do this.
    #[error("the token may not {action} `{id}`")]
    Forbidden {
        /// `read` or `write to`.
        action: &'static str,
        /// The id.
        id: ModelId,
    },
    /// Too many requests.
    #[error("the Hub asks to come back {}", later(*wait))]
    RateLimited {
        /// How long it said to wait.
        wait: Option<Duration>,
    },
    /// No connection.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Where to.
        host: String,
        /// What the network says.
        reason: String,
    },
    /// The Hub failed.
    #[error("the Hub answers {status} to {url}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Server {
        /// The HTTP status.
        status: u16,
        /// What was asked for.
        url: String,
        /// What it says about it.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("the Hub's answer about {about} makes no sense: {reason}")]
    Answer {
        /// What was asked for.
        about: String,
        /// What is wrong.
        reason: String,
    },
    /// The connection broke again and again.
    #[error("the connection broke {}while fetching {file}: {reason}", in_a_row(*tries))]
    Broken {
        /// The file.
        file: String,
        /// How often nothing came.
        tries: usize,
        /// What the network says.
        reason: String,
    },
    /// Bytes that are not those that the Hub lists.
    #[error("{file} arrived damaged: {expected}, found {found}")]
    Damaged {
        /// The file.
        file: String,
        /// Hash or size as the Hub lists it.
        expected: String,
        /// As it arrived.
        found: String,
    },
    /// A name in a listing that would leave the cache.
    #[error("`{id}` lists a file with a name that no file may have: {name:?}")]
    Name {
        /// The id.
        id: ModelId,
        /// The name.
        name: String,
    },
    /// Nothing may be fetched, and the cache has not all of it.
    #[error("`{id}` is not in the cache {}", cache.display())]
    NotCached {
        /// The id.
        id: ModelId,
        /// The cache.
        cache: PathBuf,
    },
    /// The disk is full.
    #[error("no space for {}", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// Somebody else changed the model at the same time.
    #[error("`{id}` was changed by somebody else meanwhile")]
    Conflict {
        /// The id.
        id: ModelId,
    },
    /// A file or folder that could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Error {
    /// Makes an error of what the system says about a file.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

fn in_a_row(tries: usize) -> String {
    match tries {
        0 | 1 => String::new(),
        tries => format!("{tries} times in a row "),
    }
}

fn later(wait: Option<Duration>) -> String {
    wait.map_or_else(
        || "later".to_owned(),
        |wait| format!("in {} s", wait.as_secs()),
    )
}
