//! Files that decode.

use std::path::Path;
use std::{fs, io};

use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};

use super::trees::{Content, HEIGHT, WIDTH};

/// Writes one file, and the folders above it.
pub(super) fn file(root: &Path, path: &str, content: Content) -> io::Result<()> {
    let whole = root.join(path);
    if let Some(folder) = whole.parent() {
        fs::create_dir_all(folder)?;
    }
    let image = match content {
        Content::Text(text) => return fs::write(&whole, text),
        Content::Photo => photo(path),
        Content::Mask => mask(255),
        Content::ClassId => mask(1),
        Content::Black => mask(0),
    };
    let format = ImageFormat::from_path(&whole).map_err(io::Error::other)?;
    image
        .save_with_format(&whole, format)
        .map_err(io::Error::other)
}

/// Noise that depends on the path, so that no two images are the same.
fn photo(path: &str) -> DynamicImage {
    let mut noise = blake3::Hasher::new().update(path.as_bytes()).finalize_xof();
    let mut photo = RgbImage::new(WIDTH, HEIGHT);
    noise.fill(&mut photo);
    photo.into()
}

/// This value in the upper left quarter.
fn mask(value: u8) -> DynamicImage {
    let mask = GrayImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Luma([if x < WIDTH / 2 && y < HEIGHT / 2 {
            value
        } else {
            0
        }])
    });
    mask.into()
}
