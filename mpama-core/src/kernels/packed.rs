//! Affine maps whose weights do not learn, laid out once for the loop that uses them.

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::floats::exp_lanes;
use super::tile::{self, ROWS, pack, product, rows_mut};
use super::{for_each, with_values};

/// Inputs that are summed at a time: a panel of weights and the rows it meets stay in the caches.
const INNER: usize = 1024;
/// Rows that one thread takes at a time, at most: every panel of weights is read once for them.
const BLOCK: usize = 384;

/// Inputs that are laid out at a time.
const SOME: usize = 16;

/// A matrix of weights and a bias.
#[derive(Debug)]
pub(crate) struct Packed {
    /// `[panels, inputs, across]`: as many outputs side by side as a tile is wide, zeros behind the last.
    panels: Vec<f32>,
    /// As long as the panels are wide together.
    bias: Vec<f32>,
    outputs: usize,
    inputs: usize,
    across: usize,
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
    /// Lays out `weight` `[O, I]` and `bias` `[O]`, zero if there is none; both in f32 on the processor.
    pub(crate) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let inputs = weight.dims2()?.1;
        let bias = bias.map(Tensor::to_vec1::<f32>).transpose()?;
        with_values([&weight.contiguous()?], |[weight]| {
            Self::for_width(weight, bias.as_deref(), inputs, tile::width())
        })
    }

    fn for_width(weight: &[f32], bias: Option<&[f32]>, inputs: usize, across: usize) -> Self {
        let outputs = weight.len() / inputs;
        let wide = outputs.next_multiple_of(across);
        let mut panels = vec![0.0; wide * inputs];
        let each = panels
            .chunks_exact_mut(across * inputs)
            .zip(weight.chunks(across * inputs));
        for_each(each, |(panel, weight)| {
            // a few inputs at a time, so that what is written stays in the first-level cache
            for (part, panel) in panel.chunks_mut(SOME * across).enumerate() {
                for (output, weight) in weight.chunks_exact(inputs).enumerate() {
                    let weight = &weight[part * SOME..];
                    for (row, weight) in panel.chunks_exact_mut(across).zip(weight) {
                        row[output] = *weight;
                    }
                }
            }
        });
        let mut padded = bias.map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
        padded.resize(wide, 0.0);
        Self {
            panels,
            bias: padded,
            outputs,
            inputs,
            across,
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
        let count = shape.iter().product();
        let mut out = match onto {
            Some(onto) => with_values([&onto.contiguous()?], |[onto]| onto.to_vec())?,
            None => vec![0.0; count],
        };
        with_values([&x.contiguous()?], |[x]| self.add(x, &mut out, then))?;
        Tensor::from_vec(out, shape, x.device())
    }

    /// `out ← then(out + x Wᵀ + b)`.
    fn add(&self, x: &[f32], out: &mut [f32], then: Then) {
        let rows = x.len() / self.inputs;
        let blocks = rows
            .div_ceil(BLOCK)
            .next_multiple_of(rayon::current_num_threads());
        let block = rows.div_ceil(blocks).next_multiple_of(ROWS);
        let tasks = out
            .chunks_mut(block * self.outputs)
            .zip(x.chunks(block * self.inputs));
        let arch = Arch::new();
        for_each(tasks, |(out, x)| {
            arch.dispatch(Block {
                weights: self,
                x,
                out,
                then,
            });
        });
    }
}

/// Some rows of the product.
struct Block<'a> {
    weights: &'a Packed,
    x: &'a [f32],
    out: &'a mut [f32],
    then: Then,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Packed {
            panels,
            bias,
            outputs,
            inputs,
            across,
        } = self.weights;
        let (inputs, outputs, across) = (*inputs, *outputs, *across);
        assert_eq!(
            across,
            tile::across(simd),
            "weights are packed for other registers"
        );
        let strips = (self.x.len() / inputs).div_ceil(ROWS);
        let mut a = vec![0.0; strips * ROWS * INNER.min(inputs)];
        let mut last = vec![0.0; across];
        for first in (0..inputs).step_by(INNER) {
            let inner = INNER.min(inputs - first);
            let ends = first + inner == inputs;
            let part = self
                .x
                .chunks_exact(inputs)
                .map(|row| &row[first..][..inner]);
            pack(part, inner, &mut a);
            for (p, panel) in panels.chunks_exact(across * inputs).enumerate() {
                let left = p * across;
                let b = &panel[first * across..][..inner * across];
                let bias = &tile::rows(simd, &bias[left..][..across])[0];
                let strips = a.chunks_exact(ROWS * inner).take(strips);
                for (a, out) in strips.zip(self.out.chunks_mut(ROWS * outputs)) {
                    let sums = product(simd, a, b);
                    for (sums, out) in sums.iter().zip(out.chunks_exact_mut(outputs)) {
                        let out = &mut out[left..];
                        let whole = out.len() >= across;
                        let wide = across.min(out.len());
                        if !whole {
                            last[..wide].copy_from_slice(out);
                        }
                        let to = if whole { &mut out[..across] } else { &mut last };
                        for (v, y) in rows_mut(simd, to)[0].iter_mut().enumerate() {
                            *y = simd.add_f32s(*y, sums[v]);
                            if ends {
                                *y = simd.add_f32s(*y, bias[v]);
                                if self.then == Then::QuickGelu {
                                    *y = quick_gelu(simd, *y);
                                }
                            }
                        }
                        if !whole {
                            out.copy_from_slice(&last[..wide]);
                        }
                    }
                }
            }
        }
    }
}

/// `x · sigmoid(1.702 x)`.
#[inline(always)]
fn quick_gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let grown = exp_lanes(simd, simd.mul_f32s(x, simd.splat_f32s(-1.702)));
    simd.div_f32s(x, simd.add_f32s(one, grown))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::tests::numbers;
    use super::*;

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Weights of this shape, as tensors and packed.
    fn weights(outputs: usize, inputs: usize) -> (Tensor, Tensor, Packed) {
        let weight = numbers(&[outputs, inputs], 1.0, 0.1);
        let bias = numbers(&[outputs], 1.0, 0.7);
        let packed = Packed::new(&weight, Some(&bias)).unwrap();
        (weight, bias, packed)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn it_is_candles_product(rows in 1..40usize, inputs in 1..70usize, outputs in 1..70usize) {
            let (weight, bias, packed) = weights(outputs, inputs);
            let x = numbers(&[rows, inputs], 2.0, 0.4);
            let onto = numbers(&[rows, outputs], 3.0, 0.9);
            let plain = x.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
            let kept = packed.apply(&x, None, Then::Keep).unwrap();
            let added = packed.apply(&x, Some(&onto), Then::Keep).unwrap();
            for (ours, theirs) in [(kept, plain.clone()), (added, (onto + plain).unwrap())] {
                for (a, b) in flat(&ours).iter().zip(&flat(&theirs)) {
                    prop_assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{} vs {}", a, b);
                }
            }
        }
    }

    #[test]
    fn inputs_of_more_than_one_part_and_the_activation() {
        let (weight, bias, packed) = weights(37, 2 * INNER + 300);
        let x = numbers(&[2, 19, 2 * INNER + 300], 0.1, 0.4);
        let y = x
            .flatten_to(1)
            .unwrap()
            .matmul(&weight.t().unwrap())
            .unwrap()
            .broadcast_add(&bias)
            .unwrap();
        let plain = crate::nn::activation::Activation::QuickGelu
            .composed(&y)
            .unwrap();
        let ours = packed.apply(&x, None, Then::QuickGelu).unwrap();
        assert_eq!(ours.dims(), [2, 19, 37]);
        for (a, b) in flat(&ours).iter().zip(&flat(&plain)) {
            assert!((a - b).abs() < 3e-6 * (1.0 + b.abs()), "{a} vs {b}");
        }
    }

    #[test]
    fn every_width_of_register_gives_the_same_sums() {
        let (inputs, outputs) = (33, 21);
        let weight = numbers(&[outputs, inputs], 1.0, 0.1);
        let x = flat(&numbers(&[11, inputs], 1.0, 0.5));
        let mut wide = vec![0.0; 11 * outputs];
        let mut scalar = wide.clone();
        let packed = Packed::new(&weight, None).unwrap();
        packed.add(&x, &mut wide, Then::QuickGelu);
        let simd = pulp::Scalar::new();
        Block {
            weights: &Packed::for_width(&flat(&weight), None, inputs, tile::across(simd)),
            x: &x,
            out: &mut scalar,
            then: Then::QuickGelu,
        }
        .with_simd(simd);
        for (a, b) in wide.iter().zip(&scalar) {
            assert!((a - b).abs() < 1e-5, "{a} vs {b}");
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let (_, _, packed) = weights(50, 40);
        let x = numbers(&[101, 40], 1.0, 0.2);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| flat(&packed.apply(&x, None, Then::QuickGelu).unwrap()))
        };
        assert_eq!(with(1), with(2));
        assert_eq!(with(1), with(5));
    }
}
