//! Surfaces that are woven, knitted, tanned or tufted.

use std::f32::consts::{PI, TAU};

use super::noise::{Dice, at, fbm, step, value, voronoi};
use super::shape::lattice;
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GREEN, GREY, Look, ORANGE, PINK, RED, Rgb, SILVER, Texel, WHITE,
    YELLOW, bare, grey, mix, shade, tint, whole,
};

/// Threads over and under each other. `over` says whether the thread along y is on top in a cell.
/// Returns (height over the gap in pitches, whether the thread along y is on top, place along the
/// thread in pitches), or nothing in a gap.
fn weave(x: f32, y: f32, width: f32, over: impl Fn(i32, i32) -> bool) -> Option<(f32, bool, f32)> {
    let ((i, fx), (j, fy)) = (lattice(x), lattice(y));
    let across = |f: f32| 1.0 - (2.0 * f / width).powi(2);
    let (p, q) = (across(fx), across(fy));
    // A thread dips where its neighbour along it lies on top of it.
    let along = |f: f32, here: bool, next: bool| match (here, next) {
        (true, true) => 1.0,
        (false, false) => -1.0,
        _ => (PI * f.abs()).cos().powi(2) * if here { 1.0 } else { -1.0 },
    };
    let (here, sx, sy) = (over(i, j), fx.signum() as i32, fy.signum() as i32);
    let warp = along(fy, here, over(i, j + sy));
    let weft = along(fx, !here, !over(i + sx, j));
    let (a, b) = (
        0.5 * p.max(0.0).sqrt() + 0.35 * warp,
        0.5 * q.max(0.0).sqrt() + 0.35 * weft,
    );
    match (p > 0.0, q > 0.0) {
        (true, true) if a >= b => Some((a, true, y)),
        (true, false) => Some((a, true, y)),
        (_, true) => Some((b, false, x)),
        _ => None,
    }
}

pub(super) fn woven_cloth(dice: &mut Dice) -> Look {
    let (name, first) = tint(dice, &[WHITE, BEIGE, GREY, RED, BLUE, GREEN]);
    let second = mix(first, *dice.pick(&[WHITE.1, BLACK.1, first, first]), 0.35);
    let (pitch, width, salt) = (dice.range(0.11, 0.17), dice.range(0.82, 0.97), dice.salt());
    whole(name, move |[u, v]| {
        let bend = |a: f32, b: f32, s| 0.12 * fbm(a * 1.3, b * 1.3, salt ^ s, 2);
        let (x, y) = (u / pitch + bend(u, v, 1), v / pitch + bend(u, v, 2));
        match weave(x, y, width, |i, j| (i + j) % 2 == 0) {
            None => Texel::new(shade(first, 0.30), -0.4 * pitch),
            Some((h, warp, t)) => {
                let thread = if warp { x } else { y }.floor() as i32;
                let tone = 0.90 + 0.16 * at(thread, i32::from(warp), salt);
                let lint = 0.09 * value(x * 5.0, y * 5.0, salt ^ 3);
                let twist = 0.05 * (t * TAU * 2.0 + (x + y) * 4.0).sin();
                let colour = if warp { first } else { second };
                Texel::new(
                    shade(colour, tone + lint + twist + 0.1 * h),
                    0.45 * pitch * h,
                )
            }
        }
    })
}

pub(super) fn denim(dice: &mut Dice) -> Look {
    let (name, dyed) = tint(dice, &[BLUE, BLUE, BLACK, GREY]);
    let (pitch, salt) = (dice.range(0.062, 0.09), dice.salt());
    let (fade, slope) = (dice.range(0.1, 0.4), if dice.chance(0.5) { 1 } else { -1 });
    let undyed = [0.78, 0.78, 0.76];
    whole(name, move |[u, v]| {
        let (x, y) = (u / pitch + 0.1 * value(u * 3.0, v * 3.0, salt), v / pitch);
        let worn = step(-0.3, 0.9, fbm(u * 1.6, v * 1.6, salt ^ 1, 3)) * fade;
        let slub = 0.16 * value(x, y * 0.12, salt ^ 2);
        match weave(x, y, 1.0, |i, j| (i + slope * j).rem_euclid(3) != 0) {
            None => Texel::new(shade(dyed, 0.4), -0.4 * pitch),
            Some((h, warp, _)) => {
                let base = if warp {
                    mix(dyed, undyed, worn + 0.1 * h)
                } else {
                    mix(undyed, dyed, 0.35)
                };
                let lint = 0.14 * value(x * 3.1, y * 3.1, salt ^ 3);
                Texel::new(shade(base, 0.93 + lint + slub), 0.35 * pitch * h)
            }
        }
    })
}

pub(super) fn leather(dice: &mut Dice) -> Look {
    let (name, dyed) = tint(dice, &[BROWN, BLACK, RED, BEIGE, GREEN]);
    let (scale, salt) = (dice.range(11.0, 18.0), dice.salt());
    let (depth, gloss) = (dice.range(0.012, 0.02), dice.range(0.25, 0.45));
    whole(name, move |[u, v]| {
        let warp = |s| 0.35 * fbm(u * scale * 0.5, v * scale * 0.5, salt ^ s, 2);
        let (x, y) = (u * scale + warp(1), v * scale + warp(2));
        let grain = voronoi(x, y, salt, 0.9);
        let crease = step(-0.1, 0.5, grain.border);
        let wrinkle = step(0.10, 0.0, fbm(u * 1.7, v * 1.7, salt ^ 5, 3).abs());
        let pores = step(0.5, 0.8, value(x * 3.0, y * 3.0, salt ^ 3));
        let tone = 0.80 + 0.24 * crease + 0.07 * grain.id - 0.10 * wrinkle
            + 0.14 * fbm(u * 2.0, v * 2.0, salt ^ 4, 3);
        let height = depth * (crease * (0.8 + 0.3 * grain.id) - 0.25 * pores - 0.6 * wrinkle);
        Texel::new(shade(dyed, tone - 0.1 * pores), height).gloss(gloss * crease)
    })
}

pub(super) fn carpet(dice: &mut Dice) -> Look {
    let (name, first) = tint(dice, &[GREY, BEIGE, RED, BLUE, GREEN, BROWN, ORANGE]);
    let second = mix(
        first,
        *dice.pick(&[BLACK.1, WHITE.1, BROWN.1]),
        dice.range(0.25, 0.6),
    );
    let (scale, share, salt) = (dice.range(10.0, 14.0), dice.range(0.2, 0.6), dice.salt());
    let rows = dice.range(0.0, 0.9);
    whole(name, move |[u, v]| {
        let (x, y) = (u * scale, v * scale * 1.15);
        let lean = 0.3 * value(x * 0.9, y * 0.9, salt ^ 1);
        let tuft = voronoi(x + lean, y - lean, salt, 1.0 - 0.6 * rows);
        let yarn = if tuft.id < share { second } else { first };
        let hair = fbm(x * 3.0, y * 3.0, salt ^ 2, 2);
        let dome = 1.0 - 1.25 * tuft.near * tuft.near;
        let wear = 0.12 * fbm(u * 1.2, v * 1.2, salt ^ 3, 2);
        let tone = 0.58 + 0.42 * dome + 0.22 * hair + 0.2 * (tuft.other - 0.5) + wear;
        Texel::new(shade(yarn, tone), (0.55 * dome + 0.25 * hair) / scale).gloss(0.0)
    })
}

pub(super) fn knit(dice: &mut Dice) -> Look {
    let (name, first) = tint(dice, &[WHITE, GREY, RED, BLUE, GREEN, YELLOW, PINK]);
    let second: Rgb = if dice.chance(0.4) {
        tint(dice, &[WHITE, BLACK, ORANGE, GREY]).1
    } else {
        first
    };
    let (width, rows, salt) = (dice.range(0.16, 0.22), dice.whole(2, 5) as i32, dice.salt());
    let high = width * dice.range(0.72, 0.9);
    whole(name, move |[u, v]| {
        let sway = 0.08 * fbm(u * 1.5, v * 1.5, salt, 2);
        let (i, fx) = lattice(u / width + sway);
        let side = fx.signum();
        let y = v / high + 0.85 * fx.abs() + sway; // the two legs of a stitch make a V
        let (j, fy) = lattice(y);
        let across = ((fx.abs() - 0.25) / 0.29).abs();
        let body =
            (1.0 - across * across).max(0.0) * (1.0 - (1.75 * fy).powi(2)).max(0.0).powf(0.6);
        let yarn = if j.rem_euclid(2 * rows) < rows {
            first
        } else {
            second
        };
        let ply = 0.10 * ((y * 3.0 + side * across * 2.0) * TAU).sin();
        let hair = 0.12 * value(u * 55.0, v * 55.0, salt ^ 1);
        let tone = 0.40 + 0.60 * body.sqrt() + ply * body + hair + 0.1 * (at(i, j, salt) - 0.5);
        Texel::new(shade(yarn, tone), 0.28 * width * body.sqrt()).gloss(0.0)
    })
}

pub(super) fn wire_mesh(dice: &mut Dice) -> Look {
    let (name, wire) = tint(dice, &[SILVER, SILVER, BLACK, GREEN, WHITE]);
    let (_, ground) = tint(dice, &[BLACK, GREY, BEIGE, WHITE]);
    let metal = bare((name, wire));
    let ground = if (ground[1] - wire[1]).abs() < 0.25 {
        shade(ground, 0.4)
    } else {
        ground
    };
    let (pitch, width, salt) = (dice.range(0.19, 0.28), dice.range(0.26, 0.36), dice.salt());
    whole(name, move |[u, v]| {
        let bend = |s| 0.05 * fbm(u * 1.2, v * 1.2, salt ^ s, 2);
        let (x, y) = (u / pitch + bend(1), v / pitch + bend(2));
        match weave(x, y, width, |i, j| (i + j) % 2 == 0) {
            None => Texel::new(
                shade(ground, 0.72 + 0.12 * fbm(u * 3.0, v * 3.0, salt, 3)),
                -0.9 * pitch,
            ),
            Some((h, _, _)) => {
                let stain = 0.08 * fbm(x * 2.0, y * 2.0, salt ^ 3, 2);
                Texel::new(shade(wire, 0.9 + stain), h * width * pitch)
                    .gloss(0.6)
                    .metal(metal)
            }
        }
    })
}

pub(super) fn corrugated_sheet(dice: &mut Dice) -> Look {
    let painted = tint(dice, &[SILVER, GREY, GREEN, BLUE, RED, WHITE]);
    let (name, base) = painted;
    let (pitch, salt) = (dice.range(0.28, 0.42), dice.salt());
    let (depth, weather) = (pitch * dice.range(0.14, 0.2), dice.range(0.05, 0.3));
    let sharp = dice.range(0.0, 0.35);
    whole(name, move |[u, v]| {
        let phase = TAU * (u / pitch + 0.02 * fbm(u, v * 2.0, salt, 2));
        let wave = phase.sin() + sharp * (phase * 3.0).sin() / 3.0;
        let streak = fbm(u * 9.0, v * 1.2, salt ^ 1, 3);
        let grain = fbm(u * 30.0, v * 30.0, salt ^ 2, 2);
        let dull = weather * step(0.0, 0.7, streak - 0.3 * wave);
        let colour = mix(shade(base, 0.95 + 0.06 * grain), grey(0.35), dull);
        Texel::new(colour, depth * wave + 0.0015 * grain)
            .gloss(0.35 - 0.3 * dull)
            .metal(0.8 * bare(painted))
    })
}
