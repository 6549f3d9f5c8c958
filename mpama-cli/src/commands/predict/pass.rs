//! From photographs to scores and pictures, and how long each step takes.

use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use mpama_core::config::ImageSize;
use mpama_core::preprocess::{Picture, network_input};
use mpama_core::{AnomalyMap, Prediction};

use super::pictures::{self, Files};
use crate::model::Loaded;
use crate::problem::Mistake;

/// How long the steps took.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::commands) struct Times {
    /// From a file's bytes to pixels.
    pub(in crate::commands) decode: Duration,
    /// To the network's input.
    pub(in crate::commands) resize: Duration,
    /// The image tower.
    pub(in crate::commands) tower: Duration,
    /// From its tokens to scores and a map of the input's size.
    pub(in crate::commands) maps: Duration,
    /// Smoothing of the map, and bringing it to the photograph's size.
    pub(in crate::commands) smooth: Duration,
    /// Colours and files.
    pub(in crate::commands) write: Duration,
}

/// Does `work` and adds the time to `spent`.
pub(in crate::commands) fn timed<T>(spent: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    *spent += started.elapsed();
    done
}

/// Scores pictures together, at this size of the network's input; their maps are smoothed.
///
/// # Errors
/// What the model finds wrong, and [`Mistake::NotFinite`] for a score that is no number.
pub(in crate::commands) fn score(
    loaded: &Loaded,
    size: ImageSize,
    pictures: &[Picture],
    times: &mut Times,
) -> anyhow::Result<Vec<Prediction>> {
    let ImageSize { height, width } = size;
    let pixels = timed(&mut times.resize, || {
        let each = pictures.iter().map(|picture| {
            let pixels = network_input(picture, height, width);
            Tensor::from_vec(pixels, (1, 3, height, width), &loaded.device)
        });
        Tensor::cat(&each.collect::<Result<Vec<_>, _>>()?, 0)
    })?;
    let features = timed(&mut times.tower, || -> mpama_core::Result<_> {
        let features = loaded.detector.vision().forward(&pixels)?;
        loaded.device.synchronize()?; // a card answers before it is done
        Ok(features)
    })?;
    let mut predictions = timed(&mut times.maps, || loaded.detector.score(&features, size))?;
    for prediction in &mut predictions {
        if !prediction.score.is_finite() {
            return Err(Mistake::NotFinite {
                what: "the image score",
                value: prediction.score,
            }
            .into());
        }
        let sigma = loaded.config.model.score.sigma;
        prediction.map = timed(&mut times.smooth, || prediction.map.smoothed(sigma));
    }
    Ok(predictions)
}

/// Writes the heatmap of `picture`, and an overlay if one is wanted, as files that begin with `name`.
///
/// # Errors
/// For a folder or file that cannot be written.
pub(in crate::commands) fn draw(
    name: &Path,
    map: &AnomalyMap,
    picture: &Picture,
    overlay: bool,
    times: &mut Times,
) -> anyhow::Result<Files> {
    let full = timed(&mut times.smooth, || {
        map.resized(picture.height, picture.width)
    });
    timed(&mut times.write, || {
        let photo = overlay.then(|| picture.to_rgb());
        pictures::write(name, &full, photo.as_deref())
    })
}
