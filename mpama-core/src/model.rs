//! **Start reading here.** The life of one prediction, from features to score and map.

use candle_core::{D, Device, Tensor};
use candle_nn::ops::sigmoid;

use crate::adapter::Adapter;
use crate::clip::{VisionFeatures, VisionTower};
use crate::config::{ImageSize, Maximum, ModelConfig};
use crate::error::{Error, Result};
use crate::experts::{ExpertPool, Routing};
use crate::map::AnomalyMap;
use crate::perception::{Perception, enlarged};
use crate::prompt::TextVectors;
use crate::score;

/// A frozen vision tower with an adapter: MPA, or MPAMA if the adapter has experts.
///
/// The text tower is not needed: its 2 + 2P vectors are in the adapter.
#[derive(Debug)]
pub struct Detector {
    config: ModelConfig,
    vision: VisionTower,
    text: TextVectors,
    experts: Option<ExpertPool>,
}

/// What is known of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// `A_c` in [0, 1]: the image score.
    pub score: f32,
    /// `P(g̃_a, f)` in [0, 1]: the global half of it.
    pub global: f32,
    /// `max(S_a)` in [0, 1]: the local half of it.
    pub local: f32,
    /// `A_s`: the mean of all perceptions at the network's input size, not smoothed.
    pub map: AnomalyMap,
}

/// The experts that the tokens of one image were sent to at one perception level.
#[derive(Debug, Clone, PartialEq)]
pub struct Routes {
    /// p: windows are p patches a side.
    pub level: usize,
    /// Rows and columns of windows, H_p and W_p.
    pub windows: (usize, usize),
    /// The choice of each window, row by row. Expert 0 is the frozen one, then come the learnable ones,
    /// and the zero expert, if there is one, is the last.
    pub routing: Routing,
}

impl Detector {
    /// Joins a vision tower and an adapter.
    ///
    /// # Errors
    /// [`Error::Backbone`] if the adapter was trained with another vision tower,
    /// [`Error::Shape`] if its tensors do not fit its own settings.
    pub fn new(vision: VisionTower, adapter: Adapter) -> Result<Self> {
        let base = &adapter.config.base_model;
        if base.fingerprint != vision.fingerprint() {
            return Err(Error::Backbone {
                wanted: format!("{} ({})", base.id, base.fingerprint),
                found: vision.fingerprint().to_string(),
            });
        }
        let config = adapter.config.model;
        let projection = vision.projection();
        let device = projection.device();
        let text = adapter.text.to_device(device)?;
        let joint = projection.dim(0)?;
        let levels = config.perception.levels.len();
        for (what, tensor, expected) in [
            ("text.global", &text.global, vec![2, joint]),
            ("text.local", &text.local, vec![levels, 2, joint]),
        ] {
            if tensor.dims() != expected {
                let found = tensor.dims().to_vec();
                return Err(Error::Shape {
                    what: what.into(),
                    expected,
                    found,
                });
            }
        }
        let experts = adapter
            .experts
            .map(|weights| -> Result<ExpertPool> {
                let weights = weights
                    .into_iter()
                    .map(|(name, weight)| Ok((name, weight.to_device(device)?)))
                    .collect::<Result<_>>()?;
                ExpertPool::new(&config.experts, projection, &weights)
            })
            .transpose()?;
        Ok(Detector {
            config,
            vision,
            text,
            experts,
        })
    }

    /// The settings it works with.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The frozen tower.
    pub fn vision(&self) -> &VisionTower {
        &self.vision
    }

    /// Scores images `[B, 3, H, W]` as made by [`crate::preprocess::network_input`].
    ///
    /// # Errors
    /// If H or W is not a multiple of the patch size, or an operation fails.
    pub fn predict(&self, pixels: &Tensor) -> Result<Vec<Prediction>> {
        let (_, _, height, width) = pixels.dims4()?;
        self.score(&self.vision.forward(pixels)?, ImageSize { height, width })
    }

    /// [`Detector::predict`], and for each image the experts its tokens went to, level by level. No
    /// levels for an adapter without experts.
    ///
    /// # Errors
    /// As [`Detector::predict`].
    pub fn predict_routed(&self, pixels: &Tensor) -> Result<Vec<(Prediction, Vec<Routes>)>> {
        let (b, _, height, width) = pixels.dims4()?;
        let features = self.vision.forward(pixels)?;
        let mut routes = vec![Vec::new(); b];
        let mut routed = |level: &Perception, routing: Routing| {
            let choices = level.windows.0 * level.windows.1 * routing.top_k;
            for (own, chosen) in routes.iter_mut().zip(routing.chosen.chunks(choices)) {
                own.push(Routes {
                    level: level.level,
                    windows: level.windows,
                    routing: Routing {
                        chosen: chosen.to_vec(),
                        top_k: routing.top_k,
                    },
                });
            }
        };
        let predictions = self.scored(&features, ImageSize { height, width }, &mut routed)?;
        Ok(predictions.into_iter().zip(routes).collect())
    }

    /// Scores images by their frozen features; maps have `size`.
    pub fn score(&self, features: &VisionFeatures, size: ImageSize) -> Result<Vec<Prediction>> {
        self.scored(features, size, &mut |_, _| {})
    }

    fn scored(
        &self,
        features: &VisionFeatures,
        size: ImageSize,
        routed: &mut dyn FnMut(&Perception, Routing),
    ) -> Result<Vec<Prediction>> {
        let tau = self.config.temperature;
        let projection = self.vision.projection();
        let patches = &features.patches;
        let levels = Perception::levels(
            &self.config.perception,
            features.grid,
            size,
            patches.device(),
        )?;

        let projected = score::project(patches, projection)?; // [B, T, D]
        let maps = match &self.experts {
            None => {
                let lengths = score::pooled_lengths(&projected, &levels)?;
                let directions = score::directions(&self.text)?;
                score::prompt_maps(&projected, &directions, &lengths, &levels, tau)?
            }
            Some(experts) => {
                let directions = score::directions(&self.text)?;
                let odds = experts.toward(patches, &projected, &levels, &directions)?;
                let map = |(level, (odds, routing)): (_, (Tensor, _))| {
                    routed(level, routing);
                    score::map(&odds, tau)
                };
                levels
                    .iter()
                    .zip(odds)
                    .map(map)
                    .collect::<Result<Vec<_>>>()?
            }
        };
        let class = score::project(&features.class, projection)?;
        let global = sigmoid(&score::global_margin(&class, &self.text, tau)?)?;
        let mean = Tensor::stack(&enlarged(&maps, &levels)?, 0)?.mean(0)?; // [B, H, W]
        self.predictions(&maps, &mean, &global)
    }

    fn predictions(
        &self,
        maps: &[Tensor],
        mean: &Tensor,
        global: &Tensor,
    ) -> Result<Vec<Prediction>> {
        let (b, height, width) = mean.dims3()?;
        let global: Vec<f32> = global.to_device(&Device::Cpu)?.to_vec1()?;
        let values: Vec<f32> = mean.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?;
        let patch_maxima: Vec<Vec<f32>> = match self.config.score.maximum {
            Maximum::Patch => maps
                .iter()
                .map(|map| map.max(D::Minus1)?.to_device(&Device::Cpu)?.to_vec1())
                .collect::<candle_core::Result<_>>()?,
            Maximum::Upsampled | Maximum::Smoothed => Vec::new(),
        };
        let weight = self.config.score.map_weight as f32;
        let predictions = values
            .chunks(height * width)
            .take(b)
            .enumerate()
            .map(|(i, values)| {
                let map = AnomalyMap {
                    height,
                    width,
                    values: values.to_vec(),
                };
                let local = match self.config.score.maximum {
                    Maximum::Upsampled => map.peak().value,
                    Maximum::Smoothed => map.smoothed(self.config.score.sigma).peak().value,
                    Maximum::Patch => {
                        patch_maxima.iter().map(|level| level[i]).sum::<f32>() / maps.len() as f32
                    }
                };
                let score = (1.0 - weight) * global[i] + weight * local;
                Prediction {
                    score,
                    global: global[i],
                    local,
                    map,
                }
            });
        Ok(predictions.collect())
    }
}
