//! Every setting of the model, strict and with the paper's values as defaults.
//!
//! One struct per part; the order of the fields is the order in `docs/config.md`. Where the paper is
//! silent the default is this project's decision and the alternatives are the enum's other variants.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod parts;
mod size;

pub use parts::*;
pub use size::{Depth, ImageSize};

/// Bounds that no real setting comes near: settings arrive with adapters of strangers, and memory is
/// claimed by them.
const MAX_SIDE: usize = 1 << 14;
const MAX_COUNT: usize = 1 << 10;
const MAX_LEVELS: usize = 64;

/// All settings of the model. `ModelConfig::default()` is MPAMA as trained on VisA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ModelConfig {
    /// Input of the vision tower, 518 by default: 37×37 patches of 14 pixels.
    pub image_size: ImageSize,
    /// Temperature τ of every softmax over {normal, abnormal}; 0.07 as AnomalyCLIP (the paper is
    /// silent).
    pub temperature: f64,
    /// The frozen vision tower.
    pub vision: VisionConfig,
    /// The learnable prompts, section 3.1.
    pub prompt: PromptConfig,
    /// The bridge from local prompts to the global one.
    pub bridge: BridgeConfig,
    /// The perception set and its geometry.
    pub perception: PerceptionConfig,
    /// The pool of experts, section 3.2.
    pub experts: ExpertsConfig,
    /// The losses, equations 3 to 6.
    pub loss: LossConfig,
    /// From maps to the image score.
    pub score: ScoreConfig,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            image_size: ImageSize {
                height: 518,
                width: 518,
            },
            temperature: 0.07,
            vision: VisionConfig::default(),
            prompt: PromptConfig::default(),
            bridge: BridgeConfig::default(),
            perception: PerceptionConfig::default(),
            experts: ExpertsConfig::default(),
            loss: LossConfig::default(),
            score: ScoreConfig::default(),
        }
    }
}

impl ModelConfig {
    /// AnomalyCLIP as a setting of the same parts: one coupled pair of prompts, no windows, no
    /// bridge, no hinge, local loss four times, the image score from the global prompts alone.
    /// Stage two is not run with it.
    pub fn anomaly_clip() -> Self {
        ModelConfig {
            prompt: PromptConfig {
                shared: 0,
                deep_half: true,
                coupled: true,
                ..PromptConfig::default()
            },
            bridge: BridgeConfig {
                kind: BridgeKind::Off,
                ..BridgeConfig::default()
            },
            perception: PerceptionConfig {
                levels: vec![1],
                ..PerceptionConfig::default()
            },
            loss: LossConfig {
                local: 4.0,
                hinge: 0.0,
                ..LossConfig::default()
            },
            score: ScoreConfig {
                map_weight: 0.0,
                ..ScoreConfig::default()
            },
            ..ModelConfig::default()
        }
    }

    /// Checks what can be checked without a backbone.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first key out of its range.
    pub fn validate(&self) -> Result<()> {
        let check = |holds: bool, key: &str, expected: &str, found: &dyn std::fmt::Display| {
            if holds {
                Ok(())
            } else {
                Err(Error::setting(key, expected, found))
            }
        };
        let ImageSize { height, width } = self.image_size;
        check(
            [height, width]
                .iter()
                .all(|side| (1..=MAX_SIDE).contains(side)),
            "image-size",
            &format!("sides from 1 to {MAX_SIDE}"),
            &format_args!("{height}x{width}"),
        )?;
        let tau = self.temperature;
        check(
            tau.is_finite() && tau > 0.0,
            "temperature",
            "a number above 0",
            &tau,
        )?;
        let p = &self.prompt;
        check(
            (1..=MAX_COUNT).contains(&p.length),
            "prompt.length",
            &format!("from 1 to {MAX_COUNT}"),
            &p.length,
        )?;
        check(
            p.shared <= p.length,
            "prompt.shared",
            "at most prompt.length",
            &p.shared,
        )?;
        check(
            p.deep_length <= p.length,
            "prompt.deep-length",
            "at most prompt.length",
            &p.deep_length,
        )?;
        check(
            p.init_std.is_finite() && p.init_std >= 0.0,
            "prompt.init-std",
            "0 or more",
            &p.init_std,
        )?;
        let bridge_fits = !p.coupled || self.bridge.kind == BridgeKind::Off;
        check(
            bridge_fits,
            "bridge.kind",
            "`off` with coupled prompts",
            &"a bridge",
        )?;
        let levels = &self.perception.levels;
        let distinct = levels
            .iter()
            .take(MAX_LEVELS)
            .enumerate()
            .all(|(i, p)| (1..=MAX_COUNT).contains(p) && !levels[..i].contains(p));
        let shown = format!("{levels:?}");
        check(
            (1..=MAX_LEVELS).contains(&levels.len()) && distinct,
            "perception.levels",
            &format!("up to {MAX_LEVELS} distinct sides from 1 to {MAX_COUNT}"),
            &shown,
        )?;
        let e = &self.experts;
        check(
            e.learnable <= MAX_COUNT,
            "experts.learnable",
            &format!("at most {MAX_COUNT}"),
            &e.learnable,
        )?;
        let least = 1 + usize::from(e.zero);
        check(
            (least..=e.pool()).contains(&e.top_k),
            "experts.top-k",
            "at least one expert that is not zero, at most the pool",
            &e.top_k,
        )?;
        let l = &self.loss;
        for (key, value) in [
            ("loss.local", l.local),
            ("loss.hinge", l.hinge),
            ("loss.margin-normal", l.margin_normal),
            ("loss.margin-abnormal", l.margin_abnormal),
            ("loss.focal-gamma", l.focal_gamma),
            ("loss.focal-epsilon", l.focal_epsilon),
            ("loss.focal-alpha", l.focal_alpha.unwrap_or(0.0)),
            ("loss.dice-smooth", l.dice_smooth),
            ("score.sigma", self.score.sigma),
        ] {
            check(value.is_finite() && value >= 0.0, key, "0 or more", &value)?;
        }
        let sigma = self.score.sigma;
        check(
            sigma <= MAX_COUNT as f64,
            "score.sigma",
            &format!("at most {MAX_COUNT}"),
            &sigma,
        )?;
        let w = self.score.map_weight;
        check(
            (0.0..=1.0).contains(&w),
            "score.map-weight",
            "a number from 0 to 1",
            &w,
        )
    }
}
