//! Defects that take matter away at the outline: chipped edges and missing parts.

use std::collections::BTreeMap;

use super::damage::Damage;
use super::noise::{fbm, step};
use super::region::Region;
use super::texel::{Point, grey, mix, shade};

impl Damage<'_> {
    pub(super) fn chipped_edge(&mut self) {
        let rim: Vec<usize> = (0..self.intact.texels.len())
            .filter(|&i| {
                let on_rim = (-0.03..=0.0).contains(&self.intact.texels[i].edge);
                on_rim && self.intact.grid.point(i).iter().all(|c| c.abs() < 0.92)
            })
            .collect();
        if rim.is_empty() {
            return;
        }
        let middle = self.intact.grid.point(*self.dice.pick(&rim));
        let mut region = Region::empty(self.intact.grid);
        let (stretch, rough) = (self.dice.range(1.0, 1.5), self.dice.range(0.3, 0.6));
        region.blob(&mut self.dice, middle, self.radius, stretch, rough);
        self.break_off(&region);
    }

    pub(super) fn missing_part(&mut self) {
        let mut parts = BTreeMap::<u16, usize>::new();
        for texel in self
            .intact
            .texels
            .iter()
            .filter(|t| t.part > 0 && t.edge <= 0.0)
        {
            *parts.entry(texel.part).or_default() += 1;
        }
        // Slivers at the border of the image do not count.
        let smallest = self.intact.texels.len() / 3000 + 4;
        let parts: Vec<u16> = parts
            .into_iter()
            .filter(|(_, n)| *n > smallest)
            .map(|(part, _)| part)
            .collect();
        if parts.is_empty() {
            self.broken_end();
            return;
        }
        let part = *self.dice.pick(&parts);
        for index in 0..self.intact.texels.len() {
            // Only what lies near the part is drawn again; its own mark says where that is.
            if self.intact.texels[index].part == part {
                let left = self.scene.texel(self.intact.grid.point(index), part);
                if left != self.intact.texels[index] {
                    self.field.texels[index] = left;
                    self.cover[index] = 1.0;
                }
            }
        }
    }

    /// Breaks the thing across and takes the smaller piece away.
    fn broken_end(&mut self) {
        let angle = self.dice.range(0.0, std::f32::consts::TAU);
        let (cos, sin) = (angle.cos(), angle.sin());
        let along = |p: Point| p[0] * cos + p[1] * sin;
        let inside = |i: &usize| self.intact.texels[*i].edge <= 0.0;
        let grid = self.intact.grid;
        let far = (0..self.intact.texels.len())
            .filter(inside)
            .map(|i| along(grid.point(i)))
            .fold(f32::MIN, f32::max);
        let depth = (1.5 * self.radius).clamp(3.0 * self.pixel, 0.42);
        let (salt, jag) = (self.dice.salt(), 0.35 * depth);
        let mut region = Region::empty(grid);
        region.add_field(|p| {
            let across = p[1] * cos - p[0] * sin;
            far - depth + jag * fbm(across * 4.0, along(p), salt, 4) - along(p)
        });
        self.break_off(&region);
    }

    /// Takes the region away: the background shows, and the broken face at its border.
    fn break_off(&mut self, region: &Region) {
        let face = (0.35 * self.radius).min(0.05) + self.pixel;
        let salt = self.dice.salt();
        for (index, p, d) in region.near(face) {
            let texel = &mut self.field.texels[index];
            if texel.edge > 0.0 {
                continue;
            }
            let rough = fbm(p[0] * 30.0, p[1] * 30.0, salt, 3);
            if d + 0.3 * face * rough < 0.0 {
                *texel = self.scene.behind(p);
                self.cover[index] = 1.0;
                continue;
            }
            let raw = step(face, 0.3 * face, d + 0.4 * face * rough);
            texel.albedo = mix(
                texel.albedo,
                shade(mix(texel.albedo, grey(0.6), 0.35), 0.85 + 0.4 * rough),
                raw,
            );
            texel.height -= raw * (0.6 * (face - d).max(0.0) + 0.01 * rough);
            texel.gloss *= 1.0 - raw;
            texel.metal *= 1.0 - 0.6 * raw;
            self.cover[index] = self.cover[index].max(raw);
        }
    }
}
