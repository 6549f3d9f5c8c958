//! A photo and its heatmap, side by side on the page and in pictures.

use image::imageops::{self, FilterType};
use image::{RgbImage, Rgba, RgbaImage};
use mpama_core::AnomalyMap;
use mpama_core::preprocess::{ImageError, Mask, Orientation, Picture};
use mpama_datasets::Sample;

use crate::heatmap;

/// Of the true defect's border, as on the page: no colour of the scale comes near it.
const BORDER: Rgba<u8> = Rgba([0x3d, 0xf0, 0xff, 0xff]);
/// Between photo and heatmap, in pixels.
const GAP: u32 = 8;

/// How the pictures are read: as the evaluation read them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) orientation: Orientation,
    /// Mask values above it are anomalous.
    pub(super) mask_threshold: u8,
}

/// Both of the photo's proportions.
pub(super) struct Pair {
    pub(super) photo: RgbImage,
    pub(super) heat: RgbImage,
    /// For each pixel, whether the mask has it in the defect; empty without a mask.
    pub(super) defect: Vec<bool>,
}

impl Pair {
    /// Reads the photo and the mask again; the longer side becomes at most `side` pixels.
    pub(super) fn read(
        sample: &Sample,
        map: &AnomalyMap,
        reading: Reading,
        side: usize,
    ) -> Result<Self, ImageError> {
        let picture = Picture::open(&sample.image, reading.orientation)?;
        let (width, height) = fitted(picture.width, picture.height, side);
        let photo = RgbImage::from_raw(
            picture.width as u32,
            picture.height as u32,
            picture.to_rgb(),
        )
        .unwrap_or_default(); // `to_rgb` fills the picture
        let map = map.resized(height, width);
        let defect = match &sample.mask {
            None => Vec::new(),
            Some(path) => {
                let mask = Mask::open(path, reading.mask_threshold)?;
                let (rows, columns) = (mask.height, mask.width);
                shrunk(&mask.resized(rows, columns), columns, width, height)
            }
        };
        let (width, height) = (width as u32, height as u32);
        Ok(Self {
            photo: imageops::resize(&photo, width, height, FilterType::Triangle),
            heat: heatmap::heatmap(&map.values, width, height),
            defect,
        })
    }

    /// One picture: the photo as it is, and the heatmap with the border of the true defect.
    pub(super) fn picture(&self) -> RgbaImage {
        let (width, height) = self.photo.dimensions();
        let opaque = |rgb: &image::Rgb<u8>| Rgba([rgb[0], rgb[1], rgb[2], u8::MAX]);
        let mut picture = RgbaImage::new(2 * width + GAP, height);
        for (x, y, pixel) in self.photo.enumerate_pixels() {
            picture.put_pixel(x, y, opaque(pixel));
        }
        for (x, y, pixel) in self.heat.enumerate_pixels() {
            let colour = match self.on_border(x as usize, y as usize) {
                true => BORDER,
                false => opaque(pixel),
            };
            picture.put_pixel(width + GAP + x, y, colour);
        }
        picture
    }

    /// Whether the pixel is in the defect and has a neighbour that is not.
    fn on_border(&self, x: usize, y: usize) -> bool {
        let (width, height) = self.photo.dimensions();
        let (width, height) = (width as usize, height as usize);
        let inside = |x: usize, y: usize| {
            // beyond the left and upper border the coordinates wrap round to large ones
            x < width && y < height && self.defect.get(y * width + x) == Some(&true)
        };
        let around = [
            (x.wrapping_sub(1), y),
            (x + 1, y),
            (x, y.wrapping_sub(1)),
            (x, y + 1),
        ];
        inside(x, y) && around.iter().any(|&(x, y)| !inside(x, y))
    }
}

/// The size of the same proportions whose longer side is `side`; a small picture keeps its size.
fn fitted(width: usize, height: usize, side: usize) -> (usize, usize) {
    let longer = width.max(height).max(1);
    let fit = |length: usize| match longer > side {
        true => ((length * side + longer / 2) / longer).max(1),
        false => length,
    };
    (fit(width), fit(height))
}

/// A mask of fewer pixels, each set if any of those below it is: the smallest defect stays. `mask`
/// is row-major with `columns` columns.
fn shrunk(mask: &[u8], columns: usize, width: usize, height: usize) -> Vec<bool> {
    let rows = mask.len() / columns.max(1);
    let mut small = vec![false; width * height];
    for (y, row) in mask.chunks(columns.max(1)).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, m)| **m > 0) {
            small[y * height / rows * width + x * width / columns] = true;
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_keep_their_proportions() {
        assert_eq!(fitted(900, 900, 192), (192, 192));
        assert_eq!(fitted(1000, 500, 192), (192, 96));
        assert_eq!(fitted(5000, 1, 192), (192, 1));
        assert_eq!(fitted(60, 48, 192), (60, 48));
    }

    #[test]
    fn a_speck_survives_shrinking() {
        let mut mask = vec![0; 1000 * 600];
        mask[599 * 1000 + 999] = 1;
        let small = shrunk(&mask, 1000, 192, 115);
        let set: Vec<usize> = (0..small.len()).filter(|i| small[*i]).collect();
        assert_eq!(set, [192 * 115 - 1]);
    }

    #[test]
    fn the_photo_stays_as_it_is_and_the_heatmap_has_the_border() {
        let mut pair = Pair {
            photo: RgbImage::from_pixel(5, 4, image::Rgb([1, 2, 3])),
            heat: RgbImage::from_pixel(5, 4, image::Rgb([9, 8, 7])),
            defect: (0..20).map(|i| i % 5 < 3 && i / 5 < 3).collect(),
        };
        let drawn = |pair: &Pair| {
            let picture = pair.picture();
            assert_eq!(picture.dimensions(), (2 * 5 + GAP, 4));
            assert!(picture.enumerate_pixels().all(|(x, _, pixel)| match x {
                ..5 => pixel.0 == [1, 2, 3, 255],
                x if x < 5 + GAP => pixel.0[3] == 0,
                _ => *pixel == BORDER || pixel.0 == [9, 8, 7, 255],
            }));
            picture.pixels().filter(|pixel| **pixel == BORDER).count()
        };
        // three by three pixels in a corner: all but the middle one are at the border
        assert_eq!(drawn(&pair), 8);
        pair.defect.clear();
        assert_eq!(drawn(&pair), 0);
    }
}
