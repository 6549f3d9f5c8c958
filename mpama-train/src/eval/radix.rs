//! Sorting by bytes.

use super::key::Key;

/// Sorts ascending, least significant byte first, with `scratch` as the other place to write to.
///
/// On the scores of maps this takes a third of the time of a sort by comparison: bytes that all keys
/// share, as scores between 0 and 1 do, cost no pass.
pub(super) fn sort<K: Key>(keys: &mut Vec<K>, scratch: &mut Vec<K>) {
    let mut counts = vec![[0_usize; 256]; K::BYTES];
    for &key in keys.iter() {
        for (place, counts) in counts.iter_mut().enumerate() {
            counts[key.byte(place)] += 1;
        }
    }
    scratch.resize(keys.len(), K::default());
    for (place, counts) in counts.iter_mut().enumerate() {
        if counts.contains(&keys.len()) {
            continue;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            (*count, start) = (start, start + *count);
        }
        for &key in keys.iter() {
            let next = &mut counts[key.byte(place)];
            scratch[*next] = key;
            *next += 1;
        }
        std::mem::swap(keys, scratch);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted<K: Key>(keys: &[K]) -> Vec<K> {
        let mut keys = keys.to_vec();
        sort(&mut keys, &mut Vec::new());
        keys
    }

    proptest! {
        #[test]
        fn equals_the_standard_sort(
            narrow in prop::collection::vec(0_u32..70_000, 0..400),
            wide in prop::collection::vec(any::<u64>(), 0..400),
        ) {
            let mut expected = (narrow.clone(), wide.clone());
            expected.0.sort_unstable();
            expected.1.sort_unstable();
            prop_assert_eq!((sorted(&narrow), sorted(&wide)), expected);
        }
    }

    #[test]
    fn the_scratch_may_be_of_any_length() {
        let mut scratch = vec![9_u32; 50];
        for keys in [vec![3, 1, 2], vec![], vec![5; 80]] {
            let mut ours = keys.clone();
            sort(&mut ours, &mut scratch);
            let mut expected = keys;
            expected.sort_unstable();
            assert_eq!(ours, expected);
        }
    }
}
