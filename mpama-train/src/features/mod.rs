//! What the frozen vision tower sees, computed once per image and kept on disk.
//!
//! The tower is frozen and images are not augmented, so forty epochs need one pass. A cache is a
//! folder with `cache.json`, which says what it was made for, and one file per
//! [`FeatureConfig::batch_size`](crate::FeatureConfig::batch_size) images, in the order of the
//! dataset's ids. The images of a file go through the tower together, so its bytes do not depend on
//! where an interrupted run was continued.

mod encode;
mod key;
mod shard;

use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Tensor};
use mpama_core::FeatureBatch;

pub use encode::encode;
pub use key::CacheKey;
use shard::Shard;

use crate::error::Result;

/// A complete cache, mapped into memory.
#[derive(Debug)]
pub struct FeatureCache {
    shards: Vec<Shard>,
    /// Images in every shard but the last.
    shard_size: usize,
    images: usize,
}

impl FeatureCache {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.images
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// The features of `images`, by their place in the dataset, as f32 on `device`.
    ///
    /// # Errors
    /// If the tensors cannot be allocated.
    ///
    /// # Panics
    /// If `images` is empty or names an image that is not there.
    pub fn batch(&self, images: &[usize], device: &Device) -> Result<FeatureBatch> {
        let places: Vec<(&Shard, usize)> = images
            .iter()
            .map(|&image| {
                (
                    &self.shards[image / self.shard_size],
                    image % self.shard_size,
                )
            })
            .collect();
        let shape = places[0].0.shape();
        let n = images.len();
        let tensor = |read: fn(&Shard, usize, &mut [f32]), dims: &[usize]| -> Result<Tensor> {
            let each = dims.iter().product::<usize>();
            let mut values = vec![0f32; n * each];
            for (row, (shard, place)) in values.chunks_exact_mut(each).zip(&places) {
                read(shard, *place, row);
            }
            let dims: Vec<usize> = [&[n], dims].concat();
            Ok(Tensor::from_vec(values, dims, device)?)
        };
        let (rows, columns) = shape.grid;
        Ok(FeatureBatch {
            patches: tensor(Shard::read_patches, &[rows * columns, shape.width])?,
            class: tensor(Shard::read_class, &[shape.width])?,
            grid: shape.grid,
            masks: tensor(Shard::read_mask, &[shape.height_px, shape.width_px])?,
            labels: tensor(Shard::read_label, &[1])?.squeeze(1)?,
        })
    }
}

/// The images of each shard of a cache of `images` images.
fn shard_ranges(images: usize, shard_size: usize) -> Vec<Range<usize>> {
    (0..images)
        .step_by(shard_size)
        .map(|start| start..images.min(start + shard_size))
        .collect()
}

/// The file of shard `number`.
fn shard_path(folder: &Path, number: usize) -> std::path::PathBuf {
    folder.join(format!("features-{number:05}.safetensors"))
}
