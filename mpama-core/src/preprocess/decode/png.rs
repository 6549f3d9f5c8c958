//! PNG, through the `png` crate: `image` expands palettes without a trace.

use std::io::{self, Cursor};

use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodingError};

use super::{ImageError, Layout, Raster, check_size, high_byte};

const FORMAT: &str = "PNG";

/// Pillow's modes: 1-bit grey is "1"; 2-, 4- and 8-bit grey are "L"; 16-bit grey is "I;16"; palettes
/// are "P" with the transparency ignored; 16-bit colour and alpha keep the high byte.
pub(super) fn decode(
    bytes: &[u8],
    name: &str,
    narrow: fn(u16) -> u8,
) -> Result<Raster, ImageError> {
    let failed = |error: DecodingError| match error {
        DecodingError::IoError(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            ImageError::Truncated {
                name: name.to_owned(),
                format: FORMAT,
            }
        }
        error => {
            let found = error.to_string();
            ImageError::Damaged {
                name: name.to_owned(),
                format: FORMAT,
                found,
            }
        }
    };
    // Width and height lie at a fixed place; the crate has no error of its own for zero.
    if let Some([w0, w1, w2, w3, h0, h1, h2, h3]) = bytes.get(16..24) {
        check_size(
            name,
            u32::from_be_bytes([*w0, *w1, *w2, *w3]),
            u32::from_be_bytes([*h0, *h1, *h2, *h3]),
        )?;
    }

    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let mut reader = decoder.read_info().map_err(failed)?;
    let (width, height) = check_size(name, reader.info().width, reader.info().height)?;
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| ImageError::TooLarge {
            name: name.to_owned(),
            width,
            height,
        })?;
    let mut packed = vec![0; size];
    let frame = reader.next_frame(&mut packed).map_err(failed)?;
    // Exif may follow the pixels. What is wrong after the pixels does not concern them.
    let _ = reader.finish();
    let info = reader.info();
    let orientation = info
        .exif_metadata
        .as_deref()
        .and_then(Orientation::from_exif_chunk)
        .map_or(1, Orientation::to_exif);

    let unpacked = || unpack(&packed, frame.line_size, width, frame.bit_depth);
    let sixteen = |narrow: fn(u16) -> u8| {
        let (pairs, _) = packed.as_chunks::<2>();
        pairs
            .iter()
            .map(|pair| narrow(u16::from_be_bytes(*pair)))
            .collect::<Vec<u8>>()
    };
    let (layout, samples, nearest) = match (frame.color_type, frame.bit_depth) {
        (ColorType::Grayscale, BitDepth::Sixteen) => (Layout::Luma, sixteen(narrow), false),
        (ColorType::Grayscale, depth) => {
            let scale = 255 / ((1u16 << depth as u16) - 1) as u8; // 255, 85, 17, 1: exact for each depth
            let mut samples = unpacked();
            samples.iter_mut().for_each(|sample| *sample *= scale);
            (Layout::Luma, samples, depth == BitDepth::One)
        }
        (ColorType::Indexed, _) => {
            let palette = info.palette.as_deref().unwrap_or_default();
            (Layout::Rgb, colours(&unpacked(), palette), true)
        }
        (colour, depth) => {
            let layout = match colour {
                ColorType::GrayscaleAlpha => Layout::LumaAlpha,
                ColorType::Rgba => Layout::Rgba,
                _ => Layout::Rgb,
            };
            let deep = depth == BitDepth::Sixteen;
            (
                layout,
                if deep { sixteen(high_byte) } else { packed },
                false,
            )
        }
    };
    Ok(Raster {
        width,
        height,
        layout,
        samples,
        nearest,
        orientation,
    })
}

/// One byte for each sample of rows that are packed from the high bit down and padded to bytes.
fn unpack(packed: &[u8], line: usize, width: usize, depth: BitDepth) -> Vec<u8> {
    let bits = depth as usize;
    let mask = ((1u16 << bits.min(8)) - 1) as u8;
    let sample = |row: &[u8], x: usize| {
        let bit = x * bits;
        (row[bit / 8] >> (8 - bits - bit % 8)) & mask
    };
    packed
        .chunks_exact(line)
        .flat_map(|row| (0..width).map(move |x| sample(row, x)))
        .collect()
}

/// Looks up RGB triples. An index beyond the palette is black, as in Pillow.
fn colours(indices: &[u8], palette: &[u8]) -> Vec<u8> {
    let (colours, _) = palette.as_chunks::<3>();
    indices
        .iter()
        .flat_map(|&index| colours.get(usize::from(index)).copied().unwrap_or_default())
        .collect()
}
