//! What can be drawn: the table of categories and of the defects that make sense on each.

use super::defect::Defect;
use super::noise::Dice;
use super::texel::Look;
use super::{
    board, coverings, electronics, fabrics, goods, hardware, materials, medicine, workpieces,
};

/// What a category is made up of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A material that fills the image.
    Surface,
    /// A thing on a plain background.
    Object,
}

/// How a thing may lie.
#[derive(Clone, Copy)]
pub(super) enum Turn {
    Any,
    /// Nearly along one side of the image.
    Slight,
}

/// A kind of surface or object.
#[derive(Clone, Copy)]
pub struct Category {
    /// Its name, as a folder is called: `circuit_board`.
    pub name: &'static str,
    /// Surface or object.
    pub kind: Kind,
    /// The defects that make sense on it.
    pub defects: &'static [Defect],
    pub(super) turn: Turn,
    pub(super) draw: fn(&mut Dice) -> Look,
}

impl Category {
    /// The category of this name.
    pub fn named(name: &str) -> Option<&'static Category> {
        CATEGORIES.iter().find(|c| c.name == name)
    }

    /// Its name as it reads in a caption: `circuit board`.
    pub fn words(&self) -> String {
        self.name.replace('_', " ")
    }
}

impl std::fmt::Debug for Category {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Category({})", self.name)
    }
}

impl PartialEq for Category {
    fn eq(&self, other: &Category) -> bool {
        self.name == other.name
    }
}

impl Eq for Category {}

const fn surface(
    name: &'static str,
    turn: Turn,
    draw: fn(&mut Dice) -> Look,
    defects: &'static [Defect],
) -> Category {
    Category {
        name,
        kind: Kind::Surface,
        defects,
        turn,
        draw,
    }
}

const fn object(
    name: &'static str,
    turn: Turn,
    draw: fn(&mut Dice) -> Look,
    defects: &'static [Defect],
) -> Category {
    Category {
        name,
        kind: Kind::Object,
        defects,
        turn,
        draw,
    }
}

#[rustfmt::skip]
mod fitting {
    use super::{Defect, Defect::*};

    pub(super) const CLOTH: &[Defect] = &[Hole, Stain, Dirt, Fibre, Burn, Cut, Warp, Discolouration];
    pub(super) const SKIN: &[Defect] = &[Scratch, Hole, Stain, Dirt, Fibre, Dent, Burn, Cut, Discolouration];
    pub(super) const TIMBER: &[Defect] = &[Scratch, Crack, Hole, Stain, Dirt, Fibre, Dent, Burn, Cut, Discolouration];
    pub(super) const STONE: &[Defect] = &[Scratch, Crack, Hole, Stain, Dirt, Fibre, Burn, Discolouration];
    pub(super) const SHEET: &[Defect] = &[Scratch, Hole, Stain, Dirt, Fibre, Dent, Burn, Discolouration];
    pub(super) const PATTERNED: &[Defect] = &[Scratch, Stain, Dirt, Fibre, Dent, Burn, Warp, Discolouration];
    pub(super) const MESH: &[Defect] = &[Stain, Dirt, Fibre, Burn, Cut, Warp, Discolouration];
    pub(super) const METAL: &[Defect] = &[Scratch, Crack, Stain, Dirt, Fibre, Dent, Burn, Discolouration, ChippedEdge, MissingPart];
    pub(super) const BRITTLE: &[Defect] = &[Scratch, Crack, Hole, Stain, Dirt, Fibre, Burn, Discolouration, ChippedEdge, MissingPart];
    pub(super) const GLASS: &[Defect] = &[Scratch, Crack, Stain, Dirt, Fibre, ChippedEdge, MissingPart];
    pub(super) const SHELL: &[Defect] = &[Scratch, Crack, Hole, Stain, Dirt, Fibre, Dent, Discolouration, MissingPart];
    pub(super) const FOOD: &[Defect] = &[Crack, Hole, Stain, Dirt, Fibre, Burn, Cut, Discolouration, ChippedEdge, MissingPart];
    pub(super) const ASSEMBLY: &[Defect] = &[Scratch, Stain, Dirt, Fibre, Burn, Discolouration, ChippedEdge, MissingPart];
    pub(super) const TAPE: &[Defect] = &[Hole, Stain, Dirt, Fibre, Burn, Cut, Warp, Discolouration, MissingPart];
    pub(super) const CABLE: &[Defect] = &[Stain, Dirt, Fibre, Burn, Cut, Warp, Discolouration, MissingPart];
    pub(super) const PACK: &[Defect] = &[Scratch, Hole, Stain, Dirt, Fibre, Dent, Cut, Discolouration, MissingPart];
    pub(super) const PLATE: &[Defect] = &[Scratch, Hole, Stain, Dirt, Fibre, Dent, Burn, Discolouration, ChippedEdge];
    pub(super) const CAN: &[Defect] = &[Scratch, Hole, Stain, Dirt, Fibre, Dent, Burn, Cut, Discolouration, MissingPart];
}
use fitting::*;

/// Everything that can be drawn: 16 surfaces and 16 objects that look as their kind does, then 8 of each
/// whose design is another in every image.
#[rustfmt::skip]
pub const CATEGORIES: [Category; 48] = [
    surface("woven_cloth", Turn::Any, fabrics::woven_cloth, CLOTH),
    surface("denim", Turn::Any, fabrics::denim, CLOTH),
    surface("leather", Turn::Any, fabrics::leather, SKIN),
    surface("wood", Turn::Slight, materials::wood, TIMBER),
    surface("terrazzo", Turn::Any, materials::terrazzo, STONE),
    surface("wire_mesh", Turn::Any, fabrics::wire_mesh, MESH),
    surface("carpet", Turn::Any, fabrics::carpet, CLOTH),
    surface("brushed_metal", Turn::Any, materials::brushed_metal, SHEET),
    surface("perforated_plate", Turn::Any, materials::perforated_plate, PATTERNED),
    surface("marble", Turn::Any, materials::marble, STONE),
    surface("concrete", Turn::Any, materials::concrete, STONE),
    surface("brick", Turn::Slight, materials::brick, STONE),
    surface("cork", Turn::Any, materials::cork, TIMBER),
    surface("knit", Turn::Slight, fabrics::knit, CLOTH),
    surface("corrugated_sheet", Turn::Any, fabrics::corrugated_sheet, PATTERNED),
    surface("tread_plate", Turn::Any, materials::tread_plate, PATTERNED),
    object("gear", Turn::Any, hardware::gear, METAL),
    object("nut", Turn::Any, hardware::nut, METAL),
    object("bolt", Turn::Any, hardware::bolt, METAL),
    object("washer", Turn::Any, hardware::washer, METAL),
    object("bottle_mouth", Turn::Any, goods::bottle_mouth, GLASS),
    object("capsule", Turn::Any, medicine::capsule, SHELL),
    object("tablet", Turn::Any, medicine::tablet, BRITTLE),
    object("circuit_board", Turn::Slight, board::circuit_board, ASSEMBLY),
    object("cable_end", Turn::Any, electronics::cable_end, CABLE),
    object("zipper", Turn::Slight, goods::zipper, TAPE),
    object("biscuit", Turn::Any, goods::biscuit, FOOD),
    object("button", Turn::Any, goods::button, BRITTLE),
    object("chip", Turn::Slight, electronics::chip, ASSEMBLY),
    object("bearing", Turn::Any, hardware::bearing, METAL),
    object("battery", Turn::Any, electronics::battery, CAN),
    object("blister_pack", Turn::Slight, medicine::blister_pack, PACK),
    surface("wallpaper", Turn::Slight, coverings::wallpaper, CLOTH),
    surface("paving", Turn::Any, coverings::paving, STONE),
    surface("foam", Turn::Any, coverings::foam, CLOTH),
    surface("rattan", Turn::Any, coverings::rattan, MESH),
    surface("felt", Turn::Any, coverings::felt, CLOTH),
    surface("granite", Turn::Any, coverings::granite, STONE),
    surface("embossed_sheet", Turn::Any, coverings::embossed_sheet, PATTERNED),
    surface("awning", Turn::Any, coverings::awning, CLOTH),
    object("bracket", Turn::Any, workpieces::bracket, METAL),
    object("knob", Turn::Any, workpieces::knob, BRITTLE),
    object("connector", Turn::Slight, workpieces::connector, ASSEMBLY),
    object("nameplate", Turn::Any, workpieces::nameplate, PLATE),
    object("glazed_tile", Turn::Any, workpieces::glazed_tile, BRITTLE),
    object("sweet", Turn::Any, workpieces::sweet, FOOD),
    object("grille", Turn::Any, workpieces::grille, METAL),
    object("pebble", Turn::Any, workpieces::pebble, BRITTLE),
];
