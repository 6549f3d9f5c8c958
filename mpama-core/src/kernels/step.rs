//! The step of a product: four bytes of either operand, which hold one number, two or four.
//!
//! One loop and one layout serve all of them; what a step holds decides how two of them meet.

#[cfg(target_arch = "x86_64")]
use core::arch::x86_64::{
    __m512, __m512bh, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_dpbf16_ps, _mm512_dpbusd_epi32,
};
#[cfg(target_arch = "x86_64")]
use std::mem::transmute;
#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

use pulp::bytemuck::cast;
#[cfg(target_arch = "x86_64")]
use pulp::{Arch, x86::V3, x86::V4};
use pulp::{NullaryFnOnce, Scalar, Simd, WithSimd};

use super::arch;
use super::precision::Precision;
#[cfg(target_arch = "x86_64")]
use avx_vnni::AvxVnni;

#[cfg(target_arch = "x86_64")]
mod avx_vnni;

/// How steps meet in the registers of `S`.
pub(super) trait Step<S: Simd>: Copy {
    /// A register of sums.
    type Sums: Copy;

    /// Whether sums are whole numbers, to be scaled.
    const WHOLE: bool = false;

    /// Whether all numbers of `a` are lifted to have no sign, which is to be taken off the sums.
    const LIFTED: bool = false;

    fn zero(self, simd: S) -> Self::Sums;

    /// `sums + a · b`, step by step.
    fn meet(self, simd: S, a: S::u32s, b: S::u32s, sums: Self::Sums) -> Self::Sums;

    /// The sums as they come to the outside.
    fn floats(self, simd: S, sums: Self::Sums) -> S::f32s;
}

/// Something to do in the widest registers of this machine.
pub(super) trait Work {
    type Output;

    /// `VECTORS` registers lie across a tile of sums.
    fn run<S: Simd, M: Step<S>, const VECTORS: usize>(self, simd: S, step: M) -> Self::Output;
}

/// Does `work` in the registers and with the instructions that this machine has for numbers of this kind, one that
/// is [`computed`].
pub(super) fn dispatch<W: Work>(precision: Precision, work: W) -> W::Output {
    match precision {
        Precision::F32 => arch().dispatch(Floats(work)),
        Precision::Bf16 => halves(work),
        Precision::Int16 => shorts(work),
        Precision::Int8 => bytes(work),
    }
}

/// A tile of `V` registers across, in registers `S`.
struct Run<S, M, W, const V: usize>(S, M, W);

impl<S: Simd, M: Step<S>, W: Work, const V: usize> NullaryFnOnce for Run<S, M, W, V> {
    type Output = W::Output;

    #[inline(always)]
    fn call(self) -> W::Output {
        self.2.run::<S, M, V>(self.0, self.1)
    }
}

/// Floats, by the arithmetic that every machine has.
struct Floats<W>(W);

impl<W: Work> WithSimd for Floats<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> W::Output {
        // twelve or twenty-four sums, the operands, and a copied scalar: as many as there are registers for
        match S::REGISTER_COUNT {
            32.. => self.0.run::<S, Single, 4>(simd, Single),
            _ => self.0.run::<S, Single, 2>(simd, Single),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod tokens {
    pulp::simd_type! {
        /// AVX-512 with the products of short whole numbers.
        pub(super) struct Vnni {
            avx512f: "avx512f",
            avx512bw: "avx512bw",
            avx512cd: "avx512cd",
            avx512dq: "avx512dq",
            avx512vl: "avx512vl",
            fma: "fma",
            pub(super) vnni: "avx512vnni",
        }

        /// AVX-512 with the products of 16-bit floats.
        pub(super) struct Bf16 {
            avx512f: "avx512f",
            avx512bw: "avx512bw",
            avx512cd: "avx512cd",
            avx512dq: "avx512dq",
            avx512vl: "avx512vl",
            fma: "fma",
            pub(super) bf16: "avx512bf16",
        }
    }
}

/// The instruction for bf16, where it is there and worth using. Intel's cores without AMX take twice as long over it
/// as over the same products in f32 (measured: 82 and 168 GFLOP/s on one such core).
#[cfg(target_arch = "x86_64")]
fn of_halves() -> Option<(V4, tokens::Bf16)> {
    match (arch(), tokens::Bf16::try_new()) {
        (Arch::V4(simd), Some(token)) if !is_intel() => Some((simd, token)),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn of_halves() -> Option<()> {
    None
}

/// What products with weights that are kept in `precision` are computed in on this machine: bf16 in f32 where there
/// is no instruction for it.
pub(super) fn computed(precision: Precision) -> Precision {
    match precision {
        Precision::Bf16 if of_halves().is_none() => Precision::F32,
        as_kept => as_kept,
    }
}

/// bf16, which is [`computed`] where there is the instruction.
fn halves<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some((simd, token)) = of_halves() {
        return token.vectorize(Run::<_, _, _, 4>(simd, DotHalves(token.bf16), work));
    }
    unreachable!("products of bf16 without the instruction")
}

fn shorts<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match arch() {
        Arch::V4(simd) => {
            let run = Run::<_, _, _, 4>(simd, Shorts, work);
            // the compiler makes one instruction of the two
            return match tokens::Vnni::try_new() {
                Some(token) => token.vectorize(run),
                None => simd.vectorize(run),
            };
        }
        Arch::V3(simd) => {
            let run = Run::<_, _, _, 2>(simd, Shorts, work);
            return match AvxVnni::beside(simd) {
                Some(token) => token.vectorize(run),
                None => simd.vectorize(run),
            };
        }
        _ => {}
    }
    work.run::<Scalar, Shorts, 2>(Scalar::new(), Shorts)
}

fn bytes<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    match arch() {
        Arch::V4(simd) => {
            return match tokens::Vnni::try_new() {
                Some(token) => token.vectorize(Run::<_, _, _, 4>(simd, DotBytes(token.vnni), work)),
                None => (*simd).vectorize(Run::<_, _, _, 2>(*simd, Bytes, work)),
            };
        }
        Arch::V3(simd) => {
            return match AvxVnni::beside(simd) {
                Some(token) => {
                    let step = avx_vnni::DotBytes(token);
                    token.vectorize(Run::<_, _, _, 2>(simd, step, work))
                }
                None => simd.vectorize(Run::<_, _, _, 2>(simd, Bytes, work)),
            };
        }
        _ => {}
    }
    work.run::<Scalar, Bytes, 2>(Scalar::new(), Bytes)
}

/// Has words that are needed soon brought near: while one part of a large matrix is worked on, the next.
#[inline(always)]
pub(super) fn prefetch(words: &[u32]) {
    #[cfg(target_arch = "x86_64")]
    for line in words.chunks(16) {
        // SAFETY: nothing is read; the address is that of words that are there
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = words;
}

/// Asked once: a virtual machine leaves the processor to answer.
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    static IS_INTEL: LazyLock<bool> = LazyLock::new(|| {
        let vendor = core::arch::x86_64::__cpuid(0);
        let name = [*b"Genu", *b"ineI", *b"ntel"].map(u32::from_le_bytes);
        [vendor.ebx, vendor.edx, vendor.ecx] == name
    });
    *IS_INTEL
}

/// One f32.
#[derive(Clone, Copy)]
pub(super) struct Single;

impl<S: Simd> Step<S> for Single {
    type Sums = S::f32s;

    #[inline(always)]
    fn zero(self, simd: S) -> S::f32s {
        simd.splat_f32s(0.0)
    }

    #[inline(always)]
    fn meet(self, simd: S, a: S::u32s, b: S::u32s, sums: S::f32s) -> S::f32s {
        let (a, b) = (simd.transmute_f32s_u32s(a), simd.transmute_f32s_u32s(b));
        simd.mul_add_e_f32s(a, b, sums)
    }

    #[inline(always)]
    fn floats(self, _: S, sums: S::f32s) -> S::f32s {
        sums
    }
}

/// Two bf16, by the instruction for them.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct DotHalves(pulp::core_arch::x86::Avx512bf16);

#[cfg(target_arch = "x86_64")]
impl Step<V4> for DotHalves {
    type Sums = pulp::f32x16;

    #[inline(always)]
    fn zero(self, simd: V4) -> pulp::f32x16 {
        simd.splat_f32s(0.0)
    }

    #[inline(always)]
    fn meet(self, _: V4, a: pulp::u32x16, b: pulp::u32x16, sums: pulp::f32x16) -> pulp::f32x16 {
        // SAFETY: the token is proof that the processor has the instruction; all 64 bytes are numbers
        unsafe {
            let a = transmute::<pulp::u32x16, __m512bh>(a);
            let b = transmute::<pulp::u32x16, __m512bh>(b);
            let sums = _mm512_dpbf16_ps(transmute::<pulp::f32x16, __m512>(sums), a, b);
            transmute::<__m512, pulp::f32x16>(sums)
        }
    }

    #[inline(always)]
    fn floats(self, _: V4, sums: pulp::f32x16) -> pulp::f32x16 {
        sums
    }
}

/// Two whole numbers of 16 bits. Sums must stay below 2³¹.
#[derive(Clone, Copy)]
pub(super) struct Shorts;

#[cfg(target_arch = "x86_64")]
impl Step<V4> for Shorts {
    type Sums = pulp::i32x16;
    const WHOLE: bool = true;

    #[inline(always)]
    fn zero(self, simd: V4) -> pulp::i32x16 {
        simd.splat_i32s(0)
    }

    #[inline(always)]
    fn meet(self, simd: V4, a: pulp::u32x16, b: pulp::u32x16, sums: pulp::i32x16) -> pulp::i32x16 {
        let products = simd.multiply_wrapping_add_adjacent_i16x32(cast(a), cast(b));
        simd.add_i32s(sums, products)
    }

    #[inline(always)]
    fn floats(self, simd: V4, sums: pulp::i32x16) -> pulp::f32x16 {
        simd.convert_i32x16_to_f32x16(sums)
    }
}

#[cfg(target_arch = "x86_64")]
impl Step<V3> for Shorts {
    type Sums = pulp::i32x8;
    const WHOLE: bool = true;

    #[inline(always)]
    fn zero(self, simd: V3) -> pulp::i32x8 {
        simd.splat_i32s(0)
    }

    #[inline(always)]
    fn meet(self, simd: V3, a: pulp::u32x8, b: pulp::u32x8, sums: pulp::i32x8) -> pulp::i32x8 {
        let products = simd.multiply_wrapping_add_adjacent_i16x16(cast(a), cast(b));
        simd.add_i32s(sums, products)
    }

    #[inline(always)]
    fn floats(self, simd: V3, sums: pulp::i32x8) -> pulp::f32x8 {
        simd.convert_i32x8_to_f32x8(sums)
    }
}

impl Step<Scalar> for Shorts {
    type Sums = i32;
    const WHOLE: bool = true;

    #[inline(always)]
    fn zero(self, _: Scalar) -> i32 {
        0
    }

    #[inline(always)]
    fn meet(self, _: Scalar, a: u32, b: u32, sums: i32) -> i32 {
        let ([a, b], [c, d]) = (cast::<u32, [i16; 2]>(a), cast::<u32, [i16; 2]>(b));
        sums + i32::from(a) * i32::from(c) + i32::from(b) * i32::from(d)
    }

    #[inline(always)]
    fn floats(self, _: Scalar, sums: i32) -> f32 {
        sums as f32
    }
}

/// Four whole numbers of 8 bits, of `a` from 0 to 255, of `b` with a sign.
#[derive(Clone, Copy)]
pub(super) struct Bytes;

#[cfg(target_arch = "x86_64")]
impl Step<V3> for Bytes {
    type Sums = pulp::i32x8;
    const WHOLE: bool = true;
    const LIFTED: bool = true;

    #[inline(always)]
    fn zero(self, simd: V3) -> pulp::i32x8 {
        simd.splat_i32s(0)
    }

    #[inline(always)]
    fn meet(self, simd: V3, a: pulp::u32x8, b: pulp::u32x8, sums: pulp::i32x8) -> pulp::i32x8 {
        // as two pairs of 16 bits: the instruction for bytes saturates
        let low = simd.splat_u32s(0x00ff_00ff);
        let even = simd.and_u32s(a, low);
        let odd = simd.and_u32s(simd.wrapping_dyn_shr_u32s(a, simd.splat_u32s(8)), low);
        let b: pulp::i16x16 = cast(b);
        let shifted = simd.shl_const_u16x16::<8>(cast(b));
        let even_b = simd.shr_const_i16x16::<8>(cast(shifted));
        let odd_b = simd.shr_const_i16x16::<8>(b);
        let even = simd.multiply_wrapping_add_adjacent_i16x16(cast(even), even_b);
        let odd = simd.multiply_wrapping_add_adjacent_i16x16(cast(odd), odd_b);
        simd.add_i32s(sums, simd.add_i32s(even, odd))
    }

    #[inline(always)]
    fn floats(self, simd: V3, sums: pulp::i32x8) -> pulp::f32x8 {
        simd.convert_i32x8_to_f32x8(sums)
    }
}

impl Step<Scalar> for Bytes {
    type Sums = i32;
    const WHOLE: bool = true;
    const LIFTED: bool = true;

    #[inline(always)]
    fn zero(self, _: Scalar) -> i32 {
        0
    }

    #[inline(always)]
    fn meet(self, _: Scalar, a: u32, b: u32, sums: i32) -> i32 {
        let (a, b) = (cast::<u32, [u8; 4]>(a), cast::<u32, [i8; 4]>(b));
        a.into_iter()
            .zip(b)
            .fold(sums, |sum, (a, b)| sum + i32::from(a) * i32::from(b))
    }

    #[inline(always)]
    fn floats(self, _: Scalar, sums: i32) -> f32 {
        sums as f32
    }
}

/// [`Bytes`], by the instruction for them.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct DotBytes(pulp::core_arch::x86::Avx512vnni);

#[cfg(target_arch = "x86_64")]
impl Step<V4> for DotBytes {
    type Sums = pulp::i32x16;
    const WHOLE: bool = true;
    const LIFTED: bool = true;

    #[inline(always)]
    fn zero(self, simd: V4) -> pulp::i32x16 {
        simd.splat_i32s(0)
    }

    #[inline(always)]
    fn meet(self, _: V4, a: pulp::u32x16, b: pulp::u32x16, sums: pulp::i32x16) -> pulp::i32x16 {
        // SAFETY: the token is proof that the processor has the instruction; all 64 bytes are numbers
        unsafe {
            let a = transmute::<pulp::u32x16, __m512i>(a);
            let b = transmute::<pulp::u32x16, __m512i>(b);
            let sums = _mm512_dpbusd_epi32(transmute::<pulp::i32x16, __m512i>(sums), a, b);
            transmute::<__m512i, pulp::i32x16>(sums)
        }
    }

    #[inline(always)]
    fn floats(self, simd: V4, sums: pulp::i32x16) -> pulp::f32x16 {
        simd.convert_i32x16_to_f32x16(sums)
    }
}
