//! `mpama predict`: a score for every image, and heatmaps.

mod inputs;
pub(super) mod pass;
mod pictures;
mod show;

use std::io::Read;
use std::time::Instant;

use mpama_core::AnomalyMap;
use mpama_core::preprocess::{Orientation, Picture};

use self::inputs::{Input, Inputs};
use self::pass::{Times, timed};
pub(super) use self::pictures::write_png;
use self::show::{Row, Show};
use super::Outcome;
use crate::cli::{Global, Predict};
use crate::interrupt;
use crate::model::{self, Loaded};
use crate::output::{Output, count, shown};
use crate::problem::Mistake;
use crate::progress::EVERY_HUNDRED;

/// What is done to every image, decided once.
struct Session<'a> {
    args: &'a Predict,
    loaded: Loaded,
    threshold: Option<f32>,
    orientation: Orientation,
}

/// Scores everything; a file that fails does not stop the others.
pub(crate) fn run(args: &Predict, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    interrupt::listen(output.talks())?;
    let Inputs { images, skipped } = inputs::gather(&args.inputs)?;
    if !skipped.is_empty() {
        output.note(format_args!(
            "Skipped {} that no image is named like",
            count(skipped.len(), "file")
        ));
        skipped
            .iter()
            .for_each(|path| output.detail(format_args!("  {}", shown(path))));
    }
    if images.is_empty() {
        return Err(Mistake::NoImages {
            inputs: args.inputs.iter().map(|path| shown(path)).collect(),
        }
        .into());
    }
    let loaded = model::load(&args.model, global, output)?;
    let threshold = args
        .threshold
        .or(loaded.config.threshold.as_ref().map(|t| t.value));
    if args.exit_code && threshold.is_none() {
        return Err(Mistake::NoThreshold.into());
    }
    let orientation = if args.exif {
        Orientation::Apply
    } else {
        Orientation::Ignore
    };
    let session = Session {
        args,
        loaded,
        threshold,
        orientation,
    };
    session.score_all(&images, output)
}

impl Session<'_> {
    fn score_all(&self, images: &[Input], output: &Output) -> anyhow::Result<Outcome> {
        let started = Instant::now();
        let names = inputs::names(images);
        let mut show = Show::new(self.args, images, self.threshold, output);
        output
            .progress()
            .start("Scoring images", images.len(), 0, EVERY_HUNDRED);
        for (i, (input, name)) in images.iter().zip(&names).enumerate() {
            if interrupt::requested() {
                break;
            }
            match self.score(input, name) {
                Ok(row) => show.row(row)?,
                // the only image: its own error says more than a list of one
                Err(error) if images.len() == 1 => return Err(error),
                Err(error) => show.failure(&input.path, &error)?,
            }
            output.progress().advance(i + 1, "");
        }
        output.progress().clear();
        let end = show.finish(&self.loaded, started.elapsed())?;
        if interrupt::requested() {
            output.warn(format_args!(
                "interrupted: {} not looked at",
                count(images.len() - end.seen, "image")
            ));
            return Ok(Outcome::Interrupted);
        }
        if end.failures > 0 {
            return Err(Mistake::SomeFailed {
                failed: end.failures,
                all: count(images.len(), "image"),
                list: end.list,
            }
            .into());
        }
        let alarm = self.args.exit_code && end.anomalous > 0;
        Ok(if alarm { Outcome::No } else { Outcome::Done })
    }

    /// One image from its bytes to its score and pictures.
    fn score(&self, input: &Input, name: &std::path::Path) -> anyhow::Result<Row> {
        let mut times = Times::default();
        let picture = timed(&mut times.decode, || self.decode(input))?;
        let size = self.loaded.config.model.image_size;
        let picture = [picture];
        let prediction = pass::score(&self.loaded, size, &picture, &mut times)?.pop();
        let prediction = prediction.ok_or_else(|| anyhow::anyhow!("the model gave no score"))?;
        let ([picture], map) = (picture, &prediction.map);
        let files = match &self.args.maps {
            Some(folder) => {
                let name = folder.join(name);
                pass::draw(&name, map, &picture, self.args.overlay, &mut times)?
            }
            None => pictures::Files::default(),
        };
        Ok(Row {
            path: input.path.clone(),
            score: prediction.score,
            global: prediction.global,
            local: prediction.local,
            peak: peak_in(map, picture.width, picture.height),
            files,
            times,
        })
    }

    fn decode(&self, input: &Input) -> anyhow::Result<Picture> {
        if input.path.as_os_str() != "-" {
            return Ok(Picture::open(&input.path, self.orientation)?);
        }
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Mistake::file("read", &input.path, error))?;
        Ok(Picture::decode(&bytes, "standard input", self.orientation)?)
    }
}

/// The pixel of the photo, column and row, where the map is highest.
fn peak_in(map: &AnomalyMap, width: usize, height: usize) -> [usize; 2] {
    let peak = map.peak();
    // the centre of the map's pixel, in the photo's pixels
    [
        (2 * peak.x + 1) * width / (2 * map.width),
        (2 * peak.y + 1) * height / (2 * map.height),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_where_it_is_in_the_photo() {
        let mut map = AnomalyMap {
            height: 2,
            width: 4,
            values: vec![0.0; 8],
        };
        map.values[7] = 1.0; // bottom right
        assert_eq!(peak_in(&map, 4, 2), [3, 1]);
        assert_eq!(peak_in(&map, 400, 100), [350, 75]);
        assert_eq!(peak_in(&map, 1, 1), [0, 0]);
    }
}
