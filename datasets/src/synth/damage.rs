//! What defects do to matter, before light falls on it.

use super::defect::{Defect, Extent};
use super::noise::Dice;
use super::region::Region;
use super::scene::{Field, Scene};
use super::texel::{Point, Rgb, Texel, grey, luma};

/// A thing that is being damaged.
pub(super) struct Damage<'a> {
    pub(super) scene: &'a Scene,
    pub(super) intact: &'a Field,
    pub(super) field: Field,
    /// How far each sample belongs to the defect, 0 to 1.
    pub(super) cover: Vec<f32>,
    pub(super) dice: Dice,
    /// Of a round defect; others take their measures from it. In half sides of the image.
    pub(super) radius: f32,
    /// Width of a pixel of the image: nothing thinner than about one would be seen.
    pub(super) pixel: f32,
    /// 1, and more where a first attempt could hardly be seen.
    pub(super) strength: f32,
}

/// Damages a thing; returns its matter and how far each sample belongs to the defect.
pub(super) fn damage(
    scene: &Scene,
    intact: &Field,
    defect: Defect,
    extent: Extent,
    mut dice: Dice,
    strength: f32,
) -> (Field, Vec<f32>) {
    let pixel = 2.0 * super::scene::OVERSAMPLING as f32 / intact.grid.side as f32;
    let [low, high] = extent.radii();
    let radius = dice.range(low, high).max(1.1 * pixel);
    let mut damage = Damage {
        scene,
        intact,
        field: intact.clone(),
        cover: vec![0.0; intact.texels.len()],
        dice,
        radius,
        pixel,
        strength,
    };
    match defect {
        Defect::Scratch => damage.scratch(),
        Defect::Crack => damage.crack(),
        Defect::Hole => damage.hole(),
        Defect::Stain => damage.stain(),
        Defect::Dirt => damage.dirt(),
        Defect::Fibre => damage.fibre(),
        Defect::Dent => damage.dent(),
        Defect::Burn => damage.burn(),
        Defect::Cut => damage.cut(),
        Defect::Warp => damage.warp(),
        Defect::Discolouration => damage.discolouration(),
        Defect::ChippedEdge => damage.chipped_edge(),
        Defect::MissingPart => damage.missing_part(),
    }
    (damage.field, damage.cover)
}

impl Damage<'_> {
    /// A place on the thing, `deep` inside its outline if it has such a place.
    pub(super) fn place(&mut self, deep: f32) -> Point {
        let (mut best, mut found) = (f32::MAX, [0.0; 2]);
        for _ in 0..80 {
            let p = [self.dice.range(-0.9, 0.9), self.dice.range(-0.9, 0.9)];
            let edge = self.texel_at(p).edge;
            if edge < best {
                (best, found) = (edge, p);
            }
            if best < -deep {
                break;
            }
        }
        found
    }

    pub(super) fn texel_at(&self, p: Point) -> &Texel {
        let grid = self.intact.grid;
        let first = |x: f32| grid.span(x, x).start.min(grid.side - 1);
        &self.intact.texels[first(p[1]) * grid.side + first(p[0])]
    }

    /// Mean brightness of the thing around a place.
    pub(super) fn brightness(&self, middle: Point) -> f32 {
        let around = (0..9).map(|i| {
            let offset =
                [(i % 3) as f32 - 1.0, (i / 3) as f32 - 1.0].map(|c| c * 0.8 * self.radius);
            luma(
                self.texel_at([middle[0] + offset[0], middle[1] + offset[1]])
                    .albedo,
            )
        });
        around.sum::<f32>() / 9.0
    }

    /// Alters the thing within `reach` of a region. `alter` gets the matter, the distance and the
    /// place, and returns how far the sample belongs to the defect.
    pub(super) fn alter(
        &mut self,
        region: &Region,
        reach: f32,
        mut alter: impl FnMut(&mut Texel, f32, Point) -> f32,
    ) {
        for (index, p, d) in region.near(reach) {
            let texel = &mut self.field.texels[index];
            if texel.edge <= 0.0 {
                self.cover[index] = self.cover[index].max(alter(texel, d, p));
            }
        }
    }

    pub(super) fn patch(&mut self, middle: Point, radius: f32, stretch: f32, rough: f32) -> Region {
        let mut region = Region::empty(self.intact.grid);
        region.blob(&mut self.dice, middle, radius, stretch, rough);
        region
    }

    /// What an opening in the thing shows: darkness, or on dark matter its pale broken edge.
    pub(super) fn opening(&self, middle: Point) -> Rgb {
        if self.brightness(middle) > 0.25 {
            grey(0.06)
        } else {
            grey(0.58)
        }
    }
}
