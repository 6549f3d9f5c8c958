//! Image files to network input, exactly as Pillow and torchvision do it.
//!
//! The reference is AnomalyCLIP's: open with Pillow, resize *in the image's own mode* with bicubic
//! interpolation to a fixed size (the aspect ratio is not kept), convert to RGB, divide by 255,
//! subtract CLIP's mean, divide by CLIP's standard deviation. Here `Pillow` means 13.0.0, whose choice
//! of which axis to resize first differs from earlier versions (see [`Picture::resized`]).
//!
//! | File | Compared with Pillow |
//! |---|---|
//! | PNG, every bit depth and colour type, interlaced or not | equal to the bit, but for 16-bit grey |
//! | PNG and TIFF, 16-bit grey picture | departure: the high byte, where Pillow clips at 255 (white) |
//! | 16-bit grey mask | equal: clipped at 255 |
//! | JPEG, grey or RGB | resizing is equal; decoders differ a little, see below |
//! | BMP, uncompressed 1, 4, 8, 24, 32 bits | equal to the bit |
//! | TIFF, 1-bit, grey or RGB, 8 or 16 bits | equal to the bit |
//! | WebP, still, lossless or lossy, with and without alpha | equal to the bit |
//! | CMYK JPEG, animated WebP, other BMP, TIFF with alpha, palette, float or CMYK, GIF, … | refused by name |
//!
//! JPEG leaves the inverse transform and the upsampling of colour to the decoder. Against Pillow's
//! libjpeg-turbo 3.2, in grey levels:
//!
//! | Photos | At their own size | At 518x518 |
//! |---|---|---|
//! | 692 magnetic tiles, grey | at most 1, mean 0.005 | at most 3, mean 0.007 |
//! | 29 brain scans, grey | at most 1, mean 0.006 | at most 2, mean 0.007 |
//! | 216 brain scans, RGB, mostly 4:2:0 | at most 4, mean 0.008, worst image 0.093 | at most 5, mean 0.010, worst image 0.107 |

mod alpha;
mod decode;
mod error;
mod exif;
mod input;
mod mask;
mod picture;
mod resample;

pub use decode::{MAX_BYTES, MAX_PIXELS, MAX_SIDE};
pub use error::ImageError;
pub use exif::Orientation;
pub use input::{CLIP_MEAN, CLIP_STD, clip_input, network_input};
pub use mask::Mask;
pub use picture::Picture;
