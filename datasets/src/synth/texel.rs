//! What a point of a thing is made of, and colours that have names.

use super::noise::Dice;

/// A point of the thing, or of the image: right and down, about [-1, 1].
pub(super) type Point = [f32; 2];

/// Red, green, blue in [0, 1], as displayed (not linear).
pub(super) type Rgb = [f32; 3];

/// Matter at a point, before any light falls on it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Texel {
    pub(super) albedo: Rgb,
    /// In the unit of the coordinates, so that slopes are true.
    pub(super) height: f32,
    /// 0 matt to 1 polished.
    pub(super) gloss: f32,
    /// 0 paint, stone, cloth to 1 bare metal, which mirrors its surroundings.
    pub(super) metal: f32,
    /// Distance to the outline, negative inside; a surface has no outline.
    pub(super) edge: f32,
    /// The part that could be missing here, from 1; 0 for the body.
    pub(super) part: u16,
}

impl Texel {
    /// Matt matter of a colour and a height, without an outline.
    pub(super) fn new(albedo: Rgb, height: f32) -> Texel {
        Texel {
            albedo,
            height,
            gloss: 0.05,
            metal: 0.0,
            edge: INSIDE,
            part: 0,
        }
    }

    /// Nothing: the background is seen.
    pub(super) fn outside(edge: f32) -> Texel {
        Texel::new(grey(0.0), 0.0).edge(edge)
    }

    pub(super) fn gloss(self, gloss: f32) -> Texel {
        Texel { gloss, ..self }
    }

    pub(super) fn metal(self, metal: f32) -> Texel {
        Texel { metal, ..self }
    }

    pub(super) fn edge(self, edge: f32) -> Texel {
        Texel { edge, ..self }
    }

    pub(super) fn part(self, part: usize) -> Texel {
        Texel {
            part: part as u16,
            ..self
        }
    }
}

/// The `edge` of a surface: deep inside everywhere.
pub(super) const INSIDE: f32 = -9.0;

/// What is drawn at a point; the number is the part left out, 0 for none.
pub(super) type Paint = Box<dyn Fn(Point, u16) -> Texel + Send + Sync>;

/// One thing of a category: its paint, and the name of its colour.
pub(super) struct Look {
    pub(super) paint: Paint,
    pub(super) colour: &'static str,
}

/// A thing whose parts are fixed to it.
pub(super) fn whole(
    colour: &'static str,
    paint: impl Fn(Point) -> Texel + Send + Sync + 'static,
) -> Look {
    Look {
        colour,
        paint: Box::new(move |p, _| paint(p)),
    }
}

/// A thing with parts that may be missing.
pub(super) fn assembled(
    colour: &'static str,
    paint: impl Fn(Point, usize) -> Texel + Send + Sync + 'static,
) -> Look {
    Look {
        colour,
        paint: Box::new(move |p, without| paint(p, usize::from(without))),
    }
}

pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// Brighter or darker by a factor.
pub(super) fn shade(a: Rgb, factor: f32) -> Rgb {
    a.map(|x| (x * factor).clamp(0.0, 1.0))
}

pub(super) fn grey(level: f32) -> Rgb {
    [level; 3]
}

/// Brightness as the eye sees it.
pub(super) fn luma(a: Rgb) -> f32 {
    0.299 * a[0] + 0.587 * a[1] + 0.114 * a[2]
}

/// A colour and the word for it.
pub(super) type Tint = (&'static str, Rgb);

pub(super) const WHITE: Tint = ("white", [0.88, 0.87, 0.84]);
pub(super) const GREY: Tint = ("grey", [0.56, 0.57, 0.58]);
pub(super) const BLACK: Tint = ("black", [0.15, 0.15, 0.16]);
pub(super) const RED: Tint = ("red", [0.68, 0.18, 0.16]);
pub(super) const ORANGE: Tint = ("orange", [0.85, 0.48, 0.16]);
pub(super) const YELLOW: Tint = ("yellow", [0.86, 0.74, 0.28]);
pub(super) const GREEN: Tint = ("green", [0.22, 0.46, 0.27]);
pub(super) const BLUE: Tint = ("blue", [0.18, 0.33, 0.60]);
pub(super) const PINK: Tint = ("pink", [0.85, 0.60, 0.60]);
pub(super) const BROWN: Tint = ("brown", [0.45, 0.29, 0.17]);
pub(super) const BEIGE: Tint = ("beige", [0.78, 0.69, 0.55]);
/// Bare steel, zinc, aluminium.
pub(super) const SILVER: Tint = ("silver", [0.70, 0.71, 0.73]);
/// Brass.
pub(super) const GOLDEN: Tint = ("golden", [0.78, 0.63, 0.32]);

/// Picks one of the colours and varies it as batches of a product vary.
pub(super) fn tint(dice: &mut Dice, tints: &[Tint]) -> Tint {
    let (name, rgb) = *dice.pick(tints);
    let factor = dice.range(0.86, 1.12);
    let varied = rgb.map(|x| (x * factor + dice.range(-0.025, 0.025)).clamp(0.02, 0.96));
    (name, varied)
}

/// Whether the tint is a bare metal: 1 or 0.
pub(super) fn bare((name, _): Tint) -> f32 {
    if name == SILVER.0 || name == GOLDEN.0 {
        1.0
    } else {
        0.0
    }
}
