//! A model on the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files of at least so many bytes are large: kept apart and hashed with SHA-256. (The Hub goes by name
/// as well.)
pub const LARGE: usize = 4096;

/// Who may see a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Its owner.
    Private,
    /// Those whom its owner let in: nobody.
    Gated,
}

/// Bytes of files by name.
pub type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// A model with its history.
#[derive(Debug, Clone)]
pub struct Repository {
    /// Who may see it.
    pub access: Access,
    /// Every commit with all files that are there then, oldest first.
    pub commits: Vec<(String, Files)>,
}

impl Repository {
    /// An empty one.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            commits: Vec::new(),
        }
    }

    /// Adds and removes files; the new commit.
    pub fn commit(&mut self, add: Files, remove: &[String]) -> String {
        let mut files = self.commits.last().map_or_else(Files::new, |c| c.1.clone());
        files.extend(add);
        files.retain(|name, _| !remove.contains(name));
        let mut hasher = Sha1::new();
        for (name, bytes) in &files {
            hasher.update(name);
            hasher.update(git_hash(bytes));
        }
        hasher.update([self.commits.len() as u8]);
        let commit = hex(&hasher.finalize());
        self.commits.push((commit.clone(), files));
        commit
    }

    /// The newest commit.
    pub fn head(&self) -> Option<&(String, Files)> {
        self.commits.last()
    }

    /// A commit by its hash or as `main`.
    pub fn at(&self, revision: &str) -> Option<&(String, Files)> {
        match revision {
            "main" => self.head(),
            hash => self.commits.iter().find(|(commit, _)| commit == hash),
        }
    }
}

/// The hash that git has for a file.
pub fn git_hash(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

/// The hash that large files have.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
