//! Images of things as an inspector sees them, drawn rather than taken: surfaces and objects, intact
//! or damaged, with exact masks. For trials and tests on a machine that has no dataset.
//!
//! A category is a function of the plane: colour, height, gloss (`fabrics`, `materials`, `hardware`,
//! `goods`, `medicine`, `electronics`, `board`; `coverings` and `workpieces`, whose design is another in
//! every image). A defect changes that matter before light falls on it
//! (`lines`, `patches`, `loss`), so that it shines and casts shade as the rest does; then one camera
//! takes both twins (`light`) and the mask is where they differ (`mask`).
//!
//! Everything follows from the category's name, the seed and the defect; the same machine draws the
//! same bytes again. The size decides nothing but the resolution.
//!
//! To add a category: a function that draws its `texel::Look`, and a line in [`CATEGORIES`].

mod board;
mod category;
mod coverings;
mod damage;
mod defect;
mod electronics;
mod error;
mod fabrics;
mod goods;
mod hardware;
mod light;
mod lines;
mod loss;
mod mask;
mod materials;
mod medicine;
mod noise;
mod patches;
mod region;
mod scene;
mod shape;
mod split;
mod texel;
mod workpieces;
mod write;

pub use category::{CATEGORIES, Category, Kind};
pub use defect::{Defect, Extent};
pub use error::SynthError;
pub use mask::{VISIBLE, gap};
pub use split::Split;
pub use write::{Progress, SynthOptions, Written, write_mvtec};

use light::Camera;
use mask::difference;
use noise::Dice;
use scene::{Field, Scene};

/// The smallest image that is drawn, pixels a side.
pub const SMALLEST: usize = 32;
/// The largest image that is drawn, pixels a side.
pub const LARGEST: usize = 2048;

/// How often a defect is drawn again, stronger and elsewhere, until it can be seen.
const ATTEMPTS: u64 = 10;

/// An image, and what a caption may say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Pixels a side.
    pub size: usize,
    /// `[size, size, 3]`, 8 bit sRGB.
    pub rgb: Vec<u8>,
    /// `[size, size]`, 255 on the defect and 0 elsewhere.
    pub mask: Vec<u8>,
    /// The word for the thing's main colour, such as `blue` or `silver`.
    pub colour: &'static str,
    /// What is wrong with it.
    pub defect: Option<Defect>,
    /// How large the defect has become, measured on the mask.
    pub extent: Option<Extent>,
    /// Whether the thing is seen from nearer than most of its kind.
    pub close_up: bool,
    /// Whether the photograph is a dark one.
    pub dim: bool,
}

/// The same thing, in the same place and light, intact and damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Without a defect; its mask is empty.
    pub intact: Rendered,
    /// With the defect.
    pub damaged: Rendered,
}

/// Draws one image of `size` by `size` pixels.
///
/// # Errors
/// A size outside [`SMALLEST`] to [`LARGEST`]; a defect that is not one of the category's.
pub fn render(
    category: &Category,
    seed: u64,
    size: usize,
    defect: Option<Defect>,
) -> Result<Rendered, SynthError> {
    match defect {
        Some(defect) => Ok(twin(category, seed, size, defect, None)?.damaged),
        None => Ok(Studio::new(category, seed, size)?.intact()),
    }
}

/// Draws one thing twice. Without an `extent` the seed decides it. The extent is what is aimed at:
/// a missing part is as large as it is, and a scratch on a small bolt ends where the bolt does;
/// [`Rendered::extent`] says what came out.
///
/// # Errors
/// As [`render`].
pub fn twin(
    category: &Category,
    seed: u64,
    size: usize,
    defect: Defect,
    extent: Option<Extent>,
) -> Result<Twin, SynthError> {
    if !category.defects.contains(&defect) {
        return Err(SynthError::NotApplicable {
            category: category.name,
            defect,
        });
    }
    let studio = Studio::new(category, seed, size)?;
    Ok(studio.damaged(category, seed, defect, extent))
}

/// A thing before the camera.
struct Studio {
    size: usize,
    scene: Scene,
    camera: Camera,
    field: Field,
    rgb: Vec<u8>,
}

impl Studio {
    fn new(category: &Category, seed: u64, size: usize) -> Result<Studio, SynthError> {
        if !(SMALLEST..=LARGEST).contains(&size) {
            return Err(SynthError::Size { size });
        }
        let scene = Scene::new(category, seed);
        let camera = Camera::new(category.name, seed);
        let field = scene.sample(size);
        let rgb = camera.expose(&field);
        Ok(Studio {
            size,
            scene,
            camera,
            field,
            rgb,
        })
    }

    fn intact(&self) -> Rendered {
        Rendered {
            size: self.size,
            rgb: self.rgb.clone(),
            mask: vec![0; self.size * self.size],
            colour: self.scene.colour(),
            defect: None,
            extent: None,
            close_up: self.scene.is_close(),
            dim: self.camera.is_dim(),
        }
    }

    fn damaged(
        &self,
        category: &Category,
        seed: u64,
        defect: Defect,
        extent: Option<Extent>,
    ) -> Twin {
        let purpose = format!("damage {defect}");
        let aimed =
            extent.unwrap_or_else(|| *Dice::new("extent", category.name, seed).pick(&Extent::ALL));
        let (mut best, mut most) = (None, 0.0);
        for attempt in 0..ATTEMPTS {
            let dice = Dice::new(&format!("{purpose} {attempt}"), category.name, seed);
            let strength = 1.0 + 0.12 * attempt as f32;
            let (field, cover) =
                damage::damage(&self.scene, &self.field, defect, aimed, dice, strength);
            let rgb = self.camera.expose(&field);
            let difference = difference(&self.rgb, &rgb, &cover, self.size);
            let (seen, quality) = (difference.is_seen(), difference.quality());
            if seen || quality > most || best.is_none() {
                (best, most) = (Some((rgb, difference.mask)), quality);
            }
            if seen {
                break;
            }
        }
        let intact = self.intact();
        let (rgb, mask) = best.unwrap_or_else(|| (self.rgb.clone(), intact.mask.clone()));
        let count = mask.iter().filter(|m| **m > 0).count();
        let extent = Extent::of(count as f32 / mask.len() as f32);
        let damaged = Rendered {
            rgb,
            mask,
            defect: Some(defect),
            extent: Some(extent),
            ..intact.clone()
        };
        Twin { intact, damaged }
    }
}
