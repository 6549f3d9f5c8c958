//! One file, from the Hub into the cache: continued where it stopped, and hashed before it counts.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::id::ModelId;
use crate::listing::{Hash, Listed};
use crate::remote::{Remote, innermost};

/// Bytes that are read, hashed and written at a time.
const BLOCK: usize = 1 << 18;

/// Computes the hash that the Hub lists.
enum Hasher {
    Git(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(file: &Listed) -> Self {
        match file.hash {
            Hash::Git(_) => {
                let mut hasher = Sha1::new();
                hasher.update(format!("blob {}\0", file.size));
                Self::Git(hasher)
            }
            Hash::Sha256(_) => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Git(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Git(hasher) => hex(&hasher.finalize()),
            Self::Sha256(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// Whether `bytes` are those of a listed file.
pub(crate) fn is_same(file: &Listed, bytes: &[u8]) -> bool {
    let mut hasher = Hasher::new(file);
    hasher.update(bytes);
    bytes.len() as u64 == file.size && hasher.finish() == file.hash.text()
}

/// A file on its way.
pub(crate) struct Download<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) id: &'a ModelId,
    pub(crate) commit: &'a str,
    pub(crate) file: &'a Listed,
    pub(crate) stop: &'a AtomicBool,
}

/// How a connection ended.
enum Ended {
    /// With everything that was missing.
    Whole,
    /// Too early, after so many bytes.
    Broken(u64, Error),
    Stopped,
}

impl Download<'_> {
    /// Fetches what `part` lacks, and checks all of it; then `part` is the file. `false` if stopped:
    /// `part` keeps what arrived.
    ///
    /// `tell` is told how many bytes are there.
    pub(crate) fn fetch(&self, part: &Path, tell: &mut dyn FnMut(u64)) -> Result<bool> {
        let file = self.file;
        let (mut tries, mut damaged) = (0, false);
        loop {
            let (mut to, mut hasher, have) = self.reopen(part)?;
            tell(have);
            if have < file.size {
                match self.transfer(&mut to, &mut hasher, part, have, tell)? {
                    Ended::Whole => {}
                    Ended::Stopped => return Ok(false),
                    Ended::Broken(came, error) => {
                        // As long as bytes come, it gets there.
                        tries = if came > 0 { 1 } else { tries + 1 };
                        let error = match error {
                            Error::Broken { file, reason, .. } => Error::Broken {
                                file,
                                tries,
                                reason,
                            },
                            other => other,
                        };
                        if !self.remote.wait_out(error, tries, self.stop)? {
                            return Ok(false);
                        }
                        continue;
                    }
                }
            }
            let found = hasher.finish();
            if found == file.hash.text() {
                to.sync_all().map_err(Error::io("write", part))?;
                return Ok(true);
            }
            drop(to);
            fs::remove_file(part).map_err(Error::io("remove", part))?;
            // What was there before may have been somebody else's; what is fetched twice is not.
            if damaged || have == 0 {
                return Err(Error::Damaged {
                    file: file.name.clone(),
                    expected: format!("hash {}", file.hash.text()),
                    found,
                });
            }
            damaged = true;
        }
    }

    /// Opens what has arrived so far and hashes it.
    fn reopen(&self, part: &Path) -> Result<(File, Hasher, u64)> {
        let mut options = fs::OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut to = options.open(part).map_err(Error::io("create", part))?;
        let mut hasher = Hasher::new(self.file);
        let mut block = vec![0; BLOCK];
        let mut have = 0;
        loop {
            let read = to.read(&mut block).map_err(Error::io("read", part))?;
            if read == 0 {
                break;
            }
            have += read as u64;
            hasher.update(&block[..read]);
        }
        if have > self.file.size {
            (hasher, have) = (self.restart(&mut to, part)?, 0);
        }
        Ok((to, hasher, have))
    }

    fn restart(&self, to: &mut File, part: &Path) -> Result<Hasher> {
        to.set_len(0).map_err(Error::io("write", part))?;
        to.seek(SeekFrom::Start(0))
            .map_err(Error::io("write", part))?;
        Ok(Hasher::new(self.file))
    }

    /// One connection: from `have` on, to the end or as far as it goes.
    fn transfer(
        &self,
        to: &mut File,
        hasher: &mut Hasher,
        part: &Path,
        mut have: u64,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Ended> {
        let file = self.file;
        let mut response = match self.remote.open(self.id, self.commit, &file.name, have) {
            Ok(response) => response,
            Err(error) => return Ok(Ended::Broken(0, self.remote.unreachable(&error))),
        };
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response) == Some(have) => {}
            // A server that knows no ranges, or says that ours is none, sends all again.
            StatusCode::OK => {
                *hasher = self.restart(to, part)?;
                have = 0;
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
                self.restart(to, part)?;
                return Ok(self.broken(0, "it does not continue where we stopped".to_owned()));
            }
            _ => {
                let error = self.remote.judge(&response, self.id, &file.name);
                return Ok(Ended::Broken(0, error));
            }
        }
        let start = have;
        let mut block = vec![0; BLOCK];
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stopped);
            }
            let read = match response.read(&mut block) {
                Ok(read) => read,
                Err(error) => return Ok(self.broken(have - start, innermost(&error))),
            };
            if read == 0 && have < file.size {
                return Ok(self.broken(have - start, "it ended early".to_owned()));
            }
            if read == 0 {
                return Ok(Ended::Whole);
            }
            if have + read as u64 > file.size {
                self.restart(to, part)?;
                return Err(Error::Damaged {
                    file: file.name.clone(),
                    expected: format!("{} bytes", file.size),
                    found: "more".to_owned(),
                });
            }
            to.write_all(&block[..read])
                .map_err(Error::io("write", part))?;
            hasher.update(&block[..read]);
            have += read as u64;
            tell(have);
        }
    }

    fn broken(&self, came: u64, reason: String) -> Ended {
        let file = self.file.name.clone();
        let error = Error::Broken {
            file,
            tries: 0,
            reason,
        };
        Ended::Broken(came, error)
    }
}

/// Where a part of a file begins: `bytes 5-9/10` at 5.
fn starts_at(response: &Response) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}
