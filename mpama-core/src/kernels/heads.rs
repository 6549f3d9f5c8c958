//! Multi-head attention of a tower that does not learn: no score leaves the caches.
//!
//! Scores are computed turned around, keys down and queries across, so that every step of the softmax is
//! one over registers, and the weighted values come of the same loop as every other product.

use candle_core::{Result, Tensor, bail};
use pulp::Simd;
use pulp::bytemuck::{cast_slice, cast_slice_mut};

use super::aligned::Aligned;
use super::convert;
use super::floats::exp2_lanes;
use super::precision::Precision;
use super::step::{Step, Work, computed, dispatch};
use super::strips::Strips;
use super::tile::{self, ROWS, product, rows, rows_mut};
use super::written::{Slots, written};
use super::{for_each, in_registers, with_values};
pub(crate) use alike::attend_alike;

mod alike;

/// Keys whose values are weighed at a time: their scores stay in the first-level cache.
const KEYS: usize = 96;

/// `softmax(q kᵀ / √d) v` for each of H heads, which lie side by side in the rows.
///
/// # Shapes
/// `query` `[B, N, H·d]`, `key` and `value` `[B, M, H·d]`, all in f32 on the processor. Returns
/// `[B, N, H·d]`, without gradient. Both products are computed in `precision`, where bytes would be too few
/// in 16 bits; the softmax in f32. Every row is summed in a fixed order by one thread, with its true maximum
/// subtracted.
pub(crate) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    heads: usize,
    precision: Precision,
) -> Result<Tensor> {
    let precision = computed(precision.of_scores());
    let (batch, queries, width) = query.dims3()?;
    let keys = key.dim(1)?;
    let (query, key, value) = (query.contiguous()?, key.contiguous()?, value.contiguous()?);
    let depth = depth(width, heads)?;
    let write = |[query, key, value]: [&[f32]; 3], out: &mut Slots| {
        let image = keys * width;
        let images = key.chunks_exact(image).zip(value.chunks_exact(image));
        let parts = images.flat_map(|image| (0..heads).map(move |head| (image, head)));
        let mut packed = vec![Head::default(); batch * heads];
        for_each(parts.zip(&mut packed), |(((key, value), head), packed)| {
            let columns = |rows| Columns {
                rows,
                width,
                left: head * depth,
            };
            *packed = laid_out(columns(key), columns(value), depth, precision);
        });
        let each = query.chunks_exact(queries * width);
        let each = each.zip(out.chunks_exact_mut(queries * width));
        let strip = tile::width(precision);
        // keys and values of a head stay in the second-level cache for all strips of a task
        let strips = queries.div_ceil(strip);
        let parts = (2 * rayon::current_num_threads()).min(strips);
        let begin = |part: usize| (part * strips / parts * strip).min(queries) * width;
        let tasks = each.enumerate().flat_map(|(image, (query, mut out))| {
            let heads = &packed[image * heads..][..heads];
            (0..parts).map(move |part| {
                let some = begin(part)..begin(part + 1);
                let (here, rest) = std::mem::take(&mut out).split_at_mut(some.len());
                out = rest;
                (heads, &query[some], here)
            })
        });
        for_each(tasks, |(heads, query, out)| {
            let queries = Queries {
                heads,
                query,
                out,
                width,
            };
            dispatch(precision, queries);
        });
    };
    let out = with_values([&query, &key, &value], |inputs| {
        // SAFETY: every query is of one task, which writes all heads of its rows.
        unsafe { written(batch * queries * width, |out| write(inputs, out)) }
    })?;
    Tensor::from_vec(out, (batch, queries, width), query.device())
}

/// Width of each of so many heads, which fill the rows.
fn depth(width: usize, heads: usize) -> Result<usize> {
    if heads == 0 || !width.is_multiple_of(heads) {
        bail!("{heads} heads do not share out rows of {width}");
    }
    Ok(width / heads)
}

/// The part of rows `[N, width]` that is one head's.
struct Columns<'a> {
    rows: &'a [f32],
    width: usize,
    left: usize,
}

/// Keys and values of one head, laid out for products.
#[derive(Debug, Default, Clone)]
struct Head {
    precision: Precision,
    count: usize,
    depth: usize,
    keys: Strips,
    /// Columns of the values, [`KEYS`] of each at a time.
    values: Vec<Strips>,
}

in_registers! {
    /// Lays out one head.
    fn laid_out<'a>(
        key: Columns<'a>,
        value: Columns<'a>,
        depth: usize,
        precision: Precision,
    ) -> Head {
        let count = key.rows.len() / key.width;
        let mut keys = Strips::default();
        keys.resize(count, depth, precision);
        for (k, row) in key.rows.chunks_exact(key.width).enumerate() {
            keys.put(k, &row[key.left..][..depth], precision);
        }
        let mut values = vec![Strips::default(); count.div_ceil(KEYS)];
        // rows are fetched whole: number by number, each would be waited for
        let (mut near, mut column) = (vec![0.0; KEYS * depth], [0.0; KEYS]);
        for (strips, rows) in values.iter_mut().zip(value.rows.chunks(KEYS * value.width)) {
            let here = rows.len() / value.width;
            for (near, row) in near.chunks_exact_mut(depth).zip(rows.chunks_exact(value.width)) {
                near.copy_from_slice(&row[value.left..][..depth]);
            }
            strips.resize(depth, here, precision);
            for d in 0..depth {
                for (x, near) in column.iter_mut().zip(near.chunks_exact(depth)) {
                    *x = near[d];
                }
                strips.put(d, &column[..here], precision);
            }
        }
        Head {
            precision,
            count,
            depth,
            keys,
            values,
        }
    }
}

/// Queries of all heads of an image.
struct Queries<'a> {
    heads: &'a [Head],
    query: &'a [f32],
    out: &'a mut Slots,
    width: usize,
}

/// What is computed for a strip and a head, in memory that serves for the next.
#[derive(Default)]
struct Scratch {
    /// Queries, `[steps, across]`, and what their numbers are worth.
    queries: Aligned,
    worth: Vec<f32>,
    /// Scores, then their exponentials, `[keys, across]`.
    scores: Aligned,
    /// Some of them as steps.
    shares: Aligned,
    /// `[depth, across]`.
    mixed: Aligned,
}

impl Work for Queries<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, M: Step<S>, const V: usize>(self, simd: S, step: M) {
        let across = V * S::F32_LANES;
        let mut scratch = Scratch::default();
        for (h, head) in self.heads.iter().enumerate() {
            let left = h * head.depth;
            let strips = self.query.chunks(across * self.width);
            for (query, out) in strips.zip(self.out.chunks_mut(across * self.width)) {
                let queries = query.chunks_exact(self.width);
                head.turn(queries.map(|row| &row[left..]), across, &mut scratch);
                let most: [S::f32s; V] = head.score(simd, step, &mut scratch);
                let sums = head.mix(simd, step, &most, &mut scratch);
                let sums: &[f32] = cast_slice(&sums);
                let mixed: &[f32] = cast_slice(&scratch.mixed);
                for (q, out) in out.chunks_exact_mut(self.width).enumerate() {
                    let out = &mut out[left..][..head.depth];
                    for (out, mixed) in out.iter_mut().zip(mixed.chunks_exact(across)) {
                        out.write(mixed[q] / sums[q]);
                    }
                }
            }
        }
    }
}

impl Head {
    /// Lays out queries as columns.
    #[inline(always)]
    fn turn<'a>(
        &self,
        rows: impl Iterator<Item = &'a [f32]>,
        across: usize,
        scratch: &mut Scratch,
    ) {
        let scale = exponent(self.depth);
        let steps = self.depth.div_ceil(self.precision.per_step());
        let (mut scaled, mut converted) = (vec![0.0; self.depth], vec![0; steps]);
        scratch.queries.resize(steps * across);
        scratch.worth.resize(across, 0.0);
        for (q, row) in rows.enumerate() {
            for (scaled, x) in scaled.iter_mut().zip(row) {
                *scaled = x * scale;
            }
            (scratch.worth[q], _) = convert::weights(self.precision, &scaled, &mut converted);
            for (row, step) in scratch.queries.chunks_exact_mut(across).zip(&converted) {
                row[q] = *step;
            }
        }
    }

    /// Scores of the queries, and the largest of each query.
    #[inline(always)]
    fn score<S: Simd, M: Step<S>, const V: usize>(
        &self,
        simd: S,
        step: M,
        scratch: &mut Scratch,
    ) -> [S::f32s; V] {
        let Scratch {
            queries,
            worth: of_query,
            scores,
            ..
        } = scratch;
        scores.resize(self.count.next_multiple_of(ROWS) * V * S::F32_LANES);
        let of_query: &[S::f32s; V] = &rows(simd, of_query)[0];
        let mut most = [simd.splat_f32s(f32::NEG_INFINITY); V];
        let scores: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(scores));
        let strips = self.keys.iter().zip(scores.chunks_exact_mut(ROWS));
        for (s, ((strip, of_key), scores)) in strips.enumerate() {
            // the last strip may end in rows that are no key
            let keys = self.count - s * ROWS;
            let tile = scores_of(simd, step, (strip, of_key), (queries, of_query));
            for (k, (row, score)) in scores.iter_mut().zip(&tile).enumerate() {
                *row = *score;
                if k < keys {
                    for v in 0..V {
                        most[v] = simd.max_f32s(most[v], score[v]);
                    }
                }
            }
        }
        most
    }

    /// Mixes values, weighed by the exponentials of the scores, and returns the sum of these weights.
    #[inline(always)]
    fn mix<S: Simd, M: Step<S>, const V: usize>(
        &self,
        simd: S,
        step: M,
        most: &[S::f32s; V],
        scratch: &mut Scratch,
    ) -> [S::f32s; V] {
        let Scratch {
            scores,
            shares,
            mixed,
            ..
        } = scratch;
        let across = V * S::F32_LANES;
        let mut total = [simd.splat_f32s(0.0); V];
        mixed.resize(self.depth.next_multiple_of(ROWS) * across);
        mixed.fill(0);
        let mixed: &mut [[S::f32s; V]] = rows_mut(simd, cast_slice_mut(mixed));
        let scores: &mut [f32] = cast_slice_mut(scores);
        let parts = scores[..self.count * across].chunks_mut(KEYS * across);
        for (scores, values) in parts.zip(&self.values) {
            let weights: &mut [[S::f32s; V]] = rows_mut(simd, scores);
            for row in &mut *weights {
                for ((x, most), total) in row.iter_mut().zip(most).zip(&mut total) {
                    *x = exp2_lanes(simd, simd.sub_f32s(*x, *most));
                    *total = simd.add_f32s(*total, *x);
                }
            }
            self.add_mixture(simd, step, values, scores, shares, mixed);
        }
        total
    }

    /// Adds some values, `[depth, keys]`, weighed by `weights` `[keys, across]`, to `mixed` `[depth, across]`.
    #[inline(always)]
    fn add_mixture<S: Simd, M: Step<S>, const V: usize>(
        &self,
        simd: S,
        step: M,
        values: &Strips,
        weights: &[f32],
        shares: &mut Aligned,
        mixed: &mut [[S::f32s; V]],
    ) {
        let across = V * S::F32_LANES;
        let mut of_share = [simd.splat_f32s(1.0); V];
        let b: &[u32] = if self.precision == Precision::F32 {
            cast_slice(weights)
        } else {
            let weights: &[[S::f32s; V]] = rows(simd, weights);
            shares.resize(weights.len().div_ceil(2) * across);
            let steps = S::as_mut_simd_u32s(shares).0.as_chunks_mut().0;
            of_share = convert::shares(simd, self.precision, weights, steps);
            shares
        };
        for (strip, mixed) in values.iter().zip(mixed.chunks_exact_mut(ROWS)) {
            add_product(simd, step, strip, (b, &of_share), mixed);
        }
    }
}

/// What a product of a query and a key is multiplied by, so that the weight is two to the power of it.
fn exponent(depth: usize) -> f32 {
    std::f32::consts::LOG2_E * (depth as f32).powf(-0.5)
}

/// Scores of a strip of keys and the queries of a tile, each with what its numbers are worth.
#[inline(always)]
fn scores_of<S: Simd, M: Step<S>, const V: usize>(
    simd: S,
    step: M,
    (strip, of_key): (&[u32], &[f32]),
    (queries, of_query): (&[u32], &[S::f32s; V]),
) -> [[S::f32s; V]; ROWS] {
    let sums: [[M::Sums; V]; ROWS] = product(simd, step, strip, queries);
    let mut scores = [[simd.splat_f32s(0.0); V]; ROWS];
    for k in 0..ROWS {
        let of_key = simd.splat_f32s(of_key[k]);
        for v in 0..V {
            let score = step.floats(simd, sums[k][v]);
            scores[k][v] = match M::WHOLE {
                true => simd.mul_f32s(score, simd.mul_f32s(of_key, of_query[v])),
                false => score,
            };
        }
    }
    scores
}

/// Adds the product of a strip and what lies across, each with what its numbers are worth, to a tile.
#[inline(always)]
fn add_product<S: Simd, M: Step<S>, const V: usize>(
    simd: S,
    step: M,
    (strip, of_row): (&[u32], &[f32]),
    (b, of_column): (&[u32], &[S::f32s; V]),
    tile: &mut [[S::f32s; V]],
) {
    let sums: [[M::Sums; V]; ROWS] = product(simd, step, strip, b);
    for r in 0..ROWS {
        let of_row = simd.splat_f32s(of_row[r]);
        for v in 0..V {
            let sum = step.floats(simd, sums[r][v]);
            tile[r][v] = if M::WHOLE {
                let worth = simd.mul_f32s(of_row, of_column[v]);
                simd.mul_add_e_f32s(sum, worth, tile[r][v])
            } else {
                simd.add_f32s(tile[r][v], sum)
            };
        }
    }
}

#[cfg(test)]
mod tests;
