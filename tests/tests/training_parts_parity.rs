//! The parts of training one by one against PyTorch and SciPy: windows, upsampling, each loss with its
//! gradient, smoothing.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};
use mpama_core::AnomalyMap;
use mpama_core::config::{
    Border, EvenWindows, ImageSize, LossConfig, PerceptionConfig, Upsampling,
};
use mpama_core::loss;
use mpama_core::perception::Perception;
use mpama_tests::{assert_close, golden};

const GRID: (usize, usize) = (5, 7);
/// Pixels per patch, other than any CLIP's.
const SIZE: ImageSize = ImageSize {
    height: 20,
    width: 28,
};

fn level(p: usize, even: EvenWindows, border: Border, upsampling: Upsampling) -> Perception {
    let config = PerceptionConfig {
        levels: vec![p],
        even,
        border,
        upsampling,
    };
    let levels = Perception::levels(&config, GRID, SIZE, &Device::Cpu).unwrap();
    levels.into_iter().next().unwrap()
}

#[test]
fn windows_of_every_size_place_and_border() {
    let golden = golden("training/pooling.safetensors");
    let mut compared = 0;
    for p in 1..=5 {
        for (border_name, border) in [
            ("exclude", Border::Exclude),
            ("include", Border::Include),
            ("replicate", Border::Replicate),
            ("valid", Border::Valid),
        ] {
            for (even_name, even) in [
                ("corners", EvenWindows::Corners),
                ("crop", EvenWindows::Crop),
                ("valid", EvenWindows::Valid),
            ] {
                // The place of even windows is a question only where they may reach over the border.
                let key = if p % 2 == 0 && border != Border::Valid {
                    format!("{border_name}.{even_name}.{p}")
                } else {
                    format!("{border_name}.{p}")
                };
                let level = level(p, even, border, Upsampling::Geometry);
                let theirs = &golden[&key];
                let (_, h, w, _) = theirs.dims4().unwrap();
                assert_eq!(level.windows, (h, w), "{key}");
                let ours = level.pool_tokens(&golden["tokens"]).unwrap();
                assert_close(&key, &ours, &theirs.flatten(1, 2).unwrap(), 1e-6);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 60);
}

#[test]
fn upsampling_and_its_gradient() {
    let golden = golden("training/upsampling.safetensors");
    for (name, even, border, upsampling) in [
        (
            "corners",
            EvenWindows::Corners,
            Border::Exclude,
            Upsampling::Geometry,
        ),
        (
            "crop",
            EvenWindows::Crop,
            Border::Exclude,
            Upsampling::Geometry,
        ),
        (
            "valid",
            EvenWindows::Valid,
            Border::Valid,
            Upsampling::Geometry,
        ),
        (
            "half-pixel",
            EvenWindows::Corners,
            Border::Exclude,
            Upsampling::HalfPixel,
        ),
    ] {
        for p in (1..=5).filter(|p| name != "crop" || p % 2 == 0) {
            let theirs = |part: &str| &golden[&format!("{name}.{p}.{part}")];
            let map = Var::from_tensor(&theirs("map").flatten_from(1).unwrap()).unwrap();
            let up = level(p, even, border, upsampling).upsample(&map).unwrap();
            assert_close(&format!("{name}.{p}"), &up, theirs("up"), 1e-6);
            let gradients = (up * &golden["cotangent"]).unwrap().backward().unwrap();
            let gradient = gradients.get(map.as_tensor()).unwrap();
            let theirs = theirs("grad").flatten_from(1).unwrap();
            assert_close(&format!("{name}.{p}.grad"), gradient, &theirs, 1e-5);
        }
    }
}

#[test]
fn each_loss_and_its_gradient() {
    let golden = golden("training/losses.safetensors");
    let config = LossConfig::default();
    for case in ["mixed", "normal", "abnormal", "saturated"] {
        let score = Var::from_tensor(&golden[&format!("{case}.score")]).unwrap();
        let mask = &golden[&format!("{case}.mask")];
        let normal = score.affine(-1.0, 1.0).unwrap();
        let no_mask = mask.affine(-1.0, 1.0).unwrap();
        for (name, value) in [
            ("focal", loss::focal(&score, mask, &config)),
            (
                "dice_normal",
                loss::dice(&normal, &no_mask, config.dice_smooth),
            ),
            (
                "dice_abnormal",
                loss::dice(&score, mask, config.dice_smooth),
            ),
            ("hinge", loss::hinge(&score, mask, &config)),
        ] {
            let (key, value) = (format!("{case}.{name}"), value.unwrap());
            assert_close(&key, &value, &golden[&key], 1e-5);
            let gradients = value.backward().unwrap();
            let gradient = gradients.get(score.as_tensor()).unwrap();
            assert_close(&key, gradient, &golden[&format!("{key}.grad")], 1e-5);
        }
    }
}

/// Windows that are the pixels of `mask`.
fn pixels(mask: &Tensor) -> Vec<Perception> {
    let (_, height, width) = mask.dims3().unwrap();
    let config = PerceptionConfig {
        levels: vec![1],
        ..PerceptionConfig::default()
    };
    let size = ImageSize { height, width };
    Perception::levels(&config, (height, width), size, mask.device()).unwrap()
}

/// The same in one pass, as the stages compute them.
#[test]
fn all_losses_together_and_their_gradient() {
    let golden = golden("training/losses.safetensors");
    let config = LossConfig::default();
    for case in ["mixed", "normal", "abnormal", "saturated"] {
        let theirs = |name: &str| &golden[&format!("{case}.{name}")];
        let sum = |suffix: &str, hinge: f64| {
            let dices = (theirs(&format!("dice_normal{suffix}"))
                + theirs(&format!("dice_abnormal{suffix}")))
            .unwrap();
            let hinge = (theirs(&format!("hinge{suffix}")) * hinge).unwrap();
            ((theirs(&format!("focal{suffix}")) + dices).unwrap() + hinge).unwrap()
        };
        let score = Var::from_tensor(theirs("score")).unwrap();
        let maps = [score.as_tensor().clone()];
        let mask = theirs("mask");
        let losses = loss::Losses::new(&maps, &pixels(mask), mask, None, &config).unwrap();
        assert_close(case, &losses.focal, theirs("focal"), 1e-5);
        assert_close(case, &losses.total, &sum("", config.hinge), 1e-5);
        let gradients = losses.total.backward().unwrap();
        let gradient = gradients.get(score.as_tensor()).unwrap();
        assert_close(case, gradient, &sum(".grad", config.hinge), 1e-5);
    }
}

#[test]
fn cross_entropy_of_the_difference_of_two_logits() {
    let golden = golden("training/losses.safetensors");
    let logits = Var::from_tensor(&golden["cross_entropy.logits"]).unwrap();
    let of = |class| logits.narrow(1, class, 1).unwrap().squeeze(1).unwrap();
    let margin = (of(1) - of(0)).unwrap();
    let value = loss::cross_entropy(&margin, &golden["cross_entropy.labels"]).unwrap();
    assert_close("value", &value, &golden["cross_entropy"], 1e-5);
    let gradients = value.backward().unwrap();
    let gradient = gradients.get(logits.as_tensor()).unwrap();
    assert_close("gradient", gradient, &golden["cross_entropy.grad"], 1e-5);
}

#[test]
fn smoothing_reflects_a_narrow_map_more_than_once() {
    let golden = golden("training/smoothing.safetensors");
    let (height, width) = golden["map"].dims2().unwrap();
    let values: Vec<f32> = golden["map"].flatten_all().unwrap().to_vec1().unwrap();
    let map = AnomalyMap {
        height,
        width,
        values,
    };
    let ours = Tensor::from_vec(map.smoothed(4.0).values, (height, width), &Device::Cpu).unwrap();
    assert_close("smoothed", &ours, &golden["smoothed"], 1e-6);
}
