//! Defects that are long and thin: scratches, cracks, cuts and fibres.

use super::damage::Damage;
use super::noise::step;
use super::region::{Region, path};
use super::texel::{Rgb, grey, luma, mix, shade};

impl Damage<'_> {
    pub(super) fn scratch(&mut self) {
        let middle = self.place(0.5 * self.radius);
        let dark = self.brightness(middle) > self.dice.range(0.45, 0.6);
        let target = if dark { grey(0.16) } else { grey(0.86) };
        let (count, span) = (
            1 + self.dice.below(3) * usize::from(self.radius > 0.1),
            4.5 * self.radius,
        );
        let line = path(&mut self.dice, middle, span, 0.7, 0.06);
        let mut region = Region::empty(self.intact.grid);
        for n in 0..count {
            let width = self.dice.range(0.45, 0.75) * self.pixel + 0.012 * self.radius;
            let apart = [self.dice.range(-1.0, 1.0), self.dice.range(-1.0, 1.0)]
                .map(|c| c * 0.25 * n as f32 * self.radius);
            let moved: Vec<_> = line
                .iter()
                .map(|p| [p[0] + apart[0], p[1] + apart[1]])
                .collect();
            region.stroke(&moved, 0.03, |t| {
                width * (4.0 * t * (1.0 - t)).sqrt().max(0.35)
            });
        }
        let (soft, strength) = (0.25 * self.pixel, (0.72 * self.strength).min(0.95));
        self.alter(&region, 0.02, |texel, d, _| {
            let c = step(soft, -soft, d);
            texel.albedo = mix(texel.albedo, target, strength * c);
            texel.height += -0.02 * c + 0.006 * step(0.02, 0.0, d) * (1.0 - c);
            texel.metal *= 1.0 - 0.5 * c;
            c
        });
    }

    pub(super) fn crack(&mut self) {
        let middle = self.place(0.5 * self.radius);
        let span = 4.0 * self.radius;
        let width = self.dice.range(0.5, 0.9) * self.pixel + 0.02 * self.radius;
        let line = path(&mut self.dice, middle, span, 0.8, 0.75);
        let mut region = Region::empty(self.intact.grid);
        region.stroke(&line, 0.03, |t| width * (1.0 - 0.65 * t));
        for _ in 0..self.dice.below(1 + (self.radius * 14.0) as usize).min(4) {
            let from = *self.dice.pick(&line[4..line.len() - 4]);
            let span = span * self.dice.range(0.3, 0.6);
            let branch = path(&mut self.dice, [0.0; 2], span, 0.5, 0.7);
            let start = branch[0];
            let branch: Vec<_> = branch
                .iter()
                .map(|p| [p[0] - start[0] + from[0], p[1] - start[1] + from[1]])
                .collect();
            region.stroke(&branch, 0.03, |t| 0.75 * width * (1.0 - 0.7 * t));
        }
        let soft = 0.3 * self.pixel;
        let open = self.opening(middle);
        self.alter(&region, 0.02, |texel, d, _| {
            let c = step(soft, -soft, d);
            texel.albedo = mix(texel.albedo, open, 0.88 * c);
            texel.height -= 0.05 * c;
            texel.gloss *= 1.0 - c;
            texel.metal *= 1.0 - c;
            c
        });
    }

    pub(super) fn cut(&mut self) {
        let middle = self.place(0.6 * self.radius);
        let line = path(&mut self.dice, middle, 3.6 * self.radius, 0.4, 0.05);
        let width = self.dice.range(0.08, 0.16) * self.radius + 0.55 * self.pixel;
        let mut region = Region::empty(self.intact.grid);
        let lip = 0.5 * width + 0.8 * self.pixel;
        region.stroke(&line, lip, |t| {
            width * (std::f32::consts::PI * t).sin().max(0.0).powf(0.8)
        });
        let (soft, open) = (0.3 * self.pixel, self.opening(middle));
        self.alter(&region, lip, |texel, d, _| {
            let c = step(soft, -soft, d);
            let raised = step(lip, 0.0, d) * (1.0 - c);
            texel.albedo = mix(shade(texel.albedo, 1.0 + 0.3 * raised), open, 0.94 * c);
            texel.height += 0.6 * lip * raised - 0.06 * c;
            texel.gloss *= 1.0 - c;
            texel.metal *= 1.0 - c;
            c.max(0.6 * raised)
        });
    }

    pub(super) fn fibre(&mut self) {
        let middle = self.place(0.3 * self.radius);
        let ground = self.texel_at(middle).albedo;
        let threads: [Rgb; 5] = [
            grey(0.92),
            grey(0.08),
            [0.70, 0.14, 0.14],
            [0.14, 0.24, 0.55],
            [0.88, 0.78, 0.45],
        ];
        let apart = |c: &Rgb| (luma(*c) - luma(ground)).abs();
        let seen: Vec<_> = threads.into_iter().filter(|c| apart(c) > 0.3).collect();
        let thread = *self.dice.pick(&seen);
        let width = self.dice.range(0.55, 0.75) * self.pixel + 0.02 * self.radius.min(0.3);
        let line = path(&mut self.dice, middle, 5.0 * self.radius, 5.5, 0.3);
        let mut region = Region::empty(self.intact.grid);
        region.stroke(&line, 0.02, |_| width);
        let soft = 0.25 * self.pixel;
        // A fibre may hang over the outline, so it is laid on the background too.
        for (index, _, d) in region.near(soft) {
            let (texel, c) = (&mut self.field.texels[index], step(soft, -soft, d));
            texel.albedo = mix(texel.albedo, thread, 0.95 * c);
            texel.height += c * (0.012 + (width * width - (d + width).powi(2)).max(0.0).sqrt());
            texel.gloss *= 1.0 - c;
            texel.metal *= 1.0 - c;
            self.cover[index] = self.cover[index].max(c);
        }
    }
}
