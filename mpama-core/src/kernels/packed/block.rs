//! Some rows and columns of a product, computed by one thread.

use std::cell::Cell;

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
    /// Sums of a panel, `[rows, across]`.
    sums: Aligned,
    /// A part of a panel of bf16 as f32, `[inputs, across]`.
    widened: Aligned,
}

/// Some rows and columns of the product.
pub(super) struct Block<'a> {
    pub(super) weights: &'a Packed,
    pub(super) computed: Precision,
    /// The first panel.
    pub(super) first: usize,
    pub(super) x: &'a [&'a [f32]],
    /// All columns of each row.
    pub(super) onto: Option<&'a [&'a [f32]]>,
    /// Its columns of each row.
    pub(super) out: Vec<&'a mut Slots>,
    pub(super) then: Then,
}

impl Work for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(mut self, simd: S, step: M) {
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
        let rows_here = self.out.len();
        let columns_here = self.out.first().map_or(0, |row| row.len());
        // so that every column is written
        assert!(self.first * across + columns_here <= bias.len());
        let part_of = |panel: usize, p: usize| -> &[u32] {
            let (from, to) = (p * part / per_step, steps.min((p + 1) * part / per_step));
            let panel = panels.chunks_exact(across * steps).nth(panel);
            panel.map_or(&[], |panel| &panel[from * across..to * across])
        };
        let mut scratch = SCRATCH.take();
        let Scratch {
            group,
            sums,
            widened,
        } = &mut scratch;
        let at_once = (GROUP * computed.per_step() / part).min(parts);
        group.resize(group.len().max(at_once), Strips::default());
        sums.resize(rows_here.next_multiple_of(ROWS) * across);
        for first in (0..parts).step_by(at_once) {
            let here = at_once.min(parts - first);
            let inputs_of = |p: usize| (p * part, inputs.min((p + 1) * part));
            for (p, strips) in (first..).zip(&mut group[..here]) {
                let (from, to) = inputs_of(p);
                strips.resize(rows_here, to - from, computed);
            }
            for (r, row) in self.x.iter().enumerate() {
                for (p, strips) in (first..).zip(&mut group[..here]) {
                    let (from, to) = inputs_of(p);
                    strips.put(r, &row[from..to], computed);
                }
            }
            let scales = scales.chunks_exact(across * 2 * parts);
            let each = scales.zip(bias.chunks_exact(across)).enumerate();
            let each = (0..columns_here).step_by(across).zip(each.skip(self.first));
            for (left, (panel, (scales, bias))) in each {
                let wide = across.min(columns_here - left);
                let tiles: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(sums));
                let bias: &[S::f32s; V] = &rows(simd, bias)[0];
                let last = first + here == parts;
                for (p, strips) in (first..).zip(&group[..here]) {
                    let mut b = part_of(panel, p);
                    let next = match p + 1 < first + here {
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
                        if p + 1 == first + here {
                            self.end(simd, top, (left, wide), last.then_some(bias), tile);
                        }
                    }
                }
            }
        }
        SCRATCH.set(scratch);
    }
}

impl Block<'_> {
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
