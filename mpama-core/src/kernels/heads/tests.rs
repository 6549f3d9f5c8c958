#![allow(clippy::unwrap_used)]
use super::super::tests::numbers;
use super::*;
use crate::clip::attention::composed;

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// How far apart, of the size of `b`.
pub(crate) fn apart(a: &[f32], b: &[f32]) -> f32 {
    let size: f32 = b.iter().map(|x| x * x).sum();
    let apart: f32 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (apart / size).sqrt()
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
        let ours = flat(&attend(&query, &key, &value, heads, Precision::F32).unwrap());
        for (a, b) in ours.iter().zip(plain(&query, &key, &value, heads)) {
            assert!(
                (a - b).abs() <= 2e-5 * size,
                "{heads} heads, {queries}x{keys}x{depth}: {a} vs {b}"
            );
        }
    }
}

#[test]
fn fewer_bits_are_as_near_as_they_can_be() {
    // heads, queries, keys, depth, size of the numbers: scores of up to some twenty
    for (heads, queries, keys, depth, size) in [
        (3, 1, 257, 20, 1.0),
        (2, 33, 7, 64, 1.0),
        (2, 50, 51, 17, 1.5),
        (2, 130, 500, 64, 1.0),
    ] {
        let width = heads * depth;
        let query = numbers(&[1, queries, width], size, 0.1);
        let key = numbers(&[1, keys, width], size, 0.5);
        let value = numbers(&[1, keys, width], size, 0.8);
        let plain = plain(&query, &key, &value, heads);
        for (precision, most) in [
            (Precision::F32, 1e-6),
            (Precision::Int16, 2e-3),
            (Precision::Int8, 2e-3),
            (Precision::Bf16, 2e-2),
        ] {
            let ours = flat(&attend(&query, &key, &value, heads, precision).unwrap());
            let apart = apart(&ours, &plain);
            assert!(
                apart < most,
                "{precision}, {queries}x{keys}x{depth}: {apart}"
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
    for precision in Precision::ALL {
        let of_key = attend(&whole, &broken, &whole, 2, precision).unwrap();
        let of_value = attend(&whole, &whole, &broken, 2, precision).unwrap();
        for row in flat(&of_key).chunks(8) {
            assert!(row[..4].iter().all(|x| x.is_nan()) && row[4..].iter().all(|x| x.is_finite()));
        }
        assert!(
            flat(&of_value)
                .chunks(8)
                .all(|row| row[1].is_nan() && row[4..].iter().all(|x| x.is_finite()))
        );
        let of_query = flat(&attend(&broken, &whole, &whole, 2, precision).unwrap());
        for (r, row) in of_query.chunks(8).enumerate() {
            assert_eq!(row[..4].iter().all(|x| x.is_nan()), r == 3, "{precision}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let x = numbers(&[2, 70, 32], 1.5, 0.4);
    for precision in Precision::ALL {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| flat(&attend(&x, &x, &x, 4, precision).unwrap()))
        };
        assert_eq!(with(1), with(2));
        assert_eq!(with(1), with(5));
    }
}
