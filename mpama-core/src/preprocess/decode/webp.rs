//! WebP, still images.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, codecs::webp::WebPDecoder};

use super::{ImageError, Layout, Raster, check_size, failure, samples};

const FORMAT: &str = "WebP";

/// RGB or RGBA.
pub(super) fn decode(bytes: &[u8], name: &str) -> Result<Raster, ImageError> {
    // The container states its length; the decoder calls a cut stream corrupt.
    let truncated = || ImageError::Truncated {
        name: name.to_owned(),
        format: FORMAT,
    };
    let (Some([a, b, c, d]), len) = (bytes.get(4..8), bytes.len() as u64) else {
        return Err(truncated());
    };
    if len < 8 + u64::from(u32::from_le_bytes([*a, *b, *c, *d])) {
        return Err(truncated());
    }
    let mut decoder =
        WebPDecoder::new(Cursor::new(bytes)).map_err(|error| failure(error, name, FORMAT))?;
    let (width, height) = decoder.dimensions();
    let (width, height) = check_size(name, width, height)?;
    let refused = |found: String| ImageError::Mode {
        name: name.to_owned(),
        found,
    };
    if decoder.has_animation() {
        return Err(refused("an animated WebP".to_owned()));
    }
    let orientation = decoder
        .orientation()
        .map_or(1, |orientation| orientation.to_exif());
    let layout = match decoder.color_type() {
        ColorType::Rgb8 => Layout::Rgb,
        ColorType::Rgba8 => Layout::Rgba,
        other => return Err(refused(format!("{other:?} WebP"))),
    };
    let samples = samples(decoder, name, FORMAT)?;
    Ok(Raster {
        width,
        height,
        layout,
        samples,
        nearest: false,
        orientation,
    })
}
