//! What a cache was made for.

use std::path::Path;

use mpama_core::clip::VisionOptions;
use mpama_core::config::ImageSize;
use mpama_datasets::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{FeatureType, TrainConfig};
use crate::difference::compare;
use crate::disk;
use crate::error::{Error, Result};
use crate::prepare::{Preparation, orientation};

/// The version of the files: raised when their layout or the preparation of images changes.
const FORMAT: u32 = 1;
/// The file that describes a cache.
const FILE: &str = "cache.json";

/// Everything the features depend on. Two caches with equal keys hold equal features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CacheKey {
    format: u32,
    /// Fingerprint of the vision tower.
    pub backbone: String,
    /// Blocks of the V-V stream.
    pub vv_depth: usize,
    /// Whether the class token went through the last layer norm.
    pub class_ln_post: bool,
    /// Height and width of the tower's input and of the masks, in pixels.
    pub image_size: (usize, usize),
    /// Whether images were turned as their EXIF orientation says.
    pub exif_orientation: bool,
    /// Mask values above it are anomalous.
    pub mask_threshold: u8,
    /// Number type of the patch tokens.
    pub dtype: FeatureType,
    /// Images per file.
    pub batch_size: usize,
    /// Images in all.
    pub images: usize,
    /// Hash of the dataset's index.
    pub dataset: String,
}

impl CacheKey {
    /// The key of the features of `dataset`, seen by the tower with this fingerprint, read with these
    /// options.
    pub fn new(
        config: &TrainConfig,
        dataset: &Dataset,
        fingerprint: &str,
        options: &VisionOptions,
    ) -> Self {
        let size = config.model.image_size;
        Self {
            format: FORMAT,
            backbone: fingerprint.to_owned(),
            vv_depth: options.vv_depth,
            class_ln_post: options.class_ln_post,
            image_size: (size.height, size.width),
            exif_orientation: config.data.exif_orientation,
            mask_threshold: config.data.mask_threshold.unwrap_or(dataset.mask_threshold),
            dtype: config.features.dtype,
            batch_size: config.features.batch_size,
            images: dataset.samples.len(),
            dataset: dataset.index_hash(),
        }
    }

    /// How images are prepared under this key.
    pub(super) fn preparation(&self) -> Preparation {
        let (height, width) = self.image_size;
        Preparation {
            size: ImageSize { height, width },
            orientation: orientation(self.exif_orientation),
            mask_threshold: self.mask_threshold,
        }
    }

    /// Compares with the key of the cache in `folder`; a folder without one fits every key.
    ///
    /// # Errors
    /// [`Error::CacheMismatch`] names every part that differs.
    pub(super) fn compare(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let broken = |e: &dyn std::fmt::Display| unreadable(&path, e);
        let Some(bytes) = disk::read_if_present(&path)? else {
            return Ok(());
        };
        // As a tree, so that another version's key is compared too, not refused as unreadable.
        let recorded: Table = serde_json::from_slice(&bytes).map_err(|e| broken(&e))?;
        let now = Table::try_from(self).map_err(|e| broken(&e))?;
        let differences = compare(&recorded, &now);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::CacheMismatch {
            folder: folder.to_owned(),
            differences,
        })
    }

    /// Makes `folder` the cache of this key.
    pub(super) fn record(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let json = serde_json::to_string_pretty(self).map_err(|e| unreadable(&path, &e))?;
        disk::write(&path, format!("{json}\n").as_bytes())
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::CacheFile {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key() -> CacheKey {
        CacheKey {
            format: FORMAT,
            backbone: "b1ce".into(),
            vv_depth: 19,
            class_ln_post: false,
            image_size: (518, 518),
            exif_orientation: false,
            mask_threshold: 0,
            dtype: FeatureType::F16,
            batch_size: 8,
            images: 20,
            dataset: "da7a".into(),
        }
    }

    #[test]
    fn a_cache_belongs_to_one_key() {
        let folder = tempfile::tempdir().unwrap();
        key().compare(folder.path()).unwrap();
        key().record(folder.path()).unwrap();
        key().compare(folder.path()).unwrap();
        let other = CacheKey {
            backbone: "0ther".into(),
            image_size: (518, 336),
            ..key()
        };
        match other.compare(folder.path()).unwrap_err() {
            Error::CacheMismatch { differences, .. } => {
                let keys: Vec<&str> = differences.iter().map(|d| d.key.as_str()).collect();
                assert_eq!(keys, ["backbone", "image-size"]);
            }
            error => panic!("{error}"),
        }
    }

    #[test]
    fn a_broken_description_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.json");
        std::fs::write(&path, b"{\"format\": 1").unwrap();
        assert!(matches!(
            key().compare(folder.path()),
            Err(Error::CacheFile { .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"format\": 1");
    }
}
