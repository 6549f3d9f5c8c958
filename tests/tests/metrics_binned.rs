//! Binned metrics: never further from the exact ones than they say, and equal where bins are single
//! scores.

#![allow(clippy::unwrap_used)]

use mpama_train::eval::{BinnedMetrics, Bounds, PixelMap, PixelMetrics};
use proptest::prelude::*;

prop_compose! {
    /// Images of 6×7 with scores on a grid of `levels`, and some outside of 0 to 1.
    fn images()(levels in 1..3000_i32, images in 1..5_usize)
        (pixels in prop::collection::vec((-levels / 20..=levels * 21 / 20, prop::bool::weighted(0.3)), images * 42),
         levels in Just(levels)) -> Vec<(Vec<f32>, Vec<u8>)> {
        let image = |pixels: &[(i32, bool)]| {
            pixels.iter().map(|&(s, m)| (s as f32 / levels as f32, u8::from(m))).unzip()
        };
        pixels.chunks(42).map(image).collect()
    }
}

fn maps(images: &[(Vec<f32>, Vec<u8>)]) -> impl Iterator<Item = PixelMap<'_>> {
    images.iter().map(|(scores, mask)| PixelMap {
        scores,
        mask,
        height: 6,
        width: 7,
    })
}

fn within(value: f64, bounds: Bounds) -> bool {
    (bounds.lowest - 1e-12..=bounds.highest + 1e-12).contains(&value)
}

proptest! {
    #[test]
    fn exact_and_binned_values_lie_within_the_bounds(images in images(), bins in 2..200_usize) {
        let (mut exact, mut binned) = (PixelMetrics::new(), BinnedMetrics::new(bins));
        for map in maps(&images) {
            exact.push(map).unwrap();
            binned.push(map).unwrap();
        }
        let exact = exact.finish().unwrap();
        let (found, bounds, curves) = binned.finish(50);
        prop_assert_eq!((found.regions, found.anomalous, found.normal), (exact.regions, exact.anomalous, exact.normal));
        prop_assert_eq!(found.auroc.is_some(), exact.auroc.is_some());
        prop_assert_eq!(curves.pixel_roc.is_some(), exact.auroc.is_some());
        prop_assert_eq!(found.aupro_200, None);
        let Some(bounds) = bounds else {
            prop_assert_eq!(exact.auroc, None);
            return Ok(());
        };
        for scores in [&exact, &found] {
            prop_assert!(within(scores.auroc.unwrap(), bounds.pixel_auroc), "auroc {scores:?} {bounds:?}");
            prop_assert!(within(scores.average_precision.unwrap(), bounds.pixel_ap), "ap {scores:?} {bounds:?}");
            prop_assert!(within(scores.f1_max.unwrap().value, bounds.pixel_f1_max), "f1 {scores:?} {bounds:?}");
            prop_assert!(within(scores.aupro.unwrap(), bounds.aupro), "aupro {scores:?} {bounds:?}");
        }
    }

    #[test]
    fn one_score_a_bin_is_exact(pixels in prop::collection::vec((0..64_u8, prop::bool::weighted(0.3)), 42)) {
        let (scores, mask): (Vec<f32>, Vec<u8>) =
            pixels.iter().map(|&(s, m)| (f32::from(s) / 64.0, u8::from(m))).unzip();
        let images = [(scores, mask)];
        let (mut exact, mut binned) = (PixelMetrics::new(), BinnedMetrics::new(64));
        for map in maps(&images) {
            exact.push(map).unwrap();
            binned.push(map).unwrap();
        }
        let (exact, (found, _, _)) = (exact.finish().unwrap(), binned.finish(0));
        prop_assert_eq!(exact.auroc, found.auroc);
        prop_assert_eq!(exact.average_precision, found.average_precision);
        prop_assert_eq!(exact.f1_max, found.f1_max);
        if let (Some(a), Some(b)) = (exact.aupro, found.aupro) {
            prop_assert!((a - b).abs() < 1e-12);
        }
    }
}

#[test]
fn what_is_broken_is_not_counted() {
    let mut metrics = BinnedMetrics::new(10);
    let map = PixelMap {
        scores: &[0.5, f32::NAN],
        mask: &[0, 1],
        height: 1,
        width: 2,
    };
    assert!(metrics.push(map).is_err());
    let (found, bounds, _) = metrics.finish(0);
    assert_eq!((found.normal, found.anomalous, bounds), (0, 0, None));
}
