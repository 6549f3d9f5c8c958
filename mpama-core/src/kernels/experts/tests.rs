#![allow(clippy::unwrap_used)]
use candle_core::Device;

use super::super::precision::Precision;
use super::super::tests::{assert_same, numbers};
use super::*;
use crate::nn::normalize::unit_length;
use crate::nn::resize::{AxisMap, Separable};

/// Means of `p` by `p` patches.
fn level(height: usize, width: usize, p: usize) -> Separable {
    let mean = |from: usize| {
        let share = 1.0 / p as f64;
        AxisMap::new(from + 1 - p, from, |i| (i..i + p).map(move |k| (k, share)))
    };
    Separable::new(&mean(height), &mean(width), &Device::Cpu).unwrap()
}

#[test]
fn it_equals_the_plain_one() {
    for (batch, (height, across), width, depth, experts) in [
        (1, (2, 3), 1, 2, 2),
        (2, (3, 5), 12, 7, 2),
        (3, (6, 4), 70, 20, 3),
    ] {
        let levels: Vec<Separable> = (1..=3.min(height).min(across))
            .map(|p| level(height, across, p))
            .collect();
        let patches = numbers(&[batch, height * across, width], 1.0, 0.1);
        let frozen = numbers(&[batch, height * across, depth], 1.0, 0.5);
        let directions = numbers(&[levels.len(), depth], 1.0, 0.3);
        let windows = |level: &Separable| batch * level.plane().sizes().1;
        let all = levels.iter().map(windows).sum();
        let pool = experts + 2;
        // no window to the last learnable expert, some to the others, most to the frozen one
        let open = |n: usize, e: usize| match e {
            0 => n % 4 != 3,
            1 if n % 4 == 3 => true,
            _ => e != experts && (n + e).is_multiple_of(3),
        };
        let mask: Vec<f32> = (0..all * pool)
            .map(|i| f32::from(u8::from(open(i / pool, i % pool))))
            .collect();
        let mask = Tensor::from_vec(mask, (all, pool), &Device::Cpu).unwrap();
        let inputs = [
            // not near 0: where one gate alone is open, its gradient is a rounding error over it
            (numbers(&[all, pool], 1.0, 0.7).abs().unwrap() + 0.2).unwrap(),
            numbers(&[experts, depth, width], 1.0, 0.9),
        ];
        let fast = |i: &[Tensor]| {
            let packed = (0..experts)
                .map(|e| Packed::new(&i[1].get(e)?, None, Precision::F32).map(Arc::new));
            let routed = Routed {
                patches: patches.clone(),
                frozen: frozen.clone(),
                packed: packed.collect::<Result<_>>()?,
                levels: levels.iter().map(|level| level.plane().clone()).collect(),
                directions: directions.clone(),
            };
            toward(&(&i[0] * &mask)?, &i[1], &routed)
        };
        let plain = |i: &[Tensor]| {
            let gates = (&i[0] * &mask)?;
            let (mut odds, mut start) = (Vec::new(), 0);
            for (l, level) in levels.iter().enumerate() {
                let gates = gates.narrow(0, start, windows(level))?;
                start += windows(level);
                let tokens = level.vectors(&patches)?.flatten_to(1)?;
                let frozen = level.vectors(&frozen)?.flatten_to(1)?;
                let mut mixed = frozen.broadcast_mul(&gates.narrow(1, 0, 1)?)?;
                for e in 0..experts {
                    let own = tokens.matmul(&i[1].get(e)?.t()?)?;
                    mixed = (mixed + own.broadcast_mul(&gates.narrow(1, 1 + e, 1)?)?)?;
                }
                let direction = directions.get(l)?.unsqueeze(1)?;
                odds.push(unit_length(&mixed)?.matmul(&direction)?.squeeze(1)?);
            }
            Tensor::cat(&odds, 0)
        };
        assert_same(&inputs, fast, plain);
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let (patches, depth) = (numbers(&[3, 30, 40], 1.0, 0.1), 20);
    let weights = numbers(&[2, depth, 40], 1.0, 0.9);
    let level = level(5, 6, 2);
    let packed = |e| Packed::new(&weights.get(e).unwrap(), None, Precision::F32).unwrap();
    let routed = Routed {
        frozen: numbers(&[3, 30, depth], 1.0, 0.5),
        patches,
        packed: (0..2).map(|e| Arc::new(packed(e))).collect(),
        levels: vec![level.plane().clone(); 2],
        directions: numbers(&[2, depth], 1.0, 0.3),
    };
    let gates = numbers(&[2 * 3 * 20, 4], 1.0, 0.7);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let inputs = [&gates, &weights].map(|x| candle_core::Var::from_tensor(x).unwrap());
            let odds = toward(&inputs[0], &inputs[1], &routed).unwrap();
            let gradients = odds.sum_all().unwrap().backward().unwrap();
            let all = [
                &odds,
                gradients.get(&inputs[0]).unwrap(),
                gradients.get(&inputs[1]).unwrap(),
            ];
            all.map(|x| x.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        })
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(5));
}
