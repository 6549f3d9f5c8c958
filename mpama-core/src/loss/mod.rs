//! The losses of equations 3 to 6.
//!
//! Everything here works on one channel, the enlarged abnormal map `S_a`: the normal map is
//! `1 − S_a`, and bilinear weights sum to one, so the published two-channel forms have the same value
//! and gradient (tested). Maps are probabilities `[B, H, W]`; masks are 0 or 1 of the same shape.

mod dice;
mod focal;
mod hinge;
mod segmentation;

pub use dice::dice;
pub use focal::focal;
pub use hinge::hinge;

use candle_core::{DType, Tensor};

use crate::config::LossConfig;
use crate::error::{Error, Result};
use crate::perception::{Perception, enlarged};
use segmentation::Segmentation;

/// One step's losses, all scalars. `total` is what is differentiated; the parts are already weighted
/// and sum to it.
#[derive(Debug, Clone)]
pub struct Losses {
    /// Equation 5 or 6.
    pub total: Tensor,
    /// Equation 3; absent in stage two.
    pub global: Option<Tensor>,
    /// Focal part of equation 4, over all perceptions.
    pub focal: Tensor,
    /// Dice parts of equation 4, over all perceptions.
    pub dice: Tensor,
    /// λ times the hinge loss, over all perceptions.
    pub hinge: Tensor,
}

impl Losses {
    /// `L_local + λ L_hinge` over the maps of all `levels`, each on its windows `[B, H_p·W_p]` and enlarged
    /// here to the masks `[B, H, W]`, and `L_global` if there is one.
    ///
    /// # Errors
    /// If the shapes do not belong together.
    pub fn new(
        maps: &[Tensor],
        levels: &[Perception],
        masks: &Tensor,
        global: Option<Tensor>,
        config: &LossConfig,
    ) -> Result<Self> {
        if maps.len() != levels.len() {
            return Err(Error::Shape {
                what: "maps, one for each perception".into(),
                expected: vec![levels.len()],
                found: vec![maps.len()],
            });
        }
        let one_pass = masks.device().is_cpu() && masks.dtype() == DType::F32;
        let sums = match one_pass {
            true => sums_in_one_pass(maps, levels, masks, config)?,
            false => sums(&enlarged(maps, levels)?, masks, config)?,
        };
        Self::weighed(sums, global, config)
    }

    /// Of the sums over perceptions.
    fn weighed(
        [focals, dices, hinges]: [Tensor; 3],
        global: Option<Tensor>,
        config: &LossConfig,
    ) -> Result<Self> {
        let (focal, dice) = ((focals * config.local)?, (dices * config.local)?);
        let hinge = (hinges * config.hinge)?;
        let mut total = ((&focal + &dice)? + &hinge)?;
        if let Some(global) = &global {
            total = (total + global)?;
        }
        Ok(Losses {
            total,
            global,
            focal,
            dice,
            hinge,
        })
    }
}

/// Focal, dice and hinge losses summed over perceptions: the reference.
fn sums(maps: &[Tensor], masks: &Tensor, config: &LossConfig) -> Result<[Tensor; 3]> {
    let zero = Tensor::zeros((), masks.dtype(), masks.device())?;
    let (mut focals, mut dices, mut hinges) = (zero.clone(), zero.clone(), zero);
    let normal = masks.affine(-1.0, 1.0)?;
    for map in maps {
        let complement = map.affine(-1.0, 1.0)?;
        focals = (focals + focal(map, masks, config)?)?;
        dices = (dices + dice(map, masks, config.dice_smooth)?)?;
        dices = (dices + dice(&complement, &normal, config.dice_smooth)?)?;
        hinges = (hinges + hinge(map, masks, config)?)?;
    }
    Ok([focals, dices, hinges])
}

/// The same of maps on windows, by one pass over the pixels of each.
fn sums_in_one_pass(
    maps: &[Tensor],
    levels: &[Perception],
    masks: &Tensor,
    config: &LossConfig,
) -> Result<[Tensor; 3]> {
    let segmentation = Segmentation::new(masks, config)?;
    let mut losses = Tensor::zeros(3, DType::F32, masks.device())?;
    for (map, level) in maps.iter().zip(levels) {
        losses = (losses + segmentation.losses(map, level.enlargement())?)?;
    }
    Ok([losses.get(0)?, losses.get(1)?, losses.get(2)?])
}

/// Cross-entropy of two-class logits given as their difference (equation 3).
///
/// `margin` `[B]` is the abnormal minus the normal logit, `labels` `[B]` 0 or 1. The paper writes the
/// cross-entropy of probabilities; this is the usual one of logits, `−log P(y)`. With
/// `x = margin · (1 − 2y)` it is `log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|)`, finite for every
/// finite margin.
pub fn cross_entropy(margin: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let x = (margin * labels.affine(-2.0, 1.0)?)?;
    let tail = (x.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok((x.relu()? + tail)?.mean_all()?)
}

#[cfg(test)]
mod tests;
