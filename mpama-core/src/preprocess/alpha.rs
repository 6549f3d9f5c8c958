//! Premultiplied alpha in 8 bits, with Pillow's rounding: it resizes "LA" and "RGBA" as "La" and "RGBa".

/// Multiplies the colours of pixels of `channels` samples, the last being alpha, by their alpha.
pub(super) fn premultiply(samples: &mut [u8], channels: usize) {
    each(samples, channels, |colour, alpha| {
        let t = u32::from(colour) * u32::from(alpha) + 128;
        (((t >> 8) + t) >> 8) as u8 // round(t / 255)
    });
}

/// Divides them again: downwards, at most 255, and untouched where alpha is 0.
pub(super) fn unpremultiply(samples: &mut [u8], channels: usize) {
    each(samples, channels, |colour, alpha| match alpha {
        0 | 255 => colour,
        alpha => (255 * u32::from(colour) / u32::from(alpha)).min(255) as u8,
    });
}

fn each(samples: &mut [u8], channels: usize, change: impl Fn(u8, u8) -> u8) {
    for pixel in samples.chunks_exact_mut(channels) {
        if let Some((alpha, colours)) = pixel.split_last_mut() {
            colours
                .iter_mut()
                .for_each(|colour| *colour = change(*colour, *alpha));
        }
    }
}
