//! Which registers the kernels found.

use std::fmt;
use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

#[cfg(target_arch = "x86_64")]
const NAMES: [&str; 3] = ["portable", "avx2", "avx512"];
#[cfg(target_arch = "aarch64")]
const NAMES: [&str; 2] = ["portable", "neon"];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NAMES: [&str; 1] = ["portable"];

static CHOSEN: OnceLock<Arch> = OnceLock::new();

/// The registers that the kernels use: chosen once, the widest of this machine unless [`use_registers`] came first.
pub(crate) fn arch() -> Arch {
    *CHOSEN.get_or_init(Arch::new)
}

/// Declares functions that run in the registers of [`arch`]: their bodies, and what is always inlined into them, are
/// compiled for each kind. A closure handed to `pulp` would not do: one that is not small is compiled once, for the
/// narrow registers that every processor has.
macro_rules! in_registers {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident<$($life:lifetime),+>(
        $($arg:ident: $type:ty),+ $(,)?
    ) $(-> $out:ty)? $body:block)+) => {$(
        $(#[$meta])*
        $vis fn $name<$($life),+>($($arg: $type),+) $(-> $out)? {
            struct Work<$($life),+>($($type),+);
            impl<$($life),+> pulp::NullaryFnOnce for Work<$($life),+> {
                #[allow(unused_parens)]
                type Output = ($($out)?);

                #[inline(always)]
                fn call(self) -> Self::Output {
                    let Self($($arg),+) = self;
                    $body
                }
            }
            $crate::kernels::arch().dispatch(Work($($arg),+))
        }
    )+};
}
pub(crate) use in_registers;

/// Has the kernels use other registers than the widest, for trials and tests: `portable`, `avx2` or `avx512` on x86,
/// `portable` or `neon` on ARM. Before the first kernel runs, and once: later it changes nothing.
///
/// # Errors
/// [`Error::Registers`] for those that this machine does not have.
pub fn use_registers(name: &str) -> Result<()> {
    let Some(arch) = named(name) else {
        let there = NAMES.into_iter().filter(|name| named(name).is_some());
        return Err(Error::Registers {
            wanted: name.to_owned(),
            there: there.collect(),
        });
    };
    let _ = CHOSEN.set(arch);
    Ok(())
}

/// The registers of this name, if this machine has them.
fn named(name: &str) -> Option<Arch> {
    match name {
        "portable" => Some(Arch::Scalar),
        #[cfg(target_arch = "x86_64")]
        "avx2" => pulp::x86::V3::try_new().map(Arch::V3),
        #[cfg(target_arch = "x86_64")]
        "avx512" => pulp::x86::V4::try_new().map(Arch::V4),
        #[cfg(target_arch = "aarch64")]
        "neon" => pulp::aarch64::Neon::try_new().map(Arch::Neon),
        _ => None,
    }
}

/// The registers that the kernels compute in on this machine.
///
/// Shown as `AVX-512 (16 floats), with avx512_bf16, avx512_vnni`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registers {
    /// `AVX-512`, `AVX2`, `NEON`, …, or `scalar` where there are none.
    pub name: String,
    /// Floats that one of them holds.
    pub floats: usize,
    /// Further instructions for products in half precision and in whole numbers, as Linux names them.
    pub extensions: Vec<String>,
}

impl fmt::Display for Registers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.floats == 1 { "" } else { "s" };
        write!(f, "{} ({} float{plural})", self.name, self.floats)?;
        match self.extensions.as_slice() {
            [] => Ok(()),
            some => write!(f, ", with {}", some.join(", ")),
        }
    }
}

/// The registers that the kernels use.
pub fn registers() -> Registers {
    struct Floats;
    impl WithSimd for Floats {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    let floats = arch().dispatch(Floats);
    let name = match (floats, cfg!(target_arch = "aarch64")) {
        (1, _) => "scalar",
        (4, true) => "NEON",
        (8, false) => "AVX2",
        (16, false) => "AVX-512",
        _ => "other",
    };
    Registers {
        name: name.to_owned(),
        floats,
        extensions: extensions(floats).into_iter().map(str::to_owned).collect(),
    }
}

#[cfg(target_arch = "x86_64")]
fn extensions(floats: usize) -> Vec<&'static str> {
    match floats {
        16 => present(&[
            (is_x86_feature_detected!("avx512bf16"), "avx512_bf16"),
            (is_x86_feature_detected!("avx512vnni"), "avx512_vnni"),
        ]),
        8 => present(&[(is_x86_feature_detected!("avxvnni"), "avx_vnni")]),
        _ => Vec::new(),
    }
}

#[cfg(target_arch = "aarch64")]
fn extensions(_: usize) -> Vec<&'static str> {
    let found = [
        (std::arch::is_aarch64_feature_detected!("bf16"), "bf16"),
        (
            std::arch::is_aarch64_feature_detected!("dotprod"),
            "asimddp",
        ),
        (std::arch::is_aarch64_feature_detected!("i8mm"), "i8mm"),
    ];
    present(&found)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn extensions(_: usize) -> Vec<&'static str> {
    present(&[])
}

fn present(found: &[(bool, &'static str)]) -> Vec<&'static str> {
    let there = found.iter().filter(|(there, _)| *there);
    there.map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_told_in_one_line() {
        let mut registers = Registers {
            name: "AVX-512".to_owned(),
            floats: 16,
            extensions: vec!["avx512_bf16".to_owned(), "avx512_vnni".to_owned()],
        };
        let line = "AVX-512 (16 floats), with avx512_bf16, avx512_vnni";
        assert_eq!(registers.to_string(), line);
        registers.extensions.clear();
        assert_eq!(registers.to_string(), "AVX-512 (16 floats)");
    }

    #[test]
    fn only_known_registers_have_names() {
        assert!(named("portable").is_some());
        assert!(named("avx1024").is_none() && named("").is_none());
        assert!(NAMES.iter().any(|name| named(name).is_some()));
    }

    #[test]
    fn this_machine_has_some() {
        let here = registers();
        assert!(
            here.floats.is_power_of_two() && here.name != "other",
            "{here}"
        );
    }
}
