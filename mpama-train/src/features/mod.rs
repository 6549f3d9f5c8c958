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
use rayon::prelude::*;

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
            let rows = values.par_chunks_exact_mut(each).zip(&places);
            rows.for_each(|(row, (shard, place))| read(shard, *place, row));
            let dims: Vec<usize> = [&[n], dims].concat();
            Ok(Tensor::from_vec(values, dims, device)?)
        };
        let (rows, columns) = shape.grid;
        Ok(FeatureBatch {
            images: images.to_vec(),
            patches: tensor(Shard::read_patches, &[rows * columns, shape.width])?,
            class: tensor(Shard::read_class, &[shape.width])?,
            grid: shape.grid,
            masks: tensor(Shard::read_mask, &[shape.height_px, shape.width_px])?,
            labels: tensor(Shard::read_label, &[1])?.squeeze(1)?,
        })
    }
}

/// Width of the tokens of [`toy`].
#[cfg(test)]
pub(crate) const TOY_WIDTH: usize = 3;

/// A cache of `images` images in shards of two, with 2×1 patches and masks of 2×2 pixels; every number
/// tells its image.
#[cfg(test)]
pub(crate) fn toy(folder: &Path, images: usize) -> FeatureCache {
    use crate::config::FeatureType::F32;

    std::fs::create_dir_all(folder).expect("a folder for the test");
    let shape = shard::Shape {
        grid: (2, 1),
        width: TOY_WIDTH,
        height_px: 2,
        width_px: 2,
    };
    let numbers = |range: &Range<usize>, each: usize, scale: f32| -> Vec<f32> {
        let of = |image: usize| (0..each).map(move |i| scale * image as f32 + i as f32 / 8.0);
        range.clone().flat_map(of).collect()
    };
    let shards = shard_ranges(images, 2)
        .into_iter()
        .enumerate()
        .map(|(number, range)| {
            let ids: Vec<String> = range.clone().map(|image| format!("{image}.png")).collect();
            let content = shard::Content {
                patches: numbers(&range, 2 * TOY_WIDTH, 100.0),
                class: numbers(&range, TOY_WIDTH, 1.0),
                masks: range
                    .clone()
                    .flat_map(|image| [0, 1, (image % 2) as u8, 0])
                    .collect(),
                labels: range.map(|image| (image % 2) as u8).collect(),
                ids,
                shape,
            };
            let path = shard_path(folder, number);
            let bytes = content.to_bytes(F32).expect("finite numbers");
            crate::disk::write(&path, &bytes).expect("a writable folder");
            let ids: Vec<&str> = content.ids.iter().map(String::as_str).collect();
            let opened = Shard::open(&path, &ids, F32).expect("a readable folder");
            opened.and_then(Result::ok).expect("a sound shard")
        });
    FeatureCache {
        shards: shards.collect(),
        shard_size: 2,
        images,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_batch_gathers_images_from_any_shard_in_the_order_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let cache = toy(folder.path(), 5);
        assert_eq!(cache.len(), 5);
        let batch = cache.batch(&[4, 0, 3], &Device::Cpu).unwrap();
        assert_eq!(batch.grid, (2, 1));
        let class: Vec<Vec<f32>> = batch.class.to_vec2().unwrap();
        assert_eq!(class[0], [4.0, 4.125, 4.25]);
        assert_eq!((class[1][0], class[2][2]), (0.0, 3.25));
        assert_eq!(batch.patches.dims(), [3, 2, 3]);
        let patches: Vec<Vec<Vec<f32>>> = batch.patches.to_vec3().unwrap();
        assert_eq!(
            patches[2],
            [[300.0, 300.125, 300.25], [300.375, 300.5, 300.625]]
        );
        let masks: Vec<Vec<Vec<f32>>> = batch.masks.to_vec3().unwrap();
        assert_eq!(masks[2], [[0.0, 1.0], [1.0, 0.0]]);
        assert_eq!(batch.labels.to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn shards_cover_all_images() {
        assert_eq!(shard_ranges(5, 2), [0..2, 2..4, 4..5]);
        assert_eq!(shard_ranges(4, 8), vec![0..4; 1]);
        assert!(shard_ranges(0, 8).is_empty());
    }
}
