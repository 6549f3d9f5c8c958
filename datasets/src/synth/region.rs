//! Where a defect lies: shapes on the sampling grid, as signed distances (negative inside).

use std::f32::consts::TAU;

use super::noise::{Dice, fbm};
use super::scene::Grid;
use super::shape::{length, turn};
use super::texel::Point;

/// Farther than this from every shape the distance is not kept.
const FAR: f32 = 9.0;

/// The union of shapes on a grid.
pub(super) struct Region {
    pub(super) grid: Grid,
    distance: Vec<f32>,
}

impl Region {
    pub(super) fn empty(grid: Grid) -> Region {
        Region {
            grid,
            distance: vec![FAR; grid.side * grid.side],
        }
    }

    /// The samples within `reach` of the region: index, place, distance.
    pub(super) fn near(&self, reach: f32) -> impl Iterator<Item = (usize, Point, f32)> + '_ {
        let inside = self
            .distance
            .iter()
            .enumerate()
            .filter(move |(_, d)| **d < reach);
        inside.map(|(i, d)| (i, self.grid.point(i), *d))
    }

    /// Adds a shape that lies within the rectangle between two points.
    fn add(&mut self, low: Point, high: Point, distance: impl Fn(Point) -> f32) {
        let side = self.grid.side;
        for j in self.grid.span(low[1], high[1]) {
            for i in self.grid.span(low[0], high[0]) {
                let index = j * side + i;
                let d = distance(self.grid.point(index));
                self.distance[index] = self.distance[index].min(d);
            }
        }
    }

    /// Adds a shape anywhere in the image.
    pub(super) fn add_field(&mut self, distance: impl Fn(Point) -> f32) {
        self.add([-1.0; 2], [1.0; 2], distance);
    }

    /// Adds a patch with a wavy outline: `rough` 0 is an ellipse of this radius. Distances reach as
    /// far as the radius.
    pub(super) fn blob(
        &mut self,
        dice: &mut Dice,
        middle: Point,
        radius: f32,
        stretch: f32,
        rough: f32,
    ) {
        let angle = dice.range(0.0, TAU);
        let (cos_sin, salt) = ([angle.cos(), angle.sin()], dice.salt());
        let (long, wide) = (stretch.sqrt(), 1.0 / stretch.sqrt());
        let reach = radius * (2.0 + rough) * long;
        let (low, high) = (middle.map(|c| c - reach), middle.map(|c| c + reach));
        self.add(low, high, |p| {
            let q = turn([p[0] - middle[0], p[1] - middle[1]], cos_sin);
            let wave = 1.0 + rough * fbm(q[0] * 1.4 / radius, q[1] * 1.4 / radius, salt, 3);
            length([q[0] / long, q[1] / wide]) - radius * wave
        });
    }

    /// Adds a line through the points, its half width `width` at each place from 0 to 1 along it.
    /// Distances reach `reach` beyond it.
    pub(super) fn stroke(&mut self, points: &[Point], reach: f32, width: impl Fn(f32) -> f32) {
        let count = points.len().saturating_sub(1).max(1) as f32;
        for (n, pair) in points.windows(2).enumerate() {
            let (a, b) = (pair[0], pair[1]);
            let along = [b[0] - a[0], b[1] - a[1]];
            let square = (along[0] * along[0] + along[1] * along[1]).max(1e-9);
            let (first, last) = (width(n as f32 / count), width((n + 1) as f32 / count));
            let margin = first.max(last) + reach;
            let low = [a[0].min(b[0]) - margin, a[1].min(b[1]) - margin];
            let high = [a[0].max(b[0]) + margin, a[1].max(b[1]) + margin];
            self.add(low, high, |p| {
                let q = [p[0] - a[0], p[1] - a[1]];
                let t = ((q[0] * along[0] + q[1] * along[1]) / square).clamp(0.0, 1.0);
                length([q[0] - t * along[0], q[1] - t * along[1]]) - (first + (last - first) * t)
            });
        }
    }
}

/// Points along a line of this length through `middle` that swings to and fro, by up to `bend` radians
/// in all, and at each step by up to `jag`.
pub(super) fn path(dice: &mut Dice, middle: Point, span: f32, bend: f32, jag: f32) -> Vec<Point> {
    const STEPS: usize = 24;
    let step = span / STEPS as f32;
    let (mut heading, mut phase) = (dice.range(0.0, TAU), dice.range(0.0, TAU));
    let swing = dice.range(0.0, 6.0) / STEPS as f32;
    let mut points = vec![[0.0f32; 2]];
    for _ in 0..STEPS {
        heading += bend / STEPS as f32 * phase.sin();
        phase += swing;
        let angle = heading + dice.range(-jag, jag);
        let [x, y] = points[points.len() - 1];
        points.push([x + step * angle.cos(), y + step * angle.sin()]);
    }
    let [x, y] = points[STEPS / 2];
    let moved = |p: &Point| [p[0] - x + middle[0], p[1] - y + middle[1]];
    points.iter().map(moved).collect()
}
