//! Image files to network input, exactly as Pillow and torchvision do it.

mod error;

pub use error::ImageError;
