//! Which images make up which step.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::Stage;

/// The order of `images` images in one epoch (from 0): a pure function of its arguments, so that a
/// continued run needs no state of a random generator.
///
/// A Fisher–Yates shuffle by ChaCha8 seeded with a hash of seed, stage and epoch. It is written out
/// here because its result is part of a run: a library's shuffle may change with its version.
pub fn order(seed: u64, stage: Stage, epoch: usize, images: usize) -> Vec<usize> {
    let key =
        blake3::hash(format!("mpama order, seed {seed}, stage {stage}, epoch {epoch}").as_bytes());
    let mut random = ChaCha8Rng::from_seed(*key.as_bytes());
    let mut order: Vec<usize> = (0..images).collect();
    for last in (1..images).rev() {
        // The high half of the product is uniform on 0..=last up to 2⁻⁶⁴·images.
        let product = u128::from(random.next_u64()) * (last as u128 + 1);
        order.swap(last, (product >> 64) as usize);
    }
    order
}

/// The images of one step of an epoch; the last step takes what is left.
///
/// # Panics
/// If `step` is not below [`steps`].
pub fn images_of(order: &[usize], batch_size: usize, step: usize) -> &[usize] {
    let start = step * batch_size;
    &order[start..order.len().min(start + batch_size)]
}

/// Steps of an epoch: the last, partial batch counts.
pub fn steps(images: usize, batch_size: usize) -> usize {
    images.div_ceil(batch_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_every_image_once() {
        let order = order(111, Stage::One, 3, 21);
        let batches: Vec<&[usize]> = (0..steps(21, 8)).map(|s| images_of(&order, 8, s)).collect();
        assert_eq!(
            batches.iter().map(|b| b.len()).collect::<Vec<_>>(),
            [8, 8, 5]
        );
        let mut seen = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..21).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_is_pinned() {
        // A run of an older version must be continued in its own order.
        assert_eq!(order(111, Stage::One, 0, 8), [7, 2, 4, 6, 0, 1, 5, 3]);
    }

    #[test]
    fn seed_stage_and_epoch_each_change_the_order() {
        let base = order(111, Stage::One, 0, 50);
        assert_eq!(base, order(111, Stage::One, 0, 50));
        assert_ne!(base, order(112, Stage::One, 0, 50));
        assert_ne!(base, order(111, Stage::Two, 0, 50));
        assert_ne!(base, order(111, Stage::One, 1, 50));
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut first = [0usize; 5];
        for epoch in 0..5000 {
            first[order(7, Stage::Two, epoch, 5)[0]] += 1;
        }
        // 1000 expected, standard deviation 28.
        assert!(first.iter().all(|&n| (880..1120).contains(&n)), "{first:?}");
    }

    #[test]
    fn small_sets() {
        assert!(order(1, Stage::One, 0, 0).is_empty());
        assert_eq!(order(1, Stage::One, 0, 1), [0]);
        assert_eq!(steps(0, 8), 0);
    }
}
