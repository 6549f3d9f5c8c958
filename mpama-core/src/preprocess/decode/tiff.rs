//! TIFF, first page.

use std::io::Cursor;

use image::{ExtendedColorType, ImageDecoder, Limits, codecs::tiff::TiffDecoder};

use super::{ImageError, Layout, MAX_PIXELS, Raster, check_size, failure, high_byte, samples};
use crate::preprocess::exif;

const FORMAT: &str = "TIFF";

/// 1-bit, grey and RGB TIFF. Alpha is refused: whether it is premultiplied cannot be asked.
/// Pillow applies the orientation of a TIFF, and of no other format, when it opens it; so does this.
pub(super) fn decode(
    bytes: &[u8],
    name: &str,
    narrow: fn(u16) -> u8,
) -> Result<Raster, ImageError> {
    let failed = |error| failure(error, name, FORMAT);
    let mut decoder = TiffDecoder::new(Cursor::new(bytes)).map_err(failed)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = check_size(name, width, height)?;
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(16 * MAX_PIXELS as u64);
    decoder.set_limits(limits).map_err(failed)?;
    let orientation = decoder
        .orientation()
        .map_or(1, |orientation| orientation.to_exif());
    let colour = decoder.original_color_type();
    let (layout, deep) = match colour {
        ExtendedColorType::L1 | ExtendedColorType::L8 => (Layout::Luma, None),
        ExtendedColorType::L16 => (Layout::Luma, Some(narrow)),
        ExtendedColorType::Rgb8 => (Layout::Rgb, None),
        ExtendedColorType::Rgb16 => (Layout::Rgb, Some(high_byte as fn(u16) -> u8)),
        other => {
            return Err(ImageError::Mode {
                name: name.to_owned(),
                found: format!("a TIFF of {other:?} pixels"),
            });
        }
    };
    let mut samples = samples(decoder, name, FORMAT)?;
    if let Some(narrow) = deep {
        let (pairs, _) = samples.as_chunks::<2>();
        samples = pairs
            .iter()
            .map(|pair| narrow(u16::from_ne_bytes(*pair)))
            .collect();
    }
    let nearest = colour == ExtendedColorType::L1;
    let raster = Raster {
        width,
        height,
        layout,
        samples,
        nearest,
        orientation,
    };
    Ok(exif::upright(raster))
}
