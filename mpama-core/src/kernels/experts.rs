//! Tokens through the experts that they were sent to, and no others.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::floats::sum;
use super::outer::Outer;
use super::packed::{Packed, Then};
use super::{arch, for_each, slice, with_values};

/// Tokens that one thread takes at a time.
const BLOCK: usize = 128;
/// Tokens that are gathered for one product: they stay in the caches, and threads find enough to share.
const GATHERED: usize = 1536;
/// Rows of a weight's gradient that one thread takes at a time, at most.
const ROWS: usize = 384;

/// Constant tokens on their way through E learnable experts.
pub(crate) struct Routed {
    /// `[N, W]`.
    pub(crate) tokens: Tensor,
    /// `[N, D]`: what the frozen expert makes of them.
    pub(crate) frozen: Tensor,
    /// The weights of the learnable experts, `[D, W]` each, laid out.
    pub(crate) packed: Vec<Arc<Packed>>,
    /// The tokens that each of them gets, in rising order.
    pub(crate) rows: Vec<Vec<usize>>,
}

/// `gates[n, 0] · frozen[n] + Σ gates[n, i] · W_i tokens[n]` for every token, the sum over the learnable
/// experts that it was sent to: what [`ExpertPool::forward`](crate::experts::ExpertPool::forward) composes,
/// with gradients for gates and weights. Tokens are constants: no gradient is computed for them.
///
/// # Shapes
/// `gates` `[N, pool]`: the frozen expert's, the learnable ones', others. `weights` `[E, D, W]`, the same as
/// the packed ones. Returns `[N, D]`.
pub(crate) fn routed(gates: &Tensor, weights: &Tensor, routed: Routed) -> Result<Tensor> {
    let op = Op::new(gates, weights, routed)?;
    gates.contiguous()?.apply_op2(&weights.contiguous()?, op)
}

pub(super) struct Op {
    routed: Routed,
    pool: usize,
    depth: usize,
    width: usize,
    /// `W_i tokens[n]` of each expert's tokens: the gates' gradients need them again.
    images: OnceLock<Vec<Vec<f32>>>,
}

impl Op {
    pub(super) fn new(gates: &Tensor, weights: &Tensor, routed: Routed) -> Result<Self> {
        let (experts, depth, width) = weights.dims3()?;
        if routed.packed.len() != experts || routed.rows.len() != experts {
            bail!("{experts} experts, but tokens for {}", routed.rows.len());
        }
        Ok(Self {
            routed,
            pool: gates.dim(1)?,
            depth,
            width,
            images: OnceLock::new(),
        })
    }

    /// Images of the tokens of each expert, `[n_i, D]`.
    fn images(&self, tokens: &[f32]) -> Vec<Vec<f32>> {
        let Routed { packed, rows, .. } = &self.routed;
        let image = |(packed, rows): (&Arc<Packed>, &Vec<usize>)| {
            let mut images = vec![0f32; rows.len() * self.depth];
            let mut some = vec![0f32; GATHERED.min(rows.len()) * self.width];
            let parts = rows.chunks(GATHERED);
            for (rows, images) in parts.zip(images.chunks_mut(GATHERED * self.depth)) {
                let some = &mut some[..rows.len() * self.width];
                let blocks = some.chunks_mut(BLOCK * self.width);
                for_each(blocks.zip(rows.chunks(BLOCK)), |(own, rows)| {
                    for (own, row) in own.chunks_exact_mut(self.width).zip(rows) {
                        own.copy_from_slice(&tokens[row * self.width..][..self.width]);
                    }
                });
                packed.add(some, images, Then::Keep);
            }
            images
        };
        packed.iter().zip(rows).map(image).collect()
    }

    /// Every image of the tokens in `block`: the token's place there, the expert's in the pool, the image.
    fn images_in<'a>(
        &'a self,
        block: Range<usize>,
        images: &'a [Vec<f32>],
    ) -> impl Iterator<Item = (usize, usize, &'a [f32])> {
        let each = self.routed.rows.iter().zip(images).enumerate();
        each.flat_map(move |(i, (rows, images))| {
            let before = |end: usize| rows.partition_point(|row| *row < end);
            let own = before(block.start)..before(block.end);
            let images = images[own.start * self.depth..].chunks_exact(self.depth);
            let start = block.start;
            let placed = rows[own].iter().zip(images);
            placed.map(move |(row, image)| (row - start, 1 + i, image))
        })
    }

    /// Blocks of tokens: their range, their gates and what the frozen expert makes of them.
    fn blocks<'a>(
        &'a self,
        gates: &'a [f32],
        frozen: &'a [f32],
    ) -> impl Iterator<Item = (Range<usize>, &'a [f32], &'a [f32])> {
        let gates = gates.chunks(BLOCK * self.pool);
        let all = gates.zip(frozen.chunks(BLOCK * self.depth)).enumerate();
        all.map(|(b, (gates, frozen))| {
            let start = b * BLOCK;
            (start..start + gates.len() / self.pool, gates, frozen)
        })
    }

    fn gradient_of_gates(&self, gates: &[f32], frozen: &[f32], grad: &[f32]) -> Vec<f32> {
        let images = self.images.get().map_or(&[] as &[_], Vec::as_slice);
        let mut out = vec![0f32; gates.len()];
        let tasks = self
            .blocks(gates, frozen)
            .zip(grad.chunks(BLOCK * self.depth))
            .zip(out.chunks_mut(BLOCK * self.pool));
        for_each(tasks, |(((block, _, frozen), grad), out)| {
            arch().dispatch(|| {
                let of = |at: usize, x: &[f32]| {
                    sum(&grad[at * self.depth..][..self.depth], x, |a, b| a * b)
                };
                for (at, frozen) in frozen.chunks_exact(self.depth).enumerate() {
                    out[at * self.pool] = of(at, frozen);
                }
                for (at, expert, image) in self.images_in(block, images) {
                    out[at * self.pool + expert] = of(at, image);
                }
            });
        });
        out
    }

    fn gradient_of_weights(&self, gates: &[f32], tokens: &[f32], grad: &[f32]) -> Vec<f32> {
        let (depth, width) = (self.depth, self.width);
        let chosen = self.routed.rows.iter().enumerate().map(|(i, rows)| {
            let gated = rows
                .iter()
                .map(|row| (*row, gates[row * self.pool + 1 + i]));
            gated.collect::<Vec<_>>()
        });
        let chosen: Vec<_> = chosen.collect();
        let blocks = rayon::current_num_threads().div_ceil(chosen.len());
        let block = ROWS.min(depth.div_ceil(blocks).next_multiple_of(6));
        let mut out = vec![0f32; chosen.len() * depth * width];
        let each = out.chunks_exact_mut(depth * width).zip(&chosen);
        let tasks = each.flat_map(|(out, chosen)| {
            let blocks = out.chunks_mut(block * width).enumerate();
            blocks.map(move |(b, out)| (chosen, b * block, out))
        });
        for_each(tasks, |(chosen, top, out)| {
            let outer = Outer {
                left: grad,
                right: tokens,
                widths: (depth, width),
                chosen,
                top,
            };
            outer.add_to(out);
        });
        out
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "routed-experts"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        layout: &Layout,
        _weights: &CpuStorage,
        _weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gates = slice(gates, layout)?;
        let count = gates.len() / self.pool;
        let mut out = vec![0f32; count * self.depth];
        let Routed { tokens, frozen, .. } = &self.routed;
        with_values([tokens, frozen], |[tokens, frozen]| {
            let images = self.images.get_or_init(|| self.images(tokens));
            let tasks = self
                .blocks(gates, frozen)
                .zip(out.chunks_mut(BLOCK * self.depth));
            for_each(tasks, |((block, gates, frozen), out)| {
                arch().dispatch(|| {
                    let frozen = frozen.chunks_exact(self.depth);
                    let each = out.chunks_exact_mut(self.depth).zip(frozen);
                    for ((out, frozen), gates) in each.zip(gates.chunks_exact(self.pool)) {
                        out.iter_mut()
                            .zip(frozen)
                            .for_each(|(out, x)| *out = gates[0] * x);
                    }
                    for (at, expert, image) in self.images_in(block, images) {
                        let gate = gates[at * self.pool + expert];
                        let out = &mut out[at * self.depth..][..self.depth];
                        out.iter_mut()
                            .zip(image)
                            .for_each(|(out, x)| *out += gate * x);
                    }
                });
            });
        })?;
        Ok((CpuStorage::F32(out), Shape::from((count, self.depth))))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        weights: &Tensor,
        _mixed: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Routed { tokens, frozen, .. } = &self.routed;
        let all = [gates, tokens, frozen, &grad.contiguous()?];
        let (of_gates, of_weights) = with_values(all, |[gates, tokens, frozen, grad]| {
            (
                self.gradient_of_gates(gates, frozen, grad),
                self.gradient_of_weights(gates, tokens, grad),
            )
        })?;
        Ok((
            Some(Tensor::from_vec(of_gates, gates.shape(), gates.device())?),
            Some(Tensor::from_vec(
                of_weights,
                weights.shape(),
                weights.device(),
            )?),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::precision::Precision;
    use super::super::tests::{assert_same, numbers};
    use super::*;

    /// Tokens of each of `experts`: none for the last, a scattering for the others.
    fn rows(tokens: usize, experts: usize) -> Vec<Vec<usize>> {
        let to = |i: usize| {
            (0..tokens).filter(move |n| (n * 7 + i).is_multiple_of(3) && i + 1 < experts)
        };
        (0..experts).map(|i| to(i).collect()).collect()
    }

    #[test]
    fn it_equals_the_plain_one() {
        for (count, width, depth, experts) in [(1, 1, 1, 2), (50, 12, 7, 3), (300, 70, 20, 4)] {
            let tokens = numbers(&[count, width], 1.0, 0.1);
            let frozen = numbers(&[count, depth], 1.0, 0.5);
            let rows = rows(count, experts);
            let inputs = [
                numbers(&[count, experts + 2], 1.0, 0.7),
                numbers(&[experts, depth, width], 1.0, 0.9),
            ];
            let fast = |i: &[Tensor]| {
                let packed = (0..experts)
                    .map(|e| Packed::new(&i[1].get(e)?, None, Precision::F32).map(Arc::new));
                let constant = Routed {
                    tokens: tokens.clone(),
                    frozen: frozen.clone(),
                    packed: packed.collect::<Result<_>>()?,
                    rows: rows.clone(),
                };
                routed(&i[0], &i[1], constant)
            };
            let plain = |i: &[Tensor]| {
                let mut mixed = frozen.broadcast_mul(&i[0].narrow(1, 0, 1)?)?;
                for (e, rows) in rows.iter().enumerate() {
                    let sent: Vec<f32> = (0..count)
                        .map(|n| f32::from(u8::from(rows.contains(&n))))
                        .collect();
                    let sent = Tensor::from_vec(sent, (count, 1), i[0].device())?;
                    let gate = (i[0].narrow(1, 1 + e, 1)? * sent)?;
                    let own = tokens.matmul(&i[1].get(e)?.t()?)?;
                    mixed = (mixed + own.broadcast_mul(&gate)?)?;
                }
                Ok(mixed)
            };
            assert_same(&inputs, fast, plain);
        }
    }
}
