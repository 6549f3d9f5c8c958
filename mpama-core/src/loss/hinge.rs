use candle_core::Tensor;

use crate::config::LossConfig;
use crate::error::Result;

/// Hinge loss of section 3.2 for one perception.
///
/// `map` and `mask` `[B, H, W]`; the mean of `max(S_a − δ_n, 0)` over all normal pixels of the batch
/// plus the mean of `max(δ_a − S_a, 0)` over all anomalous ones. A batch without pixels of a kind
/// contributes 0 for it.
pub fn hinge(map: &Tensor, mask: &Tensor, config: &LossConfig) -> Result<Tensor> {
    let above = ((map - config.margin_normal)?.relu()? * mask.affine(-1.0, 1.0)?)?;
    let below = (map.affine(-1.0, config.margin_abnormal)?.relu()? * mask)?;
    let anomalous = mask.sum_all()?;
    let normal = anomalous.affine(-1.0, mask.elem_count() as f64)?;
    // Counts are whole numbers: at least 1 leaves every set that is not empty as it is.
    let above = (above.sum_all()? / normal.maximum(1.0)?)?;
    let below = (below.sum_all()? / anomalous.maximum(1.0)?)?;
    Ok((above + below)?)
}
