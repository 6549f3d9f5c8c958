#![allow(clippy::unwrap_used)]

use super::*;
use candle_core::DType;

const GRID: (usize, usize) = (5, 7);
const SIZE: ImageSize = ImageSize {
    height: 70,
    width: 98,
};

fn config(levels: &[usize], even: EvenWindows, border: Border) -> PerceptionConfig {
    PerceptionConfig {
        levels: levels.to_vec(),
        even,
        border,
        ..PerceptionConfig::default()
    }
}

fn tokens(batch: usize, width: usize) -> Tensor {
    let count = batch * GRID.0 * GRID.1 * width;
    let values: Vec<f32> = (0..count)
        .map(|i| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5)
        .collect();
    Tensor::from_vec(values, (batch, GRID.0 * GRID.1, width), &Device::Cpu).unwrap()
}

/// Windows by their definition, one cell at a time.
fn brute_force(p: usize, even: EvenWindows, border: Border, plane: &[f32]) -> Vec<f32> {
    let (gh, gw) = (GRID.0 as isize, GRID.1 as isize);
    let side = p as isize;
    let whole_only = border == Border::Valid || (p.is_multiple_of(2) && even == EvenWindows::Valid);
    let last = |n: isize| {
        if p.is_multiple_of(2) && even == EvenWindows::Corners {
            n
        } else {
            n - 1
        }
    };
    let mut means = Vec::new();
    for y in 0..=if whole_only { gh } else { last(gh) } {
        for x in 0..=if whole_only { gw } else { last(gw) } {
            let (top, left) = (y - side / 2, x - side / 2);
            let inside = top >= 0 && left >= 0 && top + side <= gh && left + side <= gw;
            if whole_only && !inside {
                continue;
            }
            let (mut sum, mut count) = (0.0, 0.0);
            for i in top..top + side {
                for j in left..left + side {
                    let real = (0..gh).contains(&i) && (0..gw).contains(&j);
                    if real || border == Border::Replicate {
                        sum += plane[(i.clamp(0, gh - 1) * gw + j.clamp(0, gw - 1)) as usize];
                    }
                    if real || border != Border::Exclude {
                        count += 1.0;
                    }
                }
            }
            means.push(sum / count);
        }
    }
    means
}

#[test]
fn pooling_is_the_mean_of_each_window() {
    let x = tokens(1, 1);
    let plane: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
    for even in [EvenWindows::Corners, EvenWindows::Crop, EvenWindows::Valid] {
        for border in [
            Border::Exclude,
            Border::Include,
            Border::Replicate,
            Border::Valid,
        ] {
            let config = config(&[1, 2, 3, 4, 5], even, border);
            for level in Perception::levels(&config, GRID, SIZE, &Device::Cpu).unwrap() {
                let pooled: Vec<f32> = level
                    .pool_tokens(&x)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap();
                let expected = brute_force(level.level, even, border, &plane);
                assert_eq!(
                    pooled.len(),
                    expected.len(),
                    "p={} {even:?} {border:?}",
                    level.level
                );
                for (a, b) in pooled.iter().zip(&expected) {
                    assert!(
                        (a - b).abs() < 1e-6,
                        "p={} {even:?} {border:?}: {a} {b}",
                        level.level
                    );
                }
            }
        }
    }
}

#[test]
fn scalars_and_tokens_pool_alike() {
    let x = tokens(2, 3);
    for level in Perception::levels(&PerceptionConfig::default(), GRID, SIZE, &Device::Cpu).unwrap()
    {
        let long = level.pool_tokens(&x).unwrap();
        for channel in 0..3 {
            let of = |t: &Tensor| t.narrow(2, channel, 1).unwrap().squeeze(2).unwrap();
            let short = level.pool_scalars(&of(&x).contiguous().unwrap()).unwrap();
            let worst = (short - of(&long))
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap();
            assert!(
                worst.to_scalar::<f32>().unwrap() < 1e-6,
                "p={}",
                level.level
            );
        }
    }
}

#[test]
fn a_ramp_keeps_its_place_at_every_level() {
    // Token (i, j) holds its centre's x in pixels: away from the border every level must enlarge it
    // to x itself, or its windows are drawn at the wrong place.
    let ramp: Vec<f32> = (0..GRID.0 * GRID.1)
        .map(|t| ((t % GRID.1) as f32 + 0.5) * 14.0)
        .collect();
    let ramp = Tensor::from_vec(ramp, (1, GRID.0 * GRID.1), &Device::Cpu).unwrap();
    for level in Perception::levels(&PerceptionConfig::default(), GRID, SIZE, &Device::Cpu).unwrap()
    {
        let map = level.upsample(&level.pool_scalars(&ramp).unwrap()).unwrap();
        let row: Vec<f32> = map.get(0).unwrap().get(35).unwrap().to_vec1().unwrap();
        for (x, value) in row.iter().enumerate().take(98 - 35).skip(35) {
            assert!(
                (value - (x as f32 + 0.5)).abs() < 1e-3,
                "p={}: {value} at {x}",
                level.level
            );
        }
    }
}

#[test]
fn enlarging_keeps_constants_and_sizes() {
    for upsampling in [Upsampling::Geometry, Upsampling::HalfPixel] {
        let config = PerceptionConfig {
            upsampling,
            ..PerceptionConfig::default()
        };
        for level in Perception::levels(&config, GRID, SIZE, &Device::Cpu).unwrap() {
            let (h, w) = level.windows;
            let ones = Tensor::ones((2, h * w), DType::F32, &Device::Cpu).unwrap();
            let map = level.upsample(&ones).unwrap();
            assert_eq!(map.dims(), [2, 70, 98]);
            let off = (map - 1.0).unwrap().abs().unwrap().max_all().unwrap();
            assert!(off.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }
}

#[test]
fn windows_larger_than_the_grid_are_refused() {
    let config = config(&[9], EvenWindows::Valid, Border::Valid);
    let error = Perception::levels(&config, GRID, SIZE, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("perception.levels"), "{error}");
}
