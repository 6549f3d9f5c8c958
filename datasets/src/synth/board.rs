//! A circuit board and what is soldered to it.

use super::noise::{Dice, at, fbm, step};
use super::shape::{bevel, lattice, length, print, slab};
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GOLDEN, GREEN, Look, ORANGE, Point, RED, Rgb, SILVER, Texel,
    assembled, grey, shade, tint,
};

/// A part soldered to a board.
struct Component {
    middle: Point,
    half: Point,
    kind: Kind,
    body: Rgb,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Chip,
    Resistor,
    Can,
}

impl Component {
    /// The component at a point of the board, and its solder pads, or nothing beside it.
    fn paint(&self, p: Point, present: bool, salt: u32) -> Option<Texel> {
        let q = [p[0] - self.middle[0], p[1] - self.middle[1]];
        let half = self.half;
        let pad = |on: bool| {
            on.then(|| {
                Texel::new(shade(SILVER.1, 0.95), 0.06)
                    .gloss(0.6)
                    .metal(0.5)
            })
        };
        match self.kind {
            Kind::Chip => {
                let body = slab(q, [half[0], 0.74 * half[1]], 0.01);
                if body < 0.0 && present {
                    let dot = step(
                        0.022,
                        0.012,
                        length([q[0] + half[0] - 0.045, q[1] + 0.74 * half[1] - 0.045]),
                    );
                    let ink = print([q[0] / 0.055 + 1.5, q[1] / 0.08 + 0.5], 3, salt);
                    let level = if ink { 0.55 } else { 0.14 + 0.2 * dot };
                    return Some(
                        Texel::new(grey(level), 0.10 + bevel(body, 0.02, 0.02)).gloss(0.25),
                    );
                }
                let (_, place) = lattice(q[0] / 0.075);
                pad(place.abs() < 0.27
                    && q[0].abs() < half[0]
                    && q[1].abs() < half[1]
                    && q[1].abs() > 0.5 * half[1])
            }
            Kind::Resistor => {
                let body = slab(q, half, 0.008);
                let end = q[0].abs() > 0.62 * half[0];
                if body < 0.0 && present && !end {
                    return Some(
                        Texel::new(self.body, 0.08 + bevel(body, 0.015, 0.015)).gloss(0.3),
                    );
                }
                pad(body < 0.012 && end)
            }
            Kind::Can => {
                let r = length(q) / half[0];
                if r < 1.0 && present {
                    let mark = q[0] > 0.45 * half[0];
                    let level = if mark {
                        grey(0.2)
                    } else {
                        shade(SILVER.1, 1.05)
                    };
                    return Some(
                        Texel::new(
                            if r > 0.86 { self.body } else { level },
                            0.16 + bevel(half[0] * (r - 1.0), 0.03, 0.03),
                        )
                        .gloss(0.6)
                        .metal(0.3),
                    );
                }
                pad(length([q[0].abs() - 0.5 * half[0], q[1]]) < 0.035)
            }
        }
    }
}

pub(super) fn circuit_board(dice: &mut Dice) -> Look {
    let (name, mask) = tint(dice, &[GREEN, GREEN, GREEN, BLUE, RED, BLACK]);
    let mask = shade(mask, 0.75);
    let (salt, half) = (dice.salt(), [0.95, dice.range(0.66, 0.86)]);
    let (columns, rows) = (4, 3);
    let mut components = Vec::new();
    for j in 0..rows {
        for i in 0..columns {
            let at =
                |n: i32, count: i32, half: f32| (n as f32 + 0.5) * 2.0 * half / count as f32 - half;
            let middle = [
                at(i, columns, half[0] - 0.1) + dice.range(-0.04, 0.04),
                at(j, rows, half[1] - 0.1) + dice.range(-0.03, 0.03),
            ];
            let kind = *dice.pick(&[Kind::Chip, Kind::Resistor, Kind::Resistor, Kind::Can]);
            let half = match kind {
                Kind::Chip => [dice.range(0.13, 0.18), dice.range(0.13, 0.19)],
                Kind::Resistor => [dice.range(0.09, 0.13), dice.range(0.045, 0.06)],
                Kind::Can => [dice.range(0.09, 0.12); 2],
            };
            let body = tint(dice, &[BLACK, BLACK, BROWN, BLUE, ORANGE, BEIGE]).1;
            components.push(Component {
                middle,
                half,
                kind,
                body,
            });
        }
    }
    assembled(name, move |p, without| {
        let screw = length([p[0].abs() - half[0] + 0.09, p[1].abs() - half[1] + 0.09]);
        let edge = slab(p, half, 0.05).max(0.045 - screw);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        if screw < 0.075 {
            return Texel::new(shade(GOLDEN.1, 1.0), 0.045)
                .gloss(0.6)
                .metal(0.6)
                .edge(edge);
        }
        let (column, row) = (
            ((p[0] / (half[0] - 0.1) + 1.0) * 0.5 * columns as f32).clamp(0.0, columns as f32 - 1.0)
                as usize,
            ((p[1] / (half[1] - 0.1) + 1.0) * 0.5 * rows as f32).clamp(0.0, rows as f32 - 1.0)
                as usize,
        );
        let index = row * columns as usize + column;
        let here = &components[index];
        if let Some(texel) = here.paint(p, without != index + 1, salt ^ index as u32) {
            return texel.edge(edge).part(index + 1);
        }
        // copper under the varnish: bundles of parallel tracks that change direction by the block
        let block = at(
            (p[0] * 2.3).floor() as i32,
            (p[1] * 2.3).floor() as i32,
            salt,
        );
        let d = if block < 0.4 {
            p[0]
        } else if block < 0.8 {
            p[1]
        } else {
            (p[0] + p[1]) * 0.707
        };
        let track = step(0.30, 0.20, lattice(d / 0.085).1.abs())
            * if at(lattice(d / 0.085).0, 5, salt) < 0.7 {
                1.0
            } else {
                0.0
            };
        let via = [lattice(p[0] / 0.21), lattice(p[1] / 0.21)];
        let ring = length([via[0].1, via[1].1]) * 0.21;
        if ring < 0.030 && at(via[0].0, via[1].0, salt ^ 7) < 0.25 {
            let level = if ring < 0.013 { grey(0.1) } else { SILVER.1 };
            return Texel::new(level, 0.05).gloss(0.5).metal(0.4).edge(edge);
        }
        let tone = 0.92 + 0.30 * track + 0.05 * fbm(p[0] * 2.0, p[1] * 2.0, salt ^ 3, 2);
        Texel::new(shade(mask, tone), 0.04 + 0.006 * track)
            .gloss(0.45)
            .edge(edge)
    })
}
