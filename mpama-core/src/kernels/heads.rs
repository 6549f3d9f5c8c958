//! Multi-head attention of a tower that does not learn: no score leaves the caches.
//!
//! Scores are computed turned around, keys down and queries across, so that every step of the softmax is
//! one over registers, and the weighted values come of the same loop as every other product.

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::floats::exp_lanes;
use super::tile::{self, ROWS, Row, VECTORS, pack, product, rows, rows_mut};
use super::{for_each, with_values};

/// Keys whose values are weighed at a time: their scores stay in the first-level cache.
const KEYS: usize = 240;

/// `softmax(q kᵀ / √d) v` for each of H heads, which lie side by side in the rows.
///
/// # Shapes
/// `query` `[B, N, H·d]`, `key` and `value` `[B, M, H·d]`, all in f32 on the processor. Returns
/// `[B, N, H·d]`, without gradient. Every row is summed in a fixed order by one thread, with its true
/// maximum subtracted.
pub(crate) fn attend(query: &Tensor, key: &Tensor, value: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, queries, width) = query.dims3()?;
    let keys = key.dim(1)?;
    let (query, key, value) = (query.contiguous()?, key.contiguous()?, value.contiguous()?);
    let mut out = vec![0.0; batch * queries * width];
    with_values([&query, &key, &value], |[query, key, value]| {
        let depth = width / heads;
        let image = keys * width;
        let images = key.chunks_exact(image).zip(value.chunks_exact(image));
        let parts = images.flat_map(|image| (0..heads).map(move |head| (image, head)));
        let mut packed = vec![Head::default(); batch * heads];
        for_each(parts.zip(&mut packed), |(((key, value), head), packed)| {
            *packed = Head::new(key, value, width, head * depth, depth);
        });
        let each = query.chunks_exact(queries * width);
        let each = each.zip(out.chunks_exact_mut(queries * width));
        let strip = tile::width() * width;
        let tasks = each.enumerate().flat_map(|(image, (query, out))| {
            let heads = &packed[image * heads..][..heads];
            query
                .chunks(strip)
                .zip(out.chunks_mut(strip))
                .map(move |(query, out)| (heads, query, out))
        });
        let arch = Arch::new();
        for_each(tasks, |(heads, query, out)| {
            arch.dispatch(Strip {
                heads,
                query,
                out,
                width,
            });
        });
    })?;
    Tensor::from_vec(out, (batch, queries, width), query.device())
}

/// Keys and values of one head, laid out for products.
#[derive(Debug, Default, Clone)]
struct Head {
    /// Strips of keys, `[strips, depth, ROWS]`.
    keys: Vec<f32>,
    /// Strips of the values' columns, `[strips, keys, ROWS]`.
    values: Vec<f32>,
    count: usize,
    depth: usize,
}

impl Head {
    fn new(key: &[f32], value: &[f32], width: usize, left: usize, depth: usize) -> Self {
        let count = key.len() / width;
        let mut keys = vec![0.0; count.next_multiple_of(ROWS) * depth];
        let rows = key.chunks_exact(width).map(|row| &row[left..][..depth]);
        pack(rows, depth, &mut keys);
        let mut values = vec![0.0; depth.next_multiple_of(ROWS) * count];
        for (k, row) in value.chunks_exact(width).enumerate() {
            for (strip, part) in row[left..][..depth].chunks(ROWS).enumerate() {
                values[(strip * count + k) * ROWS..][..part.len()].copy_from_slice(part);
            }
        }
        Self {
            keys,
            values,
            count,
            depth,
        }
    }
}

/// As many queries as a tile is wide, of all heads of an image.
struct Strip<'a> {
    heads: &'a [Head],
    query: &'a [f32],
    out: &'a mut [f32],
    width: usize,
}

impl WithSimd for Strip<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let across = tile::across(simd);
        let (mut panel, mut scores, mut mixed) = (Vec::new(), Vec::new(), Vec::new());
        for (h, head) in self.heads.iter().enumerate() {
            let left = h * head.depth;
            let scale = (head.depth as f32).powf(-0.5);
            panel.resize(head.depth * across, 0.0);
            for (q, query) in self.query.chunks_exact(self.width).enumerate() {
                for (row, x) in panel.chunks_exact_mut(across).zip(&query[left..]) {
                    row[q] = x * scale;
                }
            }
            let most = head.score(simd, &panel, &mut scores);
            let sums = head.mix(simd, &most, &mut scores, &mut mixed);
            let sums: &[f32] = pulp::bytemuck::cast_slice(&sums);
            for (q, out) in self.out.chunks_exact_mut(self.width).enumerate() {
                let out = &mut out[left..][..head.depth];
                for (out, mixed) in out.iter_mut().zip(mixed.chunks_exact(across)) {
                    *out = mixed[q] / sums[q];
                }
            }
        }
    }
}

impl Head {
    /// Scores `[keys, across]` of the queries in `panel` `[depth, across]`, and the largest of each query.
    #[inline(always)]
    fn score<S: Simd>(&self, simd: S, panel: &[f32], scores: &mut Vec<f32>) -> Row<S> {
        scores.resize(self.count.next_multiple_of(ROWS) * tile::across(simd), 0.0);
        let mut most = [simd.splat_f32s(f32::NEG_INFINITY); VECTORS];
        let strips = self.keys.chunks_exact(ROWS * self.depth);
        for (s, (strip, scores)) in strips
            .zip(rows_mut(simd, scores).chunks_exact_mut(ROWS))
            .enumerate()
        {
            let sums = product(simd, strip, panel);
            scores.copy_from_slice(&sums);
            // the last strip may end in rows that are no key
            for sums in sums.iter().take(self.count - s * ROWS) {
                for (most, sum) in most.iter_mut().zip(sums) {
                    *most = simd.max_f32s(*most, *sum);
                }
            }
        }
        most
    }

    /// Values weighed by the exponentials of `scores`, `[depth, across]`, and the sum of the weights.
    #[inline(always)]
    fn mix<S: Simd>(
        &self,
        simd: S,
        most: &Row<S>,
        scores: &mut [f32],
        mixed: &mut Vec<f32>,
    ) -> Row<S> {
        let across = tile::across(simd);
        let mut total = [simd.splat_f32s(0.0); VECTORS];
        mixed.clear();
        mixed.resize(self.depth.next_multiple_of(ROWS) * across, 0.0);
        for (part, scores) in scores[..self.count * across]
            .chunks_mut(KEYS * across)
            .enumerate()
        {
            for row in rows_mut(simd, scores) {
                for ((x, most), total) in row.iter_mut().zip(most).zip(&mut total) {
                    *x = exp_lanes(simd, simd.sub_f32s(*x, *most));
                    *total = simd.add_f32s(*total, *x);
                }
            }
            let count = rows(simd, scores).len();
            for (values, mixed) in self
                .values
                .chunks_exact(ROWS * self.count)
                .zip(rows_mut(simd, mixed).chunks_exact_mut(ROWS))
            {
                let values = &values[part * KEYS * ROWS..][..count * ROWS];
                for (mixed, sums) in mixed.iter_mut().zip(product(simd, values, scores)) {
                    for (mixed, sum) in mixed.iter_mut().zip(sums) {
                        *mixed = simd.add_f32s(*mixed, sum);
                    }
                }
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::numbers;
    use super::*;
    use crate::clip::attention::composed;

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The same in Candle's operations.
    fn plain(query: &Tensor, key: &Tensor, value: &Tensor, heads: usize) -> Vec<f32> {
        let (batch, rows, width) = query.dims3().unwrap();
        let depth = width / heads;
        let split = |x: &Tensor| {
            let rows = x.dim(1).unwrap();
            let heads = x.reshape((batch, rows, heads, depth)).unwrap();
            let heads = heads.transpose(1, 2).unwrap();
            heads
                .reshape((batch * heads.dim(1).unwrap(), rows, depth))
                .unwrap()
        };
        let all = composed(&split(query), &split(key), &split(value), None).unwrap();
        let all = all.reshape((batch, heads, rows, depth)).unwrap();
        flat(&all.transpose(1, 2).unwrap().contiguous().unwrap())
    }

    #[test]
    fn it_is_what_candle_composes() {
        // batch, heads, queries, keys, depth, size of the numbers
        for (batch, heads, queries, keys, depth, size) in [
            (1, 1, 1, 1, 8, 1.0),
            (2, 3, 1, 257, 20, 1.0),
            (1, 2, 33, 7, 64, 2.0),
            (2, 2, 50, 50, 16, 3.0),
            (1, 4, 500, 500, 80, 1.0),
            (1, 2, 40, 300, 64, 12.0), // scores in the thousands: only the true maximum keeps them in range
        ] {
            let width = heads * depth;
            let query = numbers(&[batch, queries, width], size, 0.1);
            let key = numbers(&[batch, keys, width], size, 0.5);
            let value = numbers(&[batch, keys, width], size, 0.8);
            let ours = flat(&attend(&query, &key, &value, heads).unwrap());
            for (a, b) in ours.iter().zip(plain(&query, &key, &value, heads)) {
                assert!(
                    (a - b).abs() <= 2e-5 * size,
                    "{heads} heads, {queries}x{keys}x{depth}: {a} vs {b}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let mut values = vec![0.5f32; 20 * 8];
        values[3 * 8 + 1] = f32::NAN;
        let broken = Tensor::from_vec(values, (1, 20, 8), &candle_core::Device::Cpu).unwrap();
        let whole = numbers(&[1, 20, 8], 1.0, 0.2);
        let of_key = flat(&attend(&whole, &broken, &whole, 2).unwrap());
        for row in of_key.chunks(8) {
            assert!(row[..4].iter().all(|x| x.is_nan()) && row[4..].iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let x = numbers(&[2, 70, 32], 1.5, 0.4);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| flat(&attend(&x, &x, &x, 4).unwrap()))
        };
        assert_eq!(with(1), with(2));
        assert_eq!(with(1), with(5));
    }
}
