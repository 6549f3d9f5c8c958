//! Which categories teach, which decide, which judge and which may teach more.

use super::{CATEGORIES, Category};

/// Decides settings: seen by neither the demo's backbone nor its adapter.
const SELECTION: [&str; 6] = [
    "denim",
    "marble",
    "perforated_plate",
    "tablet",
    "washer",
    "zipper",
];

/// Judges: as [`SELECTION`], and no setting was chosen by looking at them.
const TEST: [&str; 6] = [
    "bolt",
    "capsule",
    "carpet",
    "chip",
    "leather",
    "tread_plate",
];

/// May teach a backbone.
const VARIED: [&str; 16] = [
    "awning",
    "bracket",
    "connector",
    "embossed_sheet",
    "felt",
    "foam",
    "glazed_tile",
    "granite",
    "grille",
    "knob",
    "nameplate",
    "paving",
    "pebble",
    "rattan",
    "sweet",
    "wallpaper",
];

/// The part a category has in the demo. The parts are disjoint, with surfaces and objects in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Teaches: the demo's backbone, and its adapter on other images of the same categories.
    Training,
    /// Decides settings.
    Selection,
    /// Judges.
    Test,
    /// Teaches the demo's backbone alone: things whose design is another in every image.
    Varied,
}

impl Split {
    /// The part that `category` has.
    pub fn of(category: &Category) -> Split {
        if SELECTION.contains(&category.name) {
            Split::Selection
        } else if TEST.contains(&category.name) {
            Split::Test
        } else if VARIED.contains(&category.name) {
            Split::Varied
        } else {
            Split::Training
        }
    }

    /// The categories of this part, in the order of [`CATEGORIES`].
    pub fn categories(self) -> Vec<&'static Category> {
        CATEGORIES.iter().filter(|c| Split::of(c) == self).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn every_part_has_surfaces_and_objects() {
        for (split, count) in [
            (Split::Training, 20),
            (Split::Selection, 6),
            (Split::Test, 6),
            (Split::Varied, 16),
        ] {
            let categories = split.categories();
            assert_eq!(categories.len(), count, "{split:?}");
            for kind in [Kind::Surface, Kind::Object] {
                let of_kind = categories.iter().filter(|c| c.kind == kind).count();
                assert_eq!(of_kind, count / 2, "{split:?} {kind:?}");
            }
        }
    }
}
