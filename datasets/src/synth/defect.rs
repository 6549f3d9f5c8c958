//! The kinds of defects and their sizes.

use std::fmt;
use std::str::FromStr;

use super::SynthError;

/// A kind of defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // their names say what they are
pub enum Defect {
    Scratch,
    Crack,
    Hole,
    Stain,
    Dirt,
    Fibre,
    Dent,
    Burn,
    Cut,
    Warp,
    Discolouration,
    ChippedEdge,
    MissingPart,
}

impl Defect {
    /// Every kind.
    pub const ALL: [Defect; 13] = [
        Defect::Scratch,
        Defect::Crack,
        Defect::Hole,
        Defect::Stain,
        Defect::Dirt,
        Defect::Fibre,
        Defect::Dent,
        Defect::Burn,
        Defect::Cut,
        Defect::Warp,
        Defect::Discolouration,
        Defect::ChippedEdge,
        Defect::MissingPart,
    ];

    /// Its name, as a folder is called: `missing_part`.
    pub const fn name(self) -> &'static str {
        match self {
            Defect::Scratch => "scratch",
            Defect::Crack => "crack",
            Defect::Hole => "hole",
            Defect::Stain => "stain",
            Defect::Dirt => "dirt",
            Defect::Fibre => "fibre",
            Defect::Dent => "dent",
            Defect::Burn => "burn",
            Defect::Cut => "cut",
            Defect::Warp => "warp",
            Defect::Discolouration => "discolouration",
            Defect::ChippedEdge => "chipped_edge",
            Defect::MissingPart => "missing_part",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Defect {
    type Err = SynthError;

    fn from_str(name: &str) -> Result<Defect, SynthError> {
        let known = Defect::ALL.into_iter().find(|d| d.name() == name);
        known.ok_or_else(|| SynthError::UnknownDefect {
            name: name.to_owned(),
        })
    }
}

/// How large a defect is, by the share of the image that its mask covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Below 0.3%: about 5 by 5 of 96 by 96 pixels.
    Tiny,
    /// Below 1%.
    Small,
    /// Below 4%.
    Medium,
    /// More.
    Large,
}

impl Extent {
    /// Every extent, from tiny to large.
    pub const ALL: [Extent; 4] = [Extent::Tiny, Extent::Small, Extent::Medium, Extent::Large];

    /// Its name, as it reads in a caption.
    pub const fn name(self) -> &'static str {
        match self {
            Extent::Tiny => "tiny",
            Extent::Small => "small",
            Extent::Medium => "medium",
            Extent::Large => "large",
        }
    }

    /// The extent of a mask that covers this share of the image.
    pub fn of(share: f32) -> Extent {
        match share {
            s if s < 0.003 => Extent::Tiny,
            s if s < 0.01 => Extent::Small,
            s if s < 0.04 => Extent::Medium,
            _ => Extent::Large,
        }
    }

    /// Radii of a round defect of this extent, in half sides of the image.
    pub(super) const fn radii(self) -> [f32; 2] {
        match self {
            Extent::Tiny => [0.028, 0.050],
            Extent::Small => [0.060, 0.100],
            Extent::Medium => [0.125, 0.200],
            Extent::Large => [0.260, 0.420],
        }
    }
}
