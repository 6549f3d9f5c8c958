use std::io;

use super::decode::{MAX_BYTES, MAX_PIXELS, MAX_SIDE};

/// Why a file did not become a picture or a mask. `name` is the path, or whatever the caller called
/// the bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Nothing lies at the path.
    #[error("image {name}: no such file")]
    Missing {
        /// The path.
        name: String,
    },
    /// The path leads to a directory.
    #[error("image {name}: expected a file, found a directory")]
    Directory {
        /// The path.
        name: String,
    },
    /// The operating system did not hand over the bytes.
    #[error("image {name}: cannot be read")]
    Unreadable {
        /// The path.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("image {name}: the file is empty")]
    Empty {
        /// The file.
        name: String,
    },
    /// The content is of no format that is read here, whatever the file's name says.
    #[error("image {name}: expected a PNG, JPEG, BMP, TIFF or WebP file, found {found}")]
    Format {
        /// The file.
        name: String,
        /// What the first bytes look like.
        found: String,
    },
    /// The format is known, but not this kind of pixels.
    #[error("image {name}: expected pixels that have a defined conversion to RGB, found {found}")]
    Mode {
        /// The file.
        name: String,
        /// The kind of pixels.
        found: String,
    },
    /// The file ends before the image does.
    #[error("image {name}: expected a complete {format} file, found one that ends early")]
    Truncated {
        /// The file.
        name: String,
        /// The format.
        format: &'static str,
    },
    /// The data contradicts its format.
    #[error("image {name}: expected valid {format} data, found: {found}")]
    Damaged {
        /// The file.
        name: String,
        /// The format.
        format: &'static str,
        /// The decoder's words.
        found: String,
    },
    /// The image has no pixels.
    #[error("image {name}: expected at least one pixel, found {width}x{height}")]
    ZeroSize {
        /// The file.
        name: String,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The image would take too much memory, or a small file claims that it would.
    #[error(
        "image {name}: expected at most {MAX_PIXELS} pixels and {MAX_SIDE} a side, found {width}x{height}"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The file has more than [`MAX_BYTES`] bytes.
    #[error("image {name}: expected at most {MAX_BYTES} bytes, found more")]
    FileTooLarge {
        /// The file.
        name: String,
    },
    /// A mask does not lie on its image.
    #[error(
        "mask {mask} is {}x{}, expected {}x{} like its image {image}",
        mask_size.0, mask_size.1, image_size.0, image_size.1
    )]
    MaskSize {
        /// The mask's name.
        mask: String,
        /// The mask's width and height.
        mask_size: (usize, usize),
        /// The image's name.
        image: String,
        /// The image's width and height.
        image_size: (usize, usize),
    },
}
