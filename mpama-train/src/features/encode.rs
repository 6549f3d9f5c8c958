//! Filling the cache.

use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device};
use mpama_core::clip::VisionTower;
use mpama_datasets::{Label, Sample};
use rayon::prelude::*;

use super::shard::{Content, Damaged, Shape, Shard};
use super::{CacheKey, FeatureCache, shard_path, shard_ranges};
use crate::ahead::ahead;
use crate::control::{Control, Outcome};
use crate::disk;
use crate::error::{BadFile, Error, Result};
use crate::event::Event;
use crate::prepare::{Preparation, Prepared};

/// Images decoded between two looks at the stop flag.
const CHECKED_AT_ONCE: usize = 64;
/// Shards decoded while the tower is busy with another.
const DECODED_AHEAD: usize = 1;

/// The cache of `samples` in `folder`, made or completed.
///
/// Shards that are there and whole are kept. Before the tower starts, every image and mask still
/// needed is decoded once: a broken one is found in minutes, not after hours. A stop is honoured
/// between shards.
///
/// # Errors
/// [`Error::CacheMismatch`] if `folder` was made for another `key`, [`Error::NoMask`] and
/// [`Error::BadFiles`] list every image concerned, [`Error::Busy`] if another process fills the cache,
/// [`Error::DiskFull`], [`Error::FeatureRange`], and what the tower fails with.
pub fn encode(
    folder: &Path,
    key: &CacheKey,
    samples: &[Sample],
    tower: &VisionTower,
    device: &Device,
    control: &mut Control<'_>,
) -> Result<Outcome<FeatureCache>> {
    let unknown = samples
        .iter()
        .filter(|s| s.label == Label::Anomalous && s.mask.is_none());
    let ids: Vec<String> = unknown.map(|sample| sample.id.clone()).collect();
    if !ids.is_empty() {
        return Err(Error::NoMask { ids });
    }
    disk::create_folder(folder)?;
    let _lock = disk::lock(folder)?;
    key.compare(folder)?;

    let total = samples.len();
    let ranges = shard_ranges(total, key.batch_size);
    let Outcome::Done(mut shards) = present(folder, key, samples, &ranges, control)? else {
        return Ok(Outcome::Interrupted);
    };
    let there = shards
        .iter()
        .zip(&ranges)
        .filter(|(shard, _)| shard.is_some());
    let found = there.map(|(_, range)| range.len()).sum();

    let preparation = key.preparation();
    let missing: Vec<usize> = (0..ranges.len())
        .filter(|&number| shards[number].is_none())
        .collect();
    let needed: Vec<&Sample> = missing
        .iter()
        .flat_map(|&number| &samples[ranges[number].clone()])
        .collect();
    if let Outcome::Interrupted = check(&preparation, &needed, control)? {
        return Ok(Outcome::Interrupted);
    }
    // Not before: a cache whose images had to be repaired or left out was never begun.
    key.record(folder)?;

    let mut done = found;
    let finished = ahead(
        DECODED_AHEAD,
        &missing,
        |&number| {
            (
                number,
                preparation.prepare_all(&samples[ranges[number].clone()]),
            )
        },
        |prepared| -> Result<Outcome<()>> {
            for (number, images) in prepared {
                if control.stopped() {
                    return Ok(Outcome::Interrupted);
                }
                let samples = &samples[ranges[number].clone()];
                let content = see(&preparation, samples, images, tower, device)?;
                let path = shard_path(folder, number);
                disk::write(&path, &content.to_bytes(key.dtype)?)?;
                shards[number] = Some(written(&path, &content, key)?);
                done += samples.len();
                control.emit(Event::Encoded { done, total, found });
            }
            Ok(Outcome::Done(()))
        },
    )?;
    if let Outcome::Interrupted = finished {
        return Ok(Outcome::Interrupted);
    }
    let shards: Vec<Shard> = shards.into_iter().flatten().collect();
    if let Some(other) = shards
        .iter()
        .position(|shard| shard.shape() != shards[0].shape())
    {
        return Err(Error::CacheFile {
            path: shard_path(folder, other),
            reason: "shapes differ from the other files'".to_owned(),
        });
    }
    Ok(Outcome::Done(FeatureCache {
        shards,
        shard_size: key.batch_size,
        images: total,
    }))
}

/// The shards that are there and whole, each in its place.
fn present(
    folder: &Path,
    key: &CacheKey,
    samples: &[Sample],
    ranges: &[Range<usize>],
    control: &mut Control<'_>,
) -> Result<Outcome<Vec<Option<Shard>>>> {
    let total = samples.len();
    let mut found = 0;
    let mut shards = Vec::with_capacity(ranges.len());
    control.emit(Event::Encoded {
        done: 0,
        total,
        found,
    });
    for (number, range) in ranges.iter().enumerate() {
        if control.stopped() {
            return Ok(Outcome::Interrupted);
        }
        let samples = samples[range.clone()].iter();
        let ids: Vec<&str> = samples.map(|sample| sample.id.as_str()).collect();
        let path = shard_path(folder, number);
        let shard = match Shard::open(&path, &ids, key.dtype)? {
            Some(Ok(shard)) => Some(shard),
            Some(Err(Damaged(reason))) => {
                control.emit(Event::Discarded { path, reason });
                None
            }
            None => None,
        };
        if shard.is_some() {
            found += range.len();
            control.emit(Event::Encoded {
                done: found,
                total,
                found,
            });
        }
        shards.push(shard);
    }
    Ok(Outcome::Done(shards))
}

/// Decodes every image and mask once, for the sake of the errors.
fn check(
    preparation: &Preparation,
    samples: &[&Sample],
    control: &mut Control<'_>,
) -> Result<Outcome<()>> {
    let mut files: Vec<BadFile> = Vec::new();
    let (mut done, total) = (0, samples.len());
    for some in samples.chunks(CHECKED_AT_ONCE) {
        if control.stopped() {
            return Ok(Outcome::Interrupted);
        }
        files.par_extend(
            some.par_iter()
                .filter_map(|sample| preparation.decode(sample).err()),
        );
        done += some.len();
        control.emit(Event::Checked { done, total });
    }
    if files.is_empty() {
        return Ok(Outcome::Done(()));
    }
    Err(Error::BadFiles { files })
}

/// The tower's view of the images of one shard.
fn see(
    preparation: &Preparation,
    samples: &[Sample],
    images: Vec<Result<Prepared, BadFile>>,
    tower: &VisionTower,
    device: &Device,
) -> Result<Content> {
    let (images, files): (Vec<_>, Vec<_>) = images.into_iter().partition(|image| image.is_ok());
    let images: Vec<Prepared> = images.into_iter().flatten().collect();
    let files: Vec<BadFile> = files.into_iter().filter_map(Result::err).collect();
    if !files.is_empty() {
        return Err(Error::BadFiles { files }); // changed since it was checked
    }
    let seen = tower.forward(&preparation.stack(images.iter(), device)?)?;
    let values = |tensor: &candle_core::Tensor| -> Result<Vec<f32>> {
        Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    };
    Ok(Content {
        ids: samples.iter().map(|sample| sample.id.clone()).collect(),
        shape: Shape {
            grid: seen.grid,
            width: seen.class.dim(1)?,
            height_px: preparation.size.height,
            width_px: preparation.size.width,
        },
        patches: values(&seen.patches)?,
        class: values(&seen.class)?,
        masks: images
            .into_iter()
            .filter_map(|image| image.mask)
            .flatten()
            .collect(),
        labels: samples
            .iter()
            .map(|s| u8::from(s.label == Label::Anomalous))
            .collect(),
    })
}

/// Maps the shard just written; reading it back also proves the write.
fn written(path: &Path, content: &Content, key: &CacheKey) -> Result<Shard> {
    let ids: Vec<&str> = content.ids.iter().map(String::as_str).collect();
    let reason = match Shard::open(path, &ids, key.dtype)? {
        Some(Ok(shard)) => return Ok(shard),
        Some(Err(damage)) => damage.0,
        None => "gone".to_owned(),
    };
    Err(Error::CacheFile {
        path: path.to_owned(),
        reason,
    })
}
