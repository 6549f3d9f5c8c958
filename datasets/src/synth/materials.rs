//! Surfaces of wood, stone, clay, cork and metal.

use std::f32::consts::{FRAC_1_SQRT_2, TAU};

use super::noise::{Dice, at, fbm, step, value, voronoi};
use super::shape::{lattice, length, stadium, turn};
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GOLDEN, GREEN, GREY, Look, ORANGE, PINK, RED, SILVER, Texel, WHITE,
    YELLOW, bare, grey, mix, shade, tint, whole,
};

pub(super) fn wood(dice: &mut Dice) -> Look {
    let (name, light) = tint(dice, &[BEIGE, BROWN, ORANGE, YELLOW]);
    let light = mix(light, [0.72, 0.55, 0.36], 0.5);
    let (rings, wave, salt) = (dice.range(7.0, 14.0), dice.range(0.6, 1.5), dice.salt());
    let knots = dice.range(0.0, 0.8);
    let (contrast, gloss) = (dice.range(0.2, 0.42), dice.range(0.05, 0.3));
    whole(name, move |[u, v]| {
        let knot = voronoi(u * 0.3, v * 0.55, salt ^ 6, 0.7);
        let present = if knot.id < knots { 1.0 } else { 0.0 };
        let near = present * (-36.0 * knot.near * knot.near).exp();
        let bend = wave * fbm(u * 0.4, v * 1.1, salt, 2) + 1.6 * near;
        let ring = v * rings * 0.6 + bend * 1.6 + 0.12 * fbm(u * 2.0, v * 9.0, salt ^ 5, 2);
        let place = ring - ring.floor();
        let late = step(0.25, 0.95, place) * (1.0 - step(0.95, 1.0, place)); // slow, then abrupt
        let pore = step(0.35, 0.75, value(u * 5.0, v * 75.0, salt ^ 1));
        let fine = fbm(u * 3.0, v * 42.0, salt ^ 2, 2);
        let dark = shade(light, 1.0 - contrast);
        let colour = mix(light, dark, 0.85 * late + 0.55 * near * near);
        let band = value(ring.floor(), 0.5, salt ^ 4); // good years and bad years
        let tone = 1.0 + 0.12 * fine - 0.14 * pore + 0.07 * band + 0.08 * fbm(u, v, salt ^ 3, 2);
        Texel::new(shade(colour, tone), 0.004 * fine - 0.006 * pore).gloss(gloss)
    })
}

pub(super) fn terrazzo(dice: &mut Dice) -> Look {
    let (name, binder) = tint(dice, &[WHITE, GREY, BEIGE, BLACK, PINK, GREEN]);
    let stones: Vec<_> = (0..4)
        .map(|_| tint(dice, &[WHITE, GREY, BLACK, BROWN, RED, ORANGE, GREEN]).1)
        .collect();
    let (scale, salt, share) = (dice.range(4.0, 6.5), dice.salt(), dice.range(0.35, 0.6));
    whole(name, move |[u, v]| {
        let mut colour = shade(binder, 0.97 + 0.05 * fbm(u * 25.0, v * 25.0, salt, 2));
        for (layer, size) in [(1, 2.7), (2, 1.0)] {
            let warp = 0.12 * value(u * scale * size * 2.0, v * scale * size * 2.0, salt ^ 9);
            let stone = voronoi(
                u * scale * size + warp,
                v * scale * size - warp,
                salt ^ layer,
                1.0,
            );
            if stone.id < share && stone.border > 0.12 + 0.3 * stone.other {
                let kind = stones[(stone.other * 4.0) as usize % 4];
                let vein = 0.12 * fbm(u * 14.0 + stone.id * 50.0, v * 14.0, salt ^ 4, 3);
                colour = shade(
                    mix(kind, binder, 0.15),
                    0.92 + vein + 0.2 * (stone.id / share - 0.5),
                );
            }
        }
        Texel::new(colour, 0.0008 * value(u * 9.0, v * 9.0, salt ^ 5)).gloss(0.45)
    })
}

pub(super) fn marble(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[WHITE, WHITE, GREEN, BLACK, PINK, GREY]);
    let vein = if base[1] > 0.5 {
        shade(base, 0.45)
    } else {
        mix(base, WHITE.1, 0.7)
    };
    let (scale, salt, along) = (dice.range(0.9, 1.5), dice.salt(), dice.range(0.4, 0.9));
    whole(name, move |[u, v]| {
        let (x, y) = (u * scale, v * scale * along);
        let (a, b) = (fbm(x, y, salt, 4), fbm(x + 5.2, y + 1.3, salt ^ 1, 4));
        let (x, y) = (x + 0.9 * a, y + 0.9 * b);
        let line = |n: f32, width: f32| (1.0 - n.abs() / width).max(0.0).powi(2);
        let strong = line(fbm(x * 1.1, y * 1.1, salt ^ 2, 3), 0.10) * step(-0.5, 0.5, b + 0.2);
        let faint = line(fbm(x * 2.9, y * 2.9, salt ^ 3, 3), 0.09);
        let cloud = 0.5 + 0.5 * fbm(x * 1.4, y * 1.4, salt ^ 4, 4);
        let colour = mix(
            base,
            vein,
            (0.8 * strong + 0.35 * faint + 0.30 * cloud).min(1.0),
        );
        Texel::new(colour, 0.0).gloss(0.6)
    })
}

pub(super) fn concrete(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[GREY, GREY, BEIGE, WHITE]);
    let base = mix(base, grey(0.55), 0.4);
    let (salt, pores, cast) = (dice.salt(), dice.range(0.05, 0.3), dice.chance(0.3));
    let board = dice.range(0.5, 0.8);
    whole(name, move |[u, v]| {
        let cloud = fbm(u * 1.5, v * 1.5, salt, 5);
        let sand = fbm(u * 28.0, v * 28.0, salt ^ 1, 2);
        let pit = voronoi(u * 7.0, v * 7.0, salt ^ 2, 1.0);
        let hole = if pit.id < pores {
            1.0 - step(0.04, 0.09 + 0.1 * pit.other, pit.near)
        } else {
            0.0
        };
        let seam = if cast {
            1.0 - step(0.0, 0.02, lattice(v / board).1.abs())
        } else {
            0.0
        };
        let tone = 0.97 + 0.16 * cloud + 0.13 * sand - 0.4 * hole - 0.12 * seam;
        Texel::new(
            shade(base, tone),
            0.006 * sand + 0.008 * cloud - 0.025 * hole + 0.008 * seam,
        )
    })
}

pub(super) fn brick(dice: &mut Dice) -> Look {
    let (name, clay) = tint(dice, &[RED, RED, ORANGE, BROWN, BEIGE, WHITE, GREY]);
    let clay = mix(clay, [0.58, 0.33, 0.25], 0.35);
    let mortar = shade(
        *dice.pick(&[GREY.1, BEIGE.1, WHITE.1]),
        dice.range(0.7, 1.0),
    );
    let (long, high) = (dice.range(0.62, 0.8), dice.range(0.25, 0.32));
    let (joint, salt, bond) = (
        dice.range(0.022, 0.035),
        dice.salt(),
        *dice.pick(&[0.5, 0.5, 0.25]),
    );
    whole(name, move |[u, v]| {
        let rough = |s| 0.012 * fbm(u * 9.0, v * 9.0, salt ^ s, 3);
        let (j, fy) = lattice((v + rough(1)) / high);
        let (i, fx) = lattice((u + rough(2)) / long + bond * j as f32);
        let inside = ((0.5 - fx.abs()) * long).min((0.5 - fy.abs()) * high) - joint;
        let face = step(-0.012, 0.012, inside);
        let sand = fbm(u * 22.0, v * 22.0, salt ^ 3, 3);
        let pit = step(0.35, 0.65, value(u * 16.0, v * 16.0, salt ^ 4));
        let tone = 0.78 + 0.36 * at(i, j, salt) + 0.16 * sand - 0.18 * pit;
        let blush = mix(clay, ORANGE.1, 0.35 * at(i, j, salt ^ 5));
        let colour = mix(shade(mortar, 0.82 + 0.16 * sand), shade(blush, tone), face);
        Texel::new(colour, 0.05 * face + 0.008 * sand - 0.01 * pit * face)
    })
}

pub(super) fn cork(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[BROWN, BEIGE, ORANGE]);
    let base = mix(base, [0.70, 0.52, 0.34], 0.6);
    let (scale, salt, dark) = (dice.range(6.0, 9.0), dice.salt(), dice.range(0.08, 0.22));
    whole(name, move |[u, v]| {
        let warp = |s| 0.4 * fbm(u * scale, v * scale, salt ^ s, 2);
        let (x, y) = (u * scale + warp(1), v * scale + warp(2));
        let grain = voronoi(x, y, salt, 1.0);
        let gap = 1.0 - step(0.0, 0.14, grain.border);
        let bark = if grain.id < dark { 0.5 } else { 1.0 };
        let fine = fbm(x * 3.0, y * 3.0, salt ^ 3, 3);
        let tone = bark * (0.86 + 0.3 * grain.other) + 0.14 * fine - 0.30 * gap;
        Texel::new(
            shade(base, tone),
            0.02 * grain.other + 0.006 * fine - 0.025 * gap,
        )
    })
}

pub(super) fn brushed_metal(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[SILVER, SILVER, GOLDEN, GREY]);
    let (salt, strength, fine) = (dice.salt(), dice.range(0.08, 0.18), dice.range(55.0, 85.0));
    whole(name, move |[u, v]| {
        let v = v + 0.01 * value(u * 0.8, v, salt);
        let streak = 0.6 * value(u * 1.3, v * fine, salt ^ 1)
            + 0.4 * value(u * 3.0, v * fine * 0.4, salt ^ 2);
        let cloud = fbm(u * 0.9, v * 1.6, salt ^ 3, 3);
        Texel::new(
            shade(base, 0.86 + strength * streak + 0.07 * cloud),
            0.0016 * streak + 0.02 * cloud,
        )
        .gloss(0.5)
        .metal(0.8)
    })
}

pub(super) fn perforated_plate(dice: &mut Dice) -> Look {
    let coat = tint(dice, &[SILVER, SILVER, GREY, WHITE, BLACK, BLUE, YELLOW]);
    let (name, base) = coat;
    let (pitch, share, salt) = (dice.range(0.24, 0.34), dice.range(0.27, 0.35), dice.salt());
    let (staggered, square) = (dice.chance(0.6), dice.chance(0.25));
    let behind = if base[1] < 0.35 {
        0.55
    } else {
        dice.range(0.05, 0.16)
    };
    whole(name, move |[u, v]| {
        let high = if staggered { 0.866 } else { 1.0 };
        let (j, fy) = lattice(v / (pitch * high));
        let shift = if staggered && j.rem_euclid(2) == 1 {
            0.5
        } else {
            0.0
        };
        let q = [lattice(u / pitch + shift).1, fy * high];
        let d = if square {
            q[0].abs().max(q[1].abs()) * 1.08
        } else {
            length(q)
        };
        let rim = (d - share) * pitch; // negative in the hole
        if rim < 0.0 {
            let wall = step(-0.035, 0.0, rim);
            let colour = mix(grey(behind), shade(base, 0.45), wall * 0.8);
            return Texel::new(colour, -0.10 * (1.0 - wall)).gloss(0.1);
        }
        let grain = fbm(u * 30.0, v * 30.0, salt, 2);
        let cloud = fbm(u * 1.2, v * 1.2, salt ^ 1, 2);
        Texel::new(
            shade(base, 0.92 + 0.05 * grain + 0.07 * cloud),
            0.006 * step(0.0, 0.02, rim) + 0.001 * grain,
        )
        .gloss(0.45)
        .metal(0.7 * bare(coat))
    })
}

pub(super) fn tread_plate(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[SILVER, SILVER, GREY, BLACK, BROWN]);
    let (pitch, salt) = (dice.range(0.26, 0.36), dice.salt());
    let (long, wide, wear) = (
        dice.range(0.26, 0.34),
        dice.range(0.10, 0.13),
        dice.range(0.0, 0.3),
    );
    whole(name, move |[u, v]| {
        let ((i, fx), (j, fy)) = (lattice(u / pitch), lattice(v / pitch));
        let lean = if (i + j).rem_euclid(2) == 0 {
            FRAC_1_SQRT_2
        } else {
            -FRAC_1_SQRT_2
        };
        let q = turn([fx, fy], [FRAC_1_SQRT_2, lean]);
        let lug = stadium(q, long, wide - 0.05 * q[0].abs() / long); // thinner towards its ends
        let top = step(0.03, -0.07, lug);
        let grain = fbm(u * 26.0, v * 26.0, salt, 3);
        let cloud = fbm(u * 1.3, v * 1.3, salt ^ 1, 3);
        let grime = wear * step(-0.1, 0.5, cloud) * (1.0 - top);
        let colour = mix(
            shade(base, 0.80 + 0.07 * grain + 0.16 * top),
            BROWN.1,
            0.5 * grime,
        );
        Texel::new(colour, 0.16 * pitch * top + 0.0012 * grain)
            .gloss(0.35 + 0.15 * top)
            .metal(0.6)
    })
}

/// Scales of a plain, slightly uneven sheet, felt or table top: what lies behind an object.
pub(super) fn background(dice: &mut Dice) -> impl Fn([f32; 2]) -> Texel + Send + Sync + use<> {
    let (_, base) = tint(dice, &[WHITE, GREY, BLACK, GREY, BEIGE, BLUE, GREEN]);
    let base = mix(base, grey(dice.range(0.12, 0.88)), 0.6);
    let (salt, fine) = (dice.salt(), dice.range(8.0, 40.0));
    let (cloudy, rough, lines) = (
        dice.range(0.0, 0.10),
        dice.range(0.0, 0.07),
        dice.chance(0.2),
    );
    move |[x, y]| {
        let cloud = fbm(x * 0.9, y * 0.9, salt, 3);
        let grain = fbm(x * fine, y * fine, salt ^ 1, 2);
        let ribs = if lines {
            0.03 * (x * TAU * 6.0).sin()
        } else {
            0.0
        };
        Texel::new(
            shade(base, 0.97 + cloudy * cloud + rough * grain + ribs),
            0.003 * rough * grain,
        )
    }
}
