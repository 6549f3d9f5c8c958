//! Sequences that begin alike, in one matrix.

use candle_core::{Result, Tensor};

/// Rows of N sequences: first the S rows that they all begin with, then l rows of each sequence.
///
/// Attention is causal: what the shared rows become does not depend on what follows them, so that once
/// is enough for all sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    /// S, at least 1.
    pub(crate) shared: usize,
    /// N, at least 1.
    pub(crate) sequences: usize,
    /// l, at least 1.
    pub(crate) own: usize,
}

impl Rows {
    /// Every sequence in full: `x` `[S + N·l, W]` to `[N, S + l, W]`.
    pub(crate) fn in_full(&self, x: &Tensor) -> Result<Tensor> {
        let width = x.dim(1)?;
        let shared = x.narrow(0, 0, self.shared)?.unsqueeze(0)?.broadcast_as((
            self.sequences,
            self.shared,
            width,
        ))?;
        Tensor::cat(&[&shared.contiguous()?, &self.own(x)?], 1)
    }

    /// Rows of `x` `[S + N·l, W]` that are no sequence's but one's, `[N, l, W]`.
    pub(crate) fn own(&self, x: &Tensor) -> Result<Tensor> {
        x.narrow(0, self.shared, self.sequences * self.own)?
            .reshape((self.sequences, self.own, x.dim(1)?))
    }

    /// Overwrites the positions from 1 on of every sequence in `x` with `prompt` `[len, W]`: these are shared
    /// rows from now on. Some of each sequence have to be left.
    pub(crate) fn overwritten(&self, x: &Tensor, prompt: &Tensor) -> Result<(Self, Tensor)> {
        let end = 1 + prompt.dim(0)?;
        let shared = end.max(self.shared);
        let rows = Self {
            shared,
            own: self.shared + self.own - shared,
            ..*self
        };
        let gone = shared - self.shared;
        let mut parts = vec![x.narrow(0, 0, 1)?, prompt.clone()];
        if self.shared > end {
            parts.push(x.narrow(0, end, self.shared - end)?);
        }
        parts.push(self.own(x)?.narrow(1, gone, rows.own)?.flatten_to(1)?);
        Ok((rows, Tensor::cat(&parts, 0)?))
    }
}
