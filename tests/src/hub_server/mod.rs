//! A server that speaks as much of the Hub's HTTP as clients need to pull and push, on a port of this
//! machine: real sockets, real bytes, and faults on demand. `tests/peer/hub.py` checks it with the
//! official Python client.

mod http;
mod repository;
mod routes;
mod xet;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub use repository::{Access, Files, LARGE, Repository, git_hash, sha256};

/// What goes wrong with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after so many bytes of the body.
    Cut(usize),
    /// A status instead of an answer, with more headers.
    Status(u16, Vec<(&'static str, String)>),
    /// As many bytes as there should be, but not the right ones.
    WrongBytes,
    /// Bytes beyond the announced end of the file.
    TooLong,
    /// Fewer bytes than the file has, announced as if they were all.
    TooShort,
    /// So many bytes at a time, with a pause after each.
    Drip(usize, Duration),
    /// The whole file, whatever range was asked for.
    NoRanges,
    /// Done as asked, but the connection ends before the answer.
    Mute,
    /// Done as asked, but the answer waits so long.
    Late(Duration),
    /// The request's body is taken so many bytes at a time, with a pause after each.
    Sip(usize, Duration),
}

/// A request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, say.
    pub method: String,
    /// With what follows `?`.
    pub path: String,
    /// The header of this name.
    pub authorization: Option<String>,
    /// The header of this name.
    pub range: Option<String>,
    /// Bytes of the request's body that have come so far.
    pub received: usize,
    /// Bytes of the answer's body that were sent.
    pub sent: usize,
}

/// What the server knows, and what it has seen.
#[derive(Debug, Default)]
pub struct State {
    /// By `owner/name`.
    pub repositories: BTreeMap<String, Repository>,
    /// The new name of a repository that moved, by the old one.
    pub moved: BTreeMap<String, String>,
    /// Users by token.
    pub users: BTreeMap<String, String>,
    /// What goes wrong with the next answers whose `METHOD /path` contains a text.
    pub faults: VecDeque<(String, Fault)>,
    /// Every request, oldest first.
    pub seen: Vec<Seen>,
    /// Large files are fetched from this address instead, as the Hub does it.
    pub storage: Option<String>,
    /// Uploaded large files that no commit names yet, by hash.
    pub uploads: BTreeMap<String, Arc<Vec<u8>>>,
    /// `HOST:PORT` of a server of chunks; large files are uploaded there, as the Hub has it.
    pub xet: Option<String>,
    /// What that server calls the files that were uploaded there, by hash.
    pub xet_files: BTreeMap<String, String>,
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct HubServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl HubServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> io::Result<Self> {
        Self::at("127.0.0.1:0", Arc::default())
    }

    /// Another one that knows the same, on a port of its own: where large files are kept.
    ///
    /// # Errors
    /// As [`HubServer::start`].
    pub fn storage(&self) -> io::Result<Self> {
        let storage = Self::at("127.0.0.1:0", Arc::clone(&self.state))?;
        self.state().storage = Some(storage.endpoint());
        Ok(storage)
    }

    /// Starts one at an address.
    ///
    /// # Errors
    /// If it is taken.
    pub fn at(address: &str, state: Arc<Mutex<State>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that goes away is its own affair.
                thread::spawn(move || drop(http::serve(stream, &state, address)));
            }
        });
        Ok(Self {
            address,
            state,
            stop,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it knows and has seen.
    pub fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The next answer to a `METHOD /path` that contains `what` goes wrong.
    pub fn fault(&self, what: &str, fault: Fault) {
        self.state().faults.push_back((what.to_owned(), fault));
    }

    /// Whether a request has come whose path contains `what`.
    pub fn has_seen(&self, what: &str) -> bool {
        self.state()
            .seen
            .iter()
            .any(|seen| seen.path.contains(what))
    }

    /// Adds a model with these files, in one commit.
    pub fn model(&self, id: &str, files: &[(&str, &[u8])]) -> String {
        let mut repository = Repository::new(Access::Public);
        let files = files.iter();
        let files = files.map(|(name, bytes)| ((*name).to_owned(), Arc::new(bytes.to_vec())));
        let commit = repository.commit(files.collect(), &[]);
        self.state().repositories.insert(id.to_owned(), repository);
        commit
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes the thread that waits for one
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
