//! Objects one swallows: capsule, tablet, blister pack.

use super::noise::{Dice, fbm, step, voronoi};
use super::shape::{bevel, cylinder, lattice, length, print, slab, stadium, turn};
use super::texel::{
    BEIGE, BLACK, BLUE, BROWN, GREEN, GREY, Look, ORANGE, PINK, RED, SILVER, Texel, WHITE, YELLOW,
    assembled, grey, mix, shade, tint, whole,
};

pub(super) fn capsule(dice: &mut Dice) -> Look {
    let (name, first) = tint(dice, &[RED, BLUE, GREEN, YELLOW, ORANGE, WHITE, BROWN]);
    let (_, second) = tint(dice, &[WHITE, WHITE, BEIGE, BLACK, YELLOW]);
    let (radius, joint, salt) = (dice.range(0.33, 0.40), dice.range(-0.1, 0.15), dice.salt());
    let ink = if second[1] > 0.5 {
        grey(0.2)
    } else {
        grey(0.85)
    };
    let printed = dice.chance(0.7);
    whole(name, move |[x, y]| {
        let cap = x < joint;
        let radius = if cap { radius } else { radius - 0.018 };
        let half = 0.95 - radius;
        let edge = stadium([x, y], half, radius);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let height = cylinder(length([(x.abs() - half).max(0.0), y]), radius);
        let band = step(0.014, 0.0, (x - joint).abs());
        let powder = 0.03 * fbm(x * 12.0, y * 12.0, salt, 2);
        let mut colour = shade(if cap { first } else { second }, 1.0 + powder - 0.25 * band);
        if printed && print([(x - joint - 0.10) / 0.13, y / 0.17 + 0.5], 3, salt) {
            colour = mix(colour, ink, 0.75);
        }
        Texel::new(colour, height - 0.012 * band)
            .gloss(0.75)
            .edge(edge)
    })
}

pub(super) fn tablet(dice: &mut Dice) -> Look {
    let (name, base) = tint(dice, &[WHITE, WHITE, PINK, YELLOW, BLUE, ORANGE, GREEN]);
    let base = mix(base, WHITE.1, if name == WHITE.0 { 0.0 } else { 0.35 });
    let (oval, salt) = (*dice.pick(&[0.0, 0.0, 0.25, 0.4]), dice.salt());
    let (scored, letters, dome) = (dice.chance(0.6), dice.chance(0.5), dice.range(0.10, 0.22));
    let freckles = dice.range(0.0, 0.35);
    whole(name, move |[x, y]| {
        let edge = stadium([x, y], oval, 0.95 - oval);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let rim = bevel(edge, 0.16, 0.10);
        let mut height = rim + dome * (1.0 - (1.0 + edge).max(0.0).powi(2)).max(0.0).sqrt() * 0.5;
        let chalk = fbm(x * 22.0, y * 22.0, salt, 3);
        let speck = voronoi(x * 11.0, y * 11.0, salt ^ 1, 1.0);
        let freckle = if speck.id < freckles {
            0.14 * step(0.22, 0.1, speck.near)
        } else {
            0.0
        };
        let mut tone = 0.97 + 0.05 * chalk - freckle;
        let mut pressed: f32 = 0.0;
        if scored {
            pressed = step(0.045, 0.0, x.abs());
        }
        if letters
            && print(
                [(x.abs() - 0.2) / 0.16, y / 0.34 + 0.5],
                2,
                salt ^ if x < 0.0 { 5 } else { 6 },
            )
        {
            pressed = 0.8;
        }
        height -= 0.035 * pressed * step(-0.12, -0.2, edge);
        tone -= 0.10 * pressed * step(-0.12, -0.2, edge);
        Texel::new(shade(base, tone), height + 0.003 * chalk)
            .gloss(0.15)
            .edge(edge)
    })
}

pub(super) fn blister_pack(dice: &mut Dice) -> Look {
    let (name, pill) = tint(dice, &[WHITE, PINK, YELLOW, BLUE, RED, ORANGE, GREEN]);
    let (_, foil) = tint(dice, &[SILVER, SILVER, GREY, WHITE]);
    let (columns, rows, salt) = (dice.whole(3, 5), dice.whole(2, 3), dice.salt());
    let half = [0.95, 0.95 * (rows as f32 / columns as f32).clamp(0.55, 0.8)];
    let pitch = [
        1.84 * half[0] / columns as f32,
        1.84 * half[1] / rows as f32,
    ];
    let (long, round) = (dice.chance(0.4), 0.36 * pitch[0].min(pitch[1]));
    let stretch = if long {
        0.10 * (pitch[0].max(pitch[1]))
    } else {
        0.0
    };
    assembled(name, move |p, without| {
        let edge = slab(p, half, 0.07);
        if edge > 0.0 {
            return Texel::outside(edge);
        }
        let (i, fx) = lattice(p[0] / pitch[0] + 0.5 * columns as f32);
        let (j, fy) = lattice(p[1] / pitch[1] + 0.5 * rows as f32);
        let inside = (0..columns as i32).contains(&i) && (0..rows as i32).contains(&j);
        let q = [fx * pitch[0], fy * pitch[1]];
        let q = if pitch[1] > pitch[0] { [q[1], q[0]] } else { q };
        let pocket = if inside {
            stadium(q, stretch, round)
        } else {
            1.0
        };
        let diamonds = {
            let d = turn(p, [0.707, 0.707]);
            (d[0] * 60.0).sin() * (d[1] * 60.0).sin()
        };
        let crease = fbm(p[0] * 3.0, p[1] * 3.0, salt, 3);
        let sheet = Texel::new(
            shade(foil, 0.86 + 0.07 * diamonds + 0.05 * crease),
            0.02 + 0.003 * diamonds + 0.012 * crease,
        )
        .gloss(0.5)
        .metal(0.55)
        .edge(edge);
        if pocket > 0.0 {
            return sheet;
        }
        let part = 1 + (j as usize) * columns + i as usize;
        let dome = bevel(pocket, 0.5 * round, 0.07);
        if part == without {
            // an empty pocket: torn foil seen through the clear film
            let torn = step(-0.1, 0.4, fbm(p[0] * 9.0, p[1] * 9.0, salt ^ 1, 3));
            let colour = mix(
                shade(foil, 0.62),
                grey(0.12),
                0.75 * torn * step(0.0, -0.04, pocket),
            );
            return Texel::new(colour, 0.4 * dome)
                .gloss(0.6)
                .edge(edge)
                .part(part);
        }
        let tablet = stadium(q, stretch, 0.84 * round);
        if tablet < 0.0 {
            let lit = 0.96 + 0.04 * fbm(p[0] * 20.0, p[1] * 20.0, salt ^ 2, 2);
            return Texel::new(shade(pill, lit), 0.05 + dome + bevel(tablet, 0.09, 0.05))
                .gloss(0.8)
                .edge(edge)
                .part(part);
        }
        Texel::new(shade(foil, 0.60), 0.02 + dome)
            .gloss(0.85)
            .edge(edge)
            .part(part)
    })
}
