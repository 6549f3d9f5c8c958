//! JPEG. The decoder of the `image` crate fills what is missing of a truncated file with grey and
//! turns CMYK into RGB, both silently: the markers are walked first.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, codecs::jpeg::JpegDecoder};

use super::{ImageError, Layout, Raster, check_size, failure, samples};

const FORMAT: &str = "JPEG";

/// Grey or three-component JPEG; the result differs from libjpeg's by small amounts.
pub(super) fn decode(bytes: &[u8], name: &str) -> Result<Raster, ImageError> {
    let damaged = |found: &str| ImageError::Damaged {
        name: name.to_owned(),
        format: FORMAT,
        found: found.to_owned(),
    };
    let frame = walk(bytes).map_err(|flaw| match flaw {
        Flaw::EndsEarly => ImageError::Truncated {
            name: name.to_owned(),
            format: FORMAT,
        },
        Flaw::NoFrame => damaged("no frame header"),
        Flaw::TwoFrames => damaged("more than one frame header"),
    })?;
    let (width, height) = check_size(name, frame.width, frame.height)?;
    if frame.components != 1 && frame.components != 3 {
        let found = match frame.components {
            4 => "a CMYK JPEG".to_owned(),
            n => format!("a JPEG with {n} components"),
        };
        return Err(ImageError::Mode {
            name: name.to_owned(),
            found,
        });
    }
    let mut decoder =
        JpegDecoder::new(Cursor::new(bytes)).map_err(|error| failure(error, name, FORMAT))?;
    // Exif that cannot be parsed asks for nothing.
    let orientation = decoder
        .orientation()
        .map_or(1, |orientation| orientation.to_exif());
    let layout = match (decoder.color_type(), frame.components) {
        (ColorType::L8, 1) => Layout::Luma,
        (ColorType::Rgb8, 3) => Layout::Rgb,
        _ => return Err(damaged("frame headers that contradict each other")),
    };
    if decoder.dimensions() != (frame.width, frame.height) {
        return Err(damaged("frame headers that contradict each other"));
    }
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

/// What a frame header states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    width: u32,
    height: u32,
    components: u8,
}

/// Why following the markers failed.
#[derive(Debug, PartialEq, Eq)]
enum Flaw {
    EndsEarly,
    NoFrame,
    TwoFrames,
}

/// Follows the markers to the end-of-image marker. Like libjpeg it skips garbage between segments.
fn walk(bytes: &[u8]) -> Result<Frame, Flaw> {
    let mut frame = None;
    let mut at = 2; // past the start-of-image marker
    loop {
        // The next marker: 0xff and a byte that is neither stuffing nor a fill byte. This also walks
        // over entropy-coded data, in which 0xff is always followed by 0 or a restart marker.
        match bytes.get(at..at + 2) {
            None => return Err(Flaw::EndsEarly),
            Some([0xff, 0x00 | 0x01 | 0xd0..=0xd8]) => at += 2,
            Some([0xff, 0xd9]) => return frame.ok_or(Flaw::NoFrame),
            Some([0xff, marker @ 0x02..=0xfe]) => {
                let Some([high, low]) = bytes.get(at + 2..at + 4) else {
                    return Err(Flaw::EndsEarly);
                };
                let is_frame =
                    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
                if let (true, Some([h1, h0, w1, w0, components])) =
                    (is_frame, bytes.get(at + 5..at + 10))
                {
                    let header = Frame {
                        width: u32::from(u16::from_be_bytes([*w1, *w0])),
                        height: u32::from(u16::from_be_bytes([*h1, *h0])),
                        components: *components,
                    };
                    if frame.replace(header).is_some() {
                        return Err(Flaw::TwoFrames);
                    }
                }
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOI: [u8; 2] = [0xff, 0xd8];
    const EOI: [u8; 2] = [0xff, 0xd9];

    fn frame_header(width: u16, height: u16, components: u8) -> Vec<u8> {
        let mut header = vec![0xff, 0xc2, 0, 8 + 3 * components, 8];
        header.extend(height.to_be_bytes());
        header.extend(width.to_be_bytes());
        header.push(components);
        header.resize(header.len() + 3 * usize::from(components), 0);
        header
    }

    #[test]
    fn the_end_marker_of_an_embedded_thumbnail_does_not_count() {
        let thumbnail = [0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9];
        let scan = [0xff, 0xda, 0, 2, 1, 2, 0xff, 0x00, 0xff, 0xd3, 9];
        let cut = [&SOI[..], &thumbnail, &frame_header(7, 5, 3), &scan].concat();
        assert_eq!(walk(&cut), Err(Flaw::EndsEarly));
        let whole = [&cut[..], &EOI, b"trailing"].concat();
        assert_eq!(
            walk(&whole),
            Ok(Frame {
                width: 7,
                height: 5,
                components: 3
            })
        );
    }

    #[test]
    fn a_file_without_a_frame_is_not_an_image() {
        assert_eq!(walk(&[SOI, EOI].concat()), Err(Flaw::NoFrame));
        assert_eq!(walk(&SOI), Err(Flaw::EndsEarly));
    }
}
