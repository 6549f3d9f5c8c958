//! Encoded bytes to 8-bit samples, keeping what of Pillow's image modes changes the result.

mod bmp;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use image::{ImageDecoder, ImageFormat};

use super::error::ImageError;

/// Most pixels an image may have: 89,478,485, where Pillow starts to warn of a decompression bomb.
/// Decoding holds at most eight bytes for each.
pub const MAX_PIXELS: usize = 89_478_485;

/// Most rows and most columns an image may have: 65,535, the limit of JPEG. It bounds the memory
/// between the two passes of a resize.
pub const MAX_SIDE: usize = 65_535;

/// Most bytes a file may have: 1 GiB.
pub const MAX_BYTES: u64 = 1 << 30;

/// What the samples of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Luma,
    LumaAlpha,
    Rgb,
    Rgba,
}

impl Layout {
    /// Samples in a pixel.
    pub(super) fn channels(self) -> usize {
        match self {
            Layout::Luma => 1,
            Layout::LumaAlpha => 2,
            Layout::Rgb => 3,
            Layout::Rgba => 4,
        }
    }
}

/// A decoded image: rows from the top, samples of a pixel side by side.
#[derive(Debug, Clone)]
pub(super) struct Raster {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) layout: Layout,
    pub(super) samples: Vec<u8>,
    /// Pillow's modes "P" and "1", which it resizes by nearest neighbour whatever it is asked for.
    /// Nearest neighbour commutes with the palette, so that palettes are applied on decoding.
    pub(super) nearest: bool,
    /// The Exif orientation, 1 to 8, that the file asks for and that has not been applied.
    pub(super) orientation: u8,
}

/// Reads a file of at most [`MAX_BYTES`].
pub(super) fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    let name = path.display().to_string();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ImageError::Missing {
            name: path.display().to_string(),
        },
        _ => ImageError::Unreadable {
            name: path.display().to_string(),
            source,
        },
    };
    if fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(ImageError::Directory { name });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ImageError::FileTooLarge { name });
    }
    Ok(bytes)
}

/// Decodes by content, never by the name's extension. `narrow` makes 8 bits of a 16-bit grey sample:
/// pictures and masks differ there.
pub(super) fn decode(
    bytes: &[u8],
    name: &str,
    narrow: fn(u16) -> u8,
) -> Result<Raster, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty {
            name: name.to_owned(),
        });
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => png::decode(bytes, name, narrow),
        Ok(ImageFormat::Jpeg) => jpeg::decode(bytes, name),
        Ok(ImageFormat::Bmp) => bmp::decode(bytes, name),
        Ok(ImageFormat::Tiff) => tiff::decode(bytes, name, narrow),
        Ok(ImageFormat::WebP) => webp::decode(bytes, name),
        Ok(other) => {
            let found = other
                .extensions_str()
                .first()
                .map_or("another format".to_owned(), |e| e.to_uppercase());
            Err(ImageError::Format {
                name: name.to_owned(),
                found,
            })
        }
        Err(_) => Err(ImageError::Format {
            name: name.to_owned(),
            found: describe(bytes),
        }),
    }
}

/// What unknown content looks like, for an error message.
fn describe(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(16)];
    let printable = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    if head.iter().all(printable) {
        format!("text that begins with {:?}", String::from_utf8_lossy(head))
    } else {
        format!(
            "bytes that begin with {}",
            head.iter()
                .map(|b| format!("{b:02x}"))
                .collect::<Vec<_>>()
                .join(" ")
        )
    }
}

/// Refuses sizes that hold nothing or too much, before memory is taken for them.
fn check_size(name: &str, width: u32, height: u32) -> Result<(usize, usize), ImageError> {
    let (width, height) = (width as usize, height as usize);
    let name = || name.to_owned();
    if width == 0 || height == 0 {
        return Err(ImageError::ZeroSize {
            name: name(),
            width,
            height,
        });
    }
    if width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
        return Err(ImageError::TooLarge {
            name: name(),
            width,
            height,
        });
    }
    Ok((width, height))
}

/// All samples of a decoder of the `image` crate whose size has been checked.
fn samples(
    decoder: impl ImageDecoder,
    name: &str,
    format: &'static str,
) -> Result<Vec<u8>, ImageError> {
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder
        .read_image(&mut samples)
        .map_err(|error| failure(error, name, format))?;
    Ok(samples)
}

/// Sorts the errors of the `image` crate.
fn failure(error: image::ImageError, name: &str, format: &'static str) -> ImageError {
    let name = name.to_owned();
    match error {
        image::ImageError::Unsupported(what) => ImageError::Mode {
            name,
            found: what.to_string(),
        },
        error if ends_early(&error) => ImageError::Truncated { name, format },
        error => ImageError::Damaged {
            name,
            format,
            found: error.to_string(),
        },
    }
}

/// Whether an error is, or was caused by, an unexpected end of the data.
fn ends_early(error: &image::ImageError) -> bool {
    let early = |io: &io::Error| io.kind() == io::ErrorKind::UnexpectedEof;
    // This variant names its cause's cause as its own.
    if let image::ImageError::IoError(io) = error {
        return early(io);
    }
    std::iter::successors(error.source(), |&error| error.source())
        .any(|error| error.downcast_ref::<io::Error>().is_some_and(early))
}

/// The high byte of every 16-bit sample, as Pillow opens 16-bit RGB and 16-bit alpha.
fn high_byte(value: u16) -> u8 {
    (value >> 8) as u8
}
