//! The Hub's `config.json`, read leniently: what is not needed is ignored, what is absent has the
//! default that `transformers` 4 gives it (ViT-B/32's).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::{ClipError, Result};
use super::{text, vision};
use crate::nn::activation::Activation;

/// Sizes of a CLIP.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// The image tower.
    pub vision: VisionConfig,
    /// The text tower.
    pub text: TextConfig,
    /// Width D of the space both towers project into.
    pub projection: usize,
}

/// Sizes of the image tower.
#[derive(Debug, Clone, PartialEq)]
pub struct VisionConfig {
    /// Its blocks.
    pub blocks: BlocksConfig,
    /// Side of the square images it was trained on, in pixels.
    pub image_size: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
}

impl VisionConfig {
    /// Patches along each side of an image of the size the tower was trained on.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }
}

/// Sizes of the text tower.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Its blocks.
    pub blocks: BlocksConfig,
    /// Number of tokens.
    pub vocabulary: usize,
    /// Longest sequence, start and end included.
    pub context: usize,
}

/// Sizes of a stack of transformer blocks.
#[derive(Debug, Clone, PartialEq)]
pub struct BlocksConfig {
    /// Width W of the residual stream.
    pub width: usize,
    /// Width of the hidden layer of each MLP.
    pub mlp_width: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Attention heads of each block; they divide `width`.
    pub heads: usize,
    /// Activation of each MLP.
    pub activation: Activation,
    /// ε of every layer norm.
    pub layer_norm_eps: f64,
}

impl ClipConfig {
    /// Names and shapes of the tensors of both towers and their projections, as the Hub's
    /// `model.safetensors` has them, without `logit_scale`, which no tower needs.
    pub fn tensors(&self) -> BTreeMap<String, Vec<usize>> {
        let wanted = vision::wanted(self).into_iter().chain(text::wanted(self));
        wanted.map(|wanted| (wanted.name, wanted.shape)).collect()
    }

    /// Reads `config.json`.
    ///
    /// As in `transformers`, a `text_config_dict` or `vision_config_dict` takes the place of the
    /// section it is named after, and the top-level `projection_dim` is the one that counts.
    ///
    /// # Errors
    /// [`ClipError::Unreadable`] if it is not JSON of that form, [`ClipError::Config`] if it is not a
    /// CLIP's, names an unknown activation, or its sizes contradict each other.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| ClipError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Self::parse(&bytes, path)
    }

    /// As [`ClipConfig::read`], of a `config.json` in memory that errors call `path`.
    ///
    /// # Errors
    /// As [`ClipConfig::read`].
    pub fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let file: File = serde_json::from_slice(json).map_err(|error| ClipError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        file.resolve().map_err(
            |Wrong {
                 field,
                 expected,
                 found,
             }| ClipError::Config {
                path: path.to_owned(),
                field,
                expected,
                found,
            },
        )
    }
}

/// The file as it is written.
#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    projection_dim: Option<usize>,
    text_config: Option<Section>,
    text_config_dict: Option<Section>,
    vision_config: Option<Section>,
    vision_config_dict: Option<Section>,
}

/// Either section; a field of the other tower is never asked for.
#[derive(Deserialize, Default)]
struct Section {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f64>,
    vocab_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    image_size: Option<usize>,
    patch_size: Option<usize>,
    num_channels: Option<usize>,
}

/// A field that cannot be used.
struct Wrong {
    field: String,
    expected: String,
    found: String,
}

impl File {
    fn resolve(self) -> Result<ClipConfig, Wrong> {
        if let Some(kind) = self.model_type.filter(|kind| kind != "clip") {
            return Err(wrong("model_type", "\"clip\"", format!("{kind:?}")));
        }
        let text = self
            .text_config_dict
            .or(self.text_config)
            .unwrap_or_default();
        let vision = self
            .vision_config_dict
            .or(self.vision_config)
            .unwrap_or_default();
        let config = ClipConfig {
            projection: positive("projection_dim", self.projection_dim, 512)?,
            text: TextConfig {
                blocks: text.blocks("text_config", 512, 8)?,
                vocabulary: positive("text_config.vocab_size", text.vocab_size, 49408)?,
                context: positive(
                    "text_config.max_position_embeddings",
                    text.max_position_embeddings,
                    77,
                )?,
            },
            vision: VisionConfig {
                blocks: vision.blocks("vision_config", 768, 12)?,
                image_size: positive("vision_config.image_size", vision.image_size, 224)?,
                patch_size: positive("vision_config.patch_size", vision.patch_size, 32)?,
            },
        };
        let channels = vision.num_channels.unwrap_or(3);
        if channels != 3 {
            return Err(wrong(
                "vision_config.num_channels",
                "3",
                channels.to_string(),
            ));
        }
        if config.vision.grid() == 0 {
            let expected = format!("at least the patch size, {}", config.vision.patch_size);
            return Err(wrong(
                "vision_config.image_size",
                expected,
                config.vision.image_size.to_string(),
            ));
        }
        Ok(config)
    }
}

impl Section {
    /// The blocks, with the tower's default width and heads; every default MLP is four times as wide.
    fn blocks(&self, section: &str, width: usize, heads: usize) -> Result<BlocksConfig, Wrong> {
        let name = |field: &str| format!("{section}.{field}");
        let name_of_activation = self.hidden_act.as_deref().unwrap_or("quick_gelu");
        let activation = Activation::from_name(name_of_activation).ok_or_else(|| {
            let known = "quick_gelu, gelu, gelu_new, gelu_fast or gelu_pytorch_tanh";
            wrong(name("hidden_act"), known, format!("{name_of_activation:?}"))
        })?;
        let layer_norm_eps = self.layer_norm_eps.unwrap_or(1e-5);
        if !(layer_norm_eps > 0.0 && layer_norm_eps.is_finite()) {
            return Err(wrong(
                name("layer_norm_eps"),
                "a positive number",
                layer_norm_eps.to_string(),
            ));
        }
        let blocks = BlocksConfig {
            width: positive(name("hidden_size"), self.hidden_size, width)?,
            mlp_width: positive(name("intermediate_size"), self.intermediate_size, 4 * width)?,
            layers: positive(name("num_hidden_layers"), self.num_hidden_layers, 12)?,
            heads: positive(name("num_attention_heads"), self.num_attention_heads, heads)?,
            activation,
            layer_norm_eps,
        };
        if !blocks.width.is_multiple_of(blocks.heads) {
            let expected = format!("a divisor of the width, {}", blocks.width);
            return Err(wrong(
                name("num_attention_heads"),
                expected,
                blocks.heads.to_string(),
            ));
        }
        Ok(blocks)
    }
}

fn positive(
    field: impl Into<String>,
    value: Option<usize>,
    default: usize,
) -> Result<usize, Wrong> {
    match value.unwrap_or(default) {
        0 => Err(wrong(field, "a positive number", "0")),
        value => Ok(value),
    }
}

fn wrong(field: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Wrong {
    Wrong {
        field: field.into(),
        expected: expected.into(),
        found: found.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(json: &str) -> Result<ClipConfig> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, json).unwrap();
        ClipConfig::read(&path)
    }

    #[test]
    fn an_empty_file_is_vit_b_32() {
        let config = read("{}").unwrap();
        assert_eq!(
            (
                config.projection,
                config.vision.patch_size,
                config.vision.grid()
            ),
            (512, 32, 7)
        );
        let BlocksConfig {
            width,
            mlp_width,
            layers,
            heads,
            activation,
            ..
        } = config.vision.blocks;
        assert_eq!(
            (width, mlp_width, layers, heads, activation),
            (768, 3072, 12, 12, Activation::QuickGelu)
        );
        let text = config.text;
        assert_eq!(
            (text.blocks.width, text.blocks.mlp_width, text.blocks.heads),
            (512, 2048, 8)
        );
        assert_eq!((text.vocabulary, text.context), (49408, 77));
    }

    #[test]
    fn a_dict_section_replaces_the_other_defaults_included() {
        let json = r#"{"model_type": "clip", "projection_dim": 1024, "text_config_dict": null,
            "vision_config": {"hidden_size": 64, "num_attention_heads": 1, "patch_size": 16, "projection_dim": 3},
            "vision_config_dict": {"hidden_size": 1280, "num_attention_heads": 16, "hidden_act": "gelu"}}"#;
        let config = read(json).unwrap();
        assert_eq!(config.projection, 1024);
        assert_eq!(
            (
                config.vision.blocks.width,
                config.vision.blocks.heads,
                config.vision.patch_size
            ),
            (1280, 16, 32)
        );
        assert_eq!(config.vision.blocks.activation, Activation::Gelu);
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        for (json, words) in [
            (
                r#"{"vision_config": {"hidden_act": "relu6"}}"#,
                ["vision_config.hidden_act", "relu6"],
            ),
            (
                r#"{"text_config": {"num_attention_heads": 7}}"#,
                ["text_config.num_attention_heads", "7"],
            ),
            (
                r#"{"text_config": {"num_hidden_layers": 0}}"#,
                ["text_config.num_hidden_layers", "0"],
            ),
            (
                r#"{"vision_config": {"image_size": 8}}"#,
                ["vision_config.image_size", "8"],
            ),
            (
                r#"{"vision_config": {"num_channels": 1}}"#,
                ["vision_config.num_channels", "1"],
            ),
            (r#"{"model_type": "siglip"}"#, ["model_type", "siglip"]),
            (r#"{"projection_dim": "#, ["config.json", "EOF"]),
        ] {
            let message = read(json).unwrap_err().to_string();
            assert!(words.iter().all(|word| message.contains(word)), "{message}");
        }
    }
}
