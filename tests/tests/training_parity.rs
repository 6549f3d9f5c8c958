//! Both training stages and the scores against PyTorch: text vectors, routing, losses, every gradient,
//! ten steps of Adam, predictions. `fixtures/recipes/mpama_reference.py` is the other side.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};
use mpama_core::adapter::SCHEMA_VERSION;
use mpama_core::clip::{Checkpoint, VisionFeatures};
use mpama_core::config::{
    BridgeConfig, BridgeGradient, BridgeKind, Depth, ExpertsConfig, ImageSize, Maximum,
    ModelConfig, PromptConfig, ScoreConfig,
};
use mpama_core::experts::ExpertPool;
use mpama_core::perception::Perception;
use mpama_core::{
    Adapter, AdapterConfig, BaseModel, Detector, FeatureBatch, Objective, StageOne, StageTwo,
    TextVectors, score,
};
use mpama_tests::{assert_close, fixtures, golden};
use mpama_train::{Adam, AdamParams};
use serde_json::Value;

type Golden = HashMap<String, Tensor>;

/// Relative to the largest element of each tensor.
const VALUES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-5;
const TEN_STEPS: f64 = 1e-4;

fn settings() -> Value {
    let path = fixtures().join("training/settings.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(key: &str) -> usize {
    settings()[key].as_u64().unwrap() as usize
}

fn grid(images: &str) -> (usize, usize) {
    let sides = &settings()[format!("{images}-grid")];
    (
        sides[0].as_u64().unwrap() as usize,
        sides[1].as_u64().unwrap() as usize,
    )
}

fn size(images: &str) -> ImageSize {
    let (rows, columns) = grid(images);
    ImageSize {
        height: rows * number("patch"),
        width: columns * number("patch"),
    }
}

/// The paper's settings, or AnomalyCLIP's, at the goldens' sizes.
fn sized(base: ModelConfig) -> ModelConfig {
    ModelConfig {
        image_size: size("square"),
        prompt: PromptConfig {
            length: number("tokens"),
            shared: number("shared"),
            deep_depth: Depth::Blocks(number("deep-depth")),
            deep_length: number("deep-length"),
            deep_half: false,
            ..base.prompt
        },
        experts: ExpertsConfig {
            learnable: number("learnable"),
            ..base.experts
        },
        ..base
    }
}

fn mpama() -> ModelConfig {
    sized(ModelConfig::default())
}

fn features() -> Golden {
    golden("training/features.safetensors")
}

/// The images of `rows`, or all.
fn batch(images: &str, rows: Option<&Tensor>) -> FeatureBatch {
    let features = features();
    let part = |name: &str| {
        let all = features[&format!("{images}.{name}")]
            .to_dtype(DType::F32)
            .unwrap();
        rows.map_or(all.clone(), |rows| all.index_select(rows, 0).unwrap())
    };
    FeatureBatch {
        images: Vec::new(),
        patches: part("patches"),
        class: part("class"),
        grid: grid(images),
        masks: part("masks"),
        labels: part("labels"),
    }
}

/// Parameters of `golden` under `prefix`, into an objective that has exactly these.
fn set(objective: &dyn Objective, golden: &Golden, prefix: &str) {
    let stored = golden.keys().filter(|name| name.starts_with(prefix));
    assert_eq!(objective.vars().len(), stored.count());
    for (name, var) in objective.vars() {
        var.set(&golden[&format!("{prefix}{name}")]).unwrap();
    }
}

fn stage_one(config: &ModelConfig, golden: &Golden) -> StageOne {
    let checkpoint = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let text = checkpoint.text(&Device::Cpu).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let projection = &features()["projection"];
    let stage = StageOne::new(config, text, &tokenizer, projection, 1, &Device::Cpu).unwrap();
    set(&stage, golden, "param.");
    stage
}

fn text_of(golden: &Golden, prefix: &str) -> TextVectors {
    TextVectors {
        global: golden[&format!("{prefix}text.global")].clone(),
        local: golden[&format!("{prefix}text.local")].clone(),
    }
}

fn stage_two(golden: &Golden) -> StageTwo {
    let stage = StageTwo::new(&mpama(), text_of(golden, ""), &features()["projection"], 1).unwrap();
    set(&stage, golden, "param.");
    stage
}

fn check_text(what: &str, ours: &TextVectors, golden: &Golden, prefix: &str, tolerance: f64) {
    let theirs = text_of(golden, prefix);
    assert_close(what, &ours.global, &theirs.global, tolerance);
    assert_close(what, &ours.local, &theirs.local, tolerance);
}

/// Each term of the loss and every gradient, of a mixed batch and of one without an abnormal pixel.
fn check_losses_and_gradients(objective: &dyn Objective, golden: &Golden) {
    for (case, rows) in [("batch", "batch.0"), ("normal", "batch.2")] {
        let losses = objective
            .loss(&batch("square", Some(&features()[rows])))
            .unwrap();
        let global = losses.global.iter().map(|loss| ("global", loss));
        let terms = [
            ("total", &losses.total),
            ("focal", &losses.focal),
            ("dice", &losses.dice),
            ("hinge", &losses.hinge),
        ];
        for (name, ours) in terms.into_iter().chain(global) {
            let key = format!("{case}.loss.{name}");
            assert_close(&key, ours, &golden[&key], VALUES);
        }
        assert_eq!(
            losses.global.is_some(),
            golden.contains_key(&format!("{case}.loss.global"))
        );
        let gradients = losses.total.backward().unwrap();
        for (name, var) in objective.vars() {
            let key = format!("{case}.grad.{name}");
            let ours = gradients
                .get(var.as_tensor())
                .unwrap_or_else(|| panic!("{key}: none"));
            assert_close(&key, ours, &golden[&key], GRADIENTS);
        }
    }
}

/// Ten steps of Adam over the recorded batches: every loss on the way and where the parameters end.
fn check_ten_steps(objective: &dyn Objective, golden: &Golden, rates: &Value) {
    let rate = |name: &str| {
        let mut rates = rates.as_object().unwrap().iter();
        let (_, rate) = rates.find(|(prefix, _)| name.starts_with(*prefix)).unwrap();
        rate.as_f64().unwrap()
    };
    let constants = AdamParams {
        betas: (0.5, 0.999),
        eps: 1e-8,
    };
    let mut adam = Adam::new(objective.vars(), constants, rate).unwrap();
    let totals = golden["steps.total"].dims1().unwrap();
    let mut ours = Vec::new();
    for step in 0..totals {
        let rows = &features()[&format!("batch.{step}")];
        let total = objective.loss(&batch("square", Some(rows))).unwrap().total;
        ours.push(total.to_scalar::<f32>().unwrap());
        adam.step(&total.backward().unwrap()).unwrap();
    }
    let ours = Tensor::new(ours, &Device::Cpu).unwrap();
    assert_close("losses", &ours, &golden["steps.total"], TEN_STEPS);
    for (name, var) in objective.vars() {
        let theirs = &golden[&format!("final.{name}")];
        let moved = (theirs - &golden[&format!("param.{name}")]).unwrap();
        let moved: f32 = moved.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
        assert!(moved > 1e-3, "{name} moved by {moved} only");
        assert_close(&format!("final {name}"), var.as_tensor(), theirs, TEN_STEPS);
    }
}

#[test]
fn every_setting_of_the_prompts_has_its_own_text_vectors() {
    let start = golden("training/stage_one.safetensors");
    let theirs = golden("training/variants.safetensors");
    for (name, change) in [
        (
            "residual",
            (|c| c.bridge.kind = BridgeKind::Residual) as fn(&mut ModelConfig),
        ),
        ("off", |c| c.bridge.kind = BridgeKind::Off),
        ("no-stop", |c| c.prompt.full_stop = false),
        ("shallow", |c| c.prompt.deep_depth = Depth::Blocks(0)),
        ("half", |c| c.prompt.deep_half = true),
    ] {
        let mut config = mpama();
        change(&mut config);
        let mut start = start.clone();
        start.retain(|parameter, _| match name {
            "off" => !parameter.starts_with("param.bridge."),
            "shallow" => !parameter.starts_with("param.prompt.deep."),
            _ => true,
        });
        let text = stage_one(&config, &start).text_vectors().unwrap();
        check_text(name, &text, &theirs, &format!("{name}."), VALUES);
    }
}

#[test]
fn a_detached_bridge_keeps_the_global_loss_from_local_prompts() {
    let theirs = golden("training/variants.safetensors");
    let config = ModelConfig {
        bridge: BridgeConfig {
            gradient: BridgeGradient::Detached,
            ..BridgeConfig::default()
        },
        ..mpama()
    };
    let stage = stage_one(&config, &golden("training/stage_one.safetensors"));
    let first = batch("square", Some(&features()["batch.0"]));
    let gradients = stage.loss(&first).unwrap().total.backward().unwrap();
    let mut compared = 0;
    for (name, var) in stage.vars() {
        if let Some(theirs) = theirs.get(&format!("detached.grad.{name}")) {
            let ours = gradients.get(var.as_tensor()).unwrap();
            assert_close(name, ours, theirs, GRADIENTS);
            compared += 1;
        }
    }
    assert_eq!(compared, 10);
}

#[test]
fn text_vectors_losses_and_gradients_of_stage_one() {
    let golden = golden("training/stage_one.safetensors");
    let stage = stage_one(&mpama(), &golden);
    check_text(
        "default",
        &stage.text_vectors().unwrap(),
        &golden,
        "",
        VALUES,
    );
    check_losses_and_gradients(&stage, &golden);
}

#[test]
fn ten_steps_of_stage_one() {
    let golden = golden("training/stage_one.safetensors");
    let stage = stage_one(&mpama(), &golden);
    check_ten_steps(&stage, &golden, &settings()["rates-one"]);
    let text = stage.text_vectors().unwrap();
    check_text("final", &text, &golden, "final.", TEN_STEPS);
}

#[test]
fn anomalyclip_is_a_setting() {
    let golden = golden("training/anomalyclip.safetensors");
    let stage = stage_one(&sized(ModelConfig::anomaly_clip()), &golden);
    let text = stage.text_vectors().unwrap();
    check_text("start", &text, &golden, "", VALUES);
    check_losses_and_gradients(&stage, &golden);
    check_ten_steps(&stage, &golden, &settings()["rates-one"]);
}

/// Probabilities, choice and mixture of every token, and the map made of them.
#[test]
fn routing_and_maps_of_stage_two() {
    let golden = golden("training/stage_two.safetensors");
    let (config, features) = (mpama(), features());
    let weights: BTreeMap<String, Tensor> = golden
        .iter()
        .filter_map(|(name, x)| Some((name.strip_prefix("param.")?.to_string(), x.clone())))
        .collect();
    let projection = &features["projection"];
    let experts = ExpertPool::new(&config.experts, projection, &weights).unwrap();
    let images = batch("square", Some(&features["batch.0"]));
    let levels = Perception::levels(
        &config.perception,
        images.grid,
        config.image_size,
        &Device::Cpu,
    );
    for (i, level) in levels.unwrap().iter().enumerate() {
        let theirs = |name: &str| {
            golden[&format!("{}.{name}", level.level)]
                .flatten(0, 2)
                .unwrap()
        };
        let pooled = level.pool_tokens(&images.patches).unwrap();
        let (b, windows, width) = pooled.dims3().unwrap();
        let pooled = pooled.reshape((b * windows, width)).unwrap();
        assert_close("pooled", &pooled, &theirs("pooled"), VALUES);

        let (gates, routing) = experts.gates(&pooled).unwrap();
        let chosen: Vec<i64> = routing.chosen.iter().map(|&e| e as i64).collect();
        let active = theirs("active");
        assert_eq!(
            chosen,
            active.flatten_all().unwrap().to_vec1::<i64>().unwrap()
        );
        let probabilities = theirs("probabilities").gather(&active, 1).unwrap();
        let kept = gates.gather(&active, 1).unwrap();
        assert_close("gates", &kept, &probabilities, VALUES);

        let frozen = score::project(&pooled, projection).unwrap();
        let (mixed, _) = experts.forward(&pooled, &frozen).unwrap();
        assert_close("mixed", &mixed, &theirs("mixed"), VALUES);

        let tokens = mixed.reshape((b, windows, ())).unwrap();
        let text = text_of(&golden, "");
        let map = score::token_map(&tokens, &text, i, config.temperature).unwrap();
        let theirs = golden[&format!("map.{}", level.level)]
            .flatten_from(1)
            .unwrap();
        assert_close("map", &map, &theirs, VALUES);
    }
}

#[test]
fn losses_and_gradients_of_stage_two() {
    let golden = golden("training/stage_two.safetensors");
    check_losses_and_gradients(&stage_two(&golden), &golden);
}

#[test]
fn ten_steps_of_stage_two() {
    let golden = golden("training/stage_two.safetensors");
    check_ten_steps(&stage_two(&golden), &golden, &settings()["rates-two"]);
}

/// Maps, global and local halves and the score, with and without experts, square and not.
#[test]
fn predictions() {
    let theirs = golden("training/scores.safetensors");
    let two = golden("training/stage_two.safetensors");
    let base = golden("training/anomalyclip.safetensors");
    let experts: BTreeMap<String, Tensor> = two
        .iter()
        .filter_map(|(name, x)| Some((name.strip_prefix("final.")?.to_string(), x.clone())))
        .collect();
    let maximum = |maximum| ModelConfig {
        score: ScoreConfig {
            maximum,
            ..ScoreConfig::default()
        },
        ..mpama()
    };
    let (text, base_text) = (text_of(&two, ""), text_of(&base, "final."));
    let anomalyclip = sized(ModelConfig::anomaly_clip());
    for (case, images, local, config, text, experts) in [
        (
            "mpama.square",
            "square",
            "local",
            mpama(),
            &text,
            Some(&experts),
        ),
        (
            "mpama.wide",
            "wide",
            "local",
            mpama(),
            &text,
            Some(&experts),
        ),
        (
            "mpama.wide",
            "wide",
            "local_patch",
            maximum(Maximum::Patch),
            &text,
            Some(&experts),
        ),
        (
            "mpama.wide",
            "wide",
            "local_smoothed",
            maximum(Maximum::Smoothed),
            &text,
            Some(&experts),
        ),
        ("mpa.wide", "wide", "local", mpama(), &text, None),
        (
            "anomalyclip.wide",
            "wide",
            "local",
            anomalyclip,
            &base_text,
            None,
        ),
    ] {
        let theirs = |name: &str| &theirs[&format!("{case}.{name}")];
        let weight = config.score.map_weight;
        let sigma = config.score.sigma;
        let detector = detector(config, text, experts.cloned());
        let first = Tensor::new(&[0i64], &Device::Cpu).unwrap();
        let images_of = |images| batch(images, (images == "square").then_some(&first));
        let FeatureBatch {
            patches,
            class,
            grid,
            ..
        } = images_of(images);
        let features = VisionFeatures {
            class,
            patches,
            grid,
            intermediate: Vec::new(),
        };
        let predictions = detector.score(&features, size(images)).unwrap();
        let column = |f: fn(&mpama_core::Prediction) -> f32| {
            Tensor::new(predictions.iter().map(f).collect::<Vec<_>>(), &Device::Cpu).unwrap()
        };
        assert_close(case, &column(|p| p.global), theirs("global"), VALUES);
        assert_close(case, &column(|p| p.local), theirs(local), VALUES);
        let score = match local {
            "local" => theirs("score").clone(),
            other => {
                let global = (theirs("global") * (1.0 - weight)).unwrap();
                (global + (theirs(other) * weight).unwrap()).unwrap()
            }
        };
        assert_close(case, &column(|p| p.score), &score, VALUES);
        for (i, prediction) in predictions.iter().enumerate() {
            let map = |map: &mpama_core::AnomalyMap| {
                Tensor::from_slice(&map.values, (map.height, map.width), &Device::Cpu).unwrap()
            };
            assert_close(
                case,
                &map(&prediction.map),
                &theirs("map").get(i).unwrap(),
                VALUES,
            );
            if case == "mpama.wide" {
                let smooth = map(&prediction.map.smoothed(sigma));
                assert_close(case, &smooth, &theirs("smoothed").get(i).unwrap(), VALUES);
            }
        }
    }
}

fn detector(
    model: ModelConfig,
    text: &TextVectors,
    experts: Option<BTreeMap<String, Tensor>>,
) -> Detector {
    let checkpoint = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let options = model.vision.options(4);
    let vision = checkpoint.vision(&options, &Device::Cpu).unwrap();
    let base_model = BaseModel {
        id: "tiny".into(),
        revision: None,
        fingerprint: vision.fingerprint().to_string(),
    };
    let adapter = Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model,
            model,
            training: None,
            imported: None,
            threshold: None,
        },
        text: text.clone(),
        prompts: BTreeMap::new(),
        experts,
    };
    Detector::new(vision, adapter).unwrap()
}
