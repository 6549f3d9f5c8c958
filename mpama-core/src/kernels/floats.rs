//! Sums and exponentials of slices, written so that the compiler keeps them in wide registers.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_library() {
        for i in -8000..=8000 {
            let x = i as f32 * 0.01;
            let apart = (f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs();
            assert!(apart < 3e-7, "exp({x}): {apart}");
        }
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
