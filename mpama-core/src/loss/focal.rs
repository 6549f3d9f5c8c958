use candle_core::Tensor;

use crate::config::LossConfig;
use crate::error::Result;

/// Focal loss (Lin et al. 2018; constants as in AnomalyCLIP's `FocalLoss`).
///
/// `map` and `mask` `[B, H, W]`. With q the probability given to a pixel's true class, AnomalyCLIP's
/// one-hot vector clamped to `[ε, 1 − ε]` and its `+ ε` make `p_t = q (1 − 2ε) + 2ε`; the loss is the
/// mean of `−(1 − p_t)^γ log p_t`. Finite for every q in [0, 1] while ε is above 0.
pub fn focal(map: &Tensor, mask: &Tensor, config: &LossConfig) -> Result<Tensor> {
    let epsilon = config.focal_epsilon;
    // q = S_a or 1 − S_a comes first and is exact: with ε folded into the two constants, a pixel that is
    // surely wrong would lose digits of a small p_t and of its steep gradient.
    let q = ((map * mask.affine(2.0, -1.0)?)? + mask.affine(-1.0, 1.0)?)?;
    let truth = q.affine(1.0 - 2.0 * epsilon, 2.0 * epsilon)?;
    let miss = truth.affine(-1.0, 1.0)?;
    let weight = match config.focal_gamma {
        2.0 => miss.sqr()?,
        // Above 1 only by rounding, and a negative base would make NaN.
        gamma => miss.relu()?.powf(gamma)?,
    };
    let mut loss = (weight * truth.log()?)?.neg()?;
    if let Some(alpha) = config.focal_alpha {
        loss = (loss * mask.affine(2.0 * alpha - 1.0, 1.0 - alpha)?)?;
    }
    Ok(loss.mean_all()?)
}
