//! Anomaly maps as pictures.
//!
//! The scale is fixed: colour 0 stands for an anomaly probability of 0 and colour 255 for 1, in
//! every picture. Nothing is stretched to an image's own minimum and maximum, so a quiet image
//! looks quiet and two pictures can be compared.

use std::sync::LazyLock;

use image::RgbImage;

/// The strongest that a colour covers the photo in an overlay, at an anomaly probability of 1.
const COVER: f32 = 0.75;

/// Where the colour scale passes, evenly spaced: lightness, chroma and hue (degrees) in Oklch.
/// Lightness rises all the way, so the scale survives a grey print and colour blindness.
const WAYPOINTS: [[f64; 3]; 6] = [
    [0.10, 0.03, 285.0],
    [0.28, 0.14, 290.0],
    [0.46, 0.19, 350.0],
    [0.64, 0.19, 390.0],
    [0.82, 0.16, 435.0],
    [0.97, 0.06, 465.0],
];

/// The 256 colours, from dark violet over red and orange to pale yellow.
static SCALE: LazyLock<[[u8; 3]; 256]> =
    LazyLock::new(|| std::array::from_fn(|i| waypoint_colour(i as f64 / 255.0)));

/// The colour of an anomaly probability; values outside [0, 1] take the colour of the nearer end.
pub(crate) fn colour(value: f32) -> [u8; 3] {
    SCALE[(value.clamp(0.0, 1.0) * 255.0).round() as usize]
}

/// The map as a picture of its own size. `values` are row-major, `width · height` of them, in [0,
/// 1].
pub(crate) fn heatmap(values: &[f32], width: u32, height: u32) -> RgbImage {
    let mut picture = RgbImage::new(width, height);
    for (pixel, value) in picture.pixels_mut().zip(values) {
        pixel.0 = colour(*value);
    }
    picture
}

/// The map over the photo: each pixel moves towards the map's colour in proportion to its value, so
/// normal parts stay as they are. `photo` is row-major RGB of the same size as the map.
pub(crate) fn overlay(values: &[f32], photo: &[u8], width: u32, height: u32) -> RgbImage {
    let mut picture = RgbImage::new(width, height);
    for ((pixel, value), below) in picture.pixels_mut().zip(values).zip(photo.chunks_exact(3)) {
        let share = COVER * value.clamp(0.0, 1.0);
        let above = colour(*value);
        pixel.0 = std::array::from_fn(|c| {
            (f32::from(below[c]) * (1.0 - share) + f32::from(above[c]) * share).round() as u8
        });
    }
    picture
}

/// The colour at `t` in [0, 1] of the way through [`WAYPOINTS`], as sRGB.
fn waypoint_colour(t: f64) -> [u8; 3] {
    let along = t * (WAYPOINTS.len() - 1) as f64;
    let leg = (along as usize).min(WAYPOINTS.len() - 2);
    let part = along - leg as f64;
    let [lightness, chroma, hue] =
        std::array::from_fn(|k| WAYPOINTS[leg][k] * (1.0 - part) + WAYPOINTS[leg + 1][k] * part);
    let (sin, cos) = hue.to_radians().sin_cos();
    oklab_to_srgb([lightness, chroma * cos, chroma * sin])
}

/// Oklab to 8-bit sRGB, with the matrices of Ottosson, "A perceptual color space for image
/// processing" (2020); colours outside sRGB are cut off channel by channel.
fn oklab_to_srgb([lightness, a, b]: [f64; 3]) -> [u8; 3] {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    let linear = [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ];
    linear.map(|x| {
        let x = x.clamp(0.0, 1.0);
        let encoded = if x <= 0.003_130_8 {
            12.92 * x
        } else {
            1.055 * x.powf(1.0 / 2.4) - 0.055
        };
        (encoded * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of an sRGB colour (WCAG 2).
    fn luminance(colour: [u8; 3]) -> f64 {
        let linear = colour.map(|c| {
            let x = f64::from(c) / 255.0;
            if x <= 0.040_45 {
                x / 12.92
            } else {
                ((x + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn higher_is_lighter() {
        let lightness: Vec<f64> = SCALE.iter().map(|c| luminance(*c)).collect();
        // neighbours may round to the same colour; four steps on it is lighter for certain
        for pair in lightness.windows(5) {
            assert!(pair[4] > pair[0], "{pair:?}");
        }
        assert!(lightness[0] < 0.01 && lightness[255] > 0.85);
    }

    #[test]
    fn white_and_black_of_oklab_are_those_of_srgb() {
        assert_eq!(oklab_to_srgb([1.0, 0.0, 0.0]), [255, 255, 255]);
        assert_eq!(oklab_to_srgb([0.0, 0.0, 0.0]), [0, 0, 0]);
        // red of sRGB in Oklab, from the same source
        assert_eq!(
            oklab_to_srgb([0.627_955, 0.224_863, 0.125_846]),
            [255, 0, 0]
        );
    }

    #[test]
    fn the_scale_is_the_same_in_every_picture() {
        let quiet = heatmap(&[0.0, 0.1], 2, 1);
        let loud = heatmap(&[0.1, 0.9], 2, 1);
        assert_eq!(quiet.get_pixel(1, 0), loud.get_pixel(0, 0));
        assert_eq!(colour(-3.0), colour(0.0));
        assert_eq!(colour(7.0), colour(1.0));
    }

    #[test]
    fn an_overlay_leaves_normal_parts_as_they_are() {
        let photo = [10, 20, 30, 10, 20, 30];
        let picture = overlay(&[0.0, 1.0], &photo, 2, 1);
        assert_eq!(picture.get_pixel(0, 0).0, [10, 20, 30]);
        let strong = picture.get_pixel(1, 0).0;
        let full = colour(1.0);
        for c in 0..3 {
            let expected = 0.25 * f32::from(photo[c]) + 0.75 * f32::from(full[c]);
            assert!((f32::from(strong[c]) - expected).abs() <= 0.5);
        }
    }
}
