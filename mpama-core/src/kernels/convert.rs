//! Floats as the numbers of a [`Precision`]: some inputs of one token, or of one output's weights, at a time.

use pulp::Simd;
use pulp::bytemuck::cast_slice_mut;

use super::floats::{at_most, sum};
use super::precision::Precision;

/// Largest whole number of a token: 14 bits, or a byte with its sign.
const SHORT: f32 = 16_383.0;
const BYTE: f32 = 127.0;

/// What is added to a byte to have no sign.
const LIFT: i32 = 128;

/// Converts inputs of one token into steps; returns what one of the numbers is worth, no number where the inputs
/// are none. `steps` holds them all, zeros behind the last.
#[inline(always)]
pub(super) fn token(precision: Precision, inputs: &[f32], steps: &mut [u32]) -> f32 {
    match precision {
        Precision::F32 | Precision::Bf16 => {
            floats(precision, inputs, steps);
            1.0
        }
        Precision::Int16 => {
            let most = most(inputs);
            shorts(inputs, SHORT / most, steps);
            worth(most, SHORT)
        }
        Precision::Int8 => {
            let most = most(inputs);
            let each = if most > 0.0 { BYTE / most } else { 0.0 };
            let bytes: &mut [u8] = cast_slice_mut(steps);
            let (used, rest) = bytes.split_at_mut(inputs.len());
            for (byte, x) in used.iter_mut().zip(inputs) {
                *byte = (whole(x * each) + LIFT) as u8;
            }
            rest.fill(0);
            worth(most, BYTE)
        }
    }
}

/// Converts weights of one output into steps. Returns what one of the numbers is worth, and what to take off the
/// sum of its products with a token.
#[inline(always)]
pub(super) fn weights(precision: Precision, inputs: &[f32], steps: &mut [u32]) -> (f32, f32) {
    match precision {
        Precision::F32 | Precision::Bf16 => {
            floats(precision, inputs, steps);
            (1.0, 0.0)
        }
        Precision::Int16 => {
            let sum = sum(inputs, inputs, |x, _| x.abs());
            let most = (most(inputs) / f32::from(i16::MAX)).max(sum / room(inputs.len()));
            shorts(inputs, 1.0 / most, steps);
            (worth(most, 1.0), 0.0)
        }
        Precision::Int8 => {
            let most = most(inputs);
            let each = if most > 0.0 { BYTE / most } else { 0.0 };
            let bytes: &mut [i8] = cast_slice_mut(steps);
            bytes.fill(0);
            let mut sum = 0;
            for (byte, x) in bytes.iter_mut().zip(inputs) {
                let number = whole(x * each);
                sum += number;
                *byte = number as i8;
            }
            (worth(most, BYTE), (LIFT * sum) as f32)
        }
    }
}

/// The largest absolute value; no number, or infinite, where one of them is.
#[inline(always)]
fn most(inputs: &[f32]) -> f32 {
    // as whole numbers these compare without branches, and what is no number is the largest
    f32::from_bits(
        inputs
            .iter()
            .fold(0, |most, x| most.max(x.to_bits() & 0x7fff_ffff)),
    )
}

/// `most` in units of the largest whole number.
#[inline(always)]
fn worth(most: f32, largest: f32) -> f32 {
    if most.is_finite() {
        most / largest
    } else {
        f32::NAN
    }
}

/// What absolute values of so many numbers may sum up to before they are rounded: their products with numbers of
/// [`SHORT`] then sum up to less than 2³¹.
#[inline(always)]
fn room(count: usize) -> f32 {
    i32::MAX as f32 / SHORT - 1.0 - 0.5 * count as f32
}

/// 1.5·2²³: adding it leaves no bits for a fraction.
const ROUND: f32 = 12_582_912.0;

/// The nearest whole number of one below 2²¹.
#[inline(always)]
fn whole(x: f32) -> i32 {
    (x + ROUND).to_bits() as i32 - ROUND.to_bits() as i32
}

#[inline(always)]
fn shorts(inputs: &[f32], each: f32, steps: &mut [u32]) {
    let each = if each.is_finite() { each } else { 0.0 };
    let shorts: &mut [i16] = cast_slice_mut(steps);
    let (used, rest) = shorts.split_at_mut(inputs.len());
    for (short, x) in used.iter_mut().zip(inputs) {
        *short = whole(x * each) as i16;
    }
    rest.fill(0);
}

#[inline(always)]
fn floats(precision: Precision, inputs: &[f32], steps: &mut [u32]) {
    if precision == Precision::F32 {
        for (step, x) in steps.iter_mut().zip(inputs) {
            *step = x.to_bits();
        }
        return;
    }
    let halves: &mut [u16] = cast_slice_mut(steps);
    let (used, rest) = halves.split_at_mut(inputs.len());
    for (half, x) in used.iter_mut().zip(inputs) {
        let bits = x.to_bits();
        let nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16; // of two as near, the even one
        *half = if x.is_nan() { 0x7fc0 } else { nearest as u16 };
    }
    rest.fill(0);
}

/// Converts the weights of a softmax, none of them negative, `[keys, V registers]`, into steps of two along the
/// keys; returns what one of the numbers is worth in each lane.
#[inline(always)]
pub(super) fn shares<S: Simd, const V: usize>(
    simd: S,
    precision: Precision,
    shares: &[[S::f32s; V]],
    steps: &mut [[S::u32s; V]],
) -> [S::f32s; V] {
    let mut each = [simd.splat_f32s(1.0); V];
    if precision.is_whole() {
        let (mut most, mut sum) = (
            [simd.splat_f32s(f32::MIN_POSITIVE); V],
            [simd.splat_f32s(0.0); V],
        );
        for row in shares {
            for v in 0..V {
                most[v] = simd.max_f32s(most[v], row[v]);
                sum[v] = simd.add_f32s(sum[v], row[v]);
            }
        }
        let (largest, room) = (f32::from(i16::MAX), room(shares.len()));
        for v in 0..V {
            let most = simd.div_f32s(simd.splat_f32s(largest), most[v]);
            let sum = simd.div_f32s(simd.splat_f32s(room), sum[v]);
            each[v] = at_most(simd, simd.splat_f32s(1e30), at_most(simd, most, sum));
        }
    }
    let zeros = [simd.splat_f32s(0.0); V];
    for (pair, steps) in shares.chunks(2).zip(steps) {
        let second = if pair.len() == 2 { &pair[1] } else { &zeros };
        for v in 0..V {
            let first = share(simd, precision, pair[0][v], each[v]);
            let second = share(simd, precision, second[v], each[v]);
            let second = simd.wrapping_dyn_shl_u32s(second, simd.splat_u32s(16));
            steps[v] = simd.or_u32s(first, second);
        }
    }
    for each in &mut each {
        *each = simd.div_f32s(simd.splat_f32s(1.0), *each);
    }
    each
}

/// One of [`shares`], in the lower half of each lane.
#[inline(always)]
fn share<S: Simd>(simd: S, precision: Precision, x: S::f32s, each: S::f32s) -> S::u32s {
    if precision.is_whole() {
        let number = simd.mul_add_e_f32s(x, each, simd.splat_f32s(ROUND));
        simd.and_u32s(simd.transmute_u32s_f32s(number), simd.splat_u32s(0xffff))
    } else {
        let bits = simd.add_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(0x8000));
        simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(16))
    }
}
