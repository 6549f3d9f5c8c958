//! Mixture of visual experts (section 3.2 of the paper).
//!
//! A pool of one frozen projection `h_0`, learnable ones that start as copies of it, and the zero
//! expert. The router sends every pooled token to its K most likely experts.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{D, Device, Tensor, Var};
use candle_nn::ops;

use crate::config::{ExpertsConfig, Gates};
use crate::error::{Error, Result};
use crate::kernels;
use crate::kernels::experts::{Routed, toward};
use crate::kernels::packed::Packed;
use crate::kernels::precision::Precision;
use crate::nn::linear::Linear;
use crate::perception::Perception;
use crate::random;
use crate::score;

/// Frozen, learnable and zero experts with their router.
///
/// Order in the pool: the frozen one, the learnable ones, the zero one. Weights are `[D, W]` and
/// `[pool, W]`, the layout of `torch.nn.Linear`; there are no biases.
#[derive(Debug, Clone)]
pub struct ExpertPool {
    config: ExpertsConfig,
    frozen: Tensor,
    learnable: Vec<Tensor>,
    /// The learnable ones laid out for the kernels, where these serve.
    packed: Vec<Arc<Packed>>,
    router: Tensor,
}

/// Which experts a set of tokens went to.
#[derive(Debug, Clone, PartialEq)]
pub struct Routing {
    /// K experts of each token, most likely first, `[N · K]`.
    pub chosen: Vec<usize>,
    /// K.
    pub top_k: usize,
}

impl Routing {
    /// Share of all choices that each of `pool` experts got; sums to 1.
    pub fn usage(&self, pool: usize) -> Vec<f64> {
        let mut counts = vec![0usize; pool];
        for &expert in &self.chosen {
            counts[expert] += 1;
        }
        counts
            .iter()
            .map(|c| *c as f64 / self.chosen.len().max(1) as f64)
            .collect()
    }
}

/// Names of the router's and the learnable experts' weights.
const ROUTER: &str = "router.weight";
fn expert_name(index: usize) -> String {
    format!("experts.{index}.weight")
}

impl ExpertPool {
    /// Variables of a fresh pool: every learnable expert a copy of `projection` `[D, W]`, the router
    /// uniform in ±1/√W as `torch.nn.Linear` (zeros would never leave the first two experts).
    pub fn init(
        config: &ExpertsConfig,
        projection: &Tensor,
        seed: u64,
    ) -> Result<BTreeMap<String, Var>> {
        let width = projection.dim(1)?;
        let bound = 1.0 / (width as f64).sqrt();
        let seed = config.router_seed.unwrap_or(seed);
        let router = random::uniform(
            &[config.pool(), width],
            bound,
            seed,
            ROUTER,
            projection.device(),
        )?;
        let mut vars = BTreeMap::from([(ROUTER.to_string(), Var::from_tensor(&router)?)]);
        for i in 1..=config.learnable {
            vars.insert(expert_name(i), Var::from_tensor(&projection.copy()?)?);
        }
        Ok(vars)
    }

    /// A pool over `weights` named as [`ExpertPool::init`] names them, with the frozen `projection`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a weight of another shape, [`Error::Setting`] for a missing one.
    pub fn new(
        config: &ExpertsConfig,
        projection: &Tensor,
        weights: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        let take = |name: &str, rows: usize| -> Result<Tensor> {
            let weight = weights.get(name).ok_or_else(|| {
                Error::setting("experts.learnable", &format!("a tensor `{name}`"), "none")
            })?;
            let expected = vec![rows, projection.dim(1)?];
            if weight.dims() != expected {
                let found = weight.dims().to_vec();
                return Err(Error::Shape {
                    what: name.into(),
                    expected,
                    found,
                });
            }
            Ok(weight.clone())
        };
        let learnable = (1..=config.learnable)
            .map(|i| take(&expert_name(i), projection.dim(0)?))
            .collect::<Result<Vec<_>>>()?;
        let all: Vec<&Tensor> = learnable.iter().collect();
        let packed = match kernels::serves(&all) {
            true => learnable
                .iter()
                .map(|weight| Ok(Arc::new(Packed::new(weight, None, Precision::F32)?)))
                .collect::<Result<_>>()?,
            false => Vec::new(),
        };
        Ok(ExpertPool {
            config: config.clone(),
            frozen: projection.clone(),
            learnable,
            packed,
            router: take(ROUTER, config.pool())?,
        })
    }

    /// Where the tokens of every level point: `⟨v / ‖v‖, ℓ⟩` with v the [mixture](ExpertPool::forward) of a
    /// pooled token's experts and ℓ the level's direction, `[B, H_p·W_p]`; and the experts they went to.
    ///
    /// `patches` `[B, T, W]`; `projected` `[B, T, D]` their images under `h_0`; `directions` `[P, D]`. Pooling
    /// commutes with experts and router: where the kernels serve, no token is ever pooled.
    pub fn toward(
        &self,
        patches: &Tensor,
        projected: &Tensor,
        levels: &[Perception],
        directions: &Tensor,
    ) -> Result<Vec<(Tensor, Routing)>> {
        let constants = [patches, projected, directions];
        let learned = constants.iter().any(|tensor| tensor.track_op());
        match !learned && !self.packed.is_empty() && kernels::serves(&constants) {
            true => self.in_one(patches, projected, levels, directions),
            false => self.one_by_one(patches, projected, levels, directions),
        }
    }

    /// [`ExpertPool::toward`] in one operation.
    fn in_one(
        &self,
        patches: &Tensor,
        projected: &Tensor,
        levels: &[Perception],
        directions: &Tensor,
    ) -> Result<Vec<(Tensor, Routing)>> {
        let (b, t, _) = patches.dims3()?;
        let pool = self.config.pool();
        let logits = self.logits(patches)?.transpose(1, 2)?.contiguous()?; // [B, pool, T]
        let logits = logits.reshape((b * pool, t))?;
        let of_level = |level: &Perception| -> Result<(Tensor, Routing)> {
            let pooled = level.pool_scalars(&logits)?.reshape((b, pool, ()))?;
            self.gated(&pooled.transpose(1, 2)?.contiguous()?.flatten_to(1)?)
        };
        let (gates, routings): (Vec<Tensor>, Vec<Routing>) = levels
            .iter()
            .map(of_level)
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let routed = Routed {
            patches: patches.clone(),
            frozen: projected.clone(),
            packed: self.packed.clone(),
            levels: levels.iter().map(|level| level.plane().clone()).collect(),
            directions: directions.clone(),
        };
        let weights = Tensor::stack(&self.learnable, 0)?;
        let odds = toward(&Tensor::cat(&gates, 0)?, &weights, &routed)?;
        let mut start = 0;
        let own = |(gates, routing): (&Tensor, Routing)| {
            let windows = gates.dim(0)?;
            let odds = odds.narrow(0, start, windows)?.reshape((b, windows / b))?;
            start += windows;
            Ok((odds, routing))
        };
        gates.iter().zip(routings).map(own).collect()
    }

    /// [`ExpertPool::toward`] as the paper has it: tokens are pooled, then mixed.
    fn one_by_one(
        &self,
        patches: &Tensor,
        projected: &Tensor,
        levels: &[Perception],
        directions: &Tensor,
    ) -> Result<Vec<(Tensor, Routing)>> {
        let of_level = |(i, level): (usize, &Perception)| {
            let (tokens, frozen) = (level.pool_tokens(patches)?, level.pool_tokens(projected)?);
            let (b, windows, _) = tokens.dims3()?;
            let (mixed, routing) = self.forward(&tokens.flatten_to(1)?, &frozen.flatten_to(1)?)?;
            let odds = score::toward(&mixed, &directions.get(i)?)?;
            Ok((odds.reshape((b, windows))?, routing))
        };
        levels.iter().enumerate().map(of_level).collect()
    }

    /// `Σ e_i h_i(v̄)` of every token, before its L2 norm.
    ///
    /// `tokens` `[N, W]` pooled tokens; `frozen` `[N, D]` their images under `h_0`, which are
    /// already known (`pool(z)`). Returns `[N, D]`. Only tokens routed to a learnable expert are
    /// multiplied by it, the zero expert costs nothing; [`ExpertPool::forward_dense`] is the long way.
    pub fn forward(&self, tokens: &Tensor, frozen: &Tensor) -> Result<(Tensor, Routing)> {
        let (gates, routing) = self.gates(tokens)?;
        let mut mixed = frozen.broadcast_mul(&gates.narrow(1, 0, 1)?)?;
        for (i, weight) in self.learnable.iter().enumerate() {
            let expert = i + 1;
            let sent = routing.sent_to(expert);
            let mut rows: Vec<u32> = sent.into_iter().map(|n| n as u32).collect();
            if rows.is_empty() {
                // Its gate is 0 on every token, so any one of them gives a zero and a zero gradient.
                rows.push(0);
            }
            let rows = Tensor::new(rows, tokens.device())?;
            let own = tokens.index_select(&rows, 0)?.matmul(&weight.t()?)?; // [n, D]
            let gate = gates
                .narrow(1, expert, 1)?
                .contiguous()?
                .index_select(&rows, 0)?; // [n, 1]
            mixed = mixed.index_add(&rows, &own.broadcast_mul(&gate)?, 0)?;
        }
        Ok((mixed, routing))
    }

    /// The paper's formula as written: every expert on every token, gates masked to the top K.
    pub fn forward_dense(&self, tokens: &Tensor) -> Result<Tensor> {
        let (gates, _) = self.gates(tokens)?;
        let mut mixed = tokens
            .matmul(&self.frozen.t()?)?
            .broadcast_mul(&gates.narrow(1, 0, 1)?)?;
        for (i, weight) in self.learnable.iter().enumerate() {
            let own = tokens.matmul(&weight.t()?)?;
            mixed = (mixed + own.broadcast_mul(&gates.narrow(1, i + 1, 1)?)?)?;
        }
        Ok(mixed)
    }

    /// Gates `[N, pool]`, zero outside each token's top K, and the choice itself. Of equal logits the
    /// lower index wins.
    pub fn gates(&self, tokens: &Tensor) -> Result<(Tensor, Routing)> {
        self.gated(&self.logits(tokens)?)
    }

    /// `[.., W]` to `[.., pool]`.
    fn logits(&self, tokens: &Tensor) -> Result<Tensor> {
        Ok(Linear::new(self.router.clone(), None).forward(tokens)?)
    }

    /// [`ExpertPool::gates`] of the router's logits `[N, pool]`.
    fn gated(&self, logits: &Tensor) -> Result<(Tensor, Routing)> {
        let routing = top_k(
            &logits.detach().to_device(&Device::Cpu)?.to_vec2()?,
            self.config.top_k,
        );
        let pool = self.config.pool();
        let mut mask = vec![0f32; logits.elem_count()];
        for (n, chosen) in routing.chosen.chunks(routing.top_k).enumerate() {
            chosen
                .iter()
                .for_each(|expert| mask[n * pool + expert] = 1.0);
        }
        let mask = Tensor::from_vec(mask, logits.shape(), logits.device())?;
        // The zero expert's logit only scales the mixture, which the L2 norm undoes: its gradient is 0.
        // Left in the graph it is a rounding error instead, of which Adam makes whole steps.
        let logits = match self.config.zero {
            true => {
                let real = logits.narrow(1, 0, pool - 1)?;
                Tensor::cat(&[real, logits.narrow(1, pool - 1, 1)?.detach()], 1)?
            }
            false => logits.clone(),
        };
        let gates = (ops::softmax(&logits, D::Minus1)? * mask)?;
        let gates = match self.config.gates {
            Gates::Masked => gates,
            Gates::Renormalised => gates.broadcast_div(&gates.sum_keepdim(D::Minus1)?)?,
        };
        Ok((gates, routing))
    }
}

impl Routing {
    /// Experts of token `n`, most likely first.
    pub fn of(&self, n: usize) -> &[usize] {
        &self.chosen[n * self.top_k..(n + 1) * self.top_k]
    }

    /// The tokens that were sent to `expert`, in rising order.
    pub fn sent_to(&self, expert: usize) -> Vec<usize> {
        let tokens = self.chosen.chunks_exact(self.top_k).enumerate();
        let sent = tokens.filter(|(_, chosen)| chosen.contains(&expert));
        sent.map(|(n, _)| n).collect()
    }
}

fn top_k(logits: &[Vec<f32>], k: usize) -> Routing {
    let mut chosen = Vec::with_capacity(logits.len() * k);
    for row in logits {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a])); // stable: ties keep their order
        chosen.extend_from_slice(&order[..k]);
    }
    Routing { chosen, top_k: k }
}

#[cfg(test)]
mod tests;
