#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Var};

use super::*;
use crate::config::{ImageSize, PerceptionConfig};

const SHAPE: (usize, usize, usize) = (2, 6, 5);

/// Scattered over (0.02, 0.98): nearer to the ends a logarithm leaves finite differences too coarse.
fn noise(seed: usize) -> Vec<f64> {
    let step = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f64 / 1009.0;
    (0..60).map(|i| 0.02 + 0.96 * step(i)).collect()
}

fn map() -> Var {
    Var::from_vec(noise(1), SHAPE, &Device::Cpu).unwrap()
}

fn mask() -> Tensor {
    let values = noise(2)
        .into_iter()
        .map(|v| f64::from(u8::from(v > 0.7)))
        .collect::<Vec<_>>();
    Tensor::from_vec(values, SHAPE, &Device::Cpu).unwrap()
}

/// Windows that are the pixels of [`SHAPE`].
fn pixels() -> Vec<Perception> {
    let (_, height, width) = SHAPE;
    levels((height, width), ImageSize { height, width }, &[1])
}

fn levels(grid: (usize, usize), size: ImageSize, levels: &[usize]) -> Vec<Perception> {
    let config = PerceptionConfig {
        levels: levels.to_vec(),
        ..PerceptionConfig::default()
    };
    Perception::levels(&config, grid, size, &Device::Cpu).unwrap()
}

/// The total of one map on the pixels, composed.
fn total(map: &Tensor, mask: &Tensor, config: &LossConfig) -> Tensor {
    let sums = sums(std::slice::from_ref(map), mask, config).unwrap();
    Losses::weighed(sums, None, config).unwrap().total
}

fn value(x: &Tensor) -> f64 {
    x.to_scalar().unwrap()
}

/// AnomalyCLIP's two-channel loss as published: one-hot clamped, `+ ε`, both dices.
fn two_channels(abnormal: &Tensor, mask: &Tensor, config: &LossConfig) -> Tensor {
    let (low, high) = (config.focal_epsilon, 1.0 - config.focal_epsilon);
    let normal = abnormal.affine(-1.0, 1.0).unwrap();
    let empty = mask.affine(-1.0, 1.0).unwrap();
    let truth = (normal.mul(&empty.clamp(low, high).unwrap()).unwrap()
        + abnormal.mul(&mask.clamp(low, high).unwrap()).unwrap())
    .unwrap();
    let truth = (truth + config.focal_epsilon).unwrap();
    let miss = truth
        .affine(-1.0, 1.0)
        .unwrap()
        .powf(config.focal_gamma)
        .unwrap();
    let focal = (miss * truth.log().unwrap())
        .unwrap()
        .neg()
        .unwrap()
        .mean_all()
        .unwrap();
    let dices = (dice(&normal, &empty, 1.0).unwrap() + dice(abnormal, mask, 1.0).unwrap()).unwrap();
    (focal + dices).unwrap()
}

#[test]
fn one_channel_equals_two_in_value_and_gradient() {
    let config = LossConfig {
        hinge: 0.0,
        ..LossConfig::default()
    };
    let (map, mask) = (map(), mask());
    let short = total(map.as_tensor(), &mask, &config);
    let long = two_channels(map.as_tensor(), &mask, &config);
    assert!((value(&short) - value(&long)).abs() < 1e-12);
    let short = short
        .backward()
        .unwrap()
        .get(map.as_tensor())
        .unwrap()
        .clone();
    let long = long
        .backward()
        .unwrap()
        .get(map.as_tensor())
        .unwrap()
        .clone();
    let worst = (short - long).unwrap().abs().unwrap().max_all().unwrap();
    assert!(value(&worst) < 1e-12);
}

#[test]
fn gradients_agree_with_finite_differences() {
    let config = LossConfig {
        focal_alpha: Some(0.3),
        focal_gamma: 1.5,
        ..LossConfig::default()
    };
    let (map, mask) = (map(), mask());
    let total = |map: &Tensor| total(map, &mask, &config);
    let grads = total(map.as_tensor()).backward().unwrap();
    let analytic: Vec<f64> = grads
        .get(map.as_tensor())
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    for i in 0..60 {
        let shifted = |step: f64| {
            let mut values = noise(1);
            values[i] += step;
            value(&total(
                &Tensor::from_vec(values, SHAPE, &Device::Cpu).unwrap(),
            ))
        };
        let numeric = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
        assert!(
            (numeric - analytic[i]).abs() < 1e-6,
            "pixel {i}: {numeric} {}",
            analytic[i]
        );
    }
}

#[test]
fn hinge_of_an_empty_set_is_zero_and_the_rest_stays() {
    let config = LossConfig::default();
    let all_normal = Tensor::zeros(SHAPE, DType::F64, &Device::Cpu).unwrap();
    let map = map();
    let expected: f64 = noise(1).iter().map(|v| (v - 0.5).max(0.0)).sum::<f64>() / 60.0;
    assert!(
        (value(&hinge(map.as_tensor(), &all_normal, &config).unwrap()) - expected).abs() < 1e-12
    );
    let all_anomalous = Tensor::ones(SHAPE, DType::F64, &Device::Cpu).unwrap();
    let expected: f64 = noise(1).iter().map(|v| (0.5 - v).max(0.0)).sum::<f64>() / 60.0;
    assert!(
        (value(&hinge(map.as_tensor(), &all_anomalous, &config).unwrap()) - expected).abs() < 1e-12
    );
}

#[test]
fn saturated_maps_stay_finite() {
    let mask = mask().to_dtype(DType::F32).unwrap();
    for level in [0.0f32, 1.0] {
        let map = Var::from_tensor(&Tensor::full(level, SHAPE, &Device::Cpu).unwrap()).unwrap();
        let losses = Losses::new(
            &[map.as_tensor().clone()],
            &pixels(),
            &mask,
            None,
            &LossConfig::default(),
        )
        .unwrap();
        assert!(losses.total.to_scalar::<f32>().unwrap().is_finite());
        let grads = losses.total.backward().unwrap();
        let grad: Vec<f32> = grads
            .get(map.as_tensor())
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert!(grad.iter().all(|g| g.is_finite()), "level {level}");
    }
}

#[test]
fn cross_entropy_is_finite_far_out_and_right_near_zero() {
    let labels = Tensor::new(&[0f64, 1.0, 1.0, 0.0], &Device::Cpu).unwrap();
    let margin = Tensor::new(&[0.3f64, -1.2, 400.0, 400.0], &Device::Cpu).unwrap();
    let expected = ((1.0 + 0.3f64.exp()).ln() + (1.0 + 1.2f64.exp()).ln() + 0.0 + 400.0) / 4.0;
    assert!((value(&cross_entropy(&margin, &labels).unwrap()) - expected).abs() < 1e-12);
}

/// Value and gradient in `map` of each loss, in one pass and composed.
fn assert_one_pass_equals_composed(
    map: &Var,
    maps: &[Tensor],
    levels: &[Perception],
    mask: &Tensor,
    config: &LossConfig,
) {
    let scalar = |t: &Tensor| t.to_scalar::<f32>().unwrap();
    let short = sums_in_one_pass(maps, levels, mask, config).unwrap();
    let long = sums(&enlarged(maps, levels).unwrap(), mask, config).unwrap();
    for ((short, long), name) in short.iter().zip(&long).zip(["focal", "dice", "hinge"]) {
        let (ours, theirs) = (scalar(short), scalar(long));
        assert!(
            (ours - theirs).abs() < 2e-6 * theirs.max(1.0),
            "{name}: {ours} {theirs}"
        );
        let grad = |t: &Tensor| {
            let grads = (t * 3.0).unwrap().backward().unwrap();
            grads.get(map.as_tensor()).unwrap().clone()
        };
        let (short, long) = (grad(short), grad(long));
        let largest = scalar(&long.abs().unwrap().max_all().unwrap());
        let off = scalar(&(short - long).unwrap().abs().unwrap().max_all().unwrap());
        assert!(
            off <= 2e-6 * largest.max(1e-3),
            "{name}: {off} of {largest}"
        );
    }
}

/// Settings of the losses that are not the default's.
fn unusual(gamma: f64, alpha: Option<f64>) -> LossConfig {
    LossConfig {
        focal_gamma: gamma,
        focal_alpha: alpha,
        margin_normal: 0.4,
        margin_abnormal: 0.6,
        dice_smooth: 0.7,
        ..LossConfig::default()
    }
}

#[test]
fn one_pass_equals_the_composed_losses_in_value_and_gradient() {
    for (gamma, alpha) in [(2.0, None), (1.5, Some(0.3)), (0.0, None)] {
        let config = unusual(gamma, alpha);
        let map = Var::from_tensor(&map().to_dtype(DType::F32).unwrap()).unwrap();
        let maps = [map.as_tensor().clone(), map.as_tensor().sqr().unwrap()];
        let all = mask().to_dtype(DType::F32).unwrap();
        for mask in [
            all.clone(),
            all.zeros_like().unwrap(),
            all.ones_like().unwrap(),
        ] {
            let levels = [pixels(), pixels()].concat();
            assert_one_pass_equals_composed(&map, &maps, &levels, &mask, &config);
        }
    }
}

/// Enlarged some rows at a time, and the last time fewer.
#[test]
fn one_pass_enlarges_as_the_composed_losses_do() {
    let size = ImageSize {
        height: 37,
        width: 33,
    };
    let levels = levels((6, 5), size, &[1, 2, 3]);
    let map = Var::from_tensor(&map().to_dtype(DType::F32).unwrap()).unwrap();
    let patches = map.as_tensor().reshape((2, 30)).unwrap();
    let pooled = levels.iter().map(|level| level.pool_scalars(&patches));
    let maps: Vec<Tensor> = pooled.map(Result::unwrap).collect();
    let defect = |i: usize| f32::from(u8::from(i % 1221 / 33 > 20 && i % 33 < 9));
    let mask: Vec<f32> = (0..2442).map(defect).collect();
    let mask = Tensor::from_vec(mask, (2, 37, 33), &Device::Cpu).unwrap();
    assert_one_pass_equals_composed(&map, &maps, &levels, &mask, &unusual(2.0, Some(0.3)));
}

#[test]
fn maps_that_do_not_belong_to_masks_or_levels_are_refused() {
    let map = map().to_dtype(DType::F32).unwrap();
    let mask = Tensor::zeros((2, 5, 6), DType::F32, &Device::Cpu).unwrap();
    let short = map.narrow(0, 0, 1).unwrap();
    for (map, mask) in [(&short, &mask), (&map, &mask.narrow(1, 0, 4).unwrap())] {
        let losses = Losses::new(
            std::slice::from_ref(map),
            &pixels(),
            mask,
            None,
            &LossConfig::default(),
        );
        let error = losses.unwrap_err().to_string();
        assert!(error.contains("masks"), "{error}");
    }
    let none = Losses::new(&[], &pixels(), &mask, None, &LossConfig::default());
    let error = none.unwrap_err().to_string();
    assert!(error.contains("one for each perception"), "{error}");
}
