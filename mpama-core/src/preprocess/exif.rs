use super::decode::Raster;

/// Whether the camera's note of how it was held turns the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    /// Pixels as they are stored, as AnomalyCLIP's code and its published numbers have it.
    #[default]
    Ignore,
    /// Pixels as a viewer shows them: the Exif orientation is applied. Masks are not turned.
    Apply,
}

/// The raster turned as its Exif orientation asks, 1 to 8; anything else asks for nothing.
pub(super) fn upright(raster: Raster) -> Raster {
    let (w, h) = (raster.width, raster.height);
    // Where the pixel at (x, y) of the result comes from.
    let source: fn(usize, usize, usize, usize) -> (usize, usize) = match raster.orientation {
        2 => |x, y, w, _| (w - 1 - x, y),
        3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
        4 => |x, y, _, h| (x, h - 1 - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, h| (y, h - 1 - x),
        7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
        8 => |x, y, w, _| (w - 1 - y, x),
        _ => {
            return Raster {
                orientation: 1,
                ..raster
            };
        }
    };
    let (width, height) = if raster.orientation >= 5 {
        (h, w)
    } else {
        (w, h)
    };
    let channels = raster.layout.channels();
    let mut samples = Vec::with_capacity(raster.samples.len());
    for y in 0..height {
        for x in 0..width {
            let (sx, sy) = source(x, y, w, h);
            let at = (sy * w + sx) * channels;
            samples.extend_from_slice(&raster.samples[at..at + channels]);
        }
    }
    Raster {
        width,
        height,
        samples,
        orientation: 1,
        ..raster
    }
}
