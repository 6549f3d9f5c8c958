#![allow(clippy::unwrap_used)]
use super::super::super::tests::numbers;
use super::super::tests::{apart, flat};
use super::*;

#[test]
fn it_is_attention_to_oneself() {
    // batch, heads, rows, depth, size of the numbers: up to three groups, tiles that are not whole, and scores that
    // nearly leave the range
    for (batch, heads, rows, depth, size) in [
        (1, 1, 1, 8, 1.0),
        (2, 3, 100, 20, 1.0),
        (1, 2, 193, 64, 1.0),
        (2, 1, 450, 80, 1.0),
        (1, 2, 390, 64, 4.0),
    ] {
        let value = numbers(&[batch, rows, heads * depth], size, 0.4);
        let plain = attend(&value, &value, &value, heads, Precision::F32).unwrap();
        for (precision, most) in [
            (Precision::F32, 2e-6),
            (Precision::Int16, 2e-3),
            (Precision::Int8, 2e-3),
            (Precision::Bf16, 2e-2),
        ] {
            let ours = symmetric(&value, heads, precision).unwrap();
            let apart = apart(&flat(&ours), &flat(&plain));
            assert!(apart < most, "{precision}, {rows}x{depth}: {apart}");
        }
    }
}

/// Where a power of two would be infinite, and where an input is no number.
#[test]
fn what_is_out_of_range_has_its_maximum_subtracted() {
    let value = numbers(&[1, 300, 64], 12.0, 0.4);
    let broken = (numbers(&[1, 300, 64], 1.0, 0.4).sqrt()).unwrap();
    for precision in Precision::ALL {
        let [plain, ours] = [
            attend(&value, &value, &value, 1, precision).unwrap(),
            attend_alike(&value, 1, precision).unwrap(),
        ];
        assert_eq!(flat(&plain), flat(&ours));
        assert!(flat(&ours).iter().all(|x| x.is_finite()));
        let ours = flat(&attend_alike(&broken, 1, precision).unwrap());
        assert!(ours.iter().any(|x| x.is_nan()));
    }
    assert!(
        with_values([&broken], |[broken]| longest(broken, 64))
            .unwrap()
            .is_nan()
    );
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let x = numbers(&[2, 500, 32], 1.5, 0.4);
    for precision in Precision::ALL {
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| flat(&symmetric(&x, 2, precision).unwrap()))
        };
        assert_eq!(with(1), with(2));
        assert_eq!(with(1), with(5));
    }
}
