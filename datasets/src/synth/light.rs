//! From matter to a photograph: light and shadow, the lens, the sensor.

use super::noise::{Dice, at};
use super::scene::{Field, Grid, OVERSAMPLING};
use super::texel::{Rgb, Texel};

/// Steeper slopes than this look alike; it also tames the walls of holes.
const STEEPEST: f32 = 2.5;

/// The lamp, the lens and the sensor of one photograph.
pub(super) struct Camera {
    /// Towards the lamp, unit length; z towards the viewer.
    lamp: [f32; 3],
    colour: Rgb,
    ambient: f32,
    /// Fall-off of the lamp's light across the image, and towards the corners.
    slant: [f32; 2],
    vignette: f32,
    /// Where the bright and dark surroundings lie that metal mirrors.
    surroundings: [f32; 3],
    exposure: f32,
    /// Width of the blur in pixels, sigma.
    blur: f32,
    /// Of the sensor, as a share of full scale.
    noise: f32,
    salt: u32,
}

impl Camera {
    pub(super) fn new(category: &str, seed: u64) -> Camera {
        let mut dice = Dice::new("camera", category, seed);
        let (azimuth, rise) = (
            dice.range(0.0, std::f32::consts::TAU),
            dice.range(0.6, 1.15),
        );
        let warmth = dice.range(-0.05, 0.05);
        Camera {
            lamp: [
                rise.cos() * azimuth.cos(),
                rise.cos() * azimuth.sin(),
                rise.sin(),
            ],
            colour: [1.0 + warmth, 1.0, 1.0 - warmth],
            ambient: dice.range(0.30, 0.50),
            slant: [dice.range(-0.15, 0.15), dice.range(-0.15, 0.15)],
            vignette: dice.range(0.0, 0.14),
            surroundings: [
                dice.range(2.0, 4.5),
                dice.range(-4.5, 4.5),
                dice.range(0.0, 6.2),
            ],
            exposure: dice.range(0.82, 1.12),
            blur: dice.range(0.30, 0.65),
            noise: dice.range(0.004, 0.014),
            salt: dice.salt(),
        }
    }

    /// Whether the photograph is a dark one.
    pub(super) fn is_dim(&self) -> bool {
        self.exposure < 0.90
    }

    /// Takes the photograph: RGB, 8 bit, row by row.
    pub(super) fn expose(&self, field: &Field) -> Vec<u8> {
        let size = field.grid.side / OVERSAMPLING;
        let mut image = vec![[0.0f32; 3]; size * size];
        let heights: Vec<f32> = field.texels.iter().map(|t| t.height).collect();
        let around = boxed(&heights, field.grid.side, field.grid.side / 40 + 1);
        let shadow = self.shadow(field);
        let share = 1.0 / (OVERSAMPLING * OVERSAMPLING) as f32;
        for (index, texel) in field.texels.iter().enumerate() {
            let (i, j) = (index % field.grid.side, index / field.grid.side);
            let sunk = ((around[index] - texel.height) * 6.0).clamp(-0.25, 0.6);
            let light = self.shade(
                texel,
                slope(field, i, j),
                1.0 - sunk,
                shadow.get(index).copied().unwrap_or(0.0),
            );
            let fall = self.fall(field.grid.point(index));
            let pixel = &mut image[(j / OVERSAMPLING) * size + i / OVERSAMPLING];
            for (sum, x) in pixel.iter_mut().zip(light) {
                *sum += x * fall * share;
            }
        }
        self.develop(&blurred(&image, size, self.blur))
    }

    /// The shadow of an object on what lies behind it: 0 none to 1. Empty for a surface.
    fn shadow(&self, field: &Field) -> Vec<f32> {
        let Grid { side } = field.grid;
        if field.texels.iter().all(|t| t.edge <= 0.0) {
            return Vec::new();
        }
        // The object, moved away from the lamp and blurred by the size of the lamp.
        let reach = 0.05 * side as f32 / 2.0;
        let (dx, dy) = (
            (self.lamp[0] * reach) as isize,
            (self.lamp[1] * reach) as isize,
        );
        let moved = |n: usize, d: isize| n.saturating_add_signed(d).min(side - 1);
        let cover: Vec<f32> = (0..side * side)
            .map(|i| {
                let from = moved(i / side, dy) * side + moved(i % side, dx);
                if field.texels[from].edge <= 0.0 {
                    1.0
                } else {
                    0.0
                }
            })
            .collect();
        boxed(&boxed(&cover, side, side / 50 + 1), side, side / 50 + 1)
    }

    /// Light that leaves a point towards the viewer, linear.
    fn shade(&self, texel: &Texel, [gx, gy]: [f32; 2], open: f32, shadow: f32) -> Rgb {
        let inverse = 1.0 / (1.0 + gx * gx + gy * gy).sqrt();
        let normal = [-gx * inverse, -gy * inverse, inverse];
        let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let lit = if texel.edge > 0.0 {
            1.0 - 0.55 * shadow
        } else {
            1.0
        };
        let diffuse = dot(normal, self.lamp).max(0.0) * lit * open.min(1.1);
        let ambient = self.ambient * open * (0.6 + 0.4 * lit) * (0.7 + 0.3 * inverse);
        // Blinn-Phong: the highlight narrows as the gloss grows.
        let half = [self.lamp[0], self.lamp[1], self.lamp[2] + 1.0];
        let cosine = dot(normal, half).max(0.0) / dot(half, half).sqrt();
        let sharpness = 6.0 + 110.0 * texel.gloss * texel.gloss;
        let highlight =
            0.55 * texel.gloss * texel.gloss * (sharpness * (cosine - 1.0) * 1.15).exp() * lit;
        let [a, b, c] = self.surroundings;
        let mirrored = 0.62 + 0.38 * (a * normal[0] * 2.0 + b * normal[1] + c).sin();
        std::array::from_fn(|i| {
            let albedo = texel.albedo[i] * texel.albedo[i];
            let matt = albedo * (ambient + 0.85 * diffuse);
            let mirror =
                albedo * (0.35 * ambient + 0.85 * mirrored * open.clamp(0.2, 1.1) + 0.15 * diffuse);
            let body = matt + (mirror - matt) * texel.metal * 0.75;
            let glint = highlight * (1.0 - texel.metal + texel.metal * texel.albedo[i]);
            (body + glint) * self.colour[i] * self.exposure
        })
    }

    fn fall(&self, [x, y]: [f32; 2]) -> f32 {
        1.0 + self.slant[0] * x + self.slant[1] * y - self.vignette * (x * x + y * y)
    }

    /// Gamma 2, a soft shoulder, the sensor's noise, 8 bit.
    fn develop(&self, image: &[Rgb]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(3 * image.len());
        for (index, pixel) in image.iter().enumerate() {
            let chance = |n: i32| at(index as i32, n, self.salt) - 0.5;
            let common = chance(0) + chance(1) + chance(2); // nearly normal, sigma 0.5
            for (c, &x) in pixel.iter().enumerate() {
                let own = chance(3 + c as i32) + chance(6 + c as i32);
                let level = x.max(0.0).sqrt();
                let soft = if level > 0.8 {
                    0.8 + 0.2 * (1.0 - (-(level - 0.8) / 0.2).exp())
                } else {
                    level
                };
                let value = soft + self.noise * (1.4 * common + 1.2 * own);
                bytes.push((value * 255.0 + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
        bytes
    }
}

/// The slope of the heights at a sample, never taken across an outline.
fn slope(field: &Field, i: usize, j: usize) -> [f32; 2] {
    let side = field.grid.side;
    let here = &field.texels[j * side + i];
    let height = |i: usize, j: usize| {
        let there = &field.texels[j * side + i];
        if (there.edge > 0.0) == (here.edge > 0.0) {
            there.height
        } else {
            here.height
        }
    };
    let per_step = side as f32 / 4.0; // two samples apart, each 2 / side wide
    let last = side - 1;
    let dx = height((i + 1).min(last), j) - height(i.saturating_sub(1), j);
    let dy = height(i, (j + 1).min(last)) - height(i, j.saturating_sub(1));
    [dx, dy].map(|d| (d * per_step).clamp(-STEEPEST, STEEPEST))
}

/// The mean over a square of `2·radius + 1` a side; the border is continued.
fn boxed(values: &[f32], side: usize, radius: usize) -> Vec<f32> {
    let along = |values: &[f32]| {
        // of each row; written transposed, so that two calls do both directions
        let mut out = vec![0.0; side * side];
        let share = 1.0 / (2 * radius + 1) as f32;
        for (j, row) in values.chunks_exact(side).enumerate() {
            let get = |i: isize| row[i.clamp(0, side as isize - 1) as usize];
            let mut sum: f32 = (-(radius as isize)..=radius as isize).map(get).sum();
            for i in 0..side {
                out[i * side + j] = sum * share;
                let i = i as isize;
                sum += get(i + radius as isize + 1) - get(i - radius as isize);
            }
        }
        out
    };
    along(&along(values))
}

/// A Gaussian blur over five pixels a side, of `sigma` pixels.
fn blurred(image: &[Rgb], size: usize, sigma: f32) -> Vec<Rgb> {
    let weight = |d: f32| (-0.5 * d * d / (sigma * sigma)).exp();
    let (one, two) = (weight(1.0), weight(2.0));
    let total = 1.0 + 2.0 * (one + two);
    let kernel = [two, one, 1.0, one, two].map(|w| w / total);
    let along = |image: &[Rgb]| {
        let mut out = vec![[0.0; 3]; size * size];
        for (j, row) in image.chunks_exact(size).enumerate() {
            for i in 0..size {
                let pixel = &mut out[i * size + j];
                for (k, w) in kernel.iter().enumerate() {
                    let from = &row[(i + k).saturating_sub(2).min(size - 1)];
                    for (sum, x) in pixel.iter_mut().zip(from) {
                        *sum += w * x;
                    }
                }
            }
        }
        out
    };
    along(&along(image))
}
