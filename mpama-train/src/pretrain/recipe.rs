//! Every number of the recipe.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

/// Steps on views of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// How many.
    pub steps: usize,
    /// Side of a view, in pixels: a multiple of the patch size, at most the image size.
    pub side: usize,
    /// Twins per step: twice as many images.
    pub pairs: usize,
}

/// How the demo's CLIP is made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// Decides the images, the captions and the first weights.
    pub seed: u64,
    /// A folder that was made before, whose weights it goes on from; new ones if there is none.
    pub from: Option<PathBuf>,
    /// Twins that are drawn of each category.
    pub twins: usize,
    /// One after the other: parts of images first, which cost less, whole ones last.
    pub phases: Vec<Phase>,
    /// Highest learning rate of Adam; it rises linearly from 0 and falls to 0 with the cosine.
    pub learning_rate: f64,
    /// Steps until the learning rate is highest.
    pub warmup: usize,
    /// Weight of the loss between twins; that between images and captions has 1.
    pub twin_weight: f64,
    /// Weight of the loss of patches.
    pub dense_weight: f64,
    /// The last so many blocks of the vision tower have patches in that loss, each its own.
    pub dense_depth: usize,
    /// Steps between two states on the disk.
    pub save_every: usize,
    /// Sizes of the towers.
    pub size: Size,
}

/// Sizes of the towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Side of an image as it is drawn, in pixels.
    pub drawn: usize,
    /// Side to which it is enlarged, in pixels: what the vision tower sees.
    pub image: usize,
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// Width of the image tower.
    pub vision_width: usize,
    /// Blocks of the image tower.
    pub vision_layers: usize,
    /// Width of the text tower.
    pub text_width: usize,
    /// Blocks of the text tower.
    pub text_layers: usize,
    /// Attention heads of either.
    pub heads: usize,
    /// Longest text in tokens.
    pub context: usize,
    /// Width of the joint space.
    pub joint: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        let phase = |steps, side, pairs| Phase { steps, side, pairs };
        Self {
            seed: 1,
            from: None,
            twins: 480,
            phases: vec![phase(4000, 64, 20), phase(12000, 128, 12)],
            learning_rate: 1.5e-3,
            warmup: 100,
            twin_weight: 2.0,
            dense_weight: 2.0,
            dense_depth: 1,
            save_every: 100,
            size: Size {
                drawn: 128,
                image: 128,
                patch: 8,
                vision_width: 128,
                vision_layers: 4,
                text_width: 96,
                text_layers: 3,
                heads: 2,
                context: 32,
                joint: 128,
            },
        }
    }
}

impl Recipe {
    /// A second round from the weights of a folder that the first, the default, has made: two blocks more in the
    /// vision tower, patches of the last two in their loss, new twins, and a learning rate that rises and falls once
    /// more, less high.
    ///
    /// The class token reads patches as the block before the last leaves them: a loss there says what it may look for.
    pub fn second(from: PathBuf) -> Self {
        let first = Self::default();
        let phase = |steps, side, pairs| Phase { steps, side, pairs };
        Self {
            seed: first.seed + 1,
            from: Some(from),
            phases: vec![phase(1500, 64, 20), phase(3400, 128, 12)],
            learning_rate: 1e-3,
            dense_depth: 2,
            size: Size {
                vision_layers: first.size.vision_layers + 2,
                ..first.size
            },
            ..first
        }
    }

    /// A third round from the weights of a folder that the second has made: the same drawings enlarged, so that a
    /// patch shows less of each, new twins, and a learning rate half as high.
    pub fn third(from: PathBuf) -> Self {
        let second = Self::second(from);
        Self {
            seed: second.seed + 1,
            phases: vec![Phase {
                steps: 1600,
                side: 160,
                pairs: 12,
            }],
            learning_rate: 5e-4,
            size: Size {
                image: 160,
                ..second.size
            },
            ..second
        }
    }

    /// Steps of all phases.
    pub fn steps(&self) -> usize {
        self.phases.iter().map(|phase| phase.steps).sum()
    }

    /// The phase of a step, counted from 0.
    pub(super) fn phase(&self, step: usize) -> Option<Phase> {
        let mut end = 0;
        self.phases.iter().copied().find(|phase| {
            end += phase.steps;
            step < end
        })
    }

    /// Share of the highest learning rate at a step, counted from 0.
    pub(super) fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        let left = (self.steps() - self.warmup).max(1);
        let done = (step - self.warmup) as f64 / left as f64;
        0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }

    /// The Hub's `config.json` for a vocabulary of so many tokens, the last two of which start and
    /// end a text.
    pub(super) fn config(&self, vocabulary: usize) -> Value {
        let Size {
            image,
            patch,
            joint,
            heads,
            ..
        } = self.size;
        let tower = |width: usize, layers: usize| {
            json!({
                "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers,
                "num_attention_heads": heads, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
                "attention_dropout": 0.0, "initializer_factor": 1.0, "initializer_range": 0.02,
                "projection_dim": joint,
            })
        };
        let with = |mut tower: Value, more: Value| {
            if let (Some(tower), Value::Object(more)) = (tower.as_object_mut(), more) {
                tower.extend(more);
            }
            tower
        };
        let text = json!({
            "model_type": "clip_text_model", "vocab_size": vocabulary,
            "max_position_embeddings": self.size.context, "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1,
        });
        let vision = json!({
            "model_type": "clip_vision_model", "image_size": image, "patch_size": patch,
            "num_channels": 3,
        });
        json!({
            "architectures": ["CLIPModel"], "model_type": "clip", "dtype": "float16",
            "projection_dim": joint, "initializer_factor": 1.0, "logit_scale_init_value": 2.6592,
            "text_config": with(tower(self.size.text_width, self.size.text_layers), text),
            "vision_config": with(tower(self.size.vision_width, self.size.vision_layers), vision),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_one_and_falls_to_zero() {
        let recipe = Recipe::default();
        let rates: Vec<f64> = (0..recipe.steps()).map(|step| recipe.rate(step)).collect();
        let (up, down) = rates.split_at(recipe.warmup);
        assert!(up.is_sorted() && down.is_sorted_by(|a, b| a >= b));
        assert_eq!(up[recipe.warmup - 1], 1.0);
        assert!(rates[recipe.steps() - 1] < 1e-3);
        assert_eq!(recipe.phase(recipe.steps()), None);
    }
}
