//! Every setting of the model, strict and with the paper's values as defaults.
//!
//! One struct per part; the order of the fields is the order in `docs/config.md`. Where the paper is
//! silent the default is this project's decision and the alternatives are the enum's other variants.

use serde::{Deserialize, Serialize};

use crate::clip::VisionOptions;
use crate::error::{Error, Result};

/// Height and width of the network's input in pixels. Written as `518` or as `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Sides", into = "Sides")]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Sides {
    Square(usize),
    Both([usize; 2]),
}

impl From<Sides> for ImageSize {
    fn from(sides: Sides) -> Self {
        match sides {
            Sides::Square(side) => ImageSize {
                height: side,
                width: side,
            },
            Sides::Both([height, width]) => ImageSize { height, width },
        }
    }
}

impl From<ImageSize> for Sides {
    fn from(size: ImageSize) -> Self {
        if size.height == size.width {
            Sides::Square(size.height)
        } else {
            Sides::Both([size.height, size.width])
        }
    }
}

/// A number of transformer blocks: given, or in the proportion of the paper's backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DepthText", into = "DepthText")]
pub enum Depth {
    /// The paper's share of the tower at hand, rounded down.
    Auto,
    /// Exactly this many blocks.
    Blocks(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum DepthText {
    Blocks(usize),
    Word(AutoWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AutoWord {
    Auto,
}

impl From<DepthText> for Depth {
    fn from(text: DepthText) -> Self {
        match text {
            DepthText::Blocks(n) => Depth::Blocks(n),
            DepthText::Word(AutoWord::Auto) => Depth::Auto,
        }
    }
}

impl From<Depth> for DepthText {
    fn from(depth: Depth) -> Self {
        match depth {
            Depth::Blocks(n) => DepthText::Blocks(n),
            Depth::Auto => DepthText::Word(AutoWord::Auto),
        }
    }
}

impl Depth {
    /// Blocks in a tower of `layers`, where `Auto` means `share` of every `of` blocks.
    pub(crate) fn resolve(self, layers: usize, share: usize, of: usize) -> usize {
        match self {
            Depth::Blocks(n) => n,
            Depth::Auto => layers * share / of,
        }
    }
}

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

/// How the frozen vision tower is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct VisionConfig {
    /// Last blocks that feed the V-V attention stream (AnomalyCLIP's DPAM): `auto` is 19 of every
    /// 24, 0 is plain CLIP.
    pub vv_depth: Depth,
    /// Put the class token through `post_layernorm` as CLIP does. AnomalyCLIP does not.
    pub class_ln_post: bool,
}

impl Default for VisionConfig {
    fn default() -> Self {
        VisionConfig {
            vv_depth: Depth::Auto,
            class_ln_post: false,
        }
    }
}

impl VisionConfig {
    /// The same for a tower of `layers` blocks, as the tower wants to hear it.
    pub fn options(&self, layers: usize) -> VisionOptions {
        VisionOptions {
            vv_depth: self.vv_depth.resolve(layers, 19, 24),
            class_ln_post: self.class_ln_post,
            intermediate: Vec::new(),
        }
    }
}

/// The learnable prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PromptConfig {
    /// Learnable tokens per prompt, E.
    pub length: usize,
    /// Leading tokens that all local prompts of a class share, S.
    pub shared: usize,
    /// Text blocks that see learned tokens, the first one included: 9 means deep prompts enter
    /// blocks 2 to 9. `auto` is 9 of every 12; 0 or 1 is off.
    pub deep_depth: Depth,
    /// Tokens overwritten by each deep prompt, right after the start token.
    pub deep_length: usize,
    /// Round deep prompts to half precision, as AnomalyCLIP's code does.
    pub deep_half: bool,
    /// Standard deviation of the initial tokens.
    pub init_std: f64,
    /// Words after the learnable tokens of the normal prompt.
    pub normal: String,
    /// Words after the learnable tokens of the abnormal prompt.
    pub abnormal: String,
    /// End the template with a full stop.
    pub full_stop: bool,
    /// One pair of prompts for image and patches (AnomalyCLIP) instead of own local and global ones.
    pub coupled: bool,
}

impl Default for PromptConfig {
    fn default() -> Self {
        PromptConfig {
            length: 12,
            shared: 2,
            deep_depth: Depth::Auto,
            deep_length: 4,
            deep_half: false,
            init_std: 0.02,
            normal: "object".into(),
            abnormal: "damaged object".into(),
            full_stop: true,
            coupled: false,
        }
    }
}

impl PromptConfig {
    /// Number of deep prompts for a text tower of `layers` blocks.
    pub fn deep_prompts(&self, layers: usize) -> usize {
        self.deep_depth.resolve(layers, 9, 12).saturating_sub(1)
    }
}

/// The bridge from local to global prompts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct BridgeConfig {
    /// Its form.
    pub kind: BridgeKind,
    /// Whether the global loss reaches local prompts through the maximum.
    pub gradient: BridgeGradient,
}

/// Form of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeKind {
    /// `MLP(concat(G, max L))`, the paper's.
    #[default]
    Mlp,
    /// `G + MLP(concat(G, max L))`.
    Residual,
    /// `G`.
    Off,
}

/// Gradient of the bridge into the local prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeGradient {
    /// Flows.
    #[default]
    Allowed,
    /// Stops at the maximum: local prompts learn from the local losses alone.
    Detached,
}

/// The perception set P and the geometry of its windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct PerceptionConfig {
    /// Window sides p in patches.
    pub levels: Vec<usize>,
    /// Where windows of even side are centred.
    pub even: EvenWindows,
    /// Windows that reach over the border.
    pub border: Border,
    /// Where a map's samples lie when it is enlarged to the image.
    pub upsampling: Upsampling,
}

impl Default for PerceptionConfig {
    fn default() -> Self {
        PerceptionConfig {
            levels: vec![1, 2, 3, 4],
            even: EvenWindows::default(),
            border: Border::default(),
            upsampling: Upsampling::default(),
        }
    }
}

/// Grid of windows of even side, which have no central patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EvenWindows {
    /// Centred on patch corners: one more window than patches along each side.
    #[default]
    Corners,
    /// As `Corners` without the last row and column: as many windows as patches.
    Crop,
    /// Only windows that lie wholly on the grid.
    Valid,
}

/// What a window that reaches over the border averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Border {
    /// The real tokens it covers.
    #[default]
    Exclude,
    /// Those and zeros for the rest.
    Include,
    /// Those and copies of the nearest token for the rest.
    Replicate,
    /// There is no such window: only those that lie wholly on the grid.
    Valid,
}

/// Where a map's samples lie in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upsampling {
    /// At the centres of their windows. For odd windows this is `align_corners=False`.
    #[default]
    Geometry,
    /// Spread evenly over the image (`align_corners=False` for every grid), as the field's code.
    HalfPixel,
}

/// The pool of experts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ExpertsConfig {
    /// Learnable experts beside the frozen one: 3 when trained on VisA, 4 on MVTec AD.
    pub learnable: usize,
    /// Whether the zero expert is in the pool.
    pub zero: bool,
    /// Experts kept per token, K.
    pub top_k: usize,
    /// How the kept gates are scaled. Provably without effect after the L2 norm.
    pub gates: Gates,
    /// Seed of the router's initial weights; absent: the run's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_seed: Option<u64>,
}

impl Default for ExpertsConfig {
    fn default() -> Self {
        ExpertsConfig {
            learnable: 3,
            zero: true,
            top_k: 2,
            gates: Gates::default(),
            router_seed: None,
        }
    }
}

impl ExpertsConfig {
    /// Experts in the pool: frozen, learnable and zero.
    pub fn pool(&self) -> usize {
        1 + self.learnable + usize::from(self.zero)
    }
}

/// Scale of the gates of the kept experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gates {
    /// Softmax over the whole pool, then the mask, as the paper's formula.
    #[default]
    Masked,
    /// The same, divided by their sum.
    Renormalised,
}

/// Weights and constants of the losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LossConfig {
    /// Weight of focal and dice together: 1; AnomalyCLIP uses 4.
    pub local: f64,
    /// Weight λ of the hinge loss.
    pub hinge: f64,
    /// Margin δ_n: normal pixels above it cost.
    pub margin_normal: f64,
    /// Margin δ_a: anomalous pixels below it cost.
    pub margin_abnormal: f64,
    /// Exponent γ of the focal loss.
    pub focal_gamma: f64,
    /// Smoothing ε of the focal loss.
    pub focal_epsilon: f64,
    /// Weight α of anomalous pixels in the focal loss, 1 − α of normal ones; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_alpha: Option<f64>,
    /// Smoothing term of the dice loss.
    pub dice_smooth: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig {
            local: 1.0,
            hinge: 5.0,
            margin_normal: 0.5,
            margin_abnormal: 0.5,
            focal_gamma: 2.0,
            focal_epsilon: 1e-5,
            focal_alpha: None,
            dice_smooth: 1.0,
        }
    }
}

/// From maps to the image score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ScoreConfig {
    /// Weight of the map's maximum in the image score; the global probability has the rest. The paper
    /// has ½, AnomalyCLIP 0.
    pub map_weight: f64,
    /// Which map the maximum is taken of.
    pub maximum: Maximum,
    /// Standard deviation in pixels of the Gaussian that smooths maps for pixel metrics and
    /// heatmaps; 0 is off.
    pub sigma: f64,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        ScoreConfig {
            map_weight: 0.5,
            maximum: Maximum::default(),
            sigma: 4.0,
        }
    }
}

/// The map whose maximum enters the image score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maximum {
    /// The mean over perceptions, enlarged to the image, not smoothed.
    #[default]
    Upsampled,
    /// The mean over perceptions of each one's own largest window.
    Patch,
    /// As `Upsampled`, smoothed by `sigma`.
    Smoothed,
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
            height > 0 && width > 0,
            "image-size",
            "sides above 0",
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
        check(p.length > 0, "prompt.length", "at least 1", &p.length)?;
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
            .enumerate()
            .all(|(i, p)| *p > 0 && !levels[..i].contains(p));
        let shown = format!("{levels:?}");
        check(
            !levels.is_empty() && distinct,
            "perception.levels",
            "distinct sides above 0",
            &shown,
        )?;
        let e = &self.experts;
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
        let w = self.score.map_weight;
        check(
            (0.0..=1.0).contains(&w),
            "score.map-weight",
            "a number from 0 to 1",
            &w,
        )
    }
}
