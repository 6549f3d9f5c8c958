//! The numbers that products with frozen weights are made of.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What a frozen image tower computes its products in. The stream between them, norms, softmax and sums stay in
/// f32; weights are converted once, when the tower is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 32-bit floats: the reference.
    #[default]
    F32,
    /// Weights in 16-bit floats with 8 bits of precision. Tokens too, where the processor is fast at that; elsewhere
    /// they stay in f32.
    Bf16,
    /// 16-bit whole numbers with a scale for every token, every output and every 256 inputs; sums are exact.
    /// Twice as many at a time as of f32, and four to seven times as exact as bf16.
    Int16,
    /// 8-bit whole numbers, scaled likewise, with loud channels shared out between tokens and weights; queries, keys
    /// and values, which scores are made of, and attention stay in 16 bits. Four times as many at a time as of f32.
    Int8,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Self; 4] = [Self::F32, Self::Int16, Self::Bf16, Self::Int8];

    /// As it is written: `f32`, `bf16`, `int16`, `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int16 => "int16",
            Self::Int8 => "int8",
        }
    }

    /// Numbers in a step of four bytes.
    pub(super) fn per_step(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 | Self::Int16 => 2,
            Self::Int8 => 4,
        }
    }

    /// Inputs that are summed at a time: their part of a panel of weights stays in the first-level cache, and
    /// whole numbers have a scale for it.
    pub(super) fn part(self) -> usize {
        match self {
            Self::F32 => 128,
            Self::Bf16 | Self::Int16 | Self::Int8 => 256,
        }
    }

    /// The same for what attention's scores are made of: their errors grow by the exponential, and bytes would be
    /// too coarse.
    pub(crate) fn of_scores(self) -> Self {
        match self {
            Self::Int8 => Self::Int16,
            enough => enough,
        }
    }

    /// Whether sums are whole numbers, to be scaled.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Int16 | Self::Int8)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL
            .into_iter()
            .find(|precision| precision.name() == text);
        found.ok_or_else(|| Error::Precision {
            wanted: text.to_owned(),
        })
    }
}
