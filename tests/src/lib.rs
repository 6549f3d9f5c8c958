//! What every test of this package shares: where the fixtures lie, how they are read, and a
//! comparison that shows the worst element.

pub mod hub_server;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

/// The folder of committed fixtures; `fixtures/generate.py` made every byte of it.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Real data beside the project. Tests that need it carry
/// `#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]`.
pub fn shared_data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

/// Reads a safetensors fixture, on the CPU.
///
/// # Panics
/// If the file is missing or unreadable.
pub fn golden(name: &str) -> HashMap<String, Tensor> {
    let path = fixtures().join(name);
    candle_core::safetensors::load(&path, &Device::Cpu)
        .unwrap_or_else(|error| panic!("fixture {}: {error}", path.display()))
}

/// Fails unless every element of `ours` lies within `tolerance` of `theirs`, relative to the largest
/// magnitude in `theirs`. The message names the worst element and the share of the tolerance used.
///
/// # Panics
/// On different shapes, on a value that is not finite, and on a difference above the tolerance.
#[track_caller]
pub fn assert_close(what: &str, ours: &Tensor, theirs: &Tensor, tolerance: f64) {
    assert_eq!(ours.dims(), theirs.dims(), "{what}: shapes differ");
    let flat = |t: &Tensor| -> Vec<f64> {
        t.to_dtype(DType::F64)
            .and_then(|t| t.flatten_all())
            .and_then(|t| t.to_vec1())
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    };
    let (a, b) = (flat(ours), flat(theirs));
    let scale = b.iter().fold(f64::MIN_POSITIVE, |m, x| m.max(x.abs()));
    let mut worst = (0, 0.0);
    for (i, (x, y)) in a.iter().zip(&b).enumerate() {
        assert!(
            x.is_finite(),
            "{what}: {x} at {:?}",
            position(i, ours.dims())
        );
        let difference = (x - y).abs() / scale;
        if difference > worst.1 {
            worst = (i, difference);
        }
    }
    assert!(
        worst.1 <= tolerance,
        "{what}: worst at {:?}: {} vs {} ({:.0}% of tolerance)",
        position(worst.0, ours.dims()),
        a[worst.0],
        b[worst.0],
        100.0 * worst.1 / tolerance
    );
}

/// The index of element `flat` of a row-major tensor of shape `dims`.
fn position(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut at = vec![0; dims.len()];
    for (slot, size) in at.iter_mut().zip(dims).rev() {
        *slot = flat % size.max(&1);
        flat /= size.max(&1);
    }
    at
}

/// Repeatable values in [-1, 1), different for every `salt`: scattered, not random.
pub fn scattered(shape: &[usize], salt: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let value = |i: usize| {
        let x = ((i + 1) * 2_654_435_761 + salt * 40_503 + 12_345) % 1_000_003;
        (x * x % 1_000_003) as f32 / 500_001.5 - 1.0
    };
    Tensor::from_vec(
        (0..count).map(value).collect::<Vec<f32>>(),
        shape,
        &Device::Cpu,
    )
    .unwrap_or_else(|error| panic!("shape {shape:?}: {error}"))
}
