//! Curves: the areas under them are the metrics, and thinning them hardly shows.

#![allow(clippy::unwrap_used)]

use mpama_train::eval::{
    AUPRO_LIMIT, Curve, PixelMap, PixelMetrics, aupro, auroc, average_precision,
    precision_recall_curve, pro_curve, roc_curve,
};
use proptest::prelude::*;

/// More points than any curve here has.
const ALL: usize = 1_000_000;
const FEW: usize = 40;

/// The area below straight lines.
fn area(curve: &Curve) -> f64 {
    curve
        .windows(2)
        .map(|pair| (pair[1][0] - pair[0][0]) * (pair[0][1] + pair[1][1]) / 2.0)
        .sum()
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

/// Maps of 24x24 with two square defects in every second one; scores of `levels` values.
fn maps(seed: u64, levels: u64) -> Vec<(Vec<f32>, Vec<u8>)> {
    let mut state = seed;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % levels
    };
    (0..6)
        .map(|number| {
            let inside = |i: usize| {
                let (y, x) = (i / 24, i % 24);
                number % 2 == 1
                    && ((2..7).contains(&x) || (12..22).contains(&x))
                    && (4..9 + number).contains(&y)
            };
            let mask: Vec<u8> = (0..576).map(|i| u8::from(inside(i))).collect();
            let scores = mask
                .iter()
                .map(|&m| (random() + u64::from(m) * levels / 3) as f32 / levels as f32)
                .collect();
            (scores, mask)
        })
        .collect()
}

fn as_maps(data: &[(Vec<f32>, Vec<u8>)]) -> Vec<PixelMap<'_>> {
    data.iter()
        .map(|(scores, mask)| PixelMap {
            scores,
            mask,
            height: 24,
            width: 24,
        })
        .collect()
}

#[test]
fn a_small_curve_is_as_drawn_by_hand() {
    // highest first: anomalous, normal, a tie of both, normal
    let scores = [0.9, 0.8, 0.5, 0.5, 0.1];
    let labels = [true, false, true, false, false];
    let third = 1.0 / 3.0;
    assert_eq!(
        roc_curve(&scores, &labels, ALL).unwrap().unwrap(),
        [
            [0.0, 0.0],
            [0.0, 0.5],
            [third, 0.5],
            [2.0 * third, 1.0],
            [1.0, 1.0]
        ]
    );
    assert_eq!(
        precision_recall_curve(&scores, &labels, ALL)
            .unwrap()
            .unwrap(),
        [[0.0, 1.0], [0.5, 1.0], [0.5, 0.5], [1.0, 0.5]]
    );
}

#[test]
fn one_class_has_no_curve() {
    for label in [true, false] {
        let labels = [label, label];
        assert_eq!(roc_curve(&[0.1, 0.2], &labels, ALL), Ok(None));
        assert_eq!(precision_recall_curve(&[0.1, 0.2], &labels, ALL), Ok(None));
    }
    assert_eq!(pro_curve(&[], AUPRO_LIMIT, ALL), Ok(None));
    assert!(roc_curve(&[f32::NAN, 0.0], &[true, false], ALL).is_err());
    assert!(pro_curve(&[], 1.5, ALL).is_err());
}

#[test]
fn pixel_curves_have_the_areas_and_end_where_they_should() {
    for (seed, levels) in [(1, 7), (2, 1000), (3, 1 << 30)] {
        let data = maps(seed, levels);
        let maps = as_maps(&data);
        for limit in [0.05, AUPRO_LIMIT, 1.0] {
            let curve = pro_curve(&maps, limit, ALL).unwrap().unwrap();
            let value = aupro(&maps, limit).unwrap().unwrap();
            assert!(close(area(&curve) / limit, value, 1e-9), "{levels} {limit}");
            assert_eq!((curve[0], curve.last().unwrap()[0]), ([0.0, 0.0], limit));
        }
        let collected = || {
            let mut metrics = PixelMetrics::new();
            metrics.push_all(&maps).unwrap();
            metrics
        };
        let alone = collected().finish().unwrap();
        let (scores, curves) = collected().finish_with_curves(ALL).unwrap();
        assert_eq!(scores, alone);
        assert!(close(
            area(&curves.pixel_roc.unwrap()),
            scores.auroc.unwrap(),
            1e-9
        ));
        let precision = curves.pixel_precision_recall.unwrap();
        assert!(close(
            area(&precision),
            scores.average_precision.unwrap(),
            1e-9
        ));
        assert!(curves.pro.is_some() && curves.image_roc.is_none());
    }
}

/// Few points, all of them the exact curve's, with its ends and nearly its area.
fn assert_thinned(what: &str, exact: &Curve, thin: &Curve, tolerance: f64) {
    assert!(thin.len() <= FEW, "{what}: {} points", thin.len());
    assert_eq!(
        (thin.first(), thin.last()),
        (exact.first(), exact.last()),
        "{what}"
    );
    assert!(
        thin.iter().all(|point| exact.contains(point)),
        "{what}: a point of its own"
    );
    assert!(
        thin.windows(2).all(|pair| pair[0][0] <= pair[1][0]),
        "{what}: goes back"
    );
    assert!(
        close(area(exact), area(thin), tolerance),
        "{what}: {} {}",
        area(exact),
        area(thin)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_area_is_the_metric_and_thinning_keeps_it(
        samples in prop::collection::vec((0_u32..500, any::<bool>()), 2..600)
    ) {
        let scores: Vec<f32> = samples.iter().map(|&(score, anomalous)| {
            (score + 150 * u32::from(anomalous)) as f32 / 650.0
        }).collect();
        let labels: Vec<bool> = samples.iter().map(|&(_, anomalous)| anomalous).collect();
        let roc = |most| roc_curve(&scores, &labels, most).unwrap();
        let Some(exact) = roc(ALL) else {
            prop_assert_eq!(auroc(&scores, &labels), Ok(None));
            return Ok(());
        };
        prop_assert!(close(area(&exact), auroc(&scores, &labels).unwrap().unwrap(), 1e-9));
        assert_thinned("roc", &exact, &roc(FEW).unwrap(), 0.02);

        let precision = |most| precision_recall_curve(&scores, &labels, most).unwrap().unwrap();
        let exact = precision(ALL);
        let value = average_precision(&scores, &labels).unwrap().unwrap();
        prop_assert!(close(area(&exact), value, 1e-9));
        assert_thinned("precision", &exact, &precision(FEW), 0.05);
    }
}

#[test]
fn a_long_run_keeps_its_corner() {
    // half of the normal samples above all anomalous ones, half below: one upright step at 0.5
    let scores: Vec<f32> = (0..1000)
        .map(|i| i as f32)
        .chain((0..1000).map(|i| 500.0 - i as f32 / 2000.0))
        .collect();
    let labels: Vec<bool> = (0..2000).map(|i| i >= 1000).collect();
    let thin = roc_curve(&scores, &labels, FEW).unwrap().unwrap();
    let exact = auroc(&scores, &labels).unwrap().unwrap();
    assert!(close(area(&thin), exact, 1e-3), "{} {exact}", area(&thin));
}
