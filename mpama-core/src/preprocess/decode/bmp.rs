//! BMP.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, codecs::bmp::BmpDecoder};

use super::{ImageError, Layout, Raster, check_size, failure, samples};

const FORMAT: &str = "BMP";

/// Uncompressed BMP of 1, 4, 8, 24 or 32 bits. As in Pillow, an 8-bit palette that maps every index to
/// its own grey is no palette, and the fourth byte of 32 bits is ignored.
pub(super) fn decode(bytes: &[u8], name: &str) -> Result<Raster, ImageError> {
    let decoder =
        BmpDecoder::new(Cursor::new(bytes)).map_err(|error| failure(error, name, FORMAT))?;
    let (width, height) = decoder.dimensions();
    let (width, height) = check_size(name, width, height)?;
    let header = Header::of(bytes).ok_or_else(|| ImageError::Truncated {
        name: name.to_owned(),
        format: FORMAT,
    })?;
    let refused = |found: String| ImageError::Mode {
        name: name.to_owned(),
        found,
    };
    if header.compression != 0 || !matches!(header.bits, 1 | 4 | 8 | 24 | 32) {
        return Err(refused(format!(
            "a {}-bit BMP of compression {}",
            header.bits, header.compression
        )));
    }
    let colour = decoder.color_type();
    let palette = if header.bits <= 8 {
        decoder.get_palette()
    } else {
        None
    };
    let wedge = header.bits == 8
        && palette.is_some_and(|palette| {
            let entries = if header.colours == 0 {
                256
            } else {
                header.colours
            };
            entries != 2
                && palette
                    .iter()
                    .enumerate()
                    .take(entries)
                    .all(|(i, c)| c.iter().all(|&v| usize::from(v) == i))
        });
    let nearest = palette.is_some() && !wedge;
    let mut samples = samples(decoder, name, FORMAT)?;
    match colour {
        ColorType::Rgb8 => {}
        ColorType::Rgba8 => {
            let (pixels, _) = samples.as_chunks::<4>();
            samples = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        }
        other => return Err(refused(format!("{other:?} BMP"))),
    }
    Ok(Raster {
        width,
        height,
        layout: Layout::Rgb,
        samples,
        nearest,
        orientation: 1,
    })
}

/// The fields that the decoder keeps to itself.
struct Header {
    bits: u16,
    compression: u32,
    colours: usize,
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Header> {
        let word = |at: usize| {
            bytes
                .get(at..at + 2)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
        };
        let long = |at: usize| Some(u32::from(word(at)?) | u32::from(word(at + 2)?) << 16);
        if long(14)? < 40 {
            return Some(Header {
                bits: word(24)?,
                compression: 0,
                colours: 0,
            });
        }
        Some(Header {
            bits: word(28)?,
            compression: long(30)?,
            colours: long(46)? as usize,
        })
    }
}
