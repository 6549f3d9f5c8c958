//! Every trainable parameter, by name: it gets a finite gradient that is not zero, and that gradient
//! is the slope of the loss.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use mpama_core::clip::Checkpoint;
use mpama_core::config::{ImageSize, ModelConfig};
use mpama_core::{FeatureBatch, Objective, StageOne, StageTwo};
use mpama_tests::{fixtures, scattered};

const GRID: (usize, usize) = (6, 6);
const SIDE: usize = 84;

fn config() -> ModelConfig {
    ModelConfig {
        image_size: ImageSize {
            height: SIDE,
            width: SIDE,
        },
        ..ModelConfig::default()
    }
}

fn batch(width: usize) -> FeatureBatch {
    let mut masks = vec![0f32; 3 * SIDE * SIDE];
    for (i, m) in masks.iter_mut().enumerate().take(2 * SIDE * SIDE) {
        let (x, y) = (i % SIDE, i / SIDE % SIDE);
        *m = f32::from(u8::from((20..50).contains(&x) && (30..70).contains(&y)));
    }
    FeatureBatch {
        images: Vec::new(),
        patches: scattered(&[3, GRID.0 * GRID.1, width], 1),
        class: scattered(&[3, width], 2),
        grid: GRID,
        masks: Tensor::from_vec(masks, (3, SIDE, SIDE), &Device::Cpu).unwrap(),
        labels: Tensor::new(&[1f32, 1.0, 0.0], &Device::Cpu).unwrap(),
    }
}

/// Moves every variable away from its start: zero biases and equal experts hide what lies below.
fn perturb(objective: &dyn Objective) {
    for (salt, var) in objective.vars().values().enumerate() {
        let shift = (scattered(var.dims(), 100 + salt) * 0.1).unwrap();
        var.set(&(var.as_tensor() + shift).unwrap()).unwrap();
    }
}

fn stage_one(config: &ModelConfig) -> StageOne {
    let checkpoint = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let vision = checkpoint
        .vision(&config.vision.options(4), &Device::Cpu)
        .unwrap();
    let text = checkpoint.text(&Device::Cpu).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    StageOne::new(
        config,
        text,
        &tokenizer,
        vision.projection(),
        111,
        &Device::Cpu,
    )
    .unwrap()
}

fn stage_two(config: &ModelConfig) -> StageTwo {
    let checkpoint = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let vision = checkpoint
        .vision(&config.vision.options(4), &Device::Cpu)
        .unwrap();
    let text = stage_one(config).text_vectors().unwrap();
    StageTwo::new(config, text, vision.projection(), 111).unwrap()
}

/// Compares each variable's gradient with the loss's slope along it, in its own direction and in a
/// scattered one. The loss is of size 10 in f32, hence the tolerance.
fn check(objective: &dyn Objective, step: f64, skip: &str) {
    let batch = batch(32);
    let loss = || {
        f64::from(
            objective
                .loss(&batch)
                .unwrap()
                .total
                .to_scalar::<f32>()
                .unwrap(),
        )
    };
    let grads = objective.loss(&batch).unwrap().total.backward().unwrap();
    for (salt, (name, var)) in objective.vars().iter().enumerate() {
        let grad = grads
            .get(var.as_tensor())
            .unwrap_or_else(|| panic!("`{name}` got no gradient"));
        let size = |t: &Tensor| {
            f64::from(
                t.sqr()
                    .unwrap()
                    .sum_all()
                    .unwrap()
                    .to_scalar::<f32>()
                    .unwrap(),
            )
            .sqrt()
        };
        let norm = size(grad);
        assert!(
            norm.is_finite() && norm > 0.0,
            "`{name}`: gradient of length {norm}"
        );
        if name == skip {
            continue;
        }
        for direction in [grad.clone(), scattered(var.dims(), 7 + salt)] {
            let direction = (&direction / size(&direction)).unwrap();
            let expected = (grad * &direction)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            let start = var.as_tensor().copy().unwrap();
            let at = |t: f64| {
                var.set(&(&start + (&direction * t).unwrap()).unwrap())
                    .unwrap();
                loss()
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            var.set(&start).unwrap();
            let off = (slope - f64::from(expected)).abs();
            assert!(
                off < 0.01 * norm + 2e-3,
                "`{name}`: slope {slope}, gradient {expected} ({norm})"
            );
        }
    }
}

#[test]
fn every_prompt_parameter_learns() {
    let stage = stage_one(&config());
    perturb(&stage);
    let names: Vec<&str> = stage.vars().keys().map(String::as_str).collect();
    assert_eq!(names.len(), 4 + 2 * 4 + 2 + 2 + 2, "{names:?}");
    check(&stage, 2e-3, "");
}

#[test]
fn every_prompt_parameter_of_anomaly_clip_learns() {
    let config = ModelConfig {
        image_size: config().image_size,
        ..ModelConfig::anomaly_clip()
    };
    let stage = stage_one(&config);
    perturb(&stage);
    let names: Vec<&str> = stage.vars().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "prompt.deep.0",
            "prompt.deep.1",
            "prompt.global.abnormal",
            "prompt.global.normal"
        ]
    );
    // Deep prompts are rounded to half precision here, a staircase without slopes: slopes are compared
    // without the rounding.
    let grads = stage.loss(&batch(32)).unwrap().total.backward().unwrap();
    assert!(
        stage
            .vars()
            .values()
            .all(|var| grads.get(var.as_tensor()).is_some())
    );
    let mut unrounded = config;
    unrounded.prompt.deep_half = false;
    let stage = stage_one(&unrounded);
    perturb(&stage);
    check(&stage, 2e-3, "");
}

#[test]
fn every_expert_and_the_router_learn() {
    let mut config = config();
    // All experts kept: no choice can flip between the two sides of a difference.
    config.experts.top_k = config.experts.pool();
    let stage = stage_two(&config);
    perturb(&stage);
    check(&stage, 2e-3, "");

    // As in the paper, K = 2; the router's slope jumps wherever a choice flips, so only its gradient's
    // presence is asked for.
    config.experts.top_k = 2;
    let stage = stage_two(&config);
    perturb(&stage);
    check(&stage, 2e-3, "router.weight");
}

#[test]
fn a_fresh_router_has_no_gradient_because_all_experts_are_equal() {
    let stage = stage_two(&config());
    let grads = stage.loss(&batch(32)).unwrap().total.backward().unwrap();
    let router = grads
        .get(stage.vars()["router.weight"].as_tensor())
        .unwrap();
    let largest = router
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(largest < 1e-5, "{largest}");
    let expert = grads
        .get(stage.vars()["experts.1.weight"].as_tensor())
        .unwrap();
    assert!(
        expert
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
            > 1e-4
    );
}
