//! From a sample's files to what the network and the losses take.

use std::borrow::Borrow;

use candle_core::{Device, Tensor};
use mpama_core::config::ImageSize;
use mpama_core::preprocess::{ImageError, Mask, Orientation, Picture, network_input};
use mpama_datasets::{Label, Sample};
use rayon::prelude::*;

use crate::error::{BadFile, Result};

/// How files become numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparation {
    /// Size of the network's input and of the masks.
    pub(crate) size: ImageSize,
    /// Whether EXIF orientation counts.
    pub(crate) orientation: Orientation,
    /// Mask values above it are anomalous.
    pub(crate) mask_threshold: u8,
}

/// One image and its mask.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// `[3, H, W]`, the network's input.
    pub(crate) pixels: Vec<f32>,
    /// `[H, W]`, 0 or 1; all 0 for a normal image, `None` for an anomalous one whose mask is unknown.
    pub(crate) mask: Option<Vec<u8>>,
}

/// The setting as the preprocessing names it.
pub(crate) fn orientation(exif: bool) -> Orientation {
    match exif {
        true => Orientation::Apply,
        false => Orientation::Ignore,
    }
}

impl Preparation {
    /// Decodes the sample's files and prepares them.
    pub(crate) fn prepare(&self, sample: &Sample) -> Result<Prepared, BadFile> {
        let (picture, mask) = self.decode(sample)?;
        Ok(self.of(&picture, mask.as_ref(), sample.label))
    }

    /// Prepares what is decoded.
    pub(crate) fn of(&self, picture: &Picture, mask: Option<&Mask>, label: Label) -> Prepared {
        let ImageSize { height, width } = self.size;
        let mask = match (mask, label) {
            (Some(mask), _) => Some(mask.resized(height, width)),
            (None, Label::Normal) => Some(vec![0; height * width]),
            (None, Label::Anomalous) => None,
        };
        Prepared {
            pixels: network_input(picture, height, width),
            mask,
        }
    }

    /// Decodes the sample's files, which must be of one size.
    pub(crate) fn decode(&self, sample: &Sample) -> Result<(Picture, Option<Mask>), BadFile> {
        let files = || -> Result<_, ImageError> {
            let picture = Picture::open(&sample.image, self.orientation)?;
            let Some(path) = &sample.mask else {
                return Ok((picture, None));
            };
            let mask = Mask::open(path, self.mask_threshold)?;
            mask.must_match(&picture)?;
            Ok((picture, Some(mask)))
        };
        files().map_err(|error| BadFile {
            id: sample.id.clone(),
            reason: with_causes(&error),
        })
    }

    /// [`Preparation::prepare`] for several samples in parallel, in their order.
    pub(crate) fn prepare_all(
        &self,
        samples: &[impl Borrow<Sample> + Sync],
    ) -> Vec<Result<Prepared, BadFile>> {
        samples
            .par_iter()
            .map(|sample| self.prepare(sample.borrow()))
            .collect()
    }

    /// The network's input for several images, `[N, 3, H, W]`.
    pub(crate) fn stack<'a>(
        &self,
        images: impl ExactSizeIterator<Item = &'a Prepared>,
        device: &Device,
    ) -> Result<Tensor> {
        let ImageSize { height, width } = self.size;
        let n = images.len();
        let mut pixels = Vec::with_capacity(n * 3 * height * width);
        for image in images {
            pixels.extend_from_slice(&image.pixels);
        }
        Ok(Tensor::from_vec(pixels, (n, 3, height, width), device)?)
    }
}

/// An error and what lies behind it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
