//! AVX2 with the products of bytes that processors without AVX-512 have since 2021, small ones among them.

use core::arch::x86_64::{__m256i, _mm256_dpbusd_avx_epi32};
use std::mem::transmute;

use pulp::{NullaryFnOnce, Simd, x86::V3};

use super::Step;

/// Proof that they are there; `pulp` has none.
#[derive(Clone, Copy)]
pub(super) struct AvxVnni(());

impl AvxVnni {
    /// Beside the registers, which are there.
    pub(super) fn beside(_: V3) -> Option<Self> {
        is_x86_feature_detected!("avxvnni").then_some(Self(()))
    }

    /// Does `work`, and what is always inlined into it, compiled for these registers.
    pub(super) fn vectorize<W: NullaryFnOnce>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2,fma,fxsr,lzcnt,popcnt,avxvnni")]
        fn compiled<W: NullaryFnOnce>(work: W) -> W::Output {
            work.call()
        }
        // SAFETY: `V3` and the instructions were found
        unsafe { compiled(work) }
    }
}

/// Four whole numbers of 8 bits, as [`Bytes`](super::Bytes).
#[derive(Clone, Copy)]
pub(super) struct DotBytes(pub(super) AvxVnni);

impl Step<V3> for DotBytes {
    type Sums = pulp::i32x8;
    const WHOLE: bool = true;
    const LIFTED: bool = true;

    #[inline(always)]
    fn zero(self, simd: V3) -> pulp::i32x8 {
        simd.splat_i32s(0)
    }

    #[inline(always)]
    fn meet(self, _: V3, a: pulp::u32x8, b: pulp::u32x8, sums: pulp::i32x8) -> pulp::i32x8 {
        // SAFETY: there is proof that the processor has the instruction; all 32 bytes are numbers
        unsafe {
            let a = transmute::<pulp::u32x8, __m256i>(a);
            let b = transmute::<pulp::u32x8, __m256i>(b);
            let sums = _mm256_dpbusd_avx_epi32(transmute::<pulp::i32x8, __m256i>(sums), a, b);
            transmute::<__m256i, pulp::i32x8>(sums)
        }
    }

    #[inline(always)]
    fn floats(self, simd: V3, sums: pulp::i32x8) -> pulp::f32x8 {
        simd.convert_i32x8_to_f32x8(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Bytes;
    use super::*;

    struct Both(V3, AvxVnni);

    impl NullaryFnOnce for Both {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let Self(simd, token) = self;
            let extremes = [0x0000_0000u32, 0xffff_ffff, 0x7f80_ff01, 0x8080_8080];
            let mut sums = (Bytes.zero(simd), DotBytes(token).zero(simd));
            for i in 0..1000 {
                let (a, b) = (extremes[i % 4], extremes[i / 4 % 4].rotate_left(i as u32));
                let (a, b) = (simd.splat_u32s(a), simd.splat_u32s(b ^ i as u32));
                sums.0 = Bytes.meet(simd, a, b, sums.0);
                sums.1 = DotBytes(token).meet(simd, a, b, sums.1);
                assert_eq!(sums.0, sums.1, "after {i} steps");
            }
        }
    }

    #[test]
    fn the_instruction_sums_up_as_its_twin() {
        // where it is missing there is nothing to compare; `mpama doctor` says whether it is
        let found = V3::try_new().and_then(|simd| Some((simd, AvxVnni::beside(simd)?)));
        if let Some((simd, token)) = found {
            token.vectorize(Both(simd, token));
        }
    }
}
