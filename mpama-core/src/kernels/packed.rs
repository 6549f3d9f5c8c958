//! Affine maps whose weights do not learn, converted and laid out once for the loop that uses them.

use std::ops::{Deref, Range};
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use memmap2::Mmap;
use pulp::bytemuck::try_cast_slice;

use super::aligned::Aligned;
use super::convert;
use super::precision::Precision;
use super::step::{computed, dispatch};
use super::tile::{self, ROWS};
use super::written::{Slots, written};
use super::{for_each, with_values};
use block::{Block, OfLayer, OfRows};

mod block;

/// Rows that one thread takes at a time, at most: every panel of weights is read once for them.
const BLOCK: usize = 384;

/// Steps of weights that are laid out at a time, so that what is written stays in the first-level cache.
const SOME: usize = 16;

/// A matrix of weights and a bias.
#[derive(Debug)]
pub(crate) struct Packed {
    precision: Precision,
    /// `[panels, steps, across]`: as many outputs side by side as a tile is wide, zeros behind the last.
    panels: Words,
    /// `[panels, parts, 2, across]`: what the numbers of a part of the inputs are worth, and what to take off
    /// their sums.
    scales: Vec<f32>,
    /// As long as the panels are wide together.
    bias: Vec<f32>,
    outputs: usize,
    inputs: usize,
    across: usize,
}

/// Words in memory, or in a file that is mapped.
#[derive(Debug)]
pub(crate) enum Words {
    Own(Aligned),
    Mapped { map: Arc<Mmap>, bytes: Range<usize> },
}

impl Deref for Words {
    type Target = [u32];

    #[inline(always)]
    fn deref(&self) -> &[u32] {
        match self {
            Self::Own(words) => words,
            // what has another address or size was refused
            Self::Mapped { map, bytes } => try_cast_slice(&map[bytes.clone()]).unwrap_or_default(),
        }
    }
}

/// What a [`Packed`] consists of.
pub(crate) struct Parts<W, F> {
    pub(crate) panels: W,
    pub(crate) scales: F,
    pub(crate) bias: F,
}

/// What happens to `x Wᵀ + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Keep,
    /// `y · sigmoid(1.702 y)`.
    QuickGelu,
}

impl Packed {
    /// Converts and lays out `weight` `[O, I]` and `bias` `[O]`, zero if there is none; both in f32 on the
    /// processor.
    pub(crate) fn new(
        weight: &Tensor,
        bias: Option<&Tensor>,
        precision: Precision,
    ) -> Result<Self> {
        let inputs = weight.dims2()?.1;
        let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
        let across = tile::width(precision);
        with_values([&weight.contiguous()?], |[weight]| {
            Self::for_width(weight, bias.as_deref(), inputs, precision, across)
        })
    }

    fn for_width(
        weight: &[f32],
        bias: Option<&[f32]>,
        inputs: usize,
        precision: Precision,
        across: usize,
    ) -> Self {
        let outputs = weight.len() / inputs;
        let wide = outputs.next_multiple_of(across);
        let steps = inputs.div_ceil(precision.per_step());
        let part = computed(precision).part();
        let parts = inputs.div_ceil(part);
        let mut panels = Aligned::zeros(wide * steps);
        let mut scales = vec![0.0; wide * parts * 2];
        let each = panels
            .chunks_exact_mut(across * steps)
            .zip(scales.chunks_exact_mut(across * parts * 2))
            .zip(weight.chunks(across * inputs));
        for_each(each, |((panel, scales), weight)| {
            let panel = panel.chunks_mut(part / precision.per_step() * across);
            for (p, (panel, scales)) in panel.zip(scales.chunks_exact_mut(across * 2)).enumerate() {
                let (worth, off) = scales.split_at_mut(across);
                let steps = panel.len() / across;
                let mut converted = vec![0; panel.len()];
                for (output, row) in weight.chunks_exact(inputs).enumerate() {
                    let row = &row[p * part..inputs.min((p + 1) * part)];
                    let converted = &mut converted[output * steps..][..steps];
                    (worth[output], off[output]) = convert::weights(precision, row, converted);
                }
                for (some, panel) in panel.chunks_mut(SOME * across).enumerate() {
                    for (output, row) in converted.chunks_exact(steps).enumerate() {
                        let row = &row[some * SOME..];
                        for (panel, step) in panel.chunks_exact_mut(across).zip(row) {
                            panel[output] = *step;
                        }
                    }
                }
            }
        });
        let mut padded = bias.map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
        padded.resize(wide, 0.0);
        Self {
            precision,
            panels: Words::Own(panels),
            scales,
            bias: padded,
            outputs,
            inputs,
            across,
        }
    }

    /// Columns that weights of this kind are laid out in on this machine, and what they are computed in.
    pub(crate) fn registers(precision: Precision) -> (usize, Precision) {
        (tile::width(precision), computed(precision))
    }

    /// One of so many outputs and inputs, laid out by this machine earlier; `None` if it cannot be.
    pub(crate) fn from_parts(
        parts: Parts<Words, Vec<f32>>,
        (outputs, inputs): (usize, usize),
        precision: Precision,
    ) -> Option<Self> {
        let across = tile::width(precision);
        let wide = outputs.next_multiple_of(across);
        let (steps, scales) = (
            inputs.div_ceil(precision.per_step()),
            inputs.div_ceil(computed(precision).part()) * 2,
        );
        let Parts {
            panels,
            scales: found,
            bias,
        } = parts;
        let fits =
            panels.len() == wide * steps && found.len() == wide * scales && bias.len() == wide;
        fits.then_some(Self {
            precision,
            panels,
            scales: found,
            bias,
            outputs,
            inputs,
            across,
        })
    }

    /// What to keep of it.
    pub(crate) fn parts(&self) -> Parts<&[u32], &[f32]> {
        Parts {
            panels: &self.panels,
            scales: &self.scales,
            bias: &self.bias,
        }
    }

    /// Outputs O.
    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Inputs I.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// `then(x Wᵀ + b)`, or `onto + x Wᵀ + b`, for contiguous `x` `[…, I]` and `onto` `[…, O]` in f32 on the
    /// processor. Carries no gradient. Every element is summed in a fixed order by one thread.
    pub(crate) fn apply(&self, x: &Tensor, onto: Option<&Tensor>, then: Then) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.outputs;
        }
        if let Some(onto) = onto
            && onto.dims() != shape
        {
            bail!("a product {shape:?} cannot be added onto {:?}", onto.dims());
        }
        let x = x.contiguous()?;
        let out = match onto {
            Some(onto) => with_values([&x, &onto.contiguous()?], |[x, onto]| {
                self.product(x, Some(onto), then)
            }),
            None => with_values([&x], |[x]| self.product(x, None, then)),
        }?;
        Tensor::from_vec(out, shape, x.device())
    }

    /// `onto + h Wᵀ + b` for contiguous `onto` `[…, O]` and the hidden numbers `h = activation(x W₁ᵀ + b₁)` of the layer
    /// `before`; the same numbers as those of two products. Where there are rows enough for all threads, `h` is never
    /// held whole.
    pub(crate) fn apply_after(
        &self,
        before: &Self,
        activation: Then,
        x: &Tensor,
        onto: &Tensor,
    ) -> Result<Tensor> {
        let rows = x.elem_count() / before.inputs;
        if before.outputs != self.inputs || onto.elem_count() != rows * self.outputs {
            let (hidden, shape) = (before.outputs, onto.dims());
            bail!(
                "{rows} rows of {hidden} into {} and onto {shape:?}",
                self.inputs
            );
        }
        let shared = shares(rows, rayon::current_num_threads()).1 > 1;
        if shared || before.precision != self.precision {
            let hidden = before.apply(x, None, activation)?;
            return self.apply(&hidden, Some(onto), Then::Keep);
        }
        let (x, onto) = (x.contiguous()?, onto.contiguous()?);
        let out = with_values([&x, &onto], |[x, onto]| {
            let x = x.chunks_exact(before.inputs).collect();
            let onto = Some(onto.chunks_exact(self.outputs).collect());
            let write = |out: &mut Slots| {
                let out = out.chunks_exact_mut(self.outputs).collect();
                self.write((x, Some((before, activation))), onto, out, Then::Keep);
            };
            // SAFETY: these are all rows of the result, one for each of `x`.
            unsafe { written(rows * self.outputs, write) }
        })?;
        Tensor::from_vec(out, onto.shape(), onto.device())
    }

    /// `then(onto + x Wᵀ + b)`, without `onto` if there is none.
    pub(super) fn product(&self, x: &[f32], onto: Option<&[f32]>, then: Then) -> Vec<f32> {
        let onto = onto.map(|onto| onto.chunks_exact(self.outputs).collect());
        let write = |out: &mut Slots| {
            let x = x.chunks_exact(self.inputs).collect();
            let out = out.chunks_exact_mut(self.outputs).collect();
            self.write((x, None), onto, out, then);
        };
        // SAFETY: these are all rows of the result, one for each of `x`.
        unsafe { written(x.len() / self.inputs * self.outputs, write) }
    }

    /// Writes the product to rows wherever they lie, one for each of `x`, all of them.
    pub(super) fn write_rows(&self, x: Vec<&[f32]>, out: Vec<&mut Slots>) {
        self.write((x, None), None, out, Then::Keep);
    }

    /// Writes `then(onto + x Wᵀ + b)`, or that of what a layer before and its activation make of `x`; with such a layer
    /// there have to be blocks of rows for all threads.
    fn write(
        &self,
        (x, before): (Vec<&[f32]>, Option<(&Self, Then)>),
        onto: Option<Vec<&[f32]>>,
        out: Vec<&mut Slots>,
        then: Then,
    ) {
        let computed = computed(self.precision);
        let (blocks, parts) = shares(x.len(), rayon::current_num_threads());
        let part = (self.bias.len() / self.across).div_ceil(parts);
        let tiles = x.len().div_ceil(ROWS);
        assert_eq!(
            x.len(),
            out.len(),
            "a product has as many rows as its operand"
        );
        let begin = |block: usize| (block * tiles / blocks * ROWS).min(x.len());
        let mut out = out.into_iter();
        let tasks = (0..blocks).flat_map(|b| {
            let rows = begin(b)..begin(b + 1);
            let columns = columns(out.by_ref().take(rows.len()), part * self.across);
            let onto = onto.as_ref().map(|onto| &onto[rows.clone()]);
            let x = &x[rows];
            columns.into_iter().enumerate().map(move |(p, out)| {
                let block = Block {
                    weights: self,
                    computed,
                    first: p * part,
                    onto,
                    out,
                    then,
                };
                (x, block)
            })
        });
        for_each(tasks, |(x, block)| match before {
            None => dispatch(computed, OfRows { x, block }),
            Some((before, activation)) => {
                let layer = OfLayer {
                    x,
                    before,
                    activation,
                    block,
                };
                dispatch(computed, layer);
            }
        });
    }
}

/// Into how many blocks of rows and parts of the outputs a product is shared out among threads: where there are fewer
/// blocks than threads, each gets some of the outputs, so that not every thread reads all weights.
fn shares(rows: usize, threads: usize) -> (usize, usize) {
    let blocks = rows.div_ceil(BLOCK).max(1);
    if blocks >= threads {
        return (blocks.next_multiple_of(threads), 1);
    }
    let common = (1..=threads)
        .rev()
        .find(|n| blocks.is_multiple_of(*n) && threads.is_multiple_of(*n));
    (blocks, threads / common.unwrap_or(1))
}

/// The columns of rows, so many at a time.
pub(super) fn columns<'a>(
    rows: impl Iterator<Item = &'a mut Slots>,
    some: usize,
) -> Vec<Vec<&'a mut Slots>> {
    let mut columns: Vec<Vec<&mut Slots>> = Vec::new();
    for row in rows {
        columns.resize_with(row.len().div_ceil(some), Vec::new);
        for (columns, row) in columns.iter_mut().zip(row.chunks_mut(some)) {
            columns.push(row);
        }
    }
    columns
}

#[cfg(test)]
mod tests;
