//! The settings of each part of the model.

use serde::{Deserialize, Serialize};

use super::size::Depth;
use crate::clip::VisionOptions;

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
            ..VisionOptions::default()
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

    /// What the expert at `place` in the pool is called: `frozen`, `learnable 1`, …, or `zero`.
    pub fn name(&self, place: usize) -> String {
        match place {
            0 => "frozen".to_owned(),
            learnable if learnable <= self.learnable => format!("learnable {learnable}"),
            _ => "zero".to_owned(),
        }
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
