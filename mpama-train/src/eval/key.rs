//! Scores as integers whose order is that of the scores, highest first.

/// A sample as it is sorted: its score, and for an anomalous one the region it belongs to.
///
/// Ascending keys are descending scores.
pub(super) trait Key: Copy + Default + Ord + Send + Sync + 'static {
    /// Bytes of a key.
    const BYTES: usize;
    /// Byte `place`, the least significant being 0.
    fn byte(self, place: usize) -> usize;
    /// Appends the bytes of keys to `to`.
    fn write(keys: &[Self], to: &mut Vec<u8>);
    /// Appends the keys of which `bytes` are.
    fn read(bytes: &[u8], to: &mut Vec<Self>);
}

macro_rules! key {
    ($type:ty) => {
        impl Key for $type {
            const BYTES: usize = size_of::<$type>();

            fn byte(self, place: usize) -> usize {
                usize::from((self >> (8 * place)) as u8)
            }

            fn write(keys: &[Self], to: &mut Vec<u8>) {
                to.extend(keys.iter().flat_map(|key| key.to_le_bytes()));
            }

            fn read(bytes: &[u8], to: &mut Vec<Self>) {
                let (keys, _) = bytes.as_chunks();
                to.extend(keys.iter().map(|key| Self::from_le_bytes(*key)));
            }
        }
    };
}

key!(u32); // a normal sample: its score
key!(u64); // an anomalous one: its score above its region

/// The key of a finite score; both zeros have one.
pub(super) fn of_score(score: f32) -> u32 {
    let bits = (score + 0.0).to_bits();
    // Negative numbers have their bits turned over, all others lie above them.
    let flip = ((bits as i32 >> 31) as u32) | 1 << 31;
    !(bits ^ flip)
}

/// The score of a key.
pub(super) fn score(key: u32) -> f32 {
    let ascending = !key;
    let flip = ((!ascending as i32 >> 31) as u32) | 1 << 31;
    f32::from_bits(ascending ^ flip)
}

/// The key of an anomalous sample.
pub(super) fn of_positive(score: f32, region: u32) -> u64 {
    u64::from(of_score(score)) << 32 | u64::from(region)
}

/// Score key and region of an anomalous sample's key.
pub(super) fn parts(positive: u64) -> (u32, u32) {
    ((positive >> 32) as u32, positive as u32)
}

/// The largest key whose score is above `threshold`.
pub(super) fn last_above(threshold: f64) -> u32 {
    let near = threshold as f32;
    let above = match f64::from(near) > threshold {
        true => near,
        false => near.next_up(),
    };
    of_score(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 10] = [
        f32::MAX,
        2.0,
        1.0 + f32::EPSILON,
        1.0,
        f32::MIN_POSITIVE,
        0.0,
        -f32::MIN_POSITIVE,
        -1.0,
        -2.0,
        f32::MIN,
    ];

    #[test]
    fn the_order_of_keys_is_that_of_scores_turned_round() {
        let keys = SCORES.map(of_score);
        assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(keys.map(score), SCORES);
        assert_eq!(of_score(-0.0), of_score(0.0));
        assert!(
            of_score(f32::MAX) > 0,
            "a key lies below that of every score"
        );
    }

    #[test]
    fn a_threshold_parts_the_keys_as_it_parts_the_scores() {
        let between = SCORES
            .windows(2)
            .map(|pair| (f64::from(pair[0]) + f64::from(pair[1])) / 2.0);
        for threshold in SCORES.map(f64::from).into_iter().chain(between) {
            for score in SCORES {
                let detected = of_score(score) <= last_above(threshold);
                assert_eq!(
                    detected,
                    f64::from(score) > threshold,
                    "{score} {threshold}"
                );
            }
        }
    }
}
