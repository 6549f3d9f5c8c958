use candle_core::Tensor;

use crate::error::Result;

/// Dice loss (Li et al. 2019; as in AnomalyCLIP's `BinaryDiceLoss`): per image, then the mean.
///
/// `map` and `mask` `[B, H, W]`; `1 − (2 Σ p t + s) / (Σ p + Σ t + s)` with the smoothing term `s`, 1
/// in the field's code, which keeps an empty pair finite.
pub fn dice(map: &Tensor, mask: &Tensor, smooth: f64) -> Result<Tensor> {
    let map = map.flatten_from(1)?;
    let mask = mask.flatten_from(1)?;
    let overlap = ((&map * &mask)?.sum(1)? * 2.0)?;
    let size = (map.sum(1)? + mask.sum(1)?)?;
    let ratio = ((overlap + smooth)? / (size + smooth)?)?;
    Ok(ratio.affine(-1.0, 1.0)?.mean_all()?)
}
