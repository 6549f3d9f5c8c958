//! From features and text vectors to maps and image scores (equation 1 and section 3.2, inference).
//!
//! A softmax over {normal, abnormal} is a sigmoid of the difference, so only the abnormal channel is
//! ever computed and text vectors enter as `ℓ_a − ℓ_n`.

use candle_core::{D, Tensor};
use candle_nn::ops::sigmoid;

use crate::error::Result;
use crate::nn::linear::Linear;
use crate::nn::normalize::{length, unit_length};
use crate::perception::Perception;
use crate::prompt::TextVectors;

/// `h`: patch or class tokens `[.., W]` through the frozen projection `[D, W]`, to `[.., D]`.
pub fn project(tokens: &Tensor, projection: &Tensor) -> Result<Tensor> {
    let mut dims = tokens.dims().to_vec();
    let width = dims.pop().unwrap_or(0);
    dims.push(projection.dim(0)?);
    Ok(tokens
        .contiguous()?
        .reshape(((), width))?
        .matmul(&projection.t()?)?
        .reshape(dims)?)
}

/// `(⟨g̃_a, f⟩ − ⟨g̃_n, f⟩) / τ`, the log odds that an image is anomalous: `[B]`.
///
/// `class` `[B, D]`, projected; normalised here.
pub fn global_margin(class: &Tensor, text: &TextVectors, temperature: f64) -> Result<Tensor> {
    let odds = unit_length(class)?.matmul(&difference(&text.global)?.unsqueeze(1)?)?; // [B, 1]
    Ok((odds.squeeze(1)? / temperature)?)
}

/// Equation 1 for tokens of one level: `S_a^p` `[B, H_p·W_p]`.
///
/// `tokens` `[B, H_p·W_p, D]`, normalised here; `level` is the index p has in the text vectors.
pub fn token_map(
    tokens: &Tensor,
    text: &TextVectors,
    level: usize,
    temperature: f64,
) -> Result<Tensor> {
    let (b, t, _) = tokens.dims3()?;
    let odds = toward(&tokens.flatten(0, 1)?, &directions(text)?.get(level)?)?;
    map(&odds.reshape((b, t))?, temperature)
}

/// `sigmoid(odds / τ)`: a map of what points toward the abnormal text vector.
pub(crate) fn map(odds: &Tensor, temperature: f64) -> Result<Tensor> {
    Ok(sigmoid(&(odds / temperature)?)?)
}

/// `⟨v / ‖v‖, direction⟩` of `tokens` `[N, D]` and a `direction` `[D]`: `[N]`.
pub fn toward(tokens: &Tensor, direction: &Tensor) -> Result<Tensor> {
    let odds = unit_length(tokens)?.matmul(&direction.unsqueeze(1)?)?;
    Ok(odds.squeeze(1)?)
}

/// Lengths of the pooled projected tokens, per level `[B, H_p·W_p]`.
///
/// They do not depend on the prompts: the constant half of [`prompt_maps`].
pub fn pooled_lengths(projected: &Tensor, levels: &[Perception]) -> Result<Vec<Tensor>> {
    levels
        .iter()
        .map(|p| Ok(length(&p.pool_tokens(projected)?)?.squeeze(D::Minus1)?))
        .collect()
}

/// Equation 1 for all levels without experts: `S_a^p` per level, `[B, H_p·W_p]`.
///
/// Pools numbers instead of vectors: `⟨ℓ, pool(z)⟩ = pool(⟨ℓ, z⟩)`, so one product of the `tokens`
/// `[B, T, K]` with P `directions` `[P, K]` serves all levels: of projected patches with [`directions`], or of
/// patches themselves with directions taken through the projection. `lengths` as from [`pooled_lengths`].
pub fn prompt_maps(
    tokens: &Tensor,
    directions: &Tensor,
    lengths: &[Tensor],
    levels: &[Perception],
    temperature: f64,
) -> Result<Vec<Tensor>> {
    let odds = Linear::new(directions.clone(), None).forward(tokens)?; // [B, T, P]
    let of_level = |(i, level): (usize, &Perception)| -> Result<Tensor> {
        let pooled = level.pool_scalars(&odds.narrow(2, i, 1)?.squeeze(2)?)?;
        map(&(pooled / &lengths[i])?, temperature)
    };
    levels.iter().enumerate().map(of_level).collect()
}

/// `ℓ_a^p − ℓ_n^p` of all levels, `[P, D]`.
pub fn directions(text: &TextVectors) -> Result<Tensor> {
    difference(&text.local)
}

/// Abnormal minus normal vector: `[.., 2, D]` to `[.., D]`.
fn difference(pair: &Tensor) -> Result<Tensor> {
    let classes = pair.rank() - 2;
    let of = |class| pair.narrow(classes, class, 1)?.squeeze(classes);
    Ok((of(1)? - of(0)?)?)
}
