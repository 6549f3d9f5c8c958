//! Surfaces of which no two are of one design: wallpaper, paving, foam, rattan, felt, granite, embossed
//! sheet, awning.

use std::f32::consts::TAU;

use super::noise::{Dice, at, fbm, step, value, voronoi};
use super::shape::{lattice, length, turn};
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GOLDEN, GREEN, GREY, Look, ORANGE, PINK, Point, RED, Rgb, SILVER,
    Texel, Tint, WHITE, YELLOW, bare, mix, shade, tint, whole,
};

/// Dyes of any colour.
const DYES: [Tint; 11] = [
    WHITE, GREY, BLACK, RED, ORANGE, YELLOW, GREEN, BLUE, PINK, BROWN, BEIGE,
];

/// Places bent a little, as nothing laid by hand is straight.
fn bent(p: Point, much: f32, salt: u32) -> Point {
    [
        p[0] + much * fbm(p[0] * 1.5, p[1] * 1.5, salt, 2),
        p[1] + much * fbm(p[0] * 1.5, p[1] * 1.5, salt ^ 8, 2),
    ]
}

pub(super) fn wallpaper(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &DYES);
    let inks = [tint(dice, &DYES).1, tint(dice, &DYES).1];
    let (salt, motif) = (dice.salt(), dice.whole(0, 4));
    let pitch = [dice.range(0.25, 0.7), dice.range(0.25, 0.7)];
    let (stagger, size) = (dice.chance(0.5), dice.range(0.18, 0.42));
    let (gloss, relief) = (dice.range(0.03, 0.4), dice.range(0.0, 0.012));
    whole(name, move |p| {
        let (j, fy) = lattice(p[1] / pitch[1]);
        let shift = if stagger && j.rem_euclid(2) == 1 {
            0.5
        } else {
            0.0
        };
        let (i, fx) = lattice(p[0] / pitch[0] + shift);
        let r = length([fx, fy]);
        let distance = match motif {
            0 => r - size,
            1 => (r - size).abs() - 0.08,
            2 => fx.abs() + fy.abs() - size,
            3 => fx.abs().min(fy.abs()).max(r - size) - 0.06,
            _ => r - size * (0.7 + 0.3 * (fy.atan2(fx) * 5.0).cos()),
        };
        let within = step(0.03, -0.03, distance);
        let ink = inks[(i + j).rem_euclid(2) as usize];
        let paper = 0.04 * fbm(p[0] * 20.0, p[1] * 20.0, salt, 3);
        Texel::new(
            shade(mix(base, ink, within), 0.95 + paper),
            relief * within + 0.05 * paper * relief,
        )
        .gloss(gloss)
    })
}

pub(super) fn paving(dice: &mut Dice) -> Look {
    let (name, stone) = tint(dice, &[GREY, GREY, BEIGE, BROWN, RED, WHITE, BLACK, ORANGE]);
    let (salt, jitter) = (dice.salt(), dice.range(0.0, 0.9));
    let (scale, stretch) = (dice.range(2.2, 5.0), dice.range(0.6, 1.5));
    let (joint, uneven) = (dice.range(0.04, 0.12), dice.range(0.03, 0.25));
    let mortar = shade(tint(dice, &[GREY, BEIGE, BLACK]).1, dice.range(0.5, 1.0));
    let (dome, gloss) = (dice.range(0.01, 0.06), dice.range(0.03, 0.4));
    whole(name, move |p| {
        let p = bent(p, 0.03, salt);
        let (x, y) = (p[0] * scale, p[1] * scale * stretch);
        let row = y.floor() as i32;
        let x = if row.rem_euclid(2) == 0 { x } else { x + 0.5 };
        let cell = voronoi(x, y, salt ^ 1, jitter);
        let stone_here = step(0.5 * joint, joint, cell.border);
        let grain = fbm(p[0] * 22.0, p[1] * 22.0, salt ^ 2, 3);
        let tone = 0.95 + uneven * (cell.id - 0.5) + 0.09 * grain;
        Texel::new(
            mix(
                shade(mortar, 1.0 + 0.12 * grain),
                shade(stone, tone),
                stone_here,
            ),
            dome * stone_here * (1.0 - 0.5 * cell.near) + 0.003 * grain,
        )
        .gloss(gloss * stone_here)
    })
}

pub(super) fn foam(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &DYES);
    let (salt, scale) = (dice.salt(), dice.range(4.0, 11.0));
    let (open, deep) = (dice.range(0.3, 0.9), dice.range(0.02, 0.07));
    let (stretch, fine) = (dice.range(0.6, 1.0), dice.range(1.8, 3.2));
    whole(name, move |p| {
        let pores = |scale: f32, salt: u32| {
            let cell = voronoi(p[0] * scale, p[1] * scale * stretch, salt, 1.0);
            let size = 0.25 + 0.35 * cell.other;
            if cell.id < open {
                step(size, 0.5 * size, cell.near)
            } else {
                0.0
            }
        };
        let (large, small) = (pores(scale, salt), pores(scale * fine, salt ^ 1));
        let pore = large.max(0.6 * small);
        let cloud = 0.06 * fbm(p[0] * 2.0, p[1] * 2.0, salt ^ 2, 3);
        Texel::new(shade(base, 1.0 - 0.45 * pore + cloud), -deep * pore)
    })
}

pub(super) fn rattan(dice: &mut Dice) -> Look {
    let (name, first) = tint(dice, &[BEIGE, BROWN, BLACK, WHITE, GREY, ORANGE, GREEN]);
    let (_, second) = tint(dice, &[BEIGE, BROWN, BLACK, WHITE, GREY, RED, BLUE]);
    let (salt, pitch) = (dice.salt(), dice.range(0.14, 0.34));
    let (over, gap) = (dice.whole(1, 3) as i32, dice.range(0.38, 0.49));
    let (strands, round) = (dice.whole(1, 4) as f32, dice.range(0.03, 0.08));
    whole(name, move |p| {
        let p = bent(p, 0.02, salt);
        let (i, fx) = lattice(p[0] / pitch);
        let (j, fy) = lattice(p[1] / pitch);
        let lengthwise = (i + j).div_euclid(over).rem_euclid(2) == 0;
        let (across, along, line, colour) = if lengthwise {
            (fy, p[0], j, first)
        } else {
            (fx, p[1], i + 50, second)
        };
        let other = if lengthwise { fx } else { fy };
        let band = (1.0 - (across / gap).powi(2)).max(0.0).sqrt();
        let arch = (0.5 - other.abs()).clamp(0.0, 0.3);
        let ridge = 0.5 + 0.5 * (across * strands * TAU).cos();
        let tone = 0.82
            + 0.18 * band
            + 0.06 * ridge
            + 0.12 * (at(line, 1, salt) - 0.5)
            + 0.07 * value(along * 9.0, across * 9.0 + line as f32 * 3.0, salt ^ 1);
        let inside = step(gap, gap - 0.06, across.abs());
        Texel::new(
            mix(shade(second, 0.3), shade(colour, tone), inside),
            round * band * (0.5 + arch) + 0.006 * ridge,
        )
        .gloss(0.15)
    })
}

pub(super) fn felt(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &DYES);
    let (salt, second) = (dice.salt(), tint(dice, &DYES).1);
    let (melange, long) = (dice.range(0.0, 0.35), dice.range(3.0, 8.0));
    let (fine, deep) = (dice.range(18.0, 34.0), dice.range(0.08, 0.22));
    whole(name, move |p| {
        let hairs = |angle: f32, salt: u32| {
            let q = turn(p, [angle.cos(), angle.sin()]);
            value(q[0] * long, q[1] * fine, salt)
        };
        let all = [0.3, 1.3, 2.2].map(|angle| hairs(angle, salt ^ (10.0 * angle) as u32));
        let most = all.into_iter().fold(-1.0, f32::max);
        let cloud = fbm(p[0] * 1.6, p[1] * 1.6, salt ^ 3, 3);
        let colour = mix(base, second, melange * step(0.2, 0.9, all[0]));
        Texel::new(
            shade(colour, 0.86 + deep * most + 0.08 * cloud),
            0.012 * most,
        )
    })
}

pub(super) fn granite(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[GREY, WHITE, PINK, BLACK, BROWN, BEIGE, GREEN, BLUE]);
    let grains: [Rgb; 3] = [
        tint(dice, &[BLACK, GREY, BROWN]).1,
        tint(dice, &[WHITE, BEIGE, PINK]).1,
        tint(dice, &DYES).1,
    ];
    let (salt, scale) = (dice.salt(), dice.range(8.0, 24.0));
    let (share, gloss) = (dice.range(0.15, 0.8), dice.range(0.05, 0.7));
    let drift = dice.range(0.0, 0.2);
    whole(name, move |p| {
        let cell = voronoi(p[0] * scale, p[1] * scale, salt, 1.0);
        let cloud = fbm(p[0] * 1.8, p[1] * 1.8, salt ^ 1, 3);
        let colour = if cell.id < share + drift * cloud {
            mix(base, grains[(cell.other * 2.99) as usize], 0.8)
        } else {
            base
        };
        let fine = fbm(p[0] * 40.0, p[1] * 40.0, salt ^ 2, 2);
        Texel::new(
            shade(colour, 0.95 + 0.06 * fine + 0.08 * cloud),
            0.002 * fine,
        )
        .gloss(gloss)
    })
}

pub(super) fn embossed_sheet(dice: &mut Dice) -> Look {
    let made = tint(
        dice,
        &[SILVER, GOLDEN, WHITE, GREY, BLACK, BROWN, BLUE, RED, GREEN],
    );
    let (name, base) = made;
    let (salt, gloss) = (dice.salt(), dice.range(0.05, 0.6));
    let waves: Vec<(Point, f32)> = (0..dice.whole(1, 3))
        .map(|_| {
            let (angle, often) = (dice.range(0.0, TAU), dice.range(6.0, 26.0));
            (
                [often * angle.cos(), often * angle.sin()],
                dice.range(0.0, TAU),
            )
        })
        .collect();
    let (sharp, deep) = (dice.range(0.5, 3.0), dice.range(0.25, 0.7));
    whole(name, move |p| {
        let wave = |(k, phase): &(Point, f32)| (k[0] * p[0] + k[1] * p[1] + phase).sin();
        let often = waves.iter().map(|(k, _)| length(*k)).fold(1.0, f32::max);
        let sum: f32 = waves.iter().map(wave).sum::<f32>() / waves.len() as f32;
        let relief = (sum * sharp).clamp(-1.0, 1.0);
        let cloud = 0.05 * fbm(p[0] * 3.0, p[1] * 3.0, salt ^ 1, 3);
        Texel::new(
            shade(base, 0.9 + 0.05 * relief + cloud),
            deep / often * relief,
        )
        .gloss(gloss)
        .metal(0.8 * bare(made))
    })
}

pub(super) fn awning(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &DYES);
    let (salt, weave) = (dice.salt(), dice.range(0.035, 0.07));
    let stripes: Vec<(f32, f32, Rgb)> = (0..dice.whole(1, 4))
        .map(|_| {
            let wide = dice.range(0.03, 0.25);
            (dice.range(0.0, 1.0), wide, tint(dice, &DYES).1)
        })
        .collect();
    let (repeat, check) = (dice.range(0.5, 1.4), dice.chance(0.35));
    let deep = dice.range(0.05, 0.15);
    whole(name, move |p| {
        let p = bent(p, 0.015, salt);
        let mut colour = base;
        for (at, wide, dye) in &stripes {
            let inside = |x: f32| {
                let x = lattice(x / repeat - at).1.abs();
                step(0.5 * wide + 0.01, 0.5 * wide - 0.01, x)
            };
            colour = mix(colour, *dye, inside(p[0]));
            if check {
                colour = mix(colour, *dye, 0.5 * inside(p[1]));
            }
        }
        let (i, fx) = lattice(p[0] / weave);
        let (j, fy) = lattice(p[1] / weave);
        let up = (i + j).rem_euclid(2) == 0;
        let thread = 1.0 - 2.0 * if up { fy * fy } else { fx * fx };
        let slub = 0.06 * value(p[0] * 3.0, p[1] * 40.0, salt ^ 1);
        Texel::new(
            shade(
                colour,
                0.92 - deep + deep * thread + slub + 0.05 * at(i, j, salt),
            ),
            0.008 * thread,
        )
    })
}
