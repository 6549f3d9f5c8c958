//! Objects of which no two are of one design: bracket, knob, connector, nameplate, glazed tile, sweet,
//! grille, pebble. What is whole about a thing that nobody has seen is what they teach.

use std::f32::consts::TAU;

use super::noise::{Dice, at, fbm, step, value, voronoi};
use super::shape::{bevel, hexagon, lattice, length, print, slab, turn};
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GOLDEN, GREEN, GREY, Look, ORANGE, PINK, Point, RED, Rgb, SILVER,
    Texel, Tint, WHITE, YELLOW, assembled, bare, mix, shade, tint, whole,
};

/// Paints and plastics of any colour.
const PAINTS: [Tint; 11] = [
    WHITE, GREY, BLACK, RED, ORANGE, YELLOW, GREEN, BLUE, PINK, BROWN, BEIGE,
];
/// Metals, bare or painted.
const METALS: [Tint; 9] = [
    SILVER, SILVER, SILVER, GOLDEN, GREY, BLACK, BLUE, GREEN, ORANGE,
];

/// How even a colour is: clean, brushed, cloudy, grainy or speckled; near 0.
fn finish(dice: &mut Dice) -> impl Fn(Point) -> f32 + Send + Sync + use<> {
    let (way, salt) = (dice.whole(0, 4), dice.salt());
    let (size, depth) = (dice.range(0.7, 1.6), dice.range(0.03, 0.10));
    move |[x, y]| {
        let (x, y) = (x * size, y * size);
        depth
            * match way {
                0 => 0.3 * value(x * 30.0, y * 30.0, salt),
                1 => value(x * 3.0, y * 45.0, salt),
                2 => 1.4 * fbm(x * 2.5, y * 2.5, salt, 3),
                3 => fbm(x * 18.0, y * 18.0, salt, 3),
                _ => {
                    let speck = voronoi(x * 14.0, y * 14.0, salt, 1.0);
                    2.0 * (speck.other - 0.5) * step(0.4, 0.2, speck.near)
                }
            }
    }
}

/// A colour that stands out from another.
fn contrast(dice: &mut Dice, from: Rgb) -> Rgb {
    let (_, other) = tint(dice, &PAINTS);
    let near = (0..3).all(|i| (other[i] - from[i]).abs() < 0.2);
    let light = if from[1] > 0.5 { 0.35 } else { 1.9 };
    if near { shade(other, light) } else { other }
}

pub(super) fn bracket(dice: &mut Dice) -> Look {
    let made = tint(dice, &METALS);
    let (name, base) = made;
    let (finish, thick) = (finish(dice), dice.range(0.02, 0.06));
    let main = [0.92, dice.range(0.20, 0.42)];
    let rounds = [dice.range(0.02, 0.20), dice.range(0.02, 0.14)];
    let (arm, side) = (
        [dice.range(0.16, 0.34), dice.range(0.5, 0.88)],
        dice.range(-0.6, 0.6),
    );
    let up = *dice.pick(&[0.0, 0.45, -0.45]);
    let fold = dice.chance(0.5).then(|| dice.range(-0.5, 0.5));
    let holes: Vec<(Point, f32, f32)> = (0..dice.whole(2, 6))
        .map(|_| {
            let middle = [dice.range(-0.75, 0.75), dice.range(-0.6, 0.6)];
            let long = if dice.chance(0.3) { 0.12 } else { 0.0 };
            (middle, long, dice.range(0.05, 0.11))
        })
        .collect();
    whole(name, move |p| {
        let beam = slab(p, main, rounds[0]);
        let arm = slab([p[0] - side, p[1] - up], arm, rounds[1]);
        let mut edge = beam.min(arm);
        for (middle, long, radius) in &holes {
            let (x, y) = (p[0] - middle[0], p[1] - middle[1]);
            edge = edge.max(radius - length([(x.abs() - long).max(0.0), y]));
        }
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let bent = fold.map_or(0.0, |at| step(0.03, 0.0, (p[0] - at).abs()));
        let raised = fold.map_or(0.0, |at| 0.10 * step(-0.02, 0.02, p[0] - at));
        let height = 0.08 + raised + bevel(edge, 0.03, 0.6 * thick) - 0.012 * bent;
        Texel::new(shade(base, 0.92 + finish(p) - 0.1 * bent), height)
            .gloss(0.5)
            .metal(0.85 * bare(made))
            .edge(edge)
    })
}

pub(super) fn knob(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &PAINTS);
    let (finish, gloss) = (finish(dice), dice.range(0.1, 0.8));
    let (lobes, deep) = (dice.whole(5, 24) as f32, dice.range(0.0, 0.09));
    let (_, second) = tint(dice, &PAINTS);
    let rings: Vec<(f32, f32, Rgb)> = (0..dice.whole(1, 4))
        .map(|i| {
            let colour = if dice.chance(0.4) { second } else { base };
            let tone = dice.range(0.8, 1.1);
            let outer = 0.78 - 0.17 * i as f32 - dice.range(0.0, 0.08);
            (outer, dice.range(-0.06, 0.10), shade(colour, tone))
        })
        .collect();
    let pointer = dice.chance(0.5).then(|| contrast(dice, base));
    let ticks = if dice.chance(0.4) {
        dice.whole(8, 24)
    } else {
        0
    };
    whole(name, move |p| {
        let (r, angle) = (length(p), p[1].atan2(p[0]));
        let edge = r - 0.94 + deep * (0.5 + 0.5 * (angle * lobes).cos());
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let (mut colour, mut height, mut groove) = (base, 0.06, 0.0f32);
        for (outer, rise, ring) in &rings {
            let within = step(0.02, -0.02, r - outer);
            colour = mix(colour, *ring, within);
            height += rise * step(0.03, -0.03, r - outer);
            groove = groove.max(step(0.02, 0.0, (r - outer).abs()));
        }
        let round = angle / TAU + 0.5;
        if ticks > 0 && (0.80..0.88).contains(&r) {
            let place = lattice(round * ticks as f32).1.abs();
            colour = mix(colour, shade(colour, 0.4), step(0.12, 0.06, place));
        }
        if let Some(ink) = pointer
            && p[1].abs() < 0.035
            && (0.25..0.85).contains(&p[0])
        {
            colour = ink;
        }
        Texel::new(
            shade(colour, 0.95 + finish(p) - 0.2 * groove),
            height + bevel(edge, 0.05, 0.04) - 0.01 * groove,
        )
        .gloss(gloss)
        .edge(edge)
    })
}

pub(super) fn connector(dice: &mut Dice) -> Look {
    let (name, body) = tint(dice, &PAINTS);
    let (finish, salt) = (finish(dice), dice.salt());
    let (columns, rows) = (dice.whole(3, 9), dice.whole(1, 4));
    let half = [0.93, (0.93 * rows as f32 / columns as f32).clamp(0.3, 0.85)];
    let pitch = [1.7 * half[0] / columns as f32, 1.6 * half[1] / rows as f32];
    let size = 0.34 * pitch[0].min(pitch[1]);
    let (round, pins) = (*dice.pick(&[0.15, 0.5, 1.0]), dice.chance(0.5));
    let (_, metal) = tint(dice, &[SILVER, GOLDEN, GOLDEN]);
    let (corner, key) = (dice.range(0.02, 0.12), dice.range(-0.5, 0.5));
    assembled(name, move |p, without| {
        let notch = slab([p[0] - key, p[1] + half[1]], [0.07, 0.05], 0.0);
        let edge = slab(p, half, corner).max(-notch);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let tone = 0.95 + finish(p);
        let rim = bevel(edge, 0.05, 0.04);
        let (i, fx) = lattice(p[0] / pitch[0] + 0.5 * columns as f32);
        let (j, fy) = lattice(p[1] / pitch[1] + 0.5 * rows as f32);
        let inside = (0..columns as i32).contains(&i) && (0..rows as i32).contains(&j);
        let q = [fx * pitch[0], fy * pitch[1]];
        let cell = if inside {
            slab(q, [size, size], round * size)
        } else {
            1.0
        };
        if cell > 0.0 {
            let lip = step(0.03, 0.0, cell);
            return Texel::new(shade(body, tone - 0.08 * lip), 0.10 + rim)
                .gloss(0.35)
                .edge(edge);
        }
        let part = 1 + (j as usize) * columns + i as usize;
        let socket = Texel::new(shade(body, 0.35 * tone), 0.02)
            .gloss(0.1)
            .edge(edge)
            .part(part);
        let pin = slab(q, [0.5 * size, 0.5 * size], 0.5 * round * size);
        if part == without || pin > 0.0 {
            return socket;
        }
        let bright = 0.85 + 0.15 * at(i, j, salt);
        let height = if pins { 0.12 } else { 0.04 };
        Texel::new(shade(metal, bright), height + bevel(pin, 0.03, 0.03))
            .gloss(0.6)
            .metal(0.8)
            .edge(edge)
            .part(part)
    })
}

pub(super) fn nameplate(dice: &mut Dice) -> Look {
    let (name, base) = tint(
        dice,
        &[SILVER, WHITE, YELLOW, BLUE, RED, GREEN, BLACK, ORANGE],
    );
    let (finish, salt) = (finish(dice), dice.salt());
    let (ink, band) = (contrast(dice, base), contrast(dice, base));
    let (shape, high) = (dice.whole(0, 2), dice.range(0.4, 0.9));
    let frame = dice.chance(0.6).then(|| dice.range(0.05, 0.14));
    let stripe = dice.chance(0.5).then(|| dice.range(-0.6, 0.6));
    let (lines, letter) = (dice.whole(1, 3) as i32, dice.range(0.12, 0.2));
    let holes = dice.chance(0.5);
    whole(name, move |p| {
        let mut edge = match shape {
            0 => slab(p, [0.94, high], 0.08),
            1 => length(p) - 0.94,
            _ => hexagon(p, 0.85),
        };
        if holes {
            let x = if shape == 0 { 0.82 } else { 0.72 };
            edge = edge.max(0.05 - length([p[0].abs() - x, p[1]]));
        }
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let mut colour = base;
        if let Some(at) = stripe
            && (p[1] - at * high).abs() < 0.13
        {
            colour = band;
        }
        let mut height = 0.05 + bevel(edge, 0.03, 0.02);
        if let Some(wide) = frame {
            let line = step(0.02, 0.01, (edge + wide).abs());
            colour = mix(colour, ink, line);
            height -= 0.006 * line;
        }
        let pitch = 1.7 * letter;
        let line = (p[1] / pitch + 0.5 * lines as f32).floor();
        let row = p[1] / pitch + 0.5 * lines as f32 - line;
        let count = (1.1 / letter) as i32;
        if (0..lines).contains(&(line as i32))
            && print(
                [p[0] / letter + 0.5 * count as f32, row * 1.35 - 0.1],
                count,
                salt ^ line as u32,
            )
        {
            colour = ink;
        }
        Texel::new(shade(colour, 0.95 + finish(p)), height)
            .gloss(0.4)
            .edge(edge)
    })
}

pub(super) fn glazed_tile(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &PAINTS);
    let (finish, gloss) = (finish(dice), dice.range(0.4, 0.9));
    let inks = [contrast(dice, base), contrast(dice, base)];
    let folds = dice.whole(0, 2);
    let motifs: Vec<(u32, Point, f32, f32)> = (0..dice.whole(1, 5))
        .map(|_| {
            let middle = [dice.range(0.0, 0.8), dice.range(0.0, 0.8)];
            let size = dice.range(0.10, 0.40);
            (
                dice.whole(0, 2) as u32,
                middle,
                size,
                dice.range(0.03, 0.12),
            )
        })
        .collect();
    let (relief, round) = (dice.range(-0.02, 0.02), dice.range(0.01, 0.08));
    let oblong = dice.range(0.6, 0.92);
    let half = [0.92, if dice.chance(0.6) { 0.92 } else { oblong }];
    whole(name, move |p| {
        let edge = slab(p, half, round);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let mut q = if folds == 0 { p } else { p.map(f32::abs) };
        if folds == 2 && q[1] > q[0] {
            q = [q[1], q[0]];
        }
        let (mut colour, mut height) = (base, 0.06 + bevel(edge, 0.06, 0.03));
        for (i, (kind, middle, size, wide)) in motifs.iter().enumerate() {
            let d = [q[0] - middle[0], q[1] - middle[1]];
            let distance = match kind {
                0 => length(d) - size,
                1 => (length(d) - size).abs() - wide,
                _ => d[0].abs() + d[1].abs() - size,
            };
            let within = step(0.02, -0.02, distance);
            colour = mix(colour, inks[i % 2], within);
            height += relief * within;
        }
        Texel::new(shade(colour, 0.96 + finish(p)), height)
            .gloss(gloss)
            .edge(edge)
    })
}

pub(super) fn sweet(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &PAINTS);
    let (finish, gloss) = (finish(dice), dice.range(0.2, 0.9));
    let second = contrast(dice, base);
    let (shape, rise) = (dice.whole(0, 2), dice.range(0.15, 0.45));
    let (stripes, curl) = (dice.whole(2, 9) as f32, dice.range(-4.0, 4.0));
    let (pattern, salt) = (dice.whole(0, 3), dice.salt());
    let wide = dice.range(0.5, 0.93);
    whole(name, move |p| {
        let (r, angle) = (length(p), p[1].atan2(p[0]));
        let edge = match shape {
            0 => r - 0.93,
            1 => slab(p, [0.92, wide], 0.25),
            _ => r - 0.86 + 0.07 * (angle * 5.0).cos(),
        };
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let share = match pattern {
            0 => step(-0.15, 0.15, (angle * stripes + curl * r).sin()),
            1 => step(-0.15, 0.15, (p[0] * stripes * 2.5 + curl * p[1]).sin()),
            2 => step(0.1, 0.3, fbm(p[0] * 2.0, p[1] * 2.0, salt, 4) + 0.1),
            _ => 0.0,
        };
        let sugar = finish(p);
        Texel::new(
            shade(mix(base, second, share), 0.98 + sugar),
            bevel(edge, 0.5, rise) + 0.05 * sugar,
        )
        .gloss(gloss)
        .edge(edge)
    })
}

pub(super) fn grille(dice: &mut Dice) -> Look {
    let made = tint(dice, &METALS);
    let (name, base) = made;
    let (finish, round) = (finish(dice), dice.chance(0.5));
    let (frame, pitch) = (dice.range(0.10, 0.22), dice.range(0.16, 0.36));
    let (bar, way) = (dice.range(0.22, 0.40), dice.whole(0, 2));
    let slant = dice.range(0.0, TAU);
    let slant = [slant.cos(), slant.sin()];
    let (cross, high) = (dice.range(0.06, 0.14), dice.range(0.5, 0.92));
    whole(name, move |p| {
        let outline = if round {
            length(p) - 0.94
        } else {
            slab(p, [0.93, high], 0.08)
        };
        let along = match way {
            0 => p[0],
            1 => turn(p, slant)[0],
            _ => length(p),
        };
        let slot = (lattice(along / pitch).1.abs() - 0.5 * (1.0 - bar)) * pitch;
        let spine = p[0].abs().min(p[1].abs()) - cross;
        let within = outline + frame;
        let open = slot.max(within).max(-spine);
        let edge = outline.max(-open);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        Texel::new(
            shade(base, 0.92 + finish(p)),
            0.08 + bevel(edge, 0.04, 0.03),
        )
        .gloss(0.45)
        .metal(0.85 * bare(made))
        .edge(edge)
    })
}

pub(super) fn pebble(dice: &mut Dice) -> Look {
    let (name, base) = tint(
        dice,
        &[GREY, WHITE, BROWN, BEIGE, BLACK, ORANGE, GREEN, PINK],
    );
    let (salt, finish) = (dice.salt(), finish(dice));
    let (flat, dents) = (dice.range(0.6, 0.95), dice.range(0.03, 0.14));
    let (veins, rise) = (dice.range(0.0, 0.35), dice.range(0.15, 0.4));
    let (second, gloss) = (contrast(dice, base), dice.range(0.05, 0.5));
    let layered = dice.range(0.0, 0.4);
    whole(name, move |[x, y]| {
        let (r, angle) = (length([x, y / flat]), y.atan2(x));
        let (c, s) = (angle.cos(), angle.sin());
        let edge = (r - 0.93 + dents * (0.5 + fbm(c * 1.5, s * 1.5, salt, 2))) * flat;
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let warp = fbm(x * 2.0, y * 2.0, salt ^ 1, 3);
        let vein = veins * step(0.07, 0.0, fbm(x * 1.8, y * 1.8, salt ^ 2, 3).abs());
        let layer = layered * (0.5 + 0.5 * ((y + 0.2 * warp) * 11.0).sin());
        let colour = mix(mix(base, second, 0.6 * layer), second, vein);
        let grain = fbm(x * 16.0, y * 16.0, salt ^ 3, 3);
        Texel::new(
            shade(colour, 0.95 + 0.08 * grain + 0.1 * warp + finish([x, y])),
            bevel(edge, 0.6, rise) + 0.006 * grain,
        )
        .gloss(gloss)
        .edge(edge)
    })
}
