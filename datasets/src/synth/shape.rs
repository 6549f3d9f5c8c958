//! Distances to outlines (negative inside), turns, and printed marks.

use super::noise::at;
use super::texel::Point;

pub(super) fn length(p: Point) -> f32 {
    (p[0] * p[0] + p[1] * p[1]).sqrt()
}

/// Turns by the angle whose cosine and sine are given.
pub(super) fn turn(p: Point, [cos, sin]: [f32; 2]) -> Point {
    [cos * p[0] - sin * p[1], sin * p[0] + cos * p[1]]
}

/// A rectangle of these half sides with corners rounded by `round`.
pub(super) fn slab(p: Point, half: Point, round: f32) -> f32 {
    let (x, y) = (p[0].abs() - half[0] + round, p[1].abs() - half[1] + round);
    length([x.max(0.0), y.max(0.0)]) + x.max(y).min(0.0) - round
}

/// A regular hexagon of this inner radius, corners up and down.
pub(super) fn hexagon(p: Point, radius: f32) -> f32 {
    let (x, y) = (p[0].abs(), p[1].abs());
    x.max(0.5 * x + 0.866_025_4 * y) - radius
}

/// A stick from `-half` to `half` along x, with round ends of this radius.
pub(super) fn stadium(p: Point, half: f32, radius: f32) -> f32 {
    length([(p[0].abs() - half).max(0.0), p[1]]) - radius
}

/// Height of a dome over an outline: `rise` where the distance inside is `width` or more.
pub(super) fn bevel(edge: f32, width: f32, rise: f32) -> f32 {
    let t = (1.0 + edge / width).clamp(0.0, 1.0);
    rise * (1.0 - t * t).max(0.0).sqrt()
}

/// Height of a cylinder lying along x.
pub(super) fn cylinder(y: f32, radius: f32) -> f32 {
    (radius * radius - y * y).max(0.0).sqrt()
}

/// The index of the pitch that `x` falls into and the place in it, in [-0.5, 0.5).
pub(super) fn lattice(x: f32) -> (i32, f32) {
    let cell = x.floor();
    (cell as i32, x - cell - 0.5)
}

/// Printed characters of no known script, one per unit along x in `0..count`, y within [0, 1].
/// Whether there is ink.
pub(super) fn print(p: Point, count: i32, salt: u32) -> bool {
    let (i, fx) = lattice(p[0]);
    if i < 0 || i >= count || !(0.0..1.0).contains(&p[1]) {
        return false;
    }
    let (column, row) = (((fx + 0.5) * 4.0) as i32, (p[1] * 5.0) as i32);
    column < 3
        && at(i * 4 + column, row, salt)
            < if column == 0 || row % 2 == 0 {
                0.72
            } else {
                0.35
            }
}
