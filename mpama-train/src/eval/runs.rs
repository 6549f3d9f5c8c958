//! Keys in sorted runs: in memory as far as they may, beyond that in a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::error::MetricError;
use super::key::Key;
use super::radix;

/// Longest run in bytes: long enough for few runs, short enough that sorting one stays near the
/// cores.
const LONGEST_RUN: usize = 32 << 20;
/// Most bytes of a run in the file that are read at once.
const BLOCK: usize = 64 << 10;

/// Room for sorted runs, shared by the two classes.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Bytes of a run.
    run: usize,
    /// Bytes of sorted runs that may stay in memory, and that do.
    limit: usize,
    used: usize,
    /// Bytes that blocks of the file may take when all runs are read side by side.
    blocks: usize,
    /// Where the file is made; the system's folder for such files if not given.
    folder: Option<PathBuf>,
    file: Option<Spill>,
}

/// A file without a name: it goes with the process, however that ends.
#[derive(Debug)]
struct Spill {
    file: Mutex<File>,
    runs: usize,
    bytes: u64,
}

/// Sorted keys.
#[derive(Debug)]
enum Run<K> {
    Kept(Vec<K>),
    Spilled { start: u64, keys: usize },
}

/// Keys of one class in the making.
#[derive(Debug)]
pub(super) struct Runs<K> {
    filling: Vec<K>,
    /// Full, not yet sorted; as many as there are threads are sorted together.
    full: Vec<Vec<K>>,
    scratch: Vec<Vec<K>>,
    sorted: Vec<Run<K>>,
    len: usize,
}

/// Reads one run from its beginning.
#[derive(Debug)]
pub(super) struct Cursor<'a, K> {
    shelf: &'a Shelf,
    keys: Vec<K>,
    /// The next of `keys`.
    at: usize,
    /// Keys read past, in all.
    passed: usize,
    /// What of the run is still in the file: byte and number of keys.
    unread: (u64, usize),
}

impl Shelf {
    /// A shelf for collecting and reading within `memory` bytes. Half is for runs that are kept, half
    /// for those being filled and sorted, which is free when all is sorted and reading begins.
    pub(super) fn new(memory: usize, folder: Option<&Path>) -> Self {
        let threads = rayon::current_num_threads();
        // Of each class at once: one run being filled, and one for each thread with its scratch.
        let run = (memory / 2 / (4 * threads + 2)).clamp(64, LONGEST_RUN);
        Self {
            run,
            limit: memory - memory / 2,
            used: 0,
            blocks: memory / 2,
            folder: folder.map(Path::to_owned),
            file: None,
        }
    }

    /// Runs in the file, and their bytes.
    pub(super) fn spilled(&self) -> (usize, u64) {
        self.file
            .as_ref()
            .map_or((0, 0), |file| (file.runs, file.bytes))
    }

    fn place<K: Key>(&mut self, keys: Vec<K>) -> Result<Run<K>, MetricError> {
        let bytes = keys.len() * K::BYTES;
        if self.used + bytes <= self.limit {
            self.used += bytes;
            return Ok(Run::Kept(keys));
        }
        self.spill(&keys)
            .map_err(|source| self.error("write", &source))
    }

    fn spill<K: Key>(&mut self, keys: &[K]) -> io::Result<Run<K>> {
        let spill = match &mut self.file {
            Some(spill) => spill,
            none => none.insert(Spill {
                file: Mutex::new(match &self.folder {
                    Some(folder) => tempfile::tempfile_in(folder)?,
                    None => tempfile::tempfile()?,
                }),
                runs: 0,
                bytes: 0,
            }),
        };
        let file = spill.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        let start = spill.bytes;
        let mut bytes = Vec::with_capacity(BLOCK);
        for keys in keys.chunks(BLOCK / K::BYTES) {
            bytes.clear();
            K::write(keys, &mut bytes);
            file.write_all(&bytes)?;
        }
        spill.runs += 1;
        spill.bytes += (keys.len() * K::BYTES) as u64;
        Ok(Run::Spilled {
            start,
            keys: keys.len(),
        })
    }

    fn load<K: Key>(&self, start: u64, keys: usize, to: &mut Vec<K>) -> io::Result<()> {
        let Some(spill) = &self.file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut bytes = vec![0; keys * K::BYTES];
        {
            let mut file = spill.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
        }
        to.clear();
        K::read(&bytes, to);
        Ok(())
    }

    fn error(&self, action: &'static str, source: &io::Error) -> MetricError {
        MetricError::Spill {
            action,
            folder: self.folder.clone(),
            kind: source.kind(),
            reason: source.to_string(),
        }
    }
}

impl<K> Default for Runs<K> {
    fn default() -> Self {
        Self {
            filling: Vec::new(),
            full: Vec::new(),
            scratch: Vec::new(),
            sorted: Vec::new(),
            len: 0,
        }
    }
}

impl<K: Key> Runs<K> {
    /// Keys taken in.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes in keys in any order.
    pub(super) fn extend(&mut self, mut keys: &[K], shelf: &mut Shelf) -> Result<(), MetricError> {
        let longest = shelf.run / K::BYTES;
        self.len += keys.len();
        while !keys.is_empty() {
            let (now, later) = keys.split_at(keys.len().min(longest - self.filling.len()));
            self.filling.extend_from_slice(now);
            keys = later;
            if self.filling.len() == longest {
                self.full.push(std::mem::take(&mut self.filling));
                if self.full.len() == rayon::current_num_threads() {
                    self.sort(shelf)?;
                }
                self.filling.reserve_exact(longest);
            }
        }
        Ok(())
    }

    /// Sorts what is left, so that all keys are in runs.
    pub(super) fn close(&mut self, shelf: &mut Shelf) -> Result<(), MetricError> {
        self.full.push(std::mem::take(&mut self.filling));
        self.sort(shelf)?;
        self.full = Vec::new();
        self.scratch = Vec::new();
        Ok(())
    }

    fn sort(&mut self, shelf: &mut Shelf) -> Result<(), MetricError> {
        self.scratch.resize_with(self.full.len(), Vec::new);
        self.full
            .par_iter_mut()
            .zip(&mut self.scratch)
            .for_each(|(keys, scratch)| radix::sort(keys, scratch));
        for keys in self.full.drain(..).filter(|keys| !keys.is_empty()) {
            self.sorted.push(shelf.place(keys)?);
        }
        Ok(())
    }

    /// One cursor for each run; [`Runs::close`] comes before.
    pub(super) fn cursors(self, shelf: &Shelf) -> Vec<Cursor<'_, K>> {
        self.sorted
            .into_iter()
            .map(|run| {
                let (keys, unread) = match run {
                    Run::Kept(keys) => (keys, (0, 0)),
                    Run::Spilled { start, keys } => (Vec::new(), (start, keys)),
                };
                Cursor {
                    shelf,
                    keys,
                    at: 0,
                    passed: 0,
                    unread,
                }
            })
            .collect()
    }
}

impl<K: Key> Cursor<'_, K> {
    /// The next key, which stays the next.
    pub(super) fn peek(&mut self) -> Result<Option<K>, MetricError> {
        if self.at == self.keys.len() && !self.refill()? {
            return Ok(None);
        }
        Ok(Some(self.keys[self.at]))
    }

    /// Goes past the next key, which has been looked at.
    pub(super) fn advance(&mut self) {
        self.at += 1;
        self.passed += 1;
    }

    /// Goes past all keys up to and including `last`, and says how many were passed since the run's
    /// beginning.
    pub(super) fn pass(&mut self, last: K) -> Result<usize, MetricError> {
        loop {
            let ahead = &self.keys[self.at..];
            let passed = ahead.iter().take_while(|key| **key <= last).count();
            let all = passed == ahead.len();
            self.at += passed;
            self.passed += passed;
            if !all || !self.refill()? {
                return Ok(self.passed);
            }
        }
    }

    /// Reads the next block of the file; false at the end.
    fn refill(&mut self) -> Result<bool, MetricError> {
        let (start, left) = self.unread;
        if left == 0 {
            return Ok(false);
        }
        let (runs, _) = self.shelf.spilled();
        let block = (self.shelf.blocks / runs.max(1)).min(BLOCK) / K::BYTES;
        let keys = block.clamp(1, left);
        self.shelf
            .load(start, keys, &mut self.keys)
            .map_err(|source| self.shelf.error("read", &source))?;
        self.at = 0;
        self.unread = (start + (keys * K::BYTES) as u64, left - keys);
        Ok(true)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_full_disk_is_told() {
        let mut shelf = Shelf::new(1000, None);
        shelf.file = Some(Spill {
            file: Mutex::new(File::create("/dev/full").unwrap()), // every write fails with ENOSPC
            runs: 0,
            bytes: 0,
        });
        let mut runs = Runs::default();
        let error = runs.extend(&[7_u32; 5000], &mut shelf).unwrap_err();
        let MetricError::Spill { action, kind, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*action, *kind), ("write", io::ErrorKind::StorageFull));
    }
}
