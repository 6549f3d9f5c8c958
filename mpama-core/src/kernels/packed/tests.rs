#![allow(clippy::unwrap_used)]
use std::mem::MaybeUninit;

use candle_core::Device;
use proptest::prelude::*;
use pulp::Scalar;

use super::super::step::{Bytes, Shorts, Single, Step, Work};
use super::super::tests::numbers;
use super::*;

/// More than are laid out at a time.
const PART: usize = 1024;

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Weights of this shape, as tensors and packed.
fn weights(outputs: usize, inputs: usize) -> (Tensor, Tensor, Packed) {
    let weight = numbers(&[outputs, inputs], 1.0, 0.1);
    let bias = numbers(&[outputs], 1.0, 0.7);
    let packed = Packed::new(&weight, Some(&bias), Precision::F32).unwrap();
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
fn it_is_added_only_onto_its_like() {
    let (_, _, packed) = weights(3, 4);
    let x = numbers(&[2, 4], 1.0, 0.4);
    for shape in [[1, 3], [3, 2]] {
        let onto = numbers(&shape, 1.0, 0.9);
        let refused = packed.apply(&x, Some(&onto), Then::Keep).unwrap_err();
        assert!(refused.to_string().contains("[2, 3]"), "{refused}");
    }
}

#[test]
fn inputs_of_more_than_one_part_and_the_activation() {
    let (weight, bias, packed) = weights(37, 2 * PART + 300);
    let x = numbers(&[2, 19, 2 * PART + 300], 0.1, 0.4);
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

/// What the instruction for bf16 does: two of them multiplied as f32.
#[derive(Clone, Copy)]
struct Halves;

impl Step<Scalar> for Halves {
    type Sums = f32;

    fn zero(self, _: Scalar) -> f32 {
        0.0
    }

    fn meet(self, _: Scalar, a: u32, b: u32, sums: f32) -> f32 {
        let halves = |pair: u32| {
            (
                f32::from_bits(pair << 16),
                f32::from_bits(pair & 0xffff_0000),
            )
        };
        let ((a, c), (b, d)) = (halves(a), halves(b));
        sums + a * b + c * d
    }

    fn floats(self, _: Scalar, sums: f32) -> f32 {
        sums
    }
}

/// Runs the loop without any wide register.
fn scalar<M: Step<Scalar>>(
    (weight, x): (&Tensor, &[f32]),
    precision: Precision,
    step: M,
) -> Vec<f32> {
    let (outputs, inputs) = weight.dims2().unwrap();
    let mut out = vec![MaybeUninit::new(f32::NAN); x.len() / inputs * outputs];
    let block = Block {
        weights: &Packed::for_width(&flat(weight), None, inputs, precision, 2),
        computed: computed(precision),
        first: 0,
        onto: None,
        out: out.chunks_exact_mut(outputs).collect(),
        then: Then::QuickGelu,
    };
    let x = &x.chunks_exact(inputs).collect::<Vec<_>>();
    OfRows { x, block }.run::<_, _, 2>(Scalar::new(), step);
    // SAFETY: all of it held something before.
    out.iter().map(|x| unsafe { x.assume_init() }).collect()
}

#[test]
fn every_width_of_register_gives_the_same_sums() {
    // Miri takes minutes for what a processor does at once
    let sizes = if cfg!(miri) {
        &[1, 33][..]
    } else {
        &[1, 33, 258, 700]
    };
    for &inputs in sizes {
        let weight = numbers(&[21, inputs], 1.0, 0.1);
        let x = flat(&numbers(&[11, inputs], 0.3, 0.5));
        for precision in Precision::ALL {
            let packed = Packed::new(&weight, None, precision).unwrap();
            let wide = packed.product(&x, None, Then::QuickGelu);
            let operands = (&weight, &x[..]);
            let scalar = match computed(precision) {
                Precision::F32 => scalar(operands, precision, Single),
                Precision::Bf16 => scalar(operands, precision, Halves),
                Precision::Int16 => scalar(operands, precision, Shorts),
                Precision::Int8 => scalar(operands, precision, Bytes),
            };
            for (a, b) in wide.iter().zip(&scalar) {
                assert!(
                    (a - b).abs() < 1e-5 * (1.0 + b.abs()),
                    "{precision:?}: {a} vs {b}"
                );
            }
        }
    }
}

#[test]
fn two_layers_at_once_are_two_products() {
    // hidden numbers of several groups, of a part that is not whole, and of one
    for (rows, width, hidden) in [(800, 70, 1300), (401, 1100, 300), (7, 5, 64)] {
        let up = numbers(&[hidden, width], 1.0, 0.1);
        let down = numbers(&[37, hidden], 1.0, 0.3);
        let [up_bias, down_bias] = [hidden, 37].map(|n| numbers(&[n], 1.0, 0.7));
        let (x, onto) = (
            numbers(&[rows, width], 0.1, 0.2),
            numbers(&[rows, 37], 1.0, 0.4),
        );
        for precision in Precision::ALL {
            let up = Packed::new(&up, Some(&up_bias), precision).unwrap();
            let down = Packed::new(&down, Some(&down_bias), precision).unwrap();
            let each = up.apply(&x, None, Then::QuickGelu).unwrap();
            let each = down.apply(&each, Some(&onto), Then::Keep).unwrap();
            for threads in [1, 2, 7] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let pool = pool.build().unwrap();
                let both = pool.install(|| down.apply_after(&up, Then::QuickGelu, &x, &onto));
                assert_eq!(
                    flat(&both.unwrap()),
                    flat(&each),
                    "{precision:?}, {rows} rows"
                );
            }
        }
    }
}

#[test]
fn layers_that_do_not_fit_are_refused() {
    let (_, _, up) = weights(6, 4);
    let x = numbers(&[2, 4], 1.0, 0.4);
    for (inputs, onto) in [(5, [2, 3]), (6, [3, 3])] {
        let (_, _, down) = weights(3, inputs);
        let onto = numbers(&onto, 1.0, 0.9);
        assert!(down.apply_after(&up, Then::QuickGelu, &x, &onto).is_err());
    }
}

#[test]
fn fewer_bits_are_as_near_as_they_can_be() {
    let (weight, bias, _) = weights(60, 1300);
    let x = numbers(&[50, 1300], 1.0, 0.4);
    let plain = x.matmul(&weight.t().unwrap()).unwrap();
    let plain = flat(&plain.broadcast_add(&bias).unwrap());
    let size = (plain.iter().map(|y| y * y).sum::<f32>() / plain.len() as f32).sqrt();
    for (precision, most) in [
        (Precision::F32, 1e-6),
        (Precision::Int16, 6e-4),
        (Precision::Bf16, 2e-3),
        (Precision::Int8, 1e-2),
    ] {
        let packed = Packed::new(&weight, Some(&bias), precision).unwrap();
        let ours = flat(&packed.apply(&x, None, Then::Keep).unwrap());
        let squares = ours.iter().zip(&plain).map(|(a, b)| (a - b).powi(2));
        let apart = (squares.sum::<f32>() / plain.len() as f32).sqrt() / size;
        assert!(apart < most, "{precision:?}: {apart}");
        assert!(
            apart > most * 0.02,
            "{precision:?}: {apart} is better than it can be"
        );
    }
}

#[test]
fn the_largest_sums_do_not_overflow() {
    for inputs in [1, 2, 255, 256, 512] {
        let ones = Tensor::ones((3, inputs), candle_core::DType::F32, &Device::Cpu).unwrap();
        for (x, weight, sign) in [(1f64, 1f64, 1.0), (-1.0, 1.0, -1.0), (-1.0, -1.0, 1.0)] {
            let [x, weight] = [x, weight].map(|factor| (&ones * factor).unwrap());
            for precision in Precision::ALL {
                let packed = Packed::new(&weight, None, precision).unwrap();
                for y in flat(&packed.apply(&x, None, Then::Keep).unwrap()) {
                    let apart = (y / (sign * inputs as f32) - 1.0).abs();
                    assert!(apart < 1e-3, "{precision:?}, {inputs}: {y}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let weight = numbers(&[70, 300], 1.0, 0.1);
    for (broken, precision) in [f32::NAN, f32::INFINITY]
        .into_iter()
        .flat_map(|broken| Precision::ALL.map(|precision| (broken, precision)))
    {
        let mut x = vec![0.5; 9 * 300];
        x[2 * 300 + 270] = broken;
        let x = Tensor::from_vec(x, (9, 300), &Device::Cpu).unwrap();
        let packed = Packed::new(&weight, None, precision).unwrap();
        let y = flat(&packed.apply(&x, None, Then::Keep).unwrap());
        for (r, row) in y.chunks(70).enumerate() {
            assert!(
                row.iter().all(|y| y.is_finite() != (r == 2)),
                "{precision:?}, row {r}"
            );
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let weight = numbers(&[50, 40], 1.0, 0.1);
    let x = numbers(&[101, 40], 1.0, 0.2);
    for precision in Precision::ALL {
        let packed = Packed::new(&weight, None, precision).unwrap();
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
