//! Metrics against scikit-learn, scikit-image and plain loops over thresholds
//! (`fixtures/recipes/metrics.py`), and what must not change them.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};

use candle_core::Tensor;
use mpama_tests::{fixtures, golden};
use mpama_train::eval::{
    AUPRO_LIMIT, F1, MetricError, PixelMap, PixelMetrics, PixelScores, aupro, aupro_200, auroc,
    average_precision, f1_max, label_regions,
};
use proptest::prelude::*;
use serde::Deserialize;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Expected {
    images: BTreeMap<String, Ranked>,
    pixels: BTreeMap<String, Overlapping>,
}

#[derive(Deserialize)]
struct Ranked {
    auroc: Option<f64>,
    average_precision: Option<f64>,
    f1_max: Option<Best>,
}

#[derive(Deserialize)]
struct Best {
    value: f64,
    threshold: f32,
}

#[derive(Deserialize)]
struct Overlapping {
    #[serde(flatten)]
    ranked: Ranked,
    aupro: Option<f64>,
    aupro_005: Option<f64>,
    aupro_1: Option<f64>,
    aupro_200: Option<f64>,
    regions: usize,
}

fn expected() -> Expected {
    serde_json::from_slice(&std::fs::read(fixtures().join("metrics/expected.json")).unwrap())
        .unwrap()
}

/// A set of equally large maps, each with its mask.
#[derive(Clone, Debug)]
struct Maps {
    images: Vec<(Vec<f32>, Vec<u8>)>,
    height: usize,
    width: usize,
}

impl Maps {
    fn golden(inputs: &HashMap<String, Tensor>, name: &str) -> Self {
        let scores = &inputs[&format!("pixels.{name}.scores")];
        let masks = &inputs[&format!("pixels.{name}.masks")];
        let (images, height, width) = scores.dims3().unwrap();
        let flat = |t: &Tensor, i: usize| t.get(i).unwrap().flatten_all().unwrap();
        let image = |i| {
            (
                flat(scores, i).to_vec1().unwrap(),
                flat(masks, i).to_vec1().unwrap(),
            )
        };
        Self {
            images: (0..images).map(image).collect(),
            height,
            width,
        }
    }

    fn borrowed(&self) -> Vec<PixelMap<'_>> {
        let (height, width) = (self.height, self.width);
        self.images
            .iter()
            .map(|(scores, mask)| PixelMap {
                scores,
                mask,
                height,
                width,
            })
            .collect()
    }

    fn mapped(&self, f: impl Fn(f32) -> f32) -> Self {
        let mut maps = self.clone();
        maps.images
            .iter_mut()
            .flat_map(|(scores, _)| scores)
            .for_each(|score| *score = f(*score));
        maps
    }

    /// The images in reverse order, each turned by half a circle.
    fn turned(&self) -> Self {
        let mut maps = self.clone();
        maps.images.reverse();
        for (scores, mask) in &mut maps.images {
            scores.reverse();
            mask.reverse();
        }
        maps
    }

    fn measure(&self, limit: f64) -> PixelScores {
        let mut metrics = PixelMetrics::with_limit(limit).unwrap();
        self.borrowed()
            .into_iter()
            .for_each(|map| metrics.push(map).unwrap());
        metrics.finish().unwrap()
    }
}

#[track_caller]
fn assert_same(what: &str, ours: Option<f64>, theirs: Option<f64>) {
    match (ours, theirs) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= TOLERANCE, "{what}: {a} vs {b}"),
        _ => assert_eq!(ours, theirs, "{what}"),
    }
}

#[track_caller]
fn assert_ranked(name: &str, ours: (Option<f64>, Option<f64>, Option<F1>), theirs: &Ranked) {
    let (area, precision, best) = ours;
    let (value, threshold) = best.map(|f| (f.value, f.threshold)).unzip();
    let (their_value, their_threshold) = theirs
        .f1_max
        .as_ref()
        .map(|f| (f.value, f.threshold))
        .unzip();
    assert_same(&format!("{name}: auroc"), area, theirs.auroc);
    assert_same(
        &format!("{name}: average precision"),
        precision,
        theirs.average_precision,
    );
    assert_same(&format!("{name}: f1"), value, their_value);
    assert_eq!(
        threshold, their_threshold,
        "{name}: threshold of the best f1"
    );
}

#[test]
fn image_metrics_equal_scikit_learn() {
    let inputs = golden("metrics/inputs.safetensors");
    let expected = expected().images;
    assert!(!expected.is_empty());
    for (name, theirs) in &expected {
        let scores: Vec<f32> = inputs[&format!("images.{name}.scores")].to_vec1().unwrap();
        let labels: Vec<u8> = inputs[&format!("images.{name}.labels")].to_vec1().unwrap();
        let labels: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
        let area = auroc(&scores, &labels).unwrap();
        let precision = average_precision(&scores, &labels).unwrap();
        assert_ranked(
            name,
            (area, precision, f1_max(&scores, &labels).unwrap()),
            theirs,
        );
    }
}

#[test]
fn pixel_metrics_equal_scikit_learn_and_plain_loops() {
    let inputs = golden("metrics/inputs.safetensors");
    let expected = expected().pixels;
    assert!(!expected.is_empty());
    for (name, theirs) in &expected {
        let maps = Maps::golden(&inputs, name);
        let ours = maps.measure(AUPRO_LIMIT);
        assert_ranked(
            name,
            (ours.auroc, ours.average_precision, ours.f1_max),
            &theirs.ranked,
        );
        assert_same(&format!("{name}: aupro"), ours.aupro, theirs.aupro);
        assert_same(
            &format!("{name}: aupro to 0.05"),
            maps.measure(0.05).aupro,
            theirs.aupro_005,
        );
        assert_same(
            &format!("{name}: aupro to 1"),
            maps.measure(1.0).aupro,
            theirs.aupro_1,
        );
        assert_same(
            &format!("{name}: aupro_200"),
            ours.aupro_200,
            theirs.aupro_200,
        );
        assert_eq!(ours.regions, theirs.regions, "{name}: regions");
        assert_eq!(
            ours.aupro,
            aupro(&maps.borrowed(), AUPRO_LIMIT).unwrap(),
            "{name}"
        );
        assert_eq!(
            ours.aupro_200,
            aupro_200(&maps.borrowed()).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn regions_equal_scikit_image() {
    let inputs = golden("metrics/inputs.safetensors");
    let (masks, labels) = (&inputs["regions.masks"], &inputs["regions.labels"]);
    let (images, height, width) = masks.dims3().unwrap();
    for i in 0..images {
        let flat = |t: &Tensor| {
            t.get(i)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1::<u8>()
                .unwrap()
        };
        let ours = label_regions(&flat(masks), height, width).unwrap();
        let theirs: Vec<u32> = flat(labels).into_iter().map(u32::from).collect();
        assert_eq!(ours.labels, theirs, "mask {i}");
        for (number, &area) in (1..).zip(&ours.areas) {
            assert_eq!(
                area,
                theirs.iter().filter(|&&label| label == number).count(),
                "mask {i}"
            );
        }
        assert_eq!(
            ours.areas.iter().sum::<usize>(),
            theirs.iter().filter(|&&label| label > 0).count()
        );
    }
}

#[test]
fn no_sample_has_no_metric() {
    assert_eq!(auroc(&[], &[]), Ok(None));
    assert_eq!(average_precision(&[], &[]), Ok(None));
    assert_eq!(f1_max(&[], &[]), Ok(None));
    let none = PixelMetrics::new().finish().unwrap();
    assert_eq!(
        (none.auroc, none.average_precision, none.f1_max),
        (None, None, None)
    );
    assert_eq!((none.aupro, none.aupro_200, none.regions), (None, None, 0));
}

#[test]
fn broken_input_is_named() {
    let nan = auroc(&[0.1, f32::NAN], &[true, false]).unwrap_err();
    assert_eq!(nan.to_string(), "score 1 is NaN: expected a finite number");
    let unpaired = f1_max(&[0.1, 0.2], &[true]);
    assert_eq!(
        unpaired,
        Err(MetricError::Unpaired {
            scores: 2,
            labels: 1
        })
    );
    assert_eq!(aupro(&[], 1.5), Err(MetricError::Limit(1.5)));
    assert!(PixelMetrics::with_limit(f64::NAN).is_err());

    let mut metrics = PixelMetrics::new();
    let whole = PixelMap {
        scores: &[0.9, 0.1],
        mask: &[1, 0],
        height: 1,
        width: 2,
    };
    metrics.push(whole).unwrap();
    let mut alone = PixelMetrics::new();
    alone.push(whole).unwrap();
    let short = metrics
        .push(PixelMap {
            mask: &[1],
            ..whole
        })
        .unwrap_err();
    assert_eq!(
        short,
        MetricError::Shape {
            what: "mask",
            found: 1,
            height: 1,
            width: 2
        }
    );
    assert!(
        metrics
            .push(PixelMap {
                scores: &[0.9, f32::INFINITY],
                ..whole
            })
            .is_err()
    );
    assert_eq!(
        metrics.finish(),
        alone.finish(),
        "a refused map leaves no trace"
    );
}

#[test]
fn images_may_differ_in_size() {
    let wide = PixelMap {
        scores: &[0.9, 0.8, 0.1, 0.0],
        mask: &[1, 1, 1, 0],
        height: 1,
        width: 4,
    };
    let tall = PixelMap {
        scores: &[0.7, 0.6, 0.5, 0.2, 0.0],
        mask: &[0, 1, 0, 0, 0],
        height: 5,
        width: 1,
    };
    // The curve up to the limit: (0, 1/3), (1/5, 1/3), (1/5, 5/6), (2/5, 5/6).
    let expected = (0.2 / 3.0 + 0.1 * 5.0 / 6.0) / 0.3;
    assert_same("aupro", aupro(&[wide, tall], 0.3).unwrap(), Some(expected));
}

/// Strictly increasing on integers of a few hundred, in `f32` too.
fn increasing(score: f32) -> f32 {
    (score / 50.0).exp() - 3.0
}

#[test]
fn squashing_scores_moves_only_the_stepped_area() {
    let maps = Maps::golden(&golden("metrics/inputs.safetensors"), "tied");
    let plain = maps.measure(AUPRO_LIMIT);
    let squashed = maps
        .mapped(|score| increasing(100.0 * score))
        .measure(AUPRO_LIMIT);
    assert_eq!(plain.aupro, squashed.aupro);
    assert!((plain.aupro_200.unwrap() - squashed.aupro_200.unwrap()).abs() > 0.01);
}

prop_compose! {
    /// Integer scores; `levels` decides how many of them are tied.
    fn samples()(levels in 1..400_i16, size in 0..120_usize)
        (pairs in prop::collection::vec((-levels..=levels, any::<bool>()), size)) -> Vec<(f32, bool)> {
        pairs.into_iter().map(|(score, label)| (f32::from(score), label)).collect()
    }
}

prop_compose! {
    fn maps()(levels in 1..400_i16, images in 1..5_usize, height in 1..9_usize, width in 1..9_usize)
        (pixels in prop::collection::vec((-levels..=levels, prop::bool::weighted(0.3)), images * height * width),
         height in Just(height), width in Just(width)) -> Maps {
        let image = |pixels: &[(i16, bool)]| pixels.iter().map(|&(s, m)| (f32::from(s), u8::from(m))).unzip();
        Maps { images: pixels.chunks(height * width).map(image).collect(), height, width }
    }
}

proptest! {
    #[test]
    fn ranking_depends_on_order_alone(
        (pairs, shuffled) in samples().prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle()))
    ) {
        let measure = |pairs: &[(f32, bool)], f: fn(f32) -> f32| {
            let (scores, labels): (Vec<_>, Vec<_>) = pairs.iter().map(|&(score, label)| (f(score), label)).unzip();
            (auroc(&scores, &labels), average_precision(&scores, &labels), f1_max(&scores, &labels).unwrap())
        };
        let ours = measure(&pairs, |score| score);
        prop_assert_eq!(&ours, &measure(&shuffled, |score| score));

        let moved = measure(&pairs, increasing);
        prop_assert_eq!((&ours.0, &ours.1), (&moved.0, &moved.1));
        let best = ours.2.map(|f| F1 { threshold: increasing(f.threshold), ..f });
        prop_assert_eq!(best, moved.2);
    }

    #[test]
    fn overlap_depends_on_order_alone(maps in maps(), limit in 0.01..1.0_f64) {
        let ours = maps.measure(limit);
        let moved = maps.mapped(increasing).measure(limit);
        prop_assert_eq!((ours.auroc, ours.average_precision), (moved.auroc, moved.average_precision));
        prop_assert_eq!(ours.aupro, moved.aupro);
        prop_assert!(ours.aupro.is_none_or(|area| (0.0..=1.0 + TOLERANCE).contains(&area)));

        let turned = maps.turned().measure(limit);
        prop_assert_eq!((ours.auroc, ours.average_precision), (turned.auroc, turned.average_precision));
        prop_assert_eq!(ours.f1_max, turned.f1_max);
        assert_same("aupro, turned", turned.aupro, ours.aupro);
        assert_same("aupro_200, turned", turned.aupro_200, ours.aupro_200);
    }
}
