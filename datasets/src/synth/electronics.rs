//! Objects that conduct: chip, cable end, battery.

use std::f32::consts::TAU;

use super::noise::{Dice, at, fbm, step, value};
use super::shape::{bevel, cylinder, lattice, length, print, slab};
use super::texel::{
    BLACK, BLUE, BROWN, GOLDEN, GREEN, GREY, Look, ORANGE, Point, RED, Rgb, SILVER, Texel, WHITE,
    YELLOW, assembled, grey, mix, shade, tint, whole,
};

pub(super) fn chip(dice: &mut Dice) -> Look {
    let (name, body) = tint(dice, &[BLACK, BLACK, GREY, BROWN]);
    let body = shade(body, if name == BLACK.0 { 1.1 } else { 0.8 });
    let (legs, salt) = (dice.whole(5, 9), dice.salt());
    let (half, lines) = ([0.86, dice.range(0.42, 0.58)], dice.whole(1, 2) as i32);
    let (reach, laser) = (dice.range(0.20, 0.28), dice.range(0.35, 0.6));
    assembled(name, move |p, without| {
        let body_edge = slab(p, half, 0.03);
        let pitch = 1.84 * half[0] / legs as f32;
        let (i, fx) = lattice(p[0] / pitch + 0.5 * legs as f32);
        let inside = (0..legs as i32).contains(&i);
        let part = if inside {
            1 + 2 * i as usize + usize::from(p[1] > 0.0)
        } else {
            0
        };
        let out = p[1].abs() - half[1];
        let wide = if out > 0.45 * reach { 0.20 } else { 0.30 };
        let leg = ((fx.abs() - wide) * pitch).max(out - reach);
        let present = inside && part != without;
        let edge = if present {
            body_edge.min(leg)
        } else {
            body_edge
        };
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        if body_edge >= 0.0 {
            let bend = step(0.0, 0.5 * reach, out);
            return Texel::new(
                shade(
                    SILVER.1,
                    0.95 + 0.05 * value(p[0] * 30.0, p[1] * 30.0, salt),
                ),
                0.10 - 0.07 * bend + bevel(leg, 0.03, 0.02),
            )
            .gloss(0.6)
            .metal(0.8)
            .edge(edge)
            .part(part);
        }
        let dot = step(
            0.075,
            0.06,
            length([p[0] + half[0] - 0.16, p[1] - half[1] + 0.16]),
        );
        let notch = step(0.10, 0.085, length([p[0] + half[0], p[1]]));
        let line = (p[1] / 0.2 + 0.5 * lines as f32).floor();
        let row = p[1] / 0.2 + 0.5 * lines as f32 - line;
        let ink = (0..lines).contains(&(line as i32))
            && print([p[0] / 0.13 + 3.0, row * 1.35 - 0.1], 7, salt ^ line as u32);
        let grain = fbm(p[0] * 25.0, p[1] * 25.0, salt ^ 1, 2);
        let colour = shade(body, 0.95 + 0.12 * grain - 0.35 * notch - 0.2 * dot);
        let colour = if ink {
            mix(colour, grey(0.8), laser)
        } else {
            colour
        };
        Texel::new(
            colour,
            0.16 + bevel(body_edge, 0.06, 0.05) - 0.03 * dot - 0.03 * notch + 0.002 * grain,
        )
        .gloss(0.25)
        .edge(edge)
    })
}

pub(super) fn cable_end(dice: &mut Dice) -> Look {
    let (name, sheath) = tint(dice, &[GREY, BLACK, WHITE, ORANGE]);
    let codes = [
        [BLUE.1, BROWN.1, YELLOW.1],
        [BLUE.1, BROWN.1, GREEN.1],
        [RED.1, BLACK.1, GREEN.1],
        [BLACK.1, GREY.1, BROWN.1],
    ];
    let code: [Rgb; 3] = *dice.pick(&codes);
    let (salt, copper) = (
        dice.salt(),
        shade([0.80, 0.50, 0.32], dice.range(0.9, 1.15)),
    );
    let (thick, strand) = (dice.range(0.10, 0.15), dice.range(0.055, 0.075));
    let filler = shade(sheath, 0.45);
    assembled(name, move |p, without| {
        let r = length(p);
        let edge = r - 0.95 + 0.012 * fbm(p[0] * 2.0, p[1] * 2.0, salt, 2);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let tone = 0.93 + 0.08 * fbm(p[0] * 9.0, p[1] * 9.0, salt ^ 1, 3);
        if r > 0.95 - thick {
            let ring = (0.95 - thick - r).max(edge);
            return Texel::new(shade(sheath, tone), 0.10 + bevel(ring, 0.04, 0.03))
                .gloss(0.3)
                .edge(edge);
        }
        let apart = 0.53 * (0.95 - thick);
        for (i, colour) in code.into_iter().enumerate() {
            let angle = TAU * (i as f32 / 3.0 + 0.08);
            let q = [p[0] - apart * angle.cos(), p[1] - apart * angle.sin()];
            let wire = length(q) - 0.455 * (0.95 - thick);
            if wire < 0.0 && without != i + 1 {
                let core = length(q) - 0.29 * (0.95 - thick);
                if core > 0.0 {
                    return Texel::new(
                        shade(colour, tone + 0.05),
                        0.10 + bevel(wire.max(-core), 0.05, 0.04),
                    )
                    .gloss(0.35)
                    .edge(edge)
                    .part(i + 1);
                }
                let (j, fy) = lattice(q[1] / (strand * 0.866));
                let (k, fx) = lattice(q[0] / strand + if j.rem_euclid(2) == 1 { 0.5 } else { 0.0 });
                let d = length([fx, fy * 0.866]);
                let end = (1.0 - (1.9 * d).powi(2)).max(0.0);
                let level = 0.45 + 0.45 * end + 0.25 * (at(k, j, salt) - 0.5);
                return Texel::new(shade(copper, level), 0.05 + 0.35 * strand * end.sqrt())
                    .gloss(0.5)
                    .metal(0.5)
                    .edge(edge)
                    .part(i + 1);
            }
        }
        let fluff = fbm(p[0] * 16.0, p[1] * 16.0, salt ^ 2, 3);
        let hollow = hollow_of(p, apart, without, 0.455 * (0.95 - thick));
        let level = 1.0 + 0.3 * fluff - 0.6 * hollow;
        Texel::new(shade(filler, level), -0.02 - 0.10 * hollow + 0.02 * fluff)
            .edge(edge)
            .part(if hollow > 0.0 { without } else { 0 })
    })
}

/// 1 deep in the place that the wire `without` has left, 0 elsewhere.
fn hollow_of(p: Point, apart: f32, without: usize, radius: f32) -> f32 {
    if without == 0 {
        return 0.0;
    }
    let angle = TAU * ((without - 1) as f32 / 3.0 + 0.08);
    let d = length([p[0] - apart * angle.cos(), p[1] - apart * angle.sin()]) - radius;
    step(0.0, -0.06, d)
}

pub(super) fn battery(dice: &mut Dice) -> Look {
    let (name, label) = tint(dice, &[BLACK, BLUE, RED, GREEN, ORANGE, GREY]);
    let (_, second) = tint(dice, &[GOLDEN, SILVER, WHITE, BLACK, YELLOW]);
    let (radius, salt) = (dice.range(0.30, 0.40), dice.salt());
    let (split, words) = (dice.range(0.2, 0.55), dice.whole(4, 6) as i32);
    let ink = if label[1] > 0.45 {
        grey(0.12)
    } else {
        grey(0.88)
    };
    whole(name, move |[x, y]| {
        let can = slab([x + 0.05, y], [0.90, radius], 0.04);
        let nub = slab([x - 0.90, y], [0.07, 0.34 * radius], 0.02);
        let edge = can.min(nub);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let steel = !(-0.88..0.78).contains(&x);
        let round = cylinder(y, if can < 0.0 { radius } else { 0.34 * radius });
        let groove = step(0.018, 0.0, (x - 0.79).abs()) + step(0.018, 0.0, (x + 0.89).abs());
        let streak = 0.04 * value(x * 3.0, y * 35.0, salt);
        if steel || can >= 0.0 {
            return Texel::new(
                shade(SILVER.1, 0.92 + streak - 0.3 * groove),
                round - 0.02 * groove,
            )
            .gloss(0.6)
            .metal(0.85)
            .edge(edge);
        }
        let wave = split + 0.03 * (y * 9.0).sin();
        let mut colour = if x > wave { second } else { label };
        if print([(x + 0.72) / 0.17, y / 0.26 + 0.5], words, salt) && x < wave - 0.05 {
            colour = mix(colour, ink, 0.85);
        }
        let plus = [x - 0.5 * (wave + 0.78), y];
        if (plus[0].abs() < 0.018 && plus[1].abs() < 0.07)
            || (plus[1].abs() < 0.018 && plus[0].abs() < 0.07)
        {
            colour = ink;
        }
        Texel::new(shade(colour, 0.97 + streak), round)
            .gloss(0.65)
            .edge(edge)
    })
}
