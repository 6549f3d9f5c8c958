//! Numbers with more than one way to be written.

use serde::{Deserialize, Serialize};

/// Height and width of the network's input in pixels. Written as `518` or as `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Sides", into = "Sides")]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Sides {
    Square(usize),
    Both([usize; 2]),
}

impl From<Sides> for ImageSize {
    fn from(sides: Sides) -> Self {
        match sides {
            Sides::Square(side) => ImageSize {
                height: side,
                width: side,
            },
            Sides::Both([height, width]) => ImageSize { height, width },
        }
    }
}

impl From<ImageSize> for Sides {
    fn from(size: ImageSize) -> Self {
        if size.height == size.width {
            Sides::Square(size.height)
        } else {
            Sides::Both([size.height, size.width])
        }
    }
}

/// A number of transformer blocks: given, or in the proportion of the paper's backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DepthText", into = "DepthText")]
pub enum Depth {
    /// The paper's share of the tower at hand, rounded down.
    Auto,
    /// Exactly this many blocks.
    Blocks(usize),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum DepthText {
    Blocks(usize),
    Word(AutoWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AutoWord {
    Auto,
}

impl From<DepthText> for Depth {
    fn from(text: DepthText) -> Self {
        match text {
            DepthText::Blocks(n) => Depth::Blocks(n),
            DepthText::Word(AutoWord::Auto) => Depth::Auto,
        }
    }
}

impl From<Depth> for DepthText {
    fn from(depth: Depth) -> Self {
        match depth {
            Depth::Blocks(n) => DepthText::Blocks(n),
            Depth::Auto => DepthText::Word(AutoWord::Auto),
        }
    }
}

impl Depth {
    /// Blocks in a tower of `layers`, where `Auto` means `share` of every `of` blocks.
    pub(crate) fn resolve(self, layers: usize, share: usize, of: usize) -> usize {
        match self {
            Depth::Blocks(n) => n,
            Depth::Auto => layers * share / of,
        }
    }
}
