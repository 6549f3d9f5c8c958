//! Chance and noise: dice that fall the same way on every machine, and the two functions of the plane
//! that carry most of what is drawn, value noise and Voronoi cells.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A stream of random numbers, named by the words it is seeded with.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Another stream for every other `purpose`, `category` and `seed`.
    pub(super) fn new(purpose: &str, category: &str, seed: u64) -> Dice {
        let mut hasher = blake3::Hasher::new_derive_key("mpama synth 1");
        for field in [
            purpose.as_bytes(),
            category.as_bytes(),
            &seed.to_le_bytes()[..],
        ] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
        Dice(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f32 {
        unit(self.0.next_u32())
    }

    /// Uniform in [low, high).
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform below `n`; 0 for `n` = 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.0.next_u32()) * n as u64) >> 32) as usize
    }

    /// Uniform from `low` to `high`, both included.
    pub(super) fn whole(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// -1 or 1.
    pub(super) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A seed for a noise function.
    pub(super) fn salt(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub(super) fn long(&mut self) -> u64 {
        self.0.next_u64()
    }
}

fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 / 16_777_216.0
}

/// Scatters a lattice point.
fn hash(x: i32, y: i32, salt: u32) -> u32 {
    let mut h = salt
        ^ (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77).rotate_left(13);
    h = (h ^ (h >> 15)).wrapping_mul(0x2C1B_3C6D);
    h = (h ^ (h >> 12)).wrapping_mul(0x297A_2D39);
    h ^ (h >> 15)
}

/// A number in [0, 1) that belongs to the lattice point.
pub(super) fn at(x: i32, y: i32, salt: u32) -> f32 {
    unit(hash(x, y, salt))
}

/// Rounds down. Without a call: the plain x86-64 that builds aim at has no instruction for it, and
/// noise does little else.
fn floor(x: f32) -> i32 {
    let towards_zero = x as i32;
    towards_zero - i32::from(x < towards_zero as f32)
}

/// Smooth noise in [-1, 1] with features of size 1.
pub(super) fn value(x: f32, y: f32, salt: u32) -> f32 {
    let (i, j) = (floor(x), floor(y));
    let fade = |t: f32| t * t * (3.0 - 2.0 * t);
    let (s, t) = (fade(x - i as f32), fade(y - j as f32));
    let (a, b) = (at(i, j, salt), at(i + 1, j, salt));
    let (c, d) = (at(i, j + 1, salt), at(i + 1, j + 1, salt));
    let (top, bottom) = (a + (b - a) * s, c + (d - c) * s);
    (top + (bottom - top) * t) * 2.0 - 1.0
}

/// Octaves of [`value`], each of half the size and half the weight; within [-1, 1].
pub(super) fn fbm(x: f32, y: f32, salt: u32, octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        let shift = octave as f32 * 17.3; // so that the lattices do not coincide
        sum += weight * value(x * scale + shift, y * scale - shift, salt ^ octave);
        total += weight;
        weight *= 0.5;
        scale *= 2.0;
    }
    sum / total
}

/// Where a point lies among scattered seeds, about one per unit square.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    /// Distance to the nearest seed.
    pub(super) near: f32,
    /// Distance to the second nearest seed less `near`: 0 on the border between two cells.
    pub(super) border: f32,
    /// A number in [0, 1) that belongs to the cell.
    pub(super) id: f32,
    /// Another one.
    pub(super) other: f32,
}

/// The Voronoi cell at a point. `jitter` 0 gives squares, 1 the full irregularity.
pub(super) fn voronoi(x: f32, y: f32, salt: u32, jitter: f32) -> Cell {
    let (i, j) = (floor(x), floor(y));
    let (mut first, mut second, mut home) = (f32::MAX, f32::MAX, 0);
    for dj in -1..=1 {
        for di in -1..=1 {
            let h = hash(i + di, j + dj, salt);
            let (rx, ry) = (
                (h & 0xFFFF) as f32 / 65536.0 - 0.5,
                (h >> 16) as f32 / 65536.0 - 0.5,
            );
            let dx = (i + di) as f32 + 0.5 + jitter * rx - x;
            let dy = (j + dj) as f32 + 0.5 + jitter * ry - y;
            let d = dx * dx + dy * dy;
            if d < first {
                (second, first, home) = (first, d, h);
            } else if d < second {
                second = d;
            }
        }
    }
    let (near, second) = (first.sqrt(), second.sqrt());
    let id = hash(home as i32, 7, salt);
    Cell {
        near,
        border: second - near,
        id: unit(id),
        other: (id & 0xFFF) as f32 / 4096.0,
    }
}

/// 0 below `low`, 1 above `high`, smooth between; falls where `low > high`.
pub(super) fn step(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_stays_in_its_range_and_uses_it() {
        let (mut low, mut high) = (f32::MAX, f32::MIN);
        for i in 0..4000 {
            let (x, y) = (i as f32 * 0.37 - 700.0, i as f32 * 0.11 - 30.0);
            for n in [value(x, y, 5), fbm(x, y, 5, 4)] {
                (low, high) = (low.min(n), high.max(n));
            }
            let cell = voronoi(x, y, 9, 1.0);
            assert!(cell.near < 1.5 && cell.border >= 0.0);
            assert!((0.0..1.0).contains(&cell.id) && (0.0..1.0).contains(&cell.other));
        }
        assert!((-1.0..-0.8).contains(&low) && high > 0.8 && high <= 1.0);
    }

    #[test]
    fn dice_depend_on_every_word() {
        let first = |p, c, s| Dice::new(p, c, s).long();
        let one = first("look", "gear", 1);
        assert_eq!(one, first("look", "gear", 1));
        for other in [
            first("damage", "gear", 1),
            first("look", "nut", 1),
            first("look", "gear", 2),
            first("lookg", "ear", 1),
        ] {
            assert_ne!(one, other);
        }
        let mut dice = Dice::new("x", "", 0);
        let thrown: std::collections::BTreeSet<_> = (0..200).map(|_| dice.whole(2, 5)).collect();
        assert!(thrown.into_iter().eq(2..=5));
    }
}
