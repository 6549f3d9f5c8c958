//! Objects of metal: gear, nut, bolt, washer, bearing.

use std::f32::consts::TAU;

use super::noise::{Dice, at, fbm, step, value};
use super::shape::{bevel, cylinder, hexagon, lattice, length, slab};
use super::texel::{
    BLACK, BLUE, GOLDEN, GREY, Look, ORANGE, Point, RED, SILVER, Texel, WHITE, assembled, bare,
    mix, shade, tint, whole,
};

/// Fine marks of machining around the middle, and a slight cloud; near 0.
fn turned(p: Point, salt: u32) -> f32 {
    0.06 * value(length(p) * 55.0, 0.5, salt) + 0.06 * fbm(p[0] * 2.5, p[1] * 2.5, salt ^ 1, 3)
}

pub(super) fn gear(dice: &mut Dice) -> Look {
    let made = tint(dice, &[SILVER, SILVER, GOLDEN, WHITE, BLACK, BLUE, RED]);
    let (name, base) = made;
    let (teeth, salt) = (dice.whole(11, 20), dice.salt());
    let (root, bore) = (dice.range(0.76, 0.81), dice.range(0.14, 0.22));
    let (web, hub) = (root - dice.range(0.10, 0.16), bore + dice.range(0.10, 0.16));
    let (spokes, sunk) = (*dice.pick(&[0, 0, 3, 4, 5, 6]), dice.range(0.02, 0.05));
    assembled(name, move |p, without| {
        let (r, angle) = (length(p), p[1].atan2(p[0]) / TAU + 0.5);
        let (tooth, place) = lattice(angle * teeth as f32);
        let part = 1 + tooth.rem_euclid(teeth as i32) as usize;
        let tip = 0.96 - 0.03 * (place * 4.0).powi(2);
        let flank = step(0.36, 0.16, place.abs());
        let (mut outline, mut torn) = (root + (tip - root) * flank, false);
        if part == without {
            outline = root + 0.012 + 0.03 * fbm(p[0] * 14.0, p[1] * 14.0, salt ^ 9, 2);
            torn = r > root - 0.02;
        }
        let key = slab([p[0] - bore, p[1]], [0.06, 0.045], 0.0);
        let mut edge = (r - outline).max(bore - r).max(-key);
        let mut height = 0.09;
        let ring = (web - r).min(r - hub); // positive in the web
        height -= sunk * step(0.0, 0.03, ring);
        if spokes > 0 {
            let q = lattice(angle * spokes as f32).1 * TAU / spokes as f32 * r;
            let middle = 0.5 * (web + hub);
            edge = edge.max(0.36 * (web - hub) - length([q, r - middle]));
        }
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let rim = bevel(edge, 0.035, 0.02);
        let tone = 0.88 + turned(p, salt) - 0.12 * step(0.0, 0.02, ring);
        let tone = if torn {
            0.62 + 0.3 * value(p[0] * 40.0, p[1] * 40.0, salt)
        } else {
            tone
        };
        Texel::new(shade(base, tone), height + rim)
            .gloss(if torn { 0.1 } else { 0.5 })
            .metal(0.85 * bare(made))
            .edge(edge)
            .part(if r > root - 0.01 { part } else { 0 })
    })
}

pub(super) fn nut(dice: &mut Dice) -> Look {
    let made = tint(dice, &[SILVER, SILVER, GOLDEN, BLACK]);
    let (name, base) = made;
    let (bore, salt, flange) = (dice.range(0.42, 0.54), dice.salt(), dice.chance(0.3));
    let size = if flange { 0.70 } else { 0.82 };
    whole(name, move |p| {
        let (r, hex) = (length(p), hexagon(p, size));
        let body = hex.max(r - size * 1.12);
        let outline = if flange { r - 0.95 } else { body };
        let edge = outline.max(bore - 0.09 - r);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let corner = step(size * 0.98, size * 1.13, r); // the chamfer that cuts the corners
        let mut height = if body < 0.0 {
            0.20 - 0.10 * corner
        } else {
            0.07 - 0.02 * r
        };
        let mut tone = 0.92 + turned(p, salt) + 0.05 * corner;
        if r < bore {
            let angle = p[1].atan2(p[0]) / TAU;
            let thread = ((bore - r) / 0.035 + angle) * TAU; // three turns of a spiral
            height = 0.16 - 1.2 * (bore - r) + 0.008 * thread.sin();
            tone = 0.55 + 0.22 * thread.sin();
        } else if r < bore + 0.06 {
            height -= 0.8 * (bore + 0.06 - r); // countersink
        }
        Texel::new(shade(base, tone), height + bevel(edge, 0.03, 0.02))
            .gloss(0.55)
            .metal(0.9 * bare(made))
            .edge(edge)
    })
}

pub(super) fn washer(dice: &mut Dice) -> Look {
    let made = tint(dice, &[SILVER, SILVER, GOLDEN, BLACK, RED, ORANGE]);
    let (name, base) = made;
    let (bore, salt) = (dice.range(0.36, 0.60), dice.salt());
    let (round, sealed) = (dice.range(0.02, 0.07), dice.chance(0.3));
    let seal = mix(BLACK.1, base, 0.1);
    whole(name, move |p| {
        let r = length(p);
        let edge = (r - 0.94).max(bore - r);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let lip = sealed && r < bore + 0.11;
        let colour = if lip { seal } else { base };
        let stamp = 0.04 * value(p[0] * 3.0, p[1] * 30.0, salt ^ 2); // from the rolled sheet
        let groove = step(0.015, 0.0, (r - bore - 0.11).abs()) * if sealed { 1.0 } else { 0.0 };
        let tone = 0.90 + turned(p, salt) + stamp - 0.35 * groove;
        Texel::new(
            shade(colour, tone),
            0.05 + bevel(edge, round, 0.6 * round) - 0.015 * groove,
        )
        .gloss(if lip { 0.3 } else { 0.55 })
        .metal(if lip { 0.0 } else { 0.9 * bare(made) })
        .edge(edge)
    })
}

pub(super) fn bolt(dice: &mut Dice) -> Look {
    let made = tint(dice, &[SILVER, SILVER, GOLDEN, BLACK]);
    let (name, base) = made;
    let (thick, head, salt) = (dice.range(0.17, 0.24), dice.range(0.20, 0.30), dice.salt());
    let (pitch, plain) = (dice.range(0.075, 0.10), dice.range(0.0, 0.5));
    let end = dice.range(0.80, 0.97);
    whole(name, move |[x, y]| {
        let neck = head - 0.95;
        let wide = thick * 1.95;
        let threaded = step(neck + plain, neck + plain + 0.05, x) * step(end + 0.01, end - 0.05, x);
        let thread = ((x + 0.12 * y) / pitch * TAU).sin();
        let taper = 0.05 * step(end - 0.08, end, x);
        let radius = thick - taper + 0.020 * threaded * thread;
        let shank = (y.abs() - radius).max(x - end).max(neck - 0.01 - x);
        let cap = slab([x - neck + 0.5 * head, y], [0.5 * head, wide], 0.04);
        let edge = shank.min(cap);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let (height, tone) = if cap < 0.0 {
            // three faces of the hexagon are seen from the side
            let face = (y.abs() - 0.5 * wide).max(0.0);
            (
                0.36 - 1.1 * face,
                0.92 - 0.12 * step(0.0, 0.02, face) + 0.05 * value(x * 30.0, y * 4.0, salt),
            )
        } else {
            let round = cylinder(y, radius.max(0.01));
            (
                0.05 + round + 0.014 * threaded * thread,
                0.90 + 0.22 * threaded * thread.min(0.3) + 0.04 * value(x * 4.0, y * 30.0, salt),
            )
        };
        let cloud = 0.06 * fbm(x * 3.0, y * 3.0, salt ^ 1, 3);
        Texel::new(shade(base, tone + cloud), height)
            .gloss(0.55)
            .metal(0.85 * bare(made))
            .edge(edge)
    })
}

pub(super) fn bearing(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[SILVER, SILVER, GREY, GOLDEN]);
    let cage = *dice.pick(&[GOLDEN.1, GREY.1, BLACK.1, GOLDEN.1]);
    let (balls, salt, bore) = (dice.whole(7, 11), dice.salt(), dice.range(0.26, 0.34));
    let (inner, outer) = (bore + 0.17, 0.77);
    let middle = 0.5 * (inner + outer);
    let radius = (0.48 * (outer - inner)).min(0.42 * TAU * middle / balls as f32);
    assembled(name, move |p, without| {
        let (r, angle) = (length(p), p[1].atan2(p[0]) / TAU + 0.5);
        let edge = (r - 0.95).max(bore - r);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let race = (inner - r).max(r - outer); // negative between the races
        let tone = 0.90 + turned(p, salt);
        if race >= 0.0 {
            let height = 0.10 + bevel(edge.max(-race), 0.03, 0.025);
            return Texel::new(shade(base, tone), height)
                .gloss(0.6)
                .metal(0.9)
                .edge(edge);
        }
        let (i, place) = lattice(angle * balls as f32);
        let part = 1 + i.rem_euclid(balls as i32) as usize;
        let q = [place * TAU / balls as f32 * r, r - middle];
        let ball = length(q) - radius;
        if ball < 0.0 && part != without {
            let height = 0.02 + cylinder(length(q), radius) * 0.8;
            return Texel::new(shade(base, 0.98), height)
                .gloss(0.9)
                .metal(0.9)
                .edge(edge)
                .part(part);
        }
        // the cage is a ring with a pocket for each ball
        let ring = (r - middle).abs() - 0.55 * radius;
        if ring < 0.0 && (ball > 0.015 || part == without && length(q) > radius) {
            let pocket = bevel(ring.max(-ball), 0.03, 0.03);
            return Texel::new(shade(cage, 0.85 + 0.1 * at(i, 1, salt)), 0.05 + pocket)
                .gloss(0.3)
                .metal(0.3)
                .edge(edge);
        }
        Texel::new(shade(base, 0.22 + 0.2 * step(-0.03, 0.0, race)), -0.02)
            .gloss(0.1)
            .edge(edge)
            .part(if part == without { part } else { 0 })
    })
}
