//! The exact shortcuts: each short way equals the long way it replaces.
//!
//! Those of one file are tested beside it: two channels in `loss`, routed experts in `experts`, short
//! texts, the last block and symmetric attention in `clip`, the vision pass in `mpama-train`.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use mpama_core::adapter::SCHEMA_VERSION;
use mpama_core::clip::{Checkpoint, VisionTower};
use mpama_core::config::{Border, ImageSize, ModelConfig};
use mpama_core::perception::Perception;
use mpama_core::{
    Adapter, AdapterConfig, BaseModel, Detector, Objective, StageOne, StageTwo, TextVectors, score,
};
use mpama_tests::{assert_close, fixtures, scattered};

const SIZE: ImageSize = ImageSize {
    height: 84,
    width: 70,
};

fn config() -> ModelConfig {
    ModelConfig {
        image_size: SIZE,
        ..ModelConfig::default()
    }
}

fn vision() -> VisionTower {
    let checkpoint = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    checkpoint
        .vision(&config().vision.options(4), &Device::Cpu)
        .unwrap()
}

fn trained_text() -> TextVectors {
    let checkpoint = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let text = checkpoint.text(&Device::Cpu).unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let projection = vision().projection().clone();
    let stage = StageOne::new(&config(), text, &tokenizer, &projection, 1, &Device::Cpu).unwrap();
    for (salt, var) in stage.vars().values().enumerate() {
        let shift = (scattered(var.dims(), salt) * 0.2).unwrap();
        var.set(&(var.as_tensor() + shift).unwrap()).unwrap();
    }
    stage.text_vectors().unwrap()
}

fn detector(experts: Option<BTreeMap<String, Tensor>>) -> Detector {
    let vision = vision();
    let fingerprint = vision.fingerprint().to_string();
    let adapter = Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: "tiny".into(),
                revision: None,
                fingerprint,
            },
            model: config(),
            training: None,
            imported: None,
            threshold: None,
        },
        text: trained_text(),
        prompts: BTreeMap::new(),
        experts,
    };
    Detector::new(vision, adapter).unwrap()
}

fn fresh_experts() -> BTreeMap<String, Tensor> {
    let stage = StageTwo::new(&config(), trained_text(), vision().projection(), 5).unwrap();
    stage
        .vars()
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect()
}

fn images(count: usize) -> Tensor {
    scattered(&[count, 3, SIZE.height, SIZE.width], 3)
}

fn map(prediction: &mpama_core::Prediction) -> Tensor {
    Tensor::new(prediction.map.values.clone(), &Device::Cpu).unwrap()
}

/// Shortcut 3: pooling scalars and dividing by known lengths equals pooling vectors, normalising and
/// comparing.
#[test]
fn pooled_numbers_equal_pooled_vectors() {
    let (text, projection) = (trained_text(), vision().projection().clone());
    let patches = scattered(&[2, 30, 32], 9);
    let levels = Perception::levels(&config().perception, (6, 5), SIZE, &Device::Cpu).unwrap();
    let projected = score::project(&patches, &projection).unwrap();
    let lengths = score::pooled_lengths(&projected, &levels).unwrap();
    let directions = score::directions(&text).unwrap();
    let short = score::prompt_maps(&projected, &directions, &lengths, &levels, 0.07).unwrap();
    for (i, level) in levels.iter().enumerate() {
        let tokens = score::project(&level.pool_tokens(&patches).unwrap(), &projection).unwrap();
        let long = score::token_map(&tokens, &text, i, 0.07).unwrap();
        assert_close(&format!("map of p={}", level.level), &short[i], &long, 1e-5);
    }
}

/// Padding scales a token by a positive number, and h has no bias: stage one cannot see it.
#[test]
fn padding_counts_do_not_matter_without_experts() {
    let (text, projection) = (trained_text(), vision().projection().clone());
    let projected = score::project(&scattered(&[1, 30, 32], 9), &projection).unwrap();
    let maps = |border| {
        let mut config = config().perception;
        config.border = border;
        let levels = Perception::levels(&config, (6, 5), SIZE, &Device::Cpu).unwrap();
        let lengths = score::pooled_lengths(&projected, &levels).unwrap();
        let directions = score::directions(&text).unwrap();
        score::prompt_maps(&projected, &directions, &lengths, &levels, 0.07).unwrap()
    };
    for (a, b) in maps(Border::Exclude).iter().zip(&maps(Border::Include)) {
        assert_close("border", a, b, 1e-5);
    }
}

/// Shortcut 9: at the start of stage two every map equals stage one's.
#[test]
fn stage_two_starts_where_stage_one_ended() {
    let (mpa, mpama) = (detector(None), detector(Some(fresh_experts())));
    let images = images(2);
    let (before, after) = (
        mpa.predict(&images).unwrap(),
        mpama.predict(&images).unwrap(),
    );
    for (a, b) in before.iter().zip(&after) {
        assert_close("map", &map(b), &map(a), 1e-5);
        assert!((a.score - b.score).abs() < 1e-5);
    }
    let spread =
        before[0].map.peak().value - before[0].map.values.iter().copied().fold(1.0, f32::min);
    assert!(spread > 0.1, "a flat map proves nothing: {spread}");
}

/// A batch of many equals many batches of one.
#[test]
fn a_batch_equals_its_images() {
    let detector = detector(Some(fresh_experts()));
    let images = images(3);
    let together = detector.predict(&images).unwrap();
    for (i, expected) in together.iter().enumerate() {
        let alone = detector.predict(&images.narrow(0, i, 1).unwrap()).unwrap();
        assert_close("map", &map(&alone[0]), &map(expected), 1e-6);
        assert!((alone[0].score - expected.score).abs() < 1e-6);
    }
}

/// Same input, same bytes.
#[test]
fn predictions_repeat() {
    let detector = detector(None);
    assert_eq!(
        detector.predict(&images(1)).unwrap(),
        detector.predict(&images(1)).unwrap()
    );
}

#[test]
fn another_backbone_is_refused() {
    let adapter = Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: "other".into(),
                revision: None,
                fingerprint: "00".repeat(32),
            },
            model: config(),
            training: None,
            imported: None,
            threshold: None,
        },
        text: trained_text(),
        prompts: BTreeMap::new(),
        experts: None,
    };
    let error = Detector::new(vision(), adapter).unwrap_err().to_string();
    assert!(
        error.contains("other") && error.contains("another"),
        "{error}"
    );
}
