//! What each training stage minimises, and over which variables (equations 5 and 6).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor, Var};

use crate::clip::{ClipTokenizer, TextTower};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::experts::ExpertPool;
use crate::loss::{Losses, cross_entropy};
use crate::nn::linear::Linear;
use crate::perception::Perception;
use crate::prompt::{PromptLearner, TextVectors};
use crate::score;

/// Frozen features of a batch of images, with their truth. All f32.
#[derive(Debug, Clone)]
pub struct FeatureBatch {
    /// Numbers that name the images among all that an objective is ever shown, B of them: what depends on
    /// the features alone is then computed once. Or none.
    pub images: Vec<usize>,
    /// `v̄` `[B, T, W]`.
    pub patches: Tensor,
    /// Class tokens `[B, W]`, not projected.
    pub class: Tensor,
    /// Rows and columns of patches; their product is T.
    pub grid: (usize, usize),
    /// 1 on anomalous pixels, else 0, `[B, H, W]` at the network's input size.
    pub masks: Tensor,
    /// 1 for anomalous images, else 0, `[B]`.
    pub labels: Tensor,
}

/// A loss over named variables: what a training loop needs to know of a stage.
pub trait Objective {
    /// Trainable variables by name.
    fn vars(&self) -> &BTreeMap<String, Var>;
    /// The losses of one batch, differentiable in every variable.
    ///
    /// # Errors
    /// If the batch's shapes do not belong together.
    fn loss(&self, batch: &FeatureBatch) -> Result<Losses>;
}

/// MPA: learns prompts, `L_global + L_local + λ L_hinge` (equation 5). The text tower runs in every
/// step, the vision tower never.
#[derive(Debug)]
pub struct StageOne {
    config: ModelConfig,
    text: TextTower,
    prompts: PromptLearner,
    projection: Tensor,
    /// Lengths of the pooled tokens of every image seen so far, by its number.
    lengths: Mutex<BTreeMap<usize, Vec<Tensor>>>,
}

impl StageOne {
    /// Fresh prompts drawn from `seed`. `projection` is the vision tower's, `[D, W]`.
    ///
    /// # Errors
    /// As [`PromptLearner::new`].
    pub fn new(
        config: &ModelConfig,
        text: TextTower,
        tokenizer: &ClipTokenizer,
        projection: &Tensor,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let prompts = PromptLearner::new(config, &text, tokenizer, seed, device)?;
        Ok(StageOne {
            config: config.clone(),
            text: text.frozen()?,
            prompts,
            projection: projection.clone(),
            lengths: Mutex::default(),
        })
    }

    /// [`score::pooled_lengths`] of a batch: they do not depend on what is learned.
    fn lengths(&self, batch: &FeatureBatch, levels: &[Perception]) -> Result<Vec<Tensor>> {
        let mut known = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
        let mut images = Vec::new();
        for i in 0..batch.patches.dim(0)? {
            let number = batch.images.get(i);
            let lengths = match number.and_then(|number| known.get(number)) {
                Some(lengths) => lengths.clone(),
                None => {
                    // one by one: then they do not depend on the other images of the batch
                    let own = score::project(&batch.patches.narrow(0, i, 1)?, &self.projection)?;
                    score::pooled_lengths(&own, levels)?
                }
            };
            if let Some(number) = number {
                known.entry(*number).or_insert_with(|| lengths.clone());
            }
            images.push(lengths);
        }
        let of_level = |level: usize| {
            let all: Vec<&Tensor> = images.iter().map(|lengths| &lengths[level]).collect();
            Ok(Tensor::cat(&all, 0)?)
        };
        (0..levels.len()).map(of_level).collect()
    }

    /// The prompts as they stand, through the text tower, without a graph behind them.
    pub fn text_vectors(&self) -> Result<TextVectors> {
        let TextVectors { global, local } = self.prompts.text_vectors(&self.text)?;
        Ok(TextVectors {
            global: global.detach(),
            local: local.detach(),
        })
    }
}

impl Objective for StageOne {
    fn vars(&self) -> &BTreeMap<String, Var> {
        self.prompts.vars()
    }

    fn loss(&self, batch: &FeatureBatch) -> Result<Losses> {
        let config = &self.config;
        let levels = batch.levels(config)?;
        let lengths = self.lengths(batch, &levels)?;
        let text = self.prompts.text_vectors(&self.text)?;
        let directions = score::directions(&text)?.matmul(&self.projection)?; // [P, W]
        let tau = config.temperature;
        let maps = score::prompt_maps(&batch.patches, &directions, &lengths, &levels, tau)?;
        let class = score::project(&batch.class, &self.projection)?;
        let margin = score::global_margin(&class, &text, config.temperature)?;
        let global = cross_entropy(&margin, &batch.labels)?;
        Losses::new(&maps, &levels, &batch.masks, Some(global), &config.loss)
    }
}

/// MPAMA: learns router and experts, `L_local + λ L_hinge` (equation 6). Neither tower runs.
#[derive(Debug)]
pub struct StageTwo {
    config: ModelConfig,
    text: TextVectors,
    projection: Tensor,
    /// The projection as a map that does not learn.
    frozen: Linear,
    vars: BTreeMap<String, Var>,
}

impl StageTwo {
    /// Experts that start as copies of `projection` `[D, W]` and a router drawn from `seed`, for the
    /// frozen text vectors of stage one.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(
        config: &ModelConfig,
        text: TextVectors,
        projection: &Tensor,
        seed: u64,
    ) -> Result<Self> {
        config.validate()?;
        Ok(StageTwo {
            vars: ExpertPool::init(&config.experts, projection, seed)?,
            config: config.clone(),
            text,
            frozen: Linear::new(projection.clone(), None).packed()?,
            projection: projection.clone(),
        })
    }

    /// The text vectors it was given.
    pub fn text_vectors(&self) -> &TextVectors {
        &self.text
    }
}

impl Objective for StageTwo {
    fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    fn loss(&self, batch: &FeatureBatch) -> Result<Losses> {
        let config = &self.config;
        let levels = batch.levels(config)?;
        let weights = self
            .vars
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let experts = ExpertPool::new(&config.experts, &self.projection, &weights.collect())?;
        let projected = self.frozen.forward(&batch.patches)?;
        let directions = score::directions(&self.text)?;
        let odds = experts.toward(&batch.patches, &projected, &levels, &directions)?;
        let map = |(odds, _)| score::map(&odds, config.temperature);
        let maps = odds.into_iter().map(map).collect::<Result<Vec<_>>>()?;
        Losses::new(&maps, &levels, &batch.masks, None, &config.loss)
    }
}

impl FeatureBatch {
    fn levels(&self, config: &ModelConfig) -> Result<Vec<Perception>> {
        let size = config.image_size;
        let (b, h, w) = self.masks.dims3()?;
        if (h, w) != (size.height, size.width) {
            let expected = vec![b, size.height, size.width];
            return Err(Error::Shape {
                what: "masks".into(),
                expected,
                found: vec![b, h, w],
            });
        }
        Perception::levels(&config.perception, self.grid, size, self.patches.device())
    }
}
