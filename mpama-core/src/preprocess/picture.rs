use std::path::Path;

use super::alpha;
use super::decode::{self, Layout, Raster};
use super::error::ImageError;
use super::exif::{self, Orientation};
use super::resample::{self, Axis, Filter};

/// A decoded image of 8 bits a sample that still knows what its kind of pixels means for resizing.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
    name: String,
    raster: Raster,
}

impl Picture {
    /// Reads an image file. Its content decides on the format, not its extension.
    ///
    /// # Errors
    /// A missing, unreadable, damaged or truncated file, one that holds no image, one of a kind that
    /// has no defined result here (see the [module](super)), and one above [`MAX_PIXELS`],
    /// [`MAX_SIDE`] or [`MAX_BYTES`].
    ///
    /// [`MAX_PIXELS`]: super::MAX_PIXELS
    /// [`MAX_SIDE`]: super::MAX_SIDE
    /// [`MAX_BYTES`]: super::MAX_BYTES
    pub fn open(path: &Path, orientation: Orientation) -> Result<Picture, ImageError> {
        Picture::decode(
            &decode::read(path)?,
            &path.display().to_string(),
            orientation,
        )
    }

    /// Decodes the bytes of an image file; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Picture::open`], except for those of the file system.
    pub fn decode(
        bytes: &[u8],
        name: &str,
        orientation: Orientation,
    ) -> Result<Picture, ImageError> {
        // Departure for 16-bit grey: Pillow's conversion to RGB clips at 255, which makes almost any
        // such picture white.
        let raster = decode::decode(bytes, name, |value| (value >> 8) as u8)?;
        let raster = match orientation {
            Orientation::Ignore => raster,
            Orientation::Apply => exif::upright(raster),
        };
        Ok(Picture {
            width: raster.width,
            height: raster.height,
            name: name.to_owned(),
            raster,
        })
    }

    /// A picture of RGB bytes [`height`, `width`, 3]; `name` is what errors call it.
    ///
    /// # Errors
    /// No pixels, or not as many bytes.
    pub fn from_rgb(
        rgb: Vec<u8>,
        height: usize,
        width: usize,
        name: &str,
    ) -> Result<Picture, ImageError> {
        let name = name.to_owned();
        if height == 0 || width == 0 {
            return Err(ImageError::ZeroSize {
                name,
                width,
                height,
            });
        }
        let bytes = height.checked_mul(width).and_then(|n| n.checked_mul(3));
        if bytes != Some(rgb.len()) {
            return Err(ImageError::Damaged {
                name,
                format: "RGB",
                found: format!("{} bytes for {width}x{height} pixels", rgb.len()),
            });
        }
        let raster = Raster {
            width,
            height,
            layout: Layout::Rgb,
            samples: rgb,
            nearest: false,
            orientation: 1,
        };
        Ok(Picture {
            width,
            height,
            name,
            raster,
        })
    }

    /// The path or name that the picture was read by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// RGB bytes [height, width, 3] at the picture's own size. Alpha is dropped, not blended.
    pub fn to_rgb(&self) -> Vec<u8> {
        rgb(self.raster.samples.clone(), self.raster.layout)
    }

    /// RGB bytes [height, width, 3] of the picture resized to `height` by `width` as Pillow does it:
    /// bicubic, antialiased, first in the image's own mode and then converted. Palette and 1-bit images
    /// are sampled by nearest neighbour; colours with alpha are resized premultiplied, and alpha is
    /// dropped afterwards. Empty if a side is 0.
    ///
    /// Rows are resized first and columns second, unless the height shrinks by more than twice as many
    /// pixels as the width: Pillow 13.0.0's rule, without which tall images differ in single levels.
    pub fn resized(&self, height: usize, width: usize) -> Vec<u8> {
        self.window(
            Axis::whole(self.width, width),
            Axis::whole(self.height, height),
        )
    }

    /// A part of [`Picture::resized`].
    pub(super) fn window(&self, x: Axis, y: Axis) -> Vec<u8> {
        let Raster {
            layout,
            ref samples,
            nearest,
            ..
        } = self.raster;
        let channels = layout.channels();
        let resized = match layout {
            _ if nearest => resample::nearest(samples, channels, x, y),
            Layout::LumaAlpha | Layout::Rgba if (x.from, y.from) != (x.to, y.to) => {
                let mut samples = samples.clone();
                alpha::premultiply(&mut samples, channels);
                let mut resized = resample::resize(&samples, channels, x, y, Filter::Bicubic);
                alpha::unpremultiply(&mut resized, channels);
                resized
            }
            _ => resample::resize(samples, channels, x, y, Filter::Bicubic),
        };
        rgb(resized, layout)
    }
}

/// Pillow's `convert("RGB")`.
fn rgb(samples: Vec<u8>, layout: Layout) -> Vec<u8> {
    match layout {
        Layout::Rgb => samples,
        Layout::Luma => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        Layout::LumaAlpha => samples
            .as_chunks::<2>()
            .0
            .iter()
            .flat_map(|&[grey, _]| [grey; 3])
            .collect(),
        Layout::Rgba => samples
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[r, g, b, _]| [r, g, b])
            .collect(),
    }
}
