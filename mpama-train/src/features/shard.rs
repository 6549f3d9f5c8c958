//! One file of the cache: the features, masks and labels of a few images.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use half::f16;
use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::config::FeatureType;
use crate::error::{Error, Result};

/// The one metadata key: with more, the order of a hash map would reach the file.
const METADATA: &str = "mpama";

/// The sizes of one image's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Rows and columns of patches.
    pub(super) grid: (usize, usize),
    /// Width of a token, W.
    pub(super) width: usize,
    /// Height of the mask in pixels.
    pub(super) height_px: usize,
    /// Width of the mask in pixels.
    pub(super) width_px: usize,
}

/// What a shard holds, as computed.
pub(super) struct Content {
    /// Ids of the images.
    pub(super) ids: Vec<String>,
    pub(super) shape: Shape,
    /// `[N, T, W]`.
    pub(super) patches: Vec<f32>,
    /// `[N, W]`.
    pub(super) class: Vec<f32>,
    /// `[N, H, W]`, 0 or 1.
    pub(super) masks: Vec<u8>,
    /// `[N]`, 0 normal, 1 anomalous.
    pub(super) labels: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Description {
    ids: Vec<String>,
    shape: Shape,
    /// blake3 of the tensors' bytes.
    checksum: String,
}

impl Content {
    /// The file's bytes.
    ///
    /// # Errors
    /// [`Error::FeatureRange`] names the first image with a feature that `dtype` cannot hold.
    pub(super) fn to_bytes(&self, dtype: FeatureType) -> Result<Vec<u8>> {
        let largest = match dtype {
            FeatureType::F16 => f16::MAX.to_f32(),
            FeatureType::F32 => f32::MAX,
        };
        let n = self.ids.len();
        for (values, largest) in [(&self.patches, largest), (&self.class, f32::MAX)] {
            if let Some(at) = values
                .iter()
                .position(|x| !x.is_finite() || x.abs() > largest)
            {
                return Err(Error::FeatureRange {
                    image: self.ids[at / (values.len() / n)].clone(),
                    value: values[at],
                    dtype: dtype.name(),
                });
            }
        }
        let (patches, patch_type): (Vec<u8>, _) = match dtype {
            FeatureType::F16 => {
                let halves = self.patches.iter();
                (
                    halves
                        .flat_map(|&x| f16::from_f32(x).to_le_bytes())
                        .collect(),
                    Dtype::F16,
                )
            }
            FeatureType::F32 => (little_endian(&self.patches), Dtype::F32),
        };
        let class = little_endian(&self.class);
        let Shape {
            grid: (rows, columns),
            width,
            height_px,
            width_px,
        } = self.shape;
        let tensors = [
            ("class", Dtype::F32, vec![n, width], &class),
            ("labels", Dtype::U8, vec![n], &self.labels),
            (
                "masks",
                Dtype::U8,
                vec![n, height_px, width_px],
                &self.masks,
            ),
            (
                "patches",
                patch_type,
                vec![n, rows * columns, width],
                &patches,
            ),
        ];
        let description = Description {
            ids: self.ids.clone(),
            shape: self.shape,
            checksum: checksum(tensors.iter().map(|(.., bytes)| bytes.as_slice())),
        };
        let invalid = |e: &dyn std::fmt::Display| candle_core::Error::Msg(e.to_string());
        let mut views = Vec::new();
        for (name, dtype, shape, bytes) in tensors {
            views.push((
                name,
                TensorView::new(dtype, shape, bytes).map_err(|e| invalid(&e))?,
            ));
        }
        let json = serde_json::to_string(&description).map_err(|e| invalid(&e))?;
        let metadata = HashMap::from([(METADATA.to_owned(), json)]);
        Ok(safetensors::serialize(views, Some(metadata)).map_err(|e| invalid(&e))?)
    }
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn checksum<'a>(tensors: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hasher = blake3::Hasher::new();
    for bytes in tensors {
        hasher.update(bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// A shard of the cache, mapped into memory and found whole.
#[derive(Debug)]
pub(super) struct Shard {
    map: Mmap,
    shape: Shape,
    patch_type: Dtype,
    patches: Range<usize>,
    class: Range<usize>,
    masks: Range<usize>,
    labels: Range<usize>,
}

/// A file that is there but cannot be used, and why.
pub(super) struct Damaged(pub(super) String);

impl Shard {
    /// Maps the shard of the images `ids` and compares its checksum; `None` if there is no file.
    ///
    /// # Errors
    /// The outer error is one of reading; the inner says why the file is not that shard.
    pub(super) fn open(
        path: &Path,
        ids: &[&str],
        dtype: FeatureType,
    ) -> Result<Option<Result<Self, Damaged>>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("read", path, source)),
        };
        let length = file
            .metadata()
            .map_err(|e| Error::io("read", path, e))?
            .len();
        if length == 0 {
            return Ok(Some(Err(Damaged("empty file".to_owned())))); // cannot be mapped
        }
        // SAFETY: the map is read-only. Our own processes replace shards by renaming, which leaves a
        // mapped file as it is; another program that truncates one of our files is not defended against.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("read", path, e))?;
        Ok(Some(Self::check(map, ids, dtype)))
    }

    fn check(map: Mmap, ids: &[&str], dtype: FeatureType) -> Result<Self, Damaged> {
        let damaged = |e: &dyn std::fmt::Display| Damaged(e.to_string());
        let (_, header) = SafeTensors::read_metadata(&map).map_err(|e| damaged(&e))?;
        let json = header.metadata().as_ref().and_then(|all| all.get(METADATA));
        let json = json.ok_or_else(|| damaged(&"no description"))?;
        let description: Description = serde_json::from_str(json).map_err(|e| damaged(&e))?;
        if description.ids != ids {
            return Err(damaged(&"holds other images"));
        }
        let n = ids.len();
        let shape = description.shape;
        let patch_type = match dtype {
            FeatureType::F16 => Dtype::F16,
            FeatureType::F32 => Dtype::F32,
        };
        let tensors = SafeTensors::deserialize(&map).map_err(|e| damaged(&e))?;
        let start = map.as_ptr() as usize;
        let mut ranges = Vec::new();
        let mut hashed = Vec::new();
        for (name, dtype, dims) in [
            ("class", Dtype::F32, vec![n, shape.width]),
            ("labels", Dtype::U8, vec![n]),
            ("masks", Dtype::U8, vec![n, shape.height_px, shape.width_px]),
            (
                "patches",
                patch_type,
                vec![n, shape.grid.0 * shape.grid.1, shape.width],
            ),
        ] {
            let view = tensors.tensor(name).map_err(|e| damaged(&e))?;
            if view.dtype() != dtype || view.shape() != dims {
                return Err(damaged(&format_args!(
                    "`{name}` is {:?} {:?}, not {dtype:?} {dims:?}",
                    view.dtype(),
                    view.shape()
                )));
            }
            let offset = view.data().as_ptr() as usize - start;
            ranges.push(offset..offset + view.data().len());
            hashed.push(view.data());
        }
        if checksum(hashed.into_iter()) != description.checksum {
            return Err(damaged(&"checksum differs"));
        }
        let [class, labels, masks, patches] =
            <[Range<usize>; 4]>::try_from(ranges).map_err(|_| damaged(&"four tensors"))?;
        Ok(Self {
            map,
            shape,
            patch_type,
            patches,
            class,
            masks,
            labels,
        })
    }

    /// The sizes of an image's features.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Patch tokens `[T, W]` of image `row`.
    pub(super) fn read_patches(&self, row: usize, into: &mut [f32]) {
        let all = &self.map[self.patches.clone()];
        match self.patch_type {
            Dtype::F16 => read(all, row, into, |bytes: [u8; 2]| {
                f16::from_le_bytes(bytes).to_f32()
            }),
            _ => read(all, row, into, f32::from_le_bytes),
        }
    }

    /// Class token `[W]` of image `row`.
    pub(super) fn read_class(&self, row: usize, into: &mut [f32]) {
        read(&self.map[self.class.clone()], row, into, f32::from_le_bytes);
    }

    /// Mask `[H, W]` of image `row`.
    pub(super) fn read_mask(&self, row: usize, into: &mut [f32]) {
        read(
            &self.map[self.masks.clone()],
            row,
            into,
            |[byte]: [u8; 1]| f32::from(byte),
        );
    }

    /// Label `[1]` of image `row`.
    pub(super) fn read_label(&self, row: usize, into: &mut [f32]) {
        read(
            &self.map[self.labels.clone()],
            row,
            into,
            |[byte]: [u8; 1]| f32::from(byte),
        );
    }
}

/// Row `row` of a table of numbers of `S` bytes, as wide as `into`.
fn read<const S: usize>(all: &[u8], row: usize, into: &mut [f32], number: impl Fn([u8; S]) -> f32) {
    let (numbers, _) = all[row * into.len() * S..].as_chunks::<S>();
    for (value, bytes) in into.iter_mut().zip(numbers) {
        *value = number(*bytes);
    }
}

#[cfg(test)]
mod tests;
