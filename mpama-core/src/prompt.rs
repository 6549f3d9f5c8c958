//! Learnable prompts: local ones per perception, the global one and the bridge between them
//! (section 3.1 of the paper), and AnomalyCLIP's deep prompts.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};

use crate::clip::{ClipTokenizer, TextTower};
use crate::config::{BridgeGradient, BridgeKind, ModelConfig, PromptConfig};
use crate::error::{Error, Result};
use crate::nn::normalize::unit_length;
use crate::random;

/// Normal and abnormal, in this order everywhere.
const CLASSES: [&str; 2] = ["normal", "abnormal"];

/// What the prompts become: unit vectors of the joint space.
#[derive(Debug, Clone)]
pub struct TextVectors {
    /// `g̃_c`: `[2, D]`, normal then abnormal.
    pub global: Tensor,
    /// `ℓ_c^p`: `[P, 2, D]`, in the order of the perception levels.
    pub local: Tensor,
}

impl TextVectors {
    /// Vectors of the bare template, `object.` and `damaged object.`, without any learned token: what
    /// CLIP knows by itself, and what training is compared with.
    ///
    /// # Errors
    /// If the words do not fit into the tower.
    pub fn untrained(
        config: &ModelConfig,
        text: &TextTower,
        tokenizer: &ClipTokenizer,
    ) -> Result<Self> {
        let prompt = &config.prompt;
        let ids = [&prompt.normal, &prompt.abnormal]
            .map(|words| tokenizer.encode(&template(words, prompt.full_stop)));
        let [normal, abnormal] = ids;
        let global = unit_length(&text.encode_ids(&[normal?, abnormal?])?)?;
        let local = Tensor::stack(&vec![global.clone(); config.perception.levels.len()], 0)?;
        Ok(TextVectors { global, local })
    }
}

/// The trainable parameters of stage one and the frozen text around them.
#[derive(Debug)]
pub struct PromptLearner {
    config: ModelConfig,
    vars: BTreeMap<String, Var>,
    deep: usize,
    /// Embedding of the start token, `[1, W]`.
    start: Tensor,
    /// Embedding of the words after the learnable tokens and the end token, per class, `[L_c, W]`.
    suffix: [Tensor; 2],
}

impl PromptLearner {
    /// Fresh prompts for `text`, drawn from `seed`.
    ///
    /// Trainable names and shapes, with W the text width: `prompt.shared.{class}` `[S, W]`,
    /// `prompt.local.{p}.{class}` `[E − S, W]`, `prompt.global.{class}` `[E, W]`, `prompt.deep.{i}`
    /// `[len, W]`, `bridge.0.weight` `[W, 2W]`, `bridge.0.bias`, `bridge.2.weight` `[W, W]`,
    /// `bridge.2.bias`. Coupled prompts have the global pair only.
    ///
    /// # Errors
    /// If a setting is out of range or the prompts do not fit into the tower.
    pub fn new(
        config: &ModelConfig,
        text: &TextTower,
        tokenizer: &ClipTokenizer,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let prompt = &config.prompt;
        let deep = prompt.deep_prompts(text.layers());
        if deep >= text.layers() && deep > 0 {
            let most = format!("at most the {} blocks of the text tower", text.layers());
            return Err(Error::setting("prompt.deep-depth", &most, deep + 1));
        }
        let suffix_ids = [&prompt.normal, &prompt.abnormal]
            .map(|words| tokenizer.encode(&template(words, prompt.full_stop)));
        let [normal, abnormal] = suffix_ids;
        let (normal, abnormal) = (normal?, abnormal?);
        let longest = prompt.length + normal.len().max(abnormal.len());
        if longest > text.context() {
            let most = format!("prompts of at most {} tokens", text.context());
            return Err(Error::setting("prompt.length", &most, longest));
        }
        let mut learner = PromptLearner {
            config: config.clone(),
            vars: BTreeMap::new(),
            deep,
            start: text.embed(&normal[..1])?,
            suffix: [text.embed(&normal[1..])?, text.embed(&abnormal[1..])?],
        };
        learner.init(text.width(), seed, device)?;
        Ok(learner)
    }

    fn init(&mut self, width: usize, seed: u64, device: &Device) -> Result<()> {
        let config = self.config.clone();
        let PromptConfig {
            length,
            shared,
            deep_length,
            init_std,
            coupled,
            ..
        } = config.prompt;
        let mut tokens = |name: String, rows: usize| -> Result<()> {
            if rows > 0 {
                let start = random::normal(&[rows, width], init_std, seed, &name, device)?;
                self.vars.insert(name, Var::from_tensor(&start)?);
            }
            Ok(())
        };
        for class in CLASSES {
            tokens(format!("prompt.global.{class}"), length)?;
            if !coupled {
                tokens(format!("prompt.shared.{class}"), shared)?;
                for p in &config.perception.levels {
                    tokens(format!("prompt.local.{p}.{class}"), length - shared)?;
                }
            }
        }
        for i in 0..self.deep {
            tokens(format!("prompt.deep.{i}"), deep_length)?;
        }
        if config.bridge.kind != BridgeKind::Off {
            for (layer, from) in [(0, 2 * width), (2, width)] {
                let name = format!("bridge.{layer}.weight");
                let bound = 1.0 / (from as f64).sqrt();
                let weight = random::uniform(&[width, from], bound, seed, &name, device)?;
                self.vars.insert(name, Var::from_tensor(&weight)?);
                // Zero, not PyTorch's uniform: prompts are of size 0.02, and a bias of 0.03 would
                // drown them in one vector common to all tokens.
                let bias = Tensor::zeros(width, DType::F32, device)?;
                self.vars
                    .insert(format!("bridge.{layer}.bias"), Var::from_tensor(&bias)?);
            }
        }
        Ok(())
    }

    /// The trainable parameters by name.
    pub fn vars(&self) -> &BTreeMap<String, Var> {
        &self.vars
    }

    /// All prompts through the frozen `text` tower in one batch, to unit length. Differentiable in
    /// every variable.
    pub fn text_vectors(&self, text: &TextTower) -> Result<TextVectors> {
        let levels = self.config.perception.levels.len();
        let local = self.local_contexts()?;
        let mut contexts = self.global_contexts(&local)?.to_vec();
        contexts.extend(local.iter().flatten().cloned());
        let eot = |i: usize| self.config.prompt.length + self.suffix[i % 2].dims()[0];
        let rows = (0..contexts.len()).map(eot).max().unwrap_or(0);
        let sequences = contexts
            .iter()
            .enumerate()
            .map(|(i, context)| self.sequence(context, i % 2, rows))
            .collect::<Result<Vec<_>>>()?;
        let eot: Vec<usize> = (0..contexts.len()).map(eot).collect();
        let sequences = Tensor::stack(&sequences, 0)?;
        let vectors = text.encode(&self.start, &sequences, &eot, &self.deep_prompts()?)?;
        let vectors = unit_length(&vectors)?; // [2 + 2P, D]
        let global = vectors.narrow(0, 0, 2)?;
        let local = if self.config.prompt.coupled {
            Tensor::stack(&vec![global.clone(); levels], 0)?
        } else {
            vectors
                .narrow(0, 2, 2 * levels)?
                .reshape((levels, 2, vectors.dim(1)?))?
        };
        Ok(TextVectors { global, local })
    }

    /// `[context | words . end]`, what follows the start, padded with the end token, which causal attention
    /// never shows to the rows before it. `context` `[E, W]` to `[rows, W]`.
    fn sequence(&self, context: &Tensor, class: usize, rows: usize) -> Result<Tensor> {
        let suffix = &self.suffix[class];
        let mut parts = vec![context.clone(), suffix.clone()];
        let end = suffix.narrow(0, suffix.dim(0)? - 1, 1)?;
        let used = context.dim(0)? + suffix.dim(0)?;
        parts.resize(parts.len() + rows - used, end);
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// `ctx_c^p` `[E, W]` per level and class; empty for coupled prompts.
    fn local_contexts(&self) -> Result<Vec<[Tensor; 2]>> {
        if self.config.prompt.coupled {
            return Ok(Vec::new());
        }
        let context = |p: usize, class: &str| -> Result<Tensor> {
            let parts = [
                format!("prompt.shared.{class}"),
                format!("prompt.local.{p}.{class}"),
            ];
            let parts: Vec<&Tensor> = parts
                .iter()
                .filter_map(|name| self.vars.get(name).map(Var::as_tensor))
                .collect();
            Ok(Tensor::cat(&parts, 0)?)
        };
        let levels = self.config.perception.levels.iter();
        levels
            .map(|&p| Ok([context(p, CLASSES[0])?, context(p, CLASSES[1])?]))
            .collect()
    }

    /// `G̃_c = MLP(concat(G_c, max_p ctx_c^p))` `[E, W]` per class, the same MLP for both.
    fn global_contexts(&self, local: &[[Tensor; 2]]) -> Result<[Tensor; 2]> {
        let bridge = &self.config.bridge;
        let global = |class: usize| -> Result<Tensor> {
            let own = self.vars[&format!("prompt.global.{}", CLASSES[class])].as_tensor();
            let Some((first, rest)) = local
                .split_first()
                .filter(|_| bridge.kind != BridgeKind::Off)
            else {
                return Ok(own.clone());
            };
            let mut salient = first[class].clone();
            for context in rest {
                salient = salient.maximum(&context[class])?;
            }
            if bridge.gradient == BridgeGradient::Detached {
                salient = salient.detach();
            }
            let hidden = self
                .bridge_layer(0, &Tensor::cat(&[own, &salient], 1)?)?
                .relu()?;
            let bridged = self.bridge_layer(2, &hidden)?;
            Ok(if bridge.kind == BridgeKind::Residual {
                (own + bridged)?
            } else {
                bridged
            })
        };
        Ok([global(0)?, global(1)?])
    }

    fn bridge_layer(&self, layer: usize, x: &Tensor) -> Result<Tensor> {
        let weight = &self.vars[&format!("bridge.{layer}.weight")];
        let bias = &self.vars[&format!("bridge.{layer}.bias")];
        Ok(x.matmul(&weight.t()?)?.broadcast_add(bias)?)
    }

    fn deep_prompts(&self) -> Result<Vec<Tensor>> {
        (0..self.deep)
            .map_while(|i| self.vars.get(&format!("prompt.deep.{i}")))
            .map(|prompt| {
                Ok(match self.config.prompt.deep_half {
                    true => prompt.to_dtype(DType::F16)?.to_dtype(DType::F32)?,
                    false => prompt.as_tensor().clone(),
                })
            })
            .collect()
    }
}

fn template(words: &str, full_stop: bool) -> String {
    if full_stop {
        format!("{words}.")
    } else {
        words.to_string()
    }
}
