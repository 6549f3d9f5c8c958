use super::picture::Picture;
use super::resample::Axis;

/// CLIP's mean of red, green and blue, in [0, 1].
pub const CLIP_MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

/// CLIP's standard deviation of red, green and blue, in [0, 1].
#[allow(clippy::excessive_precision)] // the digits as published
pub const CLIP_STD: [f32; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The network's input, [3, `height`, `width`], roughly in [-1.8, 2.2]: the picture resized to exactly
/// this size (bicubic, the aspect ratio is not kept), RGB, CLIP's mean and standard deviation.
///
/// Source: AnomalyCLIP's test transform. Equal to its values to the bit for every picture whose decoded
/// pixels are (see the [module](super)).
pub fn network_input(picture: &Picture, height: usize, width: usize) -> Vec<f32> {
    normalised(&picture.resized(height, width))
}

/// CLIP's own input, [3, `size`, `size`]: the short side resized to `size` (bicubic), the centre
/// cropped, RGB, CLIP's mean and standard deviation.
///
/// Source: OpenAI's CLIP with torchvision: the long side is rounded down, and an odd margin leaves the
/// extra row or column where rounding half to even puts it.
pub fn clip_input(picture: &Picture, size: usize) -> Vec<f32> {
    let short = picture.width.min(picture.height);
    let axis = |from: usize| {
        let to = size * from / short;
        Axis {
            from,
            to,
            start: half_to_even(to - size),
            len: size,
        }
    };
    normalised(&picture.window(axis(picture.width), axis(picture.height)))
}

/// `n / 2`, halves to the even neighbour: Python's `round`.
fn half_to_even(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

/// RGB bytes [H, W, 3] to normalised values [3, H, W].
fn normalised(rgb: &[u8]) -> Vec<f32> {
    let (pixels, _) = rgb.as_chunks::<3>();
    let mut planes = Vec::with_capacity(rgb.len());
    for (channel, (mean, std)) in CLIP_MEAN.into_iter().zip(CLIP_STD).enumerate() {
        // torchvision's order of operations; 256 possible values.
        let values: [f32; 256] = std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        planes.extend(
            pixels
                .iter()
                .map(|pixel| values[usize::from(pixel[channel])]),
        );
    }
    planes
}
