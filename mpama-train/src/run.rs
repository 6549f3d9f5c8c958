//! The run folder: everything a run writes, and the rules for continuing it.
//!
//! ```text
//! config.toml              the settings, defaults written out
//! environment.json         what it runs on: data, backbone, versions
//! features/                the feature cache, unless it lies elsewhere
//! metrics.jsonl            one line per step
//! checkpoint.safetensors   where it is
//! adapter-mpa/             after stage one
//! adapter/                 after stage two
//! ```

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Checkpoint, Position};
use crate::config::TrainConfig;
use crate::control::Control;
use crate::difference::Difference;
use crate::disk::{self, Lock};
use crate::error::{Error, Result};
use crate::event::{Event, LossValues};
use crate::optim::Adam;
use crate::stage::Stage;

/// Whether a run begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In a new or empty folder, or in one where a run failed before its first image.
    Fresh,
    /// From the folder's last checkpoint, with the same settings.
    Resume,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The stage.
    pub stage: Stage,
    /// The epoch, from 1.
    pub epoch: usize,
    /// The step of the stage, from 1.
    pub step: usize,
    /// Its losses.
    pub losses: LossValues,
    /// Its learning rate.
    pub learning_rate: f64,
    /// Time it took; the one number that is not the same in every run.
    pub seconds: f64,
}

/// What a run runs on: `environment.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Environment {
    /// Version of this crate.
    pub mpama: String,
    /// Operating system and processor.
    pub system: String,
    /// The device: `cpu`, `cuda:0`, ….
    pub device: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Images trained on.
    pub images: usize,
    /// Hash of their index.
    pub index_hash: String,
    /// Name of the backbone.
    pub backbone: String,
    /// Its revision, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub revision: Option<String>,
    /// Fingerprint of its vision tower.
    pub fingerprint: String,
}

/// A run folder that belongs to this process.
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    config_hash: String,
    metrics: File,
    metrics_bytes: u64,
    _lock: Lock,
}

impl RunFolder {
    /// Takes `path` for a new run or for the rest of an old one, with the checkpoint if there is one.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::RunExists`], [`Error::NoRun`], [`Error::RunMismatch`] with every
    /// setting that differs, [`Error::RunFile`] for a damaged file.
    pub(crate) fn open(
        path: &Path,
        start: Start,
        config: &TrainConfig,
    ) -> Result<(Self, Option<Checkpoint>)> {
        let config_path = path.join("config.toml");
        let recorded = match start {
            Start::Fresh => None,
            Start::Resume => Some(recorded_config(path, &config_path)?),
        };
        disk::create_folder(path)?;
        let lock = disk::lock(path)?;
        match &recorded {
            None if holds_files(path)? && !never_began(path)? => {
                return Err(Error::RunExists {
                    folder: path.to_owned(),
                });
            }
            None => {}
            Some(recorded) => {
                let differences = config.differences(recorded)?;
                if !differences.is_empty() {
                    return Err(Error::RunMismatch {
                        folder: path.to_owned(),
                        differences,
                    });
                }
            }
        }
        disk::write(&config_path, config.to_toml()?.as_bytes())?;

        let config_hash = config.hash()?;
        let checkpoint_path = path.join("checkpoint.safetensors");
        let checkpoint = checkpoint::load(&checkpoint_path)?;
        if checkpoint
            .as_ref()
            .is_some_and(|c| c.position.config != config_hash)
        {
            let reason = "of a run with other settings".to_owned();
            return Err(Error::RunFile {
                path: checkpoint_path,
                reason,
            });
        }
        let metrics_bytes = checkpoint.as_ref().map_or(0, |c| c.position.metrics_bytes);
        let metrics = open_metrics(&path.join("metrics.jsonl"), metrics_bytes)?;
        let path = path.to_owned();
        Ok((
            Self {
                path,
                config_hash,
                metrics,
                metrics_bytes,
                _lock: lock,
            },
            checkpoint,
        ))
    }

    /// Records what the run runs on, or compares it with the record if there is a checkpoint made on
    /// it. Returns the record: names may have changed since, what they stand for may not.
    ///
    /// # Errors
    /// [`Error::RunMismatch`] if images or backbone are others.
    pub(crate) fn settle(&self, now: Environment, begun: bool) -> Result<Environment> {
        let path = self.path.join("environment.json");
        let broken = |e: &dyn std::fmt::Display| Error::RunFile {
            path: path.clone(),
            reason: e.to_string(),
        };
        if !begun {
            let json = serde_json::to_string_pretty(&now).map_err(|e| broken(&e))?;
            disk::write(&path, format!("{json}\n").as_bytes())?;
            return Ok(now);
        }
        let bytes = disk::read_if_present(&path)?.ok_or_else(|| broken(&"missing"))?;
        let recorded: Environment = serde_json::from_slice(&bytes).map_err(|e| broken(&e))?;
        let differences: Vec<Difference> = [
            ("dataset index", &recorded.index_hash, &now.index_hash),
            ("backbone", &recorded.fingerprint, &now.fingerprint),
        ]
        .into_iter()
        .filter(|(_, recorded, now)| recorded != now)
        .map(|(key, recorded, now)| Difference {
            key: key.to_owned(),
            recorded: recorded.clone(),
            now: now.clone(),
        })
        .collect();
        if differences.is_empty() {
            return Ok(recorded);
        }
        Err(Error::RunMismatch {
            folder: self.path.clone(),
            differences,
        })
    }

    /// Where the feature cache lies unless it is told otherwise.
    pub(crate) fn features(&self) -> PathBuf {
        self.path.join("features")
    }

    /// The folder of the adapter that `stage` ends with.
    pub(crate) fn adapter(&self, stage: Stage) -> PathBuf {
        self.path.join(match stage {
            Stage::One => "adapter-mpa",
            Stage::Two => "adapter",
        })
    }

    /// The run folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends to `metrics.jsonl`.
    pub(crate) fn log(&mut self, line: &Line) -> Result<()> {
        let path = self.path.join("metrics.jsonl");
        let mut text = serde_json::to_string(line).map_err(|e| Error::RunFile {
            path: path.clone(),
            reason: e.to_string(),
        })?;
        text.push('\n');
        self.metrics
            .write_all(text.as_bytes())
            .map_err(|e| Error::io("write", &path, e))?;
        self.metrics_bytes += text.len() as u64;
        Ok(())
    }

    /// Replaces the checkpoint by the present state of a stage, `epoch` epochs of which are over.
    pub(crate) fn save_checkpoint(
        &mut self,
        stage: Stage,
        epoch: usize,
        adam: &Adam,
        control: &mut Control<'_>,
    ) -> Result<()> {
        // The checkpoint tells how long the log is, so the log has to be on the disk before it.
        let log = self.path.join("metrics.jsonl");
        self.metrics
            .sync_data()
            .map_err(|e| Error::io("write", &log, e))?;
        let path = self.path.join("checkpoint.safetensors");
        let position = Position::new(
            stage,
            epoch,
            adam.steps(),
            &self.config_hash,
            self.metrics_bytes,
        );
        checkpoint::save(&path, &position, &adam.state()?)?;
        control.emit(Event::Saved { path });
        Ok(())
    }
}

fn recorded_config(folder: &Path, path: &Path) -> Result<TrainConfig> {
    let none = || Error::NoRun {
        folder: folder.to_owned(),
    };
    let bytes = disk::read_if_present(path)?.ok_or_else(none)?;
    let text = String::from_utf8(bytes).map_err(|e| Error::RunFile {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    TrainConfig::parse(&text, &path.display().to_string())
}

/// Whether there is anything but hidden files in a folder.
fn holds_files(folder: &Path) -> Result<bool> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    for entry in entries {
        let name = entry.map_err(|e| Error::io("read", folder, e))?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether all that a folder holds is the beginning of a run that failed before its first image was
/// encoded, because of a broken file, say: the same command may then be repeated.
fn never_began(folder: &Path) -> Result<bool> {
    // An empty log is what makes the folder a run's: a lone config.toml may be somebody's own.
    let log = std::fs::metadata(folder.join("metrics.jsonl"));
    if !log.is_ok_and(|log| log.len() == 0) {
        return Ok(false);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read", folder, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("read", folder, e))?;
        let known = match entry.file_name().as_encoded_bytes() {
            [b'.', ..] | b"metrics.jsonl" | b"config.toml" | b"environment.json" => true,
            b"features" => !holds_files(&entry.path())?,
            _ => false,
        };
        if !known {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens the log for appending after its first `length` bytes; what lies beyond belongs to steps that
/// will be taken again.
fn open_metrics(path: &Path, length: u64) -> Result<File> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let mut file = opened.map_err(|e| Error::io("open", path, e))?;
    let found = file
        .metadata()
        .map_err(|e| Error::io("read", path, e))?
        .len();
    if found < length {
        return Err(Error::RunFile {
            path: path.to_owned(),
            reason: format!("{found} bytes, and the checkpoint was made after {length}"),
        });
    }
    file.set_len(length)
        .and_then(|()| file.seek(SeekFrom::End(0)))
        .map_err(|e| Error::io("write", path, e))?;
    Ok(file)
}
