//! Which pixels a defect has changed.

use super::scene::OVERSAMPLING;

/// A pixel is changed where one of its channels differs by at least this many of 255 levels between
/// the intact and the damaged photograph. Weaker traces (the last fringe of a smoothed edge, the
/// breath of a shadow) cannot be seen above the sensor's noise and do not count.
pub const VISIBLE: u8 = 8;

/// The mask, 0 or 255, and how much can be seen of the defect.
pub(super) struct Difference {
    pub(super) mask: Vec<u8>,
    /// Pixels that are visibly changed.
    changed: usize,
    /// Pixels that are changed twice as much as that.
    clear: usize,
    /// Pixels that belong to the defect, changed or not.
    meant: usize,
}

impl Difference {
    /// Whether a person would find it: more than a speck, most of what belongs to it has changed, and
    /// some of that clearly.
    pub(super) fn is_seen(&self) -> bool {
        self.changed >= 4 && 2 * self.changed >= self.meant && 4 * self.clear >= self.changed
    }

    /// The better of two that are not seen.
    pub(super) fn quality(&self) -> f32 {
        let share = self.changed as f32 / self.meant.max(1) as f32;
        share.min(0.5) * self.changed.min(4) as f32 * (1.0 + self.clear.min(4) as f32)
    }
}

/// How far a pixel of the defect may lie from one that is visibly changed and still be in the mask:
/// a stain on a black thread of a white cloth changes nothing there, but it is stained.
pub fn gap(size: usize) -> usize {
    size / 48 + 1
}

/// Compares two photographs of `size` pixels a side; `cover` says how far each sample belongs to the
/// defect.
pub(super) fn difference(intact: &[u8], damaged: &[u8], cover: &[f32], size: usize) -> Difference {
    let levels: Vec<u8> = intact
        .chunks_exact(3)
        .zip(damaged.chunks_exact(3))
        .map(|(a, b)| a.iter().zip(b).fold(0, |m, (x, y)| m.max(x.abs_diff(*y))))
        .collect();
    let count = |least| levels.iter().filter(|l| **l >= least).count();
    let changed = |pixel: usize| levels[pixel] >= VISIBLE;
    let reach = gap(size);
    let near_change = |x: usize, y: usize| {
        let span = |c: usize| c.saturating_sub(reach)..(c + reach + 1).min(size);
        span(y).any(|j| span(x).any(|i| changed(j * size + i)))
    };
    let belongs = |x: usize, y: usize| {
        let sample = |k: usize| {
            let (i, j) = (
                x * OVERSAMPLING + k % OVERSAMPLING,
                y * OVERSAMPLING + k / OVERSAMPLING,
            );
            cover[j * size * OVERSAMPLING + i]
        };
        let samples = OVERSAMPLING * OVERSAMPLING;
        (0..samples).map(sample).sum::<f32>() >= 0.5 * samples as f32
    };
    let (mut mask, mut meant) = (vec![0; size * size], 0);
    for y in 0..size {
        for x in 0..size {
            let member = belongs(x, y);
            meant += usize::from(member);
            if changed(y * size + x) || (member && near_change(x, y)) {
                mask[y * size + x] = 255;
            }
        }
    }
    Difference {
        mask,
        changed: count(VISIBLE),
        clear: count(2 * VISIBLE),
        meant,
    }
}
