//! A frozen text block with something learned below it, as one operation.

use candle_core::{Result, Tensor};

use super::attention::Attention;
use super::block::Block;
use super::rows::Rows;
use crate::kernels::recorded::{plus, recorded};

/// What the step back needs.
struct Kept {
    x: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    /// The stream after attention.
    middle: Tensor,
    /// The MLP before its activation.
    hidden: Tensor,
}

impl Block {
    /// The stream `x` `[S + N·l, W]` after the block, if its weights are laid out for both ways: what the
    /// tower composes of its parts, with the same gradient.
    pub(super) fn through(&self, x: &Tensor, rows: Rows) -> Result<Option<Tensor>> {
        if !x.track_op() || !self.is_frozen() {
            return Ok(None);
        }
        let (y, kept) = self.forward(&x.detach().contiguous()?, rows)?;
        let block = self.clone();
        recorded(x, y, move |grad| block.back(&kept, grad, rows)).map(Some)
    }

    fn forward(&self, x: &Tensor, rows: Rows) -> Result<(Tensor, Kept)> {
        let Attention {
            query, key, value, ..
        } = &self.attention;
        let u = self.norm.forward(x)?;
        let [query, key, value] = [query, key, value].map(|linear| linear.forward(&u));
        let (query, key, value) = (query?, key?, value?);
        let attended = self
            .attention
            .attend_causal(&query, &key, &value, rows, None)?;
        let middle = self.attention.add_output(x, &attended)?;
        let hidden = self.up.forward(&self.mlp_norm.forward(&middle)?)?;
        let y = self
            .down
            .forward_onto(&middle, &self.activation.forward(&hidden)?)?;
        let kept = Kept {
            x: x.clone(),
            query,
            key,
            value,
            middle,
            hidden,
        };
        Ok((y, kept))
    }

    /// The gradient of the input, given that of the output.
    fn back(&self, kept: &Kept, grad: &Tensor, rows: Rows) -> Result<Tensor> {
        let Attention {
            query,
            key,
            value,
            out,
            ..
        } = &self.attention;
        let hidden = self
            .activation
            .back(&kept.hidden, &self.down.back(grad, None)?)?;
        let normed = self.up.back(&hidden, None)?;
        let middle = plus(grad, &self.mlp_norm.back(&kept.middle, &normed)?)?;
        let attended = out.back(&middle, None)?;
        let inputs = [&kept.query, &kept.key, &kept.value];
        let [d_query, d_key, d_value] = self.attention.back_causal(inputs, rows, &attended)?;
        let normed = query.back(&d_query, None)?;
        let normed = key.back(&d_key, Some(&normed))?;
        let normed = value.back(&d_value, Some(&normed))?;
        plus(&middle, &self.norm.back(&kept.x, &normed)?)
    }
}
