//! Some rows and columns of a product, computed by one thread.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::Simd;
use pulp::bytemuck::cast_slice_mut;

use super::super::aligned::Aligned;
use super::super::floats::{at_most, exp2_lanes};
use super::super::precision::Precision;
use super::super::step::{Step, Work, prefetch};
use super::super::strips::Strips;
use super::super::tile::{ROWS, load, product, rows, rows_mut, write};
use super::super::written::Slots;
use super::{Packed, Then};

/// Steps of rows that are laid out at a time: with a panel's share of the output they stay in the second-level
/// cache.
const GROUP: usize = 1024;

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

/// What a block is computed in, as large as the second-level cache, in memory that serves for the next.
#[derive(Default)]
struct Scratch {
    /// Tokens, by parts of the inputs.
    group: Vec<Strips>,
    /// Between two layers: the tokens of the first, and some outputs of it.
    tokens: Vec<Strips>,
    hidden: Vec<MaybeUninit<f32>>,
    sums: Sums,
}

/// What the products of a panel are computed in.
#[derive(Default)]
struct Sums {
    /// `[rows, across]`.
    sums: Aligned,
    /// A part of a panel of bf16 as f32, `[inputs, across]`.
    widened: Aligned,
}

/// Some rows and columns of a product.
pub(super) struct Block<'a> {
    pub(super) weights: &'a Packed,
    pub(super) computed: Precision,
    /// The first panel.
    pub(super) first: usize,
    /// All columns of each row.
    pub(super) onto: Option<&'a [&'a [f32]]>,
    /// Its columns of each row.
    pub(super) out: Vec<&'a mut Slots>,
    pub(super) then: Then,
}

/// A block of the product of rows and weights.
pub(super) struct OfRows<'a> {
    pub(super) x: &'a [&'a [f32]],
    pub(super) block: Block<'a>,
}

impl Work for OfRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(self, simd: S, step: M) {
        let Self { x, mut block } = self;
        let (weights, computed) = (block.weights, block.computed);
        let mut scratch = SCRATCH.take();
        for parts in groups(weights.inputs, computed) {
            let group = lay_out(x, &parts, &mut scratch.group, computed);
            block.multiply::<S, M, V>(simd, step, group, parts.start, &mut scratch.sums);
        }
        SCRATCH.set(scratch);
    }
}

/// A block of the product of weights and what a layer before them makes of rows. Of the outputs of that layer there
/// are never more than are laid out for the next: they stay in the caches.
pub(super) struct OfLayer<'a> {
    pub(super) x: &'a [&'a [f32]],
    pub(super) before: &'a Packed,
    pub(super) activation: Then,
    /// All columns.
    pub(super) block: Block<'a>,
}

impl Work for OfLayer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(self, simd: S, step: M) {
        let Self {
            x,
            before,
            activation,
            mut block,
        } = self;
        let (weights, computed) = (block.weights, block.computed);
        let (across, part) = (before.across, computed.part());
        assert!(
            part.is_multiple_of(across),
            "a part is made of whole panels"
        );
        let mut scratch = SCRATCH.take();
        let Scratch {
            group,
            tokens,
            hidden,
            sums,
        } = &mut scratch;
        let all = 0..before.inputs.div_ceil(part);
        let tokens = lay_out(x, &all, tokens, computed);
        hidden.resize(x.len() * part, MaybeUninit::uninit());
        for parts in groups(weights.inputs, computed) {
            let group = room(group, x.len(), weights.inputs, &parts, computed);
            for (p, strips) in parts.clone().zip(group.iter_mut()) {
                let wide = part.min(weights.inputs - p * part);
                let rows = hidden.chunks_exact_mut(part);
                let mut hidden = Block {
                    weights: before,
                    computed,
                    first: p * part / across,
                    onto: None,
                    out: rows.map(|row| &mut row[..wide]).collect(),
                    then: activation,
                };
                hidden.multiply::<S, M, V>(simd, step, tokens, 0, sums);
                for (r, row) in hidden.out.iter().enumerate() {
                    // SAFETY: the block has written all columns of its rows.
                    strips.put(r, unsafe { row.assume_init_ref() }, computed);
                }
            }
            block.multiply::<S, M, V>(simd, step, group, parts.start, sums);
        }
        SCRATCH.set(scratch);
    }
}

/// The parts of so many inputs, as many at a time as are laid out at a time.
fn groups(inputs: usize, computed: Precision) -> impl Iterator<Item = Range<usize>> {
    let parts = inputs.div_ceil(computed.part());
    let at_once = GROUP * computed.per_step() / computed.part();
    let firsts = (0..parts).step_by(at_once);
    firsts.map(move |first| first..parts.min(first + at_once))
}

/// Room for some parts of so many inputs of `count` rows.
#[inline(always)]
fn room<'a>(
    strips: &'a mut Vec<Strips>,
    count: usize,
    inputs: usize,
    parts: &Range<usize>,
    computed: Precision,
) -> &'a mut [Strips] {
    strips.resize(strips.len().max(parts.len()), Strips::default());
    let strips = &mut strips[..parts.len()];
    for (p, strips) in parts.clone().zip(&mut *strips) {
        let part = computed.part();
        strips.resize(count, part.min(inputs - p * part), computed);
    }
    strips
}

/// Lays out some parts of rows.
#[inline(always)]
fn lay_out<'a>(
    x: &[&[f32]],
    parts: &Range<usize>,
    strips: &'a mut Vec<Strips>,
    computed: Precision,
) -> &'a mut [Strips] {
    let inputs = x.first().map_or(0, |row| row.len());
    let strips = room(strips, x.len(), inputs, parts, computed);
    for (r, row) in x.iter().enumerate() {
        let parts = row.chunks(computed.part()).skip(parts.start);
        for (strips, part) in strips.iter_mut().zip(parts) {
            strips.put(r, part, computed);
        }
    }
    strips
}

impl Block<'_> {
    /// Adds the product of some parts of the inputs, from `first` on: `group`. To be called for all of them, one after
    /// the other; with the last, the block is written.
    #[inline(always)]
    fn multiply<S: Simd, M: Step<S>, const V: usize>(
        &mut self,
        simd: S,
        step: M,
        group: &[Strips],
        first: usize,
        Sums { sums, widened }: &mut Sums,
    ) {
        let Packed {
            precision: kept,
            panels,
            scales,
            bias,
            inputs,
            across,
            ..
        } = self.weights;
        let (inputs, across, computed) = (*inputs, *across, self.computed);
        assert_eq!(
            across,
            V * S::F32_LANES,
            "weights are packed for other registers"
        );
        let (per_step, part) = (kept.per_step(), computed.part());
        let (steps, parts) = (inputs.div_ceil(per_step), inputs.div_ceil(part));
        let columns_here = self.out.first().map_or(0, |row| row.len());
        // so that every column is written
        assert!(self.first * across + columns_here <= bias.len());
        let part_of = |panel: usize, p: usize| -> &[u32] {
            let (from, to) = (p * part / per_step, steps.min((p + 1) * part / per_step));
            let panel = panels.chunks_exact(across * steps).nth(panel);
            panel.map_or(&[], |panel| &panel[from * across..to * across])
        };
        sums.resize(self.out.len().next_multiple_of(ROWS) * across);
        let end = first + group.len();
        let scales = scales.chunks_exact(across * 2 * parts);
        let each = scales.zip(bias.chunks_exact(across)).enumerate();
        let each = (0..columns_here).step_by(across).zip(each.skip(self.first));
        for (left, (panel, (scales, bias))) in each {
            let wide = across.min(columns_here - left);
            let tiles: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(sums));
            let bias: &[S::f32s; V] = &rows(simd, bias)[0];
            let last = end == parts;
            for (p, strips) in (first..).zip(group) {
                let mut b = part_of(panel, p);
                let next = match p + 1 < end {
                    true => part_of(panel, p + 1),
                    false => part_of(panel + 1, first),
                };
                let mut next = next.chunks(next.len().div_ceil(strips.count()).max(1));
                if per_step > computed.per_step() {
                    widen::<S, V>(simd, b, widened);
                    b = widened;
                }
                let scales: &[[S::f32s; V]] = rows(simd, &scales[p * 2 * across..]);
                let tiles = tiles.chunks_exact_mut(ROWS).enumerate();
                for ((a, worth), (s, tile)) in strips.iter().zip(tiles) {
                    next.next().into_iter().for_each(prefetch);
                    let top = s * ROWS;
                    if p == first {
                        self.begin(simd, top, (left, wide), first > 0, tile);
                    }
                    let sums: [[M::Sums; V]; ROWS] = product(simd, step, a, b);
                    for r in 0..ROWS {
                        let worth = simd.splat_f32s(worth[r]);
                        for v in 0..V {
                            let sum = step.floats(simd, sums[r][v]);
                            tile[r][v] = if M::WHOLE {
                                let sum = match M::LIFTED {
                                    true => simd.sub_f32s(sum, scales[1][v]),
                                    false => sum,
                                };
                                let each = simd.mul_f32s(scales[0][v], worth);
                                simd.mul_add_e_f32s(sum, each, tile[r][v])
                            } else {
                                simd.add_f32s(tile[r][v], sum)
                            };
                        }
                    }
                    if p + 1 == end {
                        self.end(simd, top, (left, wide), last.then_some(bias), tile);
                    }
                }
            }
        }
    }

    /// What the sums of a strip from row `top` on begin with, in `wide` columns from `left` on: what earlier parts of
    /// the inputs gave, or what the product is added onto.
    #[inline(always)]
    fn begin<S: Simd, const V: usize>(
        &self,
        simd: S,
        top: usize,
        (left, wide): (usize, usize),
        continued: bool,
        tile: &mut [[S::f32s; V]],
    ) {
        tile.fill([simd.splat_f32s(0.0); V]);
        if continued {
            for (tile, out) in tile.iter_mut().zip(&self.out[top..]) {
                // SAFETY: with the earlier parts, all of it was written.
                let out = unsafe { out[left..][..wide].assume_init_ref() };
                load(simd, out, tile);
            }
        } else if let Some(onto) = self.onto {
            let left = self.first * V * S::F32_LANES + left;
            for (tile, onto) in tile.iter_mut().zip(&onto[top..]) {
                load(simd, &onto[left..][..wide], tile);
            }
        }
    }

    /// Writes the sums of a strip; with the bias, what is to happen to them happens.
    #[inline(always)]
    fn end<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        top: usize,
        (left, wide): (usize, usize),
        bias: Option<&[S::f32s; V]>,
        tile: &mut [[S::f32s; V]],
    ) {
        for (tile, out) in tile.iter_mut().zip(&mut self.out[top..]) {
            if let Some(bias) = bias {
                for v in 0..V {
                    tile[v] = simd.add_f32s(tile[v], bias[v]);
                    if self.then == Then::QuickGelu {
                        tile[v] = quick_gelu(simd, tile[v]);
                    }
                }
            }
            write(simd, tile, &mut out[left..][..wide]);
        }
    }
}

/// Steps of two bf16 `[steps, V registers]` as twice as many of one f32.
#[inline(always)]
fn widen<S: Simd, const V: usize>(simd: S, steps: &[u32], floats: &mut Aligned) {
    floats.resize(2 * steps.len());
    let pairs: &mut [[S::u32s; V]] = S::as_mut_simd_u32s(floats).0.as_chunks_mut().0;
    let steps: &[[S::u32s; V]] = S::as_simd_u32s(steps).0.as_chunks().0;
    let (high, up) = (simd.splat_u32s(0xffff_0000), simd.splat_u32s(16));
    for (step, pair) in steps.iter().zip(pairs.as_chunks_mut::<2>().0) {
        for v in 0..V {
            pair[0][v] = simd.wrapping_dyn_shl_u32s(step[v], up);
            pair[1][v] = simd.and_u32s(step[v], high);
        }
    }
}

/// `x · sigmoid(1.702 x)`.
#[inline(always)]
fn quick_gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const EACH: f32 = -1.702 * std::f32::consts::LOG2_E;
    let exponent = simd.mul_f32s(x, simd.splat_f32s(EACH));
    let grown = exp2_lanes(simd, at_most(simd, simd.splat_f32s(126.0), exponent));
    simd.div_f32s(x, simd.add_f32s(simd.splat_f32s(1.0), grown))
}
