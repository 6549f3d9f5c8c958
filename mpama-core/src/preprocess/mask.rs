use std::path::Path;

use super::decode::{self, Layout};
use super::error::ImageError;
use super::picture::Picture;
use super::resample::{self, Axis, Filter};

/// Which pixels of an image are anomalous.
#[derive(Debug, Clone)]
pub struct Mask {
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
    name: String,
    /// 0 or 255, [height, width].
    pixels: Vec<u8>,
}

impl Mask {
    /// Reads a mask file: a pixel whose grey level is above `threshold` is anomalous. 0 is AnomalyCLIP's
    /// rule and needed where masks hold small class ids; 127 suits masks that went through JPEG.
    ///
    /// Colours become grey as in Pillow's `convert("L")`, ITU-R 601-2 in 16-bit fixed point; palettes
    /// are looked up, alpha is ignored, 16-bit grey is clipped at 255.
    /// Exif orientation is ignored.
    ///
    /// # Errors
    /// Those of [`Picture::open`].
    pub fn open(path: &Path, threshold: u8) -> Result<Mask, ImageError> {
        Mask::decode(&decode::read(path)?, &path.display().to_string(), threshold)
    }

    /// Decodes the bytes of a mask file; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Mask::open`], except for those of the file system.
    pub fn decode(bytes: &[u8], name: &str, threshold: u8) -> Result<Mask, ImageError> {
        let raster = decode::decode(bytes, name, |value| value.min(255) as u8)?;
        let binary = |grey: u8| if grey > threshold { 255 } else { 0 };
        let pixels = raster
            .samples
            .chunks_exact(raster.layout.channels())
            .map(|pixel| {
                binary(match (raster.layout, pixel) {
                    (Layout::Rgb | Layout::Rgba, &[r, g, b, ..]) => luma([r, g, b]),
                    _ => pixel[0],
                })
            });
        let pixels = pixels.collect();
        Ok(Mask {
            width: raster.width,
            height: raster.height,
            name: name.to_owned(),
            pixels,
        })
    }

    /// The path or name that the mask was read by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 1 for anomalous and 0 for normal pixels, [`height`, `width`], after Pillow's bilinear resize: a
    /// pixel is anomalous if more than half of what it covers is. A small defect may vanish.
    pub fn resized(&self, height: usize, width: usize) -> Vec<u8> {
        let (x, y) = (
            Axis::whole(self.width, width),
            Axis::whole(self.height, height),
        );
        let grey = resample::resize(&self.pixels, 1, x, y, Filter::Bilinear);
        // value / 255 > 0.5
        grey.into_iter()
            .map(|value| u8::from(value > 127))
            .collect()
    }

    /// Checks that the mask has its picture's size.
    ///
    /// # Errors
    /// [`ImageError::MaskSize`] with both sizes if not, as is the case when the picture was turned
    /// upright and the mask is not.
    pub fn must_match(&self, picture: &Picture) -> Result<(), ImageError> {
        let (mask_size, image_size) = ((self.width, self.height), (picture.width, picture.height));
        if mask_size == image_size {
            return Ok(());
        }
        Err(ImageError::MaskSize {
            mask: self.name.clone(),
            mask_size,
            image: picture.name().to_owned(),
            image_size,
        })
    }
}

/// Pillow's grey of a colour.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000) >> 16) as u8
}
