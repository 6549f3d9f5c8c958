//! Attention whose queries, keys and values are the same rows, as that of the V-V stream.
//!
//! Its scores are symmetric. Each is computed once, and its exponential weighs the key's value for the query and
//! the query's value for the key. So no maximum of a row is subtracted: this is for scores that are in range without.

use candle_core::{Result, Tensor};
use pulp::Simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

use super::super::aligned::Aligned;
use super::super::convert;
use super::super::floats::{exp2_lanes, sum};
use super::super::packed::columns;
use super::super::precision::Precision;
use super::super::step::{Step, Work, computed, dispatch};
use super::super::strips::Strips;
use super::super::tile::{self, ROWS, rows, rows_mut};
use super::super::written::{Slots, written};
use super::super::{for_each, in_registers, with_values};
use super::{
    Columns, Head, KEYS, Scratch, add_product, attend, depth, exponent, laid_out, scores_of,
};

/// Queries whose scores among each other are all computed: whole tiles in any registers, and whole [`KEYS`].
const GROUP: usize = 2 * KEYS;

/// Columns of a tile from which on this pays: what keys get is a product as deep as a tile is wide.
const WIDE: usize = 64;

/// Scores as powers of two up to which their sums are finite and none is rounded to 0.
const RANGE: f32 = 100.0;

/// [`attend`] with `value` `[B, N, H·d]` for queries, keys and values.
pub(crate) fn attend_alike(value: &Tensor, heads: usize, precision: Precision) -> Result<Tensor> {
    let value = value.contiguous()?;
    let depth = depth(value.dim(2)?, heads)?;
    let longest = with_values([&value], |[value]| longest(value, depth))?;
    // no number is not in range
    let in_range = longest * exponent(depth) <= RANGE;
    match in_range && tile::width(computed(precision.of_scores())) >= WIDE {
        true => symmetric(&value, heads, precision),
        false => attend(&value, &value, &value, heads, precision),
    }
}

in_registers! {
    /// The largest squared length of one head's part of a row; no number where one of them is none.
    fn longest<'a>(value: &'a [f32], depth: usize) -> f32 {
        let lengths = value.chunks_exact(depth).map(|part| sum(part, part, |a, b| a * b));
        // as whole numbers these compare as they do, and what is no number is the largest
        f32::from_bits(lengths.fold(0, |most, length| most.max(length.to_bits() & 0x7fff_ffff)))
    }
}

/// [`attend_alike`] of scores in range. A head is one thread's.
fn symmetric(value: &Tensor, heads: usize, precision: Precision) -> Result<Tensor> {
    let precision = computed(precision.of_scores());
    let (_, count, width) = value.dims3()?;
    let depth = depth(width, heads)?;
    let write = |value: &[f32], out: &mut Slots| {
        let images = value.chunks_exact(count * width);
        let tasks = images.zip(out.chunks_exact_mut(count * width));
        let tasks = tasks.flat_map(|(rows, out)| {
            let out = columns(out.chunks_exact_mut(width), depth);
            let each = out.into_iter().enumerate();
            each.map(move |(head, out)| (rows, head * depth, out))
        });
        for_each(tasks, |(rows, left, out)| {
            let of_head = || Columns { rows, width, left };
            let head = laid_out(of_head(), of_head(), depth, precision);
            let value = of_head();
            dispatch(precision, Alike { head, value, out });
        });
    };
    let out = with_values([value], |[value]| {
        // SAFETY: every head of every row is of one task, which writes it.
        unsafe { written(value.len(), |out| write(value, out)) }
    })?;
    Tensor::from_vec(out, value.shape(), value.device())
}

/// One head.
struct Alike<'a> {
    head: Head,
    value: Columns<'a>,
    /// Its part of each row.
    out: Vec<&'a mut Slots>,
}

/// What keys have got of the queries before theirs, and what gives it to them.
struct Later {
    /// `[panels, keys, across]`, a panel being as many inputs as a tile is wide.
    mixed: Aligned,
    /// The weights of each key.
    total: Vec<f32>,
    /// Values of the queries of a tile, `[panels, steps, across]`, and what their numbers are worth.
    values: Aligned,
    worth: Vec<f32>,
    /// Weights of some keys as numbers of the precision, `[keys, across]`.
    weights: Strips,
    panels: usize,
}

impl Work for Alike<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(mut self, simd: S, step: M) {
        let across = V * S::F32_LANES;
        let Head { count, depth, .. } = self.head;
        let mut scratch = Scratch::default();
        let mut later = Later::new(&self.head, across);
        // whole strips, and whole panels
        let mixed_rows = depth
            .next_multiple_of(ROWS)
            .max(depth.next_multiple_of(across));
        let parts = self.value.rows.chunks(across * self.value.width);
        for (part, rows) in parts.enumerate() {
            let first = part * across;
            let own = first / GROUP * GROUP; // keys from here on are this tile's to compute
            let left = self.value.left;
            let rows = rows.chunks_exact(self.value.width);
            let values = rows.map(|row| &row[left..][..depth]);
            self.head.turn(values.clone(), across, &mut scratch);
            if own + GROUP < count {
                later.take_values(values, across, self.head.precision);
            }
            scratch.mixed.resize(mixed_rows * across);
            scratch.mixed.fill(0);
            let mut total = [simd.splat_f32s(0.0); V];
            for keys in (own..count).step_by(KEYS) {
                self.head.weigh(simd, step, keys, &mut total, &mut scratch);
                if keys >= own + GROUP {
                    later.give::<S, M, V>(simd, step, keys, &self.head, &scratch);
                }
            }
            let (total, mixed): (&[f32], &[f32]) = (cast_slice(&total), cast_slice(&scratch.mixed));
            for (q, out) in self.out[first..].iter_mut().take(across).enumerate() {
                let each = 1.0 / (total[q] + later.total[first + q]);
                let mixed = mixed.chunks_exact(across * across);
                let parts = out
                    .chunks_mut(across)
                    .zip(mixed)
                    .zip(later.of_row(first + q, across));
                for ((out, mixed), earlier) in parts {
                    let mixed = mixed.chunks_exact(across);
                    for ((out, mixed), earlier) in out.iter_mut().zip(mixed).zip(earlier) {
                        out.write((mixed[q] + earlier) * each);
                    }
                }
            }
        }
    }
}

impl Head {
    /// Keys, as many as fill whole strips.
    fn padded(&self) -> usize {
        self.count.next_multiple_of(ROWS)
    }

    /// Weights of [`KEYS`] keys for the queries, added to `total`, and of their values to what is mixed.
    #[inline(always)]
    fn weigh<S: Simd, M: Step<S>, const V: usize>(
        &self,
        simd: S,
        step: M,
        first: usize,
        total: &mut [S::f32s; V],
        scratch: &mut Scratch,
    ) {
        let Scratch {
            queries,
            worth: of_query,
            scores,
            shares,
            mixed,
        } = scratch;
        let across = V * S::F32_LANES;
        scores.resize(KEYS * across);
        let here = KEYS.min(self.count - first);
        let of_query: &[S::f32s; V] = &rows(simd, of_query)[0];
        let weights: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(scores));
        let strips = self.keys.iter().skip(first / ROWS);
        for (strip, weights) in strips.zip(weights.chunks_exact_mut(ROWS)) {
            let tile = scores_of(simd, step, strip, (queries, of_query));
            for (weights, scores) in weights.iter_mut().zip(&tile) {
                for (weight, score) in weights.iter_mut().zip(scores) {
                    *weight = exp2_lanes(simd, *score);
                }
            }
        }
        for weights in &weights[..here] {
            for (total, weight) in total.iter_mut().zip(weights) {
                *total = simd.add_f32s(*total, *weight);
            }
        }
        let weights: &[f32] = &cast_slice(scores)[..here * across];
        let mixed: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(mixed));
        let values = &self.values[first / KEYS];
        self.add_mixture(simd, step, values, weights, shares, mixed);
    }
}

impl Later {
    fn new(head: &Head, across: usize) -> Self {
        let panels = head.depth.div_ceil(across);
        Self {
            mixed: Aligned::zeros(panels * head.padded() * across),
            total: vec![0.0; head.count],
            values: Aligned::default(),
            worth: vec![0.0; panels * across],
            weights: Strips::default(),
            panels,
        }
    }

    /// Lays out the values of as many queries as a tile has.
    #[inline(always)]
    fn take_values<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a [f32]>,
        across: usize,
        precision: Precision,
    ) {
        let steps = across / precision.per_step();
        let mut columns = vec![0.0; self.worth.len() * across];
        for (q, row) in rows.enumerate() {
            for (d, x) in row.iter().enumerate() {
                columns[d * across + q] = *x;
            }
        }
        let mut converted = vec![0; steps];
        self.values.resize(self.worth.len() * steps);
        let panels = self.values.chunks_exact_mut(steps * across);
        let worth = self.worth.chunks_exact_mut(across);
        let columns = columns.chunks_exact(across * across);
        for ((panel, worth), columns) in panels.zip(worth).zip(columns) {
            for (d, column) in columns.chunks_exact(across).enumerate() {
                (worth[d], _) = convert::weights(precision, column, &mut converted);
                for (row, step) in panel.chunks_exact_mut(across).zip(&converted) {
                    row[d] = *step;
                }
            }
        }
    }

    /// Adds these values to what [`KEYS`] keys have got, by the weights that were computed for them.
    #[inline(always)]
    fn give<S: Simd, M: Step<S>, const V: usize>(
        &mut self,
        simd: S,
        step: M,
        first: usize,
        head: &Head,
        scratch: &Scratch,
    ) {
        let across = V * S::F32_LANES;
        let here = KEYS.min(head.count - first);
        let weights: &[f32] = cast_slice(&scratch.scores);
        let totals = &mut self.total[first..][..here];
        self.weights.resize(here, across, head.precision);
        for (k, (row, total)) in weights.chunks_exact(across).zip(totals).enumerate() {
            let mut sum = simd.splat_f32s(0.0);
            for weights in S::as_simd_f32s(row).0 {
                sum = simd.add_f32s(sum, *weights);
            }
            *total += simd.reduce_sum_f32s(sum);
            self.weights.put(k, row, head.precision);
        }
        let mixed = self.mixed.chunks_exact_mut(head.padded() * across);
        let values = self.values.chunks_exact(self.values.len() / self.panels);
        let of_values: &[[S::f32s; V]] = rows(simd, &self.worth);
        for ((mixed, values), of_value) in mixed.zip(values).zip(of_values) {
            let mixed: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(mixed));
            let mixed = mixed[first..].chunks_exact_mut(ROWS);
            for (strip, mixed) in self.weights.iter().zip(mixed) {
                add_product(simd, step, strip, (values, of_value), mixed);
            }
        }
    }

    /// What a row has got, panel by panel.
    #[inline(always)]
    fn of_row(&self, row: usize, across: usize) -> impl Iterator<Item = &[f32]> {
        let mixed: &[f32] = cast_slice(&self.mixed);
        let panels = mixed.chunks_exact(mixed.len() / self.panels);
        panels.map(move |panel| &panel[row * across..][..across])
    }
}

#[cfg(test)]
mod tests;
