//! The position embedding at grids that the tower was not trained on.

use candle_core::Tensor;

use super::error::{ClipError, Result};

/// The position embedding of a vision tower for a square grid of another `side`: `[1 + S², W]` to `[1 + side², W]`,
/// f32, without a gradient. The class token's is kept, the rest is resized as [`VisionTower::forward`] does it away
/// from the tower's own size.
///
/// # Errors
/// [`ClipError::Shape`] for a table of another shape.
///
/// [`VisionTower::forward`]: super::VisionTower::forward
pub fn resized_positions(embedding: &Tensor, side: usize) -> Result<Tensor> {
    let [rows, width] = embedding.dims()[..] else {
        return Err(unexpected(embedding));
    };
    let own = rows.saturating_sub(1).isqrt();
    if own == 0 || rows != 1 + own * own {
        return Err(unexpected(embedding));
    }
    let table = embedding.narrow(0, 1, own * own)?;
    let table = table.flatten_all()?.to_vec1()?;
    let resized = resize(&table, own, width, side, side);
    let resized = Tensor::from_vec(resized, (side * side, width), embedding.device())?;
    Ok(Tensor::cat(&[&embedding.narrow(0, 0, 1)?, &resized], 0)?)
}

fn unexpected(embedding: &Tensor) -> ClipError {
    ClipError::Shape {
        what: "the position embedding",
        expected: "[1 + side², width]".to_owned(),
        found: embedding.dims().to_vec(),
    }
}

/// Resizes a grid of vectors bilinearly, with half-pixel centres and no antialiasing: the same numbers
/// as `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)` in f32.
///
/// This is AnomalyCLIP's choice; loaders of the open_clip family use antialiased bicubic, which gives
/// clearly different features.
///
/// # Shapes
/// `table` holds `[side, side, width]`, row by row. Returns `[rows, columns, width]`.
pub(super) fn resize(
    table: &[f32],
    side: usize,
    width: usize,
    rows: usize,
    columns: usize,
) -> Vec<f32> {
    let (vertical, horizontal) = (taps(side, rows), taps(side, columns));
    let mut resized = Vec::with_capacity(rows * columns * width);
    for &(top, bottom, down) in &vertical {
        for &(left, right, across) in &horizontal {
            let at = |row: usize, column: usize| &table[(row * side + column) * width..][..width];
            let corners = at(top, left)
                .iter()
                .zip(at(top, right))
                .zip(at(bottom, left))
                .zip(at(bottom, right));
            resized.extend(corners.map(|(((a, b), c), d)| {
                let upper = (1.0 - across) * a + across * b;
                let lower = (1.0 - across) * c + across * d;
                (1.0 - down) * upper + down * lower
            }));
        }
    }
    resized
}

/// For each of `to` samples: the two of `from` samples it lies between, and how far along.
fn taps(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / to as f32;
    let tap = |i: usize| {
        let place = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
        let low = (place as usize).min(from - 1);
        (
            low,
            (low + 1).min(from - 1),
            (place - low as f32).clamp(0.0, 1.0),
        )
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn the_native_grid_is_untouched() {
        let table: Vec<f32> = (0..4 * 4 * 3).map(|i| (i as f32).sin()).collect();
        assert_eq!(resize(&table, 4, 3, 4, 4), table);
    }

    #[test]
    fn doubling_keeps_the_border_and_mixes_by_quarters() {
        let resized = resize(&[0.0, 1.0, 2.0, 3.0], 2, 1, 2, 4);
        assert_eq!(resized, [0.0, 0.25, 0.75, 1.0, 2.0, 2.25, 2.75, 3.0]);
    }

    #[test]
    fn a_table_keeps_the_place_of_the_class() {
        let table = Tensor::new(&[[7f32], [0.0], [1.0], [2.0], [3.0]], &Device::Cpu).unwrap();
        let same = resized_positions(&table, 2).unwrap();
        assert_eq!(
            same.to_vec2::<f32>().unwrap(),
            table.to_vec2::<f32>().unwrap()
        );
        let larger = resized_positions(&table, 4).unwrap();
        let values = larger.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(
            (values.len(), values[0], values[1], values[16]),
            (17, 7.0, 0.0, 3.0)
        );
        for shape in [&[5][..], &[1, 5], &[0, 5], &[4, 5], &[5, 1, 1]] {
            let table = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            let error = resized_positions(&table, 4).unwrap_err();
            assert!(matches!(error, ClipError::Shape { .. }), "{error}");
        }
    }
}
