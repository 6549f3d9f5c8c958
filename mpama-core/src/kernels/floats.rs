//! Sums and exponentials of slices, written so that the compiler keeps them in wide registers.

use std::f32::consts::LN_2;

use pulp::Simd;

/// Partial sums side by side.
const LANES: usize = 16;

/// `Σ f(a, b)`, in a fixed order.
#[inline(always)]
pub(super) fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a
        .remainder()
        .iter()
        .zip(b.remainder())
        .map(|(a, b)| f(*a, *b))
        .sum();
    for (a, b) in a.zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(*a, *b);
        }
    }
    lanes.iter().sum::<f32>() + rest
}

/// The largest; −∞ of none. What is no number does not count.
#[inline(always)]
pub(super) fn most(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let some = values.chunks_exact(LANES);
    let rest = some.remainder().iter().copied();
    for some in some {
        for (lane, x) in lanes.iter_mut().zip(some) {
            *lane = larger(*lane, *x);
        }
    }
    lanes
        .into_iter()
        .chain(rest)
        .fold(f32::NEG_INFINITY, larger)
}

/// eˣ within 2 units in the last place for |x| ≤ 80, without branches (Cephes' polynomial).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5·2²³: adding it leaves no bits for a fraction
    let n = x * std::f32::consts::LOG2_E + ROUND - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4f32;
    let p = [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5]
        .iter()
        .fold(p, |p, c| p * r + c);
    (p * r * r + r + 1.0) * f32::from_bits(((n as i32 + 127) as u32) << 23)
}

/// ln x within 1 unit in the last place for normal x; −∞ for 0 and below (the polynomial of musl's `logf`).
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    const ROOT: u32 = 0x3f35_04f3; // √½: the fraction is from there to √2
    let bits = x.to_bits().wrapping_sub(ROOT);
    let exponent = (bits.cast_signed() >> 23) as f32;
    let f = f32::from_bits((bits & 0x007f_ffff) + ROOT) - 1.0;
    let s = f / (2.0 + f);
    let (z, w) = (s * s, s * s * s * s);
    let odd = z * (0.666_666_6 + w * 0.284_987_87);
    let even = w * (0.400_009_72 + w * 0.242_790_79);
    let half = 0.5 * f * f;
    let y = s * (half + even + odd) + exponent * 9.058_001e-6 - half + f + exponent * 0.693_138_1;
    if x > 0.0 { y } else { x - f32::INFINITY }
}

/// 2ˣ of a register within 2 units in the last place, for x up to 127. There is a floor at 2⁻¹²⁵ that smaller and
/// negative infinite arguments end at.
#[inline(always)]
pub(super) fn exp2_lanes<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // adding it leaves no bits for a fraction
    let round = simd.splat_f32s(12_582_912.0); // 1.5·2²³
    let x = at_least(simd, simd.splat_f32s(-125.0), x);
    let rounded = simd.add_f32s(x, round);
    let f = simd.sub_f32s(x, simd.sub_f32s(rounded, round));
    // 2ᶠ for f within ±½, nearest in relative error among those that are 1 at 0; a loop: closures are not always
    // compiled for the registers that they are called in
    let mut p = simd.splat_f32s(1.330_061_7e-3);
    for c in [9.669_694e-3, 5.550_558_5e-2, 0.240_222_83, LN_2, 1.0] {
        p = simd.mul_add_e_f32s(p, f, simd.splat_f32s(c));
    }
    // the whole part, in the lowest bits of what was rounded, is added to the exponent
    let whole = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), whole))
}

/// `x`, but `least` in lanes where it is below. What is no number stays none: wide registers do that by themselves,
/// if `x` is the second operand, but `f32::max` would drop it.
#[inline(always)]
fn at_least<S: Simd>(simd: S, least: S::f32s, x: S::f32s) -> S::f32s {
    match S::F32_LANES {
        1 => simd.select_f32s(simd.less_than_f32s(x, least), least, x),
        _ => simd.max_f32s(least, x),
    }
}

/// `x`, but `most` in lanes where it is above; as [`at_least`].
#[inline(always)]
pub(super) fn at_most<S: Simd>(simd: S, most: S::f32s, x: S::f32s) -> S::f32s {
    match S::F32_LANES {
        1 => simd.select_f32s(simd.less_than_f32s(most, x), most, x),
        _ => simd.min_f32s(most, x),
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Scalar, WithSimd};

    use super::*;

    struct Lanes<'a>(&'a mut [f32]);
    impl WithSimd for Lanes<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for x in S::as_mut_simd_f32s(self.0).0 {
                *x = exp2_lanes(simd, *x);
            }
        }
    }

    #[test]
    fn powers_of_two_in_registers_are_those_of_the_library() {
        let arguments: Vec<f32> = (-12_704..12_704).map(|i| i as f32 * 0.01).collect();
        let (mut wide, mut scalar) = (arguments.clone(), arguments.clone());
        Arch::new().dispatch(Lanes(&mut wide));
        Lanes(&mut scalar).with_simd(Scalar::new());
        for ((x, a), b) in arguments.iter().zip(&wide).zip(&scalar) {
            let exact = f64::from(*x).max(-125.0).exp2();
            for y in [a, b] {
                let apart = (f64::from(*y) / exact - 1.0).abs();
                assert!(apart < 2.4e-7, "2^{x}: {apart}");
            }
        }
        let mut ends = [f32::NEG_INFINITY; 16];
        ends[1] = f32::NAN;
        let mut scalar = ends;
        Arch::new().dispatch(Lanes(&mut ends));
        Lanes(&mut scalar).with_simd(Scalar::new());
        for ends in [ends, scalar] {
            assert!(ends[0] > 0.0 && ends[0] < 3e-38);
            assert!(ends[1].is_nan(), "{}", ends[1]);
        }
    }

    #[test]
    fn exponentials_are_those_of_the_library() {
        for i in -8000..=8000 {
            let x = i as f32 * 0.01;
            let apart = (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
            assert!(apart < 3e-7, "exp({x}): {apart}");
        }
    }

    #[test]
    fn logarithms_are_those_of_the_library() {
        for i in 1..200_000u32 {
            let x = f32::from_bits(i * 10_000 + (1 << 23));
            if x.is_finite() {
                let exact = f64::from(x).ln();
                let apart = (f64::from(ln(x)) - exact).abs();
                assert!(apart <= 1.2e-7 * exact.abs().max(1e-30), "ln({x}): {apart}");
            }
        }
        assert_eq!((ln(1.0), ln(0.0)), (0.0, f32::NEG_INFINITY));
        assert!(ln(f32::NAN).is_nan());
    }

    #[test]
    fn the_largest_is_found_wherever_it_is() {
        for count in 1..37 {
            for place in 0..count {
                let mut values = vec![-3.0; count];
                values[place] = -2.0;
                assert_eq!(most(&values), -2.0);
            }
        }
        assert_eq!(most(&[]), f32::NEG_INFINITY);
    }

    #[test]
    fn sums_take_in_every_element() {
        let ones = [1f32; 37];
        for count in 0..37 {
            assert_eq!(
                sum(&ones[..count], &ones[..count], |a, b| a * b),
                count as f32
            );
        }
    }
}
