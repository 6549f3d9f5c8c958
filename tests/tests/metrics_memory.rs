//! Pixel metrics within little memory: the same to the last bit, and no more memory than was said.

#![allow(clippy::unwrap_used)]

use std::io;
use std::path::Path;

use mpama_train::eval::{MetricError, PixelMap, PixelMetrics};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Maps of 32×40 whose scores take `levels` values; every third image is normal.
fn maps(seed: u64, images: usize, levels: u32) -> Vec<(Vec<f32>, Vec<u8>)> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let image = |number: usize| {
        let defect = (random.random_range(0..24), random.random_range(0..30));
        let mask: Vec<u8> = (0..32 * 40)
            .map(|i| {
                let (y, x) = (i / 40, i % 40);
                let inside =
                    (defect.0..defect.0 + 8).contains(&y) && (defect.1..defect.1 + 10).contains(&x);
                u8::from(!number.is_multiple_of(3) && inside)
            })
            .collect();
        let score = |m: &u8| (random.random_range(0..levels) + u32::from(*m) * levels / 3) as f32;
        let scores = mask.iter().map(score).collect();
        (scores, mask)
    };
    (0..images).map(image).collect()
}

fn borrowed(maps: &[(Vec<f32>, Vec<u8>)]) -> Vec<PixelMap<'_>> {
    maps.iter()
        .map(|(scores, mask)| PixelMap {
            scores,
            mask,
            height: 32,
            width: 40,
        })
        .collect()
}

fn within(memory: usize, maps: &[PixelMap<'_>]) -> PixelMetrics {
    let mut metrics = PixelMetrics::within(memory, None);
    metrics.push_all(maps).unwrap();
    metrics
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn little_memory_gives_the_same_bits(
        seed in any::<u64>(), images in 1..9_usize, levels in prop_oneof![1..4_u32, Just(1 << 24)],
        memory in 1..60_000_usize,
    ) {
        let data = maps(seed, images, levels);
        let maps = borrowed(&data);
        let plenty = within(1 << 30, &maps);
        prop_assert_eq!(plenty.spilled(), (0, 0));
        let (scores, curves) = plenty.finish_with_curves(50).unwrap();
        let (fewer, drawn) = within(memory, &maps).finish_with_curves(50).unwrap();
        prop_assert_eq!(scores, fewer);
        prop_assert_eq!(curves, drawn);
        prop_assert_eq!(scores, within(memory, &maps).finish().unwrap());
    }

    #[test]
    fn the_order_of_images_and_calls_changes_no_metric_of_pixels(seed in any::<u64>(), memory in 1..60_000_usize) {
        let data = maps(seed, 6, 40);
        let maps = borrowed(&data);
        let together = within(memory, &maps).finish().unwrap();
        let mut one_by_one = PixelMetrics::within(memory, None);
        for map in maps.iter().rev() {
            one_by_one.push(*map).unwrap();
        }
        let one_by_one = one_by_one.finish().unwrap();
        prop_assert_eq!(together.auroc, one_by_one.auroc);
        prop_assert_eq!(together.average_precision, one_by_one.average_precision);
        prop_assert_eq!(together.f1_max, one_by_one.f1_max);
        // regions are summed in another order
        prop_assert!((together.aupro.unwrap() - one_by_one.aupro.unwrap()).abs() < 1e-12);
    }
}

#[test]
fn what_does_not_fit_is_in_a_file_that_leaves_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = maps(1, 60, 1 << 24);
    let mut metrics = PixelMetrics::within(64 << 10, Some(folder.path()));
    metrics.push_all(&borrowed(&data)).unwrap();
    let (runs, bytes) = metrics.spilled();
    assert!(runs > 10 && bytes > 100_000, "{runs} runs, {bytes} bytes");
    if cfg!(unix) {
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    metrics.finish().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let data = maps(1, 60, 1 << 24);
    let mut metrics = PixelMetrics::within(1000, Some(Path::new("/no/such folder")));
    let error = metrics.push_all(&borrowed(&data)).unwrap_err();
    assert!(
        matches!(
            &error,
            MetricError::Spill {
                action: "write",
                kind: io::ErrorKind::NotFound,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("in /no/such folder: "),
        "{error}"
    );
}

/// Run in a process of its own, so that nothing else counts: 20 million pixels, or 88 MB of keys,
/// in 16 MiB.
#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_its_bound() {
    const NAME: &str = "memory_stays_within_its_bound";
    const WORKER: &str = "MPAMA_TEST_MEMORY_WORKER";
    const BOUND: usize = 16 << 20;
    if std::env::var_os(WORKER).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact", "--nocapture"])
            .env(WORKER, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(
            child.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&child.stderr)
        );
        return;
    }
    let held = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
            << 10
    };
    let (height, width) = (500, 500);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mask: Vec<u8> = (0..height * width).map(|i| u8::from(i < 20_000)).collect();
    let before = held();
    let mut metrics = PixelMetrics::within(BOUND, None);
    let mut scores = vec![0.0; height * width];
    for _ in 0..80 {
        scores.fill_with(|| random.random());
        let map = PixelMap {
            scores: &scores,
            mask: &mask,
            height,
            width,
        };
        metrics.push(map).unwrap();
    }
    assert!(metrics.spilled().1 > 60_000_000);
    let found = metrics.finish().unwrap();
    assert_eq!(found.normal + found.anomalous, 20_000_000);
    assert!((found.auroc.unwrap() - 0.5).abs() < 1e-3);
    // one image's scores, labels and keys come on top
    let grown = held() - before;
    assert!(grown < BOUND + (8 << 20), "{} MiB", grown >> 20);
}
