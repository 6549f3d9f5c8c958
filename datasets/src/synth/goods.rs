//! Objects one swallows, eats, wears or opens: bottle mouth, capsule, tablet, blister pack, biscuit,
//! button, zipper.

use std::f32::consts::TAU;

use super::noise::{Dice, at, fbm, step, value, voronoi};
use super::shape::{bevel, lattice, length, slab};
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GOLDEN, GREEN, GREY, Look, ORANGE, PINK, RED, SILVER, Texel, WHITE,
    YELLOW, assembled, mix, shade, tint, whole,
};

pub(super) fn bottle_mouth(dice: &mut Dice) -> Look {
    let (name, glass) = tint(dice, &[BROWN, GREEN, BLUE, WHITE]);
    let glass = shade(glass, if name == WHITE.0 { 0.85 } else { 0.75 });
    let (bore, salt) = (dice.range(0.50, 0.62), dice.salt());
    let (collar, depth) = (dice.range(0.80, 0.86), dice.range(0.10, 0.35));
    let contents = mix(shade(glass, depth), BLACK.1, 0.4);
    whole(name, move |p| {
        let r = length(p);
        let edge = r - 0.95;
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let rings =
            0.05 * value(r * 26.0, 0.0, salt) + 0.05 * fbm(p[0] * 2.0, p[1] * 2.0, salt ^ 1, 2);
        if r < bore {
            // looking down the neck: rings of light on the wall, the liquid below
            let wall = step(bore - 0.16, bore, r);
            let glow = 0.5 + 0.5 * (r * 38.0).sin();
            let colour = mix(
                contents,
                glass,
                wall * (0.35 + 0.5 * glow) + 0.06 * value(p[0] * 2.0, p[1] * 2.0, salt),
            );
            return Texel::new(colour, -0.35 * (bore - r).min(0.1))
                .gloss(0.7)
                .edge(edge);
        }
        let lip = (r - bore) / (collar - bore);
        let (height, tone) = if lip < 1.0 {
            (
                0.16 * (1.0 - (2.0 * lip - 1.0).powi(2)).max(0.0).sqrt(),
                1.0 + 0.25 * (1.0 - lip),
            )
        } else {
            (bevel(edge, 0.5 * (0.95 - collar), 0.05) - 0.06, 0.72)
        };
        let groove = step(0.02, 0.0, (r - collar).abs());
        Texel::new(shade(glass, tone + rings - 0.35 * groove), height)
            .gloss(0.9)
            .edge(edge)
    })
}

pub(super) fn biscuit(dice: &mut Dice) -> Look {
    let (name, dough) = tint(dice, &[BEIGE, BEIGE, BROWN, ORANGE]);
    let dough = mix(dough, [0.76, 0.56, 0.34], 0.5);
    let (square, salt) = (dice.chance(0.4), dice.salt());
    let (waves, wave) = (dice.whole(18, 30) as f32, dice.range(0.0, 0.03));
    let (pitch, chips) = (
        dice.range(0.24, 0.34),
        if dice.chance(0.35) { 0.22 } else { 0.0 },
    );
    whole(name, move |p| {
        let (r, angle) = (length(p), p[1].atan2(p[0]));
        let ripple = wave * (angle * waves).sin() + 0.02 * fbm(p[0] * 3.0, p[1] * 3.0, salt, 2);
        let edge = if square {
            slab(p, [0.90, 0.78], 0.12)
        } else {
            r - 0.93
        } + ripple;
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let crumb = fbm(p[0] * 13.0, p[1] * 13.0, salt ^ 1, 4);
        let bake = fbm(p[0] * 1.8, p[1] * 1.8, salt ^ 2, 3);
        let hole = [lattice(p[0] / pitch).1, lattice(p[1] / pitch).1];
        let docker = if chips == 0.0 && edge < -0.13 {
            step(0.17, 0.10, length(hole))
        } else {
            0.0
        };
        let border = step(-0.16, 0.0, edge);
        let tone = 1.02 + 0.14 * crumb + 0.12 * bake - 0.28 * border - 0.5 * docker;
        let mut texel = Texel::new(
            mix(shade(dough, tone), BROWN.1, 0.25 * border),
            bevel(edge, 0.14, 0.12) + 0.016 * crumb - 0.06 * docker,
        );
        let chip = voronoi(p[0] * 3.2, p[1] * 3.2, salt ^ 3, 0.8);
        if chip.id < chips && chip.near < 0.20 + 0.16 * chip.other && edge < -0.1 {
            let size = 0.20 + 0.16 * chip.other;
            texel.albedo = shade([0.26, 0.15, 0.09], 1.0 + 0.2 * crumb);
            texel.height += 0.12 * (size - chip.near);
            texel.gloss = 0.3;
        }
        texel.edge(edge)
    })
}

pub(super) fn button(dice: &mut Dice) -> Look {
    let (name, base) = tint(
        dice,
        &[WHITE, BLACK, BROWN, RED, BLUE, GREEN, BEIGE, PINK, YELLOW],
    );
    let (holes, salt) = (*dice.pick(&[2usize, 4, 4]), dice.salt());
    let (rim, marbled) = (dice.range(0.10, 0.24), dice.range(0.0, 0.28));
    let (apart, size) = (dice.range(0.17, 0.22), dice.range(0.07, 0.095));
    whole(name, move |p| {
        let r = length(p);
        let hole = if holes == 4 {
            length([p[0].abs() - apart, p[1].abs() - apart])
        } else {
            length([p[0].abs() - apart, p[1]])
        } - size;
        let edge = (r - 0.94).max(-hole);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let swirl = fbm(
            p[0] * 2.2 + fbm(p[0] * 3.0, p[1] * 3.0, salt, 3),
            p[1] * 2.2,
            salt ^ 1,
            4,
        );
        let wall = step(0.94 - rim, 0.94 - rim + 0.06, r);
        let height =
            0.05 + 0.06 * wall + bevel(r - 0.94, 0.5 * rim, 0.04) - 0.03 * step(0.04, 0.0, hole);
        let tone = 0.95 + marbled * swirl
            - 0.2 * step(0.035, 0.0, hole)
            - 0.1 * step(0.03, 0.0, (r - 0.96 + rim).abs());
        Texel::new(shade(base, tone), height).gloss(0.6).edge(edge)
    })
}

pub(super) fn zipper(dice: &mut Dice) -> Look {
    let (name, cloth) = tint(dice, &[BLACK, BLUE, RED, GREY, GREEN, BEIGE, BROWN]);
    let (_, teeth) = tint(dice, &[SILVER, SILVER, GOLDEN, WHITE, BLACK]);
    let teeth = if (teeth[1] - cloth[1]).abs() < 0.15 {
        SILVER.1
    } else {
        teeth
    };
    let (pitch, salt, wide) = (dice.range(0.15, 0.19), dice.salt(), dice.range(0.16, 0.21));
    assembled(name, move |[x, y], without| {
        let edge = y.abs() - 0.62;
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let rib = ((y / 0.05) * TAU).sin();
        let knots = ((x / 0.05) * TAU
            + if (y / 0.05).floor() as i32 % 2 == 0 {
                0.0
            } else {
                3.1
            })
        .sin();
        let lint = 0.10 * value(x * 40.0, y * 40.0, salt);
        let seam = step(0.03, 0.0, (y.abs() - wide - 0.10).abs());
        let tone = 0.86 + 0.08 * rib + 0.08 * knots + lint - 0.2 * seam;
        let mut texel = Texel::new(
            shade(cloth, tone),
            0.03 + 0.005 * (rib + knots) - 0.01 * seam,
        );
        if y.abs() < 0.014 {
            texel = Texel::new(shade(cloth, 0.35), 0.0); // the gap between the tapes
        }
        for side in [-1.0, 1.0f32] {
            let shift = if side > 0.0 { 0.5 } else { 0.0 };
            let (i, fx) = lattice(x / pitch + shift);
            let part = 1 + (2 * (i + 40) + i32::from(side > 0.0)).clamp(0, 200) as usize;
            let q = [fx * pitch, y * side - 0.5 * wide + 0.03];
            let narrow = if q[1] < 0.0 { 0.30 } else { 0.38 };
            let tooth = slab(q, [narrow * pitch, 0.5 * wide], 0.03);
            if tooth < 0.0 && part != without {
                let dimple = step(0.05, 0.0, length([q[0], q[1] - 0.01]));
                texel = Texel::new(
                    shade(teeth, 0.94 + 0.08 * at(i, 3, salt) - 0.25 * dimple),
                    0.06 + bevel(tooth, 0.03, 0.03) - 0.02 * dimple,
                )
                .gloss(0.55)
                .metal(0.6)
                .part(part);
            }
        }
        texel.edge(edge)
    })
}
