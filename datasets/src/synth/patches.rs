//! Defects that spread: holes, stains, dirt, dents, burns, discolouration and local warps.

use super::damage::Damage;
use super::noise::{fbm, step, voronoi};
use super::region::Region;
use super::shape::turn;
use super::texel::{Rgb, Texel, grey, mix, shade};

impl Damage<'_> {
    pub(super) fn hole(&mut self) {
        let radius = 0.85 * self.radius;
        let middle = self.place(radius);
        let (stretch, rough) = (self.dice.range(1.0, 1.6), self.dice.range(0.1, 0.5));
        let region = self.patch(middle, radius, stretch, rough);
        let (soft, open, salt) = (0.3 * self.pixel, self.opening(middle), self.dice.salt());
        let rim = 0.35 * radius.min(0.08) + self.pixel;
        self.alter(&region, rim, |texel, d, p| {
            let c = step(soft, -soft, d);
            let frayed = step(rim, 0.0, d) * (1.0 - c);
            let wall = 0.35 * step(-0.4 * radius, 0.0, d);
            let inner = mix(open, shade(texel.albedo, 0.6), wall);
            let rough = 0.25 * fbm(p[0] * 45.0, p[1] * 45.0, salt, 2);
            texel.albedo = mix(shade(texel.albedo, 1.0 + frayed * (0.25 + rough)), inner, c);
            texel.height += 0.012 * frayed - 0.10 * c * step(0.0, -0.5 * radius, d) - 0.02 * c;
            texel.gloss *= 1.0 - c;
            texel.metal *= 1.0 - c;
            c.max(0.4 * frayed)
        });
    }

    pub(super) fn stain(&mut self) {
        let middle = self.place(0.7 * self.radius);
        let light = self.brightness(middle) > 0.34;
        let liquids: &[Rgb] = if light {
            &[
                [0.35, 0.20, 0.08],
                [0.16, 0.13, 0.10],
                [0.50, 0.24, 0.08],
                [0.12, 0.16, 0.42],
                [0.45, 0.10, 0.12],
            ]
        } else {
            &[[0.82, 0.82, 0.78], [0.75, 0.50, 0.25], [0.62, 0.66, 0.60]]
        };
        let (liquid, salt) = (*self.dice.pick(liquids), self.dice.salt());
        let (stretch, rough) = (self.dice.range(1.0, 1.8), self.dice.range(0.25, 0.7));
        let mut region = self.patch(middle, self.radius, stretch, rough);
        for _ in 0..self.dice.below(3) {
            let splash =
                [self.dice.range(-1.3, 1.3), self.dice.range(-1.3, 1.3)].map(|c| c * self.radius);
            let size = self.radius * self.dice.range(0.15, 0.4);
            region.blob(
                &mut self.dice,
                [middle[0] + splash[0], middle[1] + splash[1]],
                size.max(self.pixel),
                1.0,
                0.3,
            );
        }
        let (soft, wet) = (
            0.10 * self.radius + 0.4 * self.pixel,
            self.dice.range(0.0, 0.5),
        );
        let strength = self.dice.range(0.45, 0.7) * self.strength;
        self.alter(&region, soft, |texel, d, p| {
            let c = step(soft, -soft, d);
            let ring = c * step(-3.5 * soft, -0.5 * soft, d);
            let uneven = 0.85 + 0.3 * fbm(p[0] * 5.0, p[1] * 5.0, salt, 3);
            let soaked: Rgb = std::array::from_fn(|i| liquid[i] * (0.55 + 0.45 * texel.albedo[i]));
            texel.albedo = mix(
                texel.albedo,
                soaked,
                (c * strength * uneven + 0.22 * ring).min(0.95),
            );
            texel.gloss += (wet - texel.gloss) * 0.5 * c;
            texel.metal *= 1.0 - 0.6 * c;
            c
        });
    }

    pub(super) fn dirt(&mut self) {
        let middle = self.place(0.7 * self.radius);
        let light = self.brightness(middle) > 0.36;
        let soil: Rgb = if light {
            *self
                .dice
                .pick(&[[0.22, 0.17, 0.12], [0.12, 0.11, 0.10], [0.32, 0.23, 0.13]])
        } else {
            [0.64, 0.56, 0.45]
        };
        let region = self.patch(middle, self.radius, 1.3, 0.9);
        let (salt, soft) = (self.dice.salt(), 0.15 * self.radius + 0.3 * self.pixel);
        let (fine, strength) = (0.5 / (0.12 * self.radius + self.pixel), self.strength);
        self.alter(&region, soft, |texel, d, p| {
            let c = step(soft, -soft, d);
            let grain = voronoi(p[0] * fine, p[1] * fine, salt, 1.0);
            let lump = step(0.55, 0.25, grain.near) * (0.4 + 0.6 * grain.other);
            texel.albedo = mix(
                texel.albedo,
                shade(soil, 0.8 + 0.4 * grain.id),
                (c * strength * (0.42 + 0.55 * lump)).min(0.97),
            );
            texel.height += 0.25 / fine * c * lump;
            texel.gloss *= 1.0 - 0.9 * c;
            texel.metal *= 1.0 - c;
            c
        });
    }

    pub(super) fn dent(&mut self) {
        let radius = 1.15 * self.radius;
        let middle = self.place(0.8 * radius);
        let stretch = self.dice.range(1.0, 1.7);
        let region = self.patch(middle, radius, stretch, 0.15);
        let depth = self.dice.range(0.38, 0.55) * radius.min(0.3) * self.strength;
        self.alter(&region, 0.0, |texel, d, _| {
            let c = (1.0 - (1.0 + d / radius).max(0.0).powi(2)).max(0.0);
            texel.height -= depth * c * c;
            texel.albedo = shade(texel.albedo, 1.0 - 0.12 * c);
            step(0.05, 0.25, c)
        });
    }

    pub(super) fn burn(&mut self) {
        let middle = self.place(0.7 * self.radius);
        let pale = self.brightness(middle) <= 0.25;
        let (stretch, rough) = (self.dice.range(1.0, 1.5), self.dice.range(0.3, 0.7));
        let region = self.patch(middle, self.radius, stretch, rough);
        let (r, salt, strength) = (self.radius, self.dice.salt(), self.strength.min(1.3));
        let char = if pale { grey(0.55) } else { [0.09, 0.07, 0.06] };
        self.alter(&region, 0.30 * r, |texel, d, p| {
            let flake = fbm(p[0] * 24.0, p[1] * 24.0, salt, 3);
            let core = step(0.05 * r, -0.55 * r, d + 0.2 * r * flake);
            let halo = step(0.30 * r, -0.15 * r, d);
            let singed: Rgb = std::array::from_fn(|i| {
                texel.albedo[i] * [0.72, 0.52, 0.34][i] + if pale { 0.15 } else { 0.0 }
            });
            let scorched = mix(texel.albedo, singed, (0.75 * halo * strength).min(1.0));
            texel.albedo = mix(scorched, shade(char, 1.0 + 0.5 * flake), 0.92 * core);
            texel.height += (0.012 * flake - 0.015) * core;
            texel.gloss *= 1.0 - halo;
            texel.metal *= 1.0 - 0.8 * halo;
            halo
        });
    }

    pub(super) fn discolouration(&mut self) {
        let radius = 1.1 * self.radius;
        let middle = self.place(0.7 * radius);
        let light = self.brightness(middle) > 0.32;
        let (stretch, rough) = (self.dice.range(1.0, 1.8), self.dice.range(0.2, 0.5));
        let region = self.patch(middle, radius, stretch, rough);
        let towards: Rgb = if light {
            *self.dice.pick(&[
                [1.0, 0.86, 0.52],
                [0.60, 0.60, 0.62],
                [0.80, 0.62, 0.58],
                [0.66, 0.76, 0.90],
                [0.62, 0.72, 0.55],
            ])
        } else {
            *self
                .dice
                .pick(&[[2.2, 2.1, 2.0], [2.4, 1.7, 1.1], [1.4, 1.8, 2.4]])
        };
        let (soft, strength) = (0.22 * radius + 0.3 * self.pixel, 0.9 * self.strength);
        self.alter(&region, soft, |texel, d, _| {
            let c = step(soft, -soft, d);
            texel.albedo = std::array::from_fn(|i| {
                let lifted = texel.albedo[i] + if light { 0.0 } else { 0.04 };
                (texel.albedo[i] + (lifted * towards[i] - texel.albedo[i]) * c * strength)
                    .clamp(0.0, 1.0)
            });
            c
        });
    }

    pub(super) fn warp(&mut self) {
        let radius = (1.5 * self.radius).max(3.0 * self.pixel);
        let middle = self.place(0.2 * radius);
        let (kind, sign) = (self.dice.below(3), self.dice.sign());
        let heading = self.dice.range(0.0, std::f32::consts::TAU);
        let amount = sign * self.strength;
        let mut region = Region::empty(self.intact.grid);
        region.blob(&mut self.dice, middle, radius, 1.0, 0.0);
        for (index, p, d) in region.near(0.0) {
            let q = [p[0] - middle[0], p[1] - middle[1]];
            let fall = (1.0 - (1.0 + d / radius).powi(2)).max(0.0).powi(2);
            let q = match kind {
                0 => turn(q, {
                    let a = 1.3 * amount * fall;
                    [a.cos(), a.sin()]
                }),
                1 => q.map(|c| c * (1.0 - 0.6 * amount.clamp(-1.4, 1.4) * fall)),
                _ => [
                    q[0] + 0.5 * radius * amount * fall * heading.cos(),
                    q[1] + 0.5 * radius * amount * fall * heading.sin(),
                ],
            };
            let moved = self.scene.texel([middle[0] + q[0], middle[1] + q[1]], 0);
            let texel = &mut self.field.texels[index];
            if moved.edge <= 0.0 || texel.edge <= 0.0 {
                let bulge = 0.12 * radius.min(0.3) * fall * amount;
                *texel = Texel {
                    height: moved.height + bulge,
                    ..moved
                };
                self.cover[index] = step(0.05, 0.25, fall);
            }
        }
    }
}
