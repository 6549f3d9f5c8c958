//! One thing as the camera sees it: drawn, posed, before its background, sampled on a grid.

use super::category::{Category, Kind, Turn};
use super::materials::background;
use super::noise::Dice;
use super::shape::turn;
use super::texel::{Look, Point, Texel};

/// Samples along each side of a pixel; they are averaged, which smooths every edge.
pub(super) const OVERSAMPLING: usize = 2;

/// A posed thing. Coordinates of the image are right and down, [-1, 1] along each side.
pub(super) struct Scene {
    look: Look,
    background: Box<dyn Fn(Point) -> Texel + Send + Sync>,
    cos_sin: [f32; 2],
    shift: Point,
    /// Units of the thing in one unit of the image.
    zoom: f32,
    /// Below this zoom it is a close-up.
    usual: f32,
    /// A slight view from the side.
    tilt: Point,
}

impl Scene {
    /// Draws a thing of the category and lays it down.
    pub(super) fn new(category: &Category, seed: u64) -> Scene {
        let mut dice = Dice::new("look", category.name, seed);
        let dice = &mut dice;
        let look = (category.draw)(dice);
        let background = Box::new(background(dice));
        let angle = match category.turn {
            Turn::Any => dice.range(0.0, std::f32::consts::TAU),
            Turn::Slight => {
                let quarter = if dice.chance(0.3) { 1.0 } else { 0.0 };
                dice.range(-0.2, 0.2) + quarter * std::f32::consts::FRAC_PI_2
            }
        };
        let (shift, zoom, usual) = match category.kind {
            Kind::Surface => (
                [dice.range(-40.0, 40.0), dice.range(-40.0, 40.0)],
                dice.range(0.8, 1.3),
                0.95,
            ),
            Kind::Object => (
                [dice.range(-0.12, 0.12), dice.range(-0.12, 0.12)],
                dice.range(1.12, 1.45),
                1.2,
            ),
        };
        let tilt = [dice.range(-0.06, 0.06), dice.range(-0.06, 0.06)];
        Scene {
            look,
            background,
            cos_sin: [angle.cos(), angle.sin()],
            shift,
            zoom,
            usual,
            tilt,
        }
    }

    pub(super) fn colour(&self) -> &'static str {
        self.look.colour
    }

    /// Whether the thing is seen from nearer than most of its kind.
    pub(super) fn is_close(&self) -> bool {
        self.zoom < self.usual
    }

    /// What is seen at a point of the image when the part `without` is missing (0: none). Heights and
    /// distances are in units of the image.
    pub(super) fn texel(&self, [x, y]: Point, without: u16) -> Texel {
        let depth = 1.0 / (1.0 + self.tilt[0] * x + self.tilt[1] * y);
        let p = turn([x * depth, y * depth], self.cos_sin);
        let p = p.map(|c| c * self.zoom);
        let texel = (self.look.paint)([p[0] + self.shift[0], p[1] + self.shift[1]], without);
        if texel.edge > 0.0 {
            return self.behind([x, y]).edge(texel.edge / self.zoom);
        }
        Texel {
            height: texel.height / self.zoom,
            edge: texel.edge / self.zoom,
            ..texel
        }
    }

    /// The background at a point of the image, just outside an outline.
    pub(super) fn behind(&self, p: Point) -> Texel {
        (self.background)(p).edge(f32::MIN_POSITIVE)
    }

    /// Samples an image of `size` pixels a side.
    pub(super) fn sample(&self, size: usize) -> Field {
        let side = size * OVERSAMPLING;
        let grid = Grid { side };
        let texels = (0..side * side)
            .map(|i| self.texel(grid.point(i), 0))
            .collect();
        Field { grid, texels }
    }
}

/// The places of the samples: `side` rows of `side`.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    pub(super) side: usize,
}

impl Grid {
    /// The point of the image where sample `index` lies.
    pub(super) fn point(self, index: usize) -> Point {
        let at = |n: usize| (2 * n + 1) as f32 / self.side as f32 - 1.0;
        [at(index % self.side), at(index / self.side)]
    }

    /// The rows or columns within [low, high] of the image.
    pub(super) fn span(self, low: f32, high: f32) -> std::ops::Range<usize> {
        let at = |x: f32| (x + 1.0) * 0.5 * self.side as f32;
        let low = at(low).floor().max(0.0) as usize;
        low..(at(high).ceil().max(0.0) as usize).min(self.side).max(low)
    }
}

/// Matter at every sample.
#[derive(Clone)]
pub(super) struct Field {
    pub(super) grid: Grid,
    pub(super) texels: Vec<Texel>,
}
