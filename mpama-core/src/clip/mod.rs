//! A frozen CLIP in the Hugging Face layout, and nothing specific to anomalies.
//!
//! [`Checkpoint::open`] reads a folder's `config.json` and finds its weights; each tower is then loaded
//! by itself, so that predicting, which needs no text tower, reads only the vision half.
//!
//! Shapes: `B` images, `N` sequences of `L` tokens, `T` patches, `W` width of a tower, `D` width of the
//! space both towers project into.

pub(crate) mod attention;
mod block;
mod config;
mod error;
mod operations;
mod packed;
mod position;
pub(crate) mod rows;
mod smooth;
mod text;
mod through;
mod tokenizer;
mod vision;
mod weights;

use std::path::{Path, PathBuf};

use candle_core::Device;

pub use config::{BlocksConfig, ClipConfig, TextConfig, VisionConfig};
pub use error::{ClipError, Result};
pub use position::resized_positions;
pub use text::TextTower;
pub use tokenizer::ClipTokenizer;
pub use vision::{VisionFeatures, VisionOptions, VisionTower};

pub use crate::kernels::precision::Precision;
use weights::Source;

/// A CLIP on disk, as on the Hub: `config.json`, the weights (`model.safetensors` or
/// `pytorch_model.bin`, whole or sharded) and `tokenizer.json` (or `vocab.json` and `merges.txt`).
#[derive(Debug, Clone)]
pub struct Checkpoint {
    folder: PathBuf,
    config: ClipConfig,
    source: Source,
    kept_in: Option<PathBuf>,
}

impl Checkpoint {
    /// Reads a folder's configuration and finds its weights. Reads no tensor yet.
    ///
    /// # Errors
    /// [`ClipError::MissingFile`] without a configuration or weights, and what [`ClipConfig::read`]
    /// finds wrong.
    pub fn open(folder: &Path) -> Result<Self> {
        let config = folder.join("config.json");
        if !config.is_file() {
            return Err(ClipError::MissingFile {
                folder: folder.to_owned(),
                wanted: vec!["config.json"],
            });
        }
        Ok(Self {
            config: ClipConfig::read(&config)?,
            source: Source::find(folder)?,
            folder: folder.to_owned(),
            kept_in: None,
        })
    }

    /// Keeps what [`Checkpoint::vision`] lays out for the processor's kernels in a file of `folder`, which has to
    /// exist, and maps that file the next time: then nothing is read, checked, converted and hashed again. A file
    /// belongs to the checkpoint's files as they are now (place, size, time of change), to the precision and to
    /// this machine's registers. It is as large as the tower: 1.2 GB for a ViT-L in f32, half of it in int16.
    #[must_use]
    pub fn kept_in(self, folder: &Path) -> Self {
        Self {
            kept_in: Some(folder.to_owned()),
            ..self
        }
    }

    /// Bytes of the files that hold the weights; 0 for those that cannot be found any more.
    pub fn bytes(&self) -> u64 {
        let sizes = self.source.files().map(|file| file.metadata());
        sizes
            .map(|found| found.map_or(0, |found| found.len()))
            .sum()
    }

    /// Sizes of the towers.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Loads the image tower and the visual projection, as f32.
    ///
    /// # Errors
    /// [`ClipError::VvDepth`] or [`ClipError::Layer`] for options that this tower cannot serve, and an
    /// error that names the tensor or the file if the weights are missing, misshapen, not finite or
    /// unreadable.
    pub fn vision(&self, options: &VisionOptions, device: &Device) -> Result<VisionTower> {
        let kept_in = self.kept_in.as_deref();
        VisionTower::load(&self.source, &self.config, options, device, kept_in)
    }

    /// Loads the text tower and the text projection, as f32.
    ///
    /// # Errors
    /// An error that names the tensor or the file if the weights are missing, misshapen, not finite or
    /// unreadable.
    pub fn text(&self, device: &Device) -> Result<TextTower> {
        TextTower::load(&self.source, &self.config, device)
    }

    /// Opens the tokenizer.
    ///
    /// # Errors
    /// [`ClipError::MissingFile`] or [`ClipError::Unreadable`].
    pub fn tokenizer(&self) -> Result<ClipTokenizer> {
        ClipTokenizer::open(&self.folder, self.config.text.context)
    }
}
