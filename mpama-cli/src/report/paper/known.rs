//! The paper's fifteen datasets, and how one is told by what is in it.

use std::collections::BTreeSet;

use mpama_train::eval::Report;

/// A dataset of the paper (Table 6).
#[derive(Debug)]
pub(crate) struct Known {
    /// As the paper calls it.
    pub(crate) name: &'static str,
    /// Normal images of its test set.
    pub(crate) normal: usize,
    /// Anomalous images of its test set.
    pub(crate) anomalous: usize,
    /// Its categories. Of one category alone any of these names is taken, the dataset's own included.
    categories: &'static [&'static str],
    /// Whether it has one category, whose name says little: then the images are counted too.
    single: bool,
}

const fn several(
    name: &'static str,
    normal: usize,
    anomalous: usize,
    categories: &'static [&'static str],
) -> Known {
    Known {
        name,
        normal,
        anomalous,
        categories,
        single: false,
    }
}

const fn single(
    name: &'static str,
    normal: usize,
    anomalous: usize,
    categories: &'static [&'static str],
) -> Known {
    Known {
        name,
        normal,
        anomalous,
        categories,
        single: true,
    }
}

const KNOWN: [Known; 15] = [
    several(
        "MVTec AD",
        467,
        1258,
        &[
            "bottle",
            "cable",
            "capsule",
            "carpet",
            "grid",
            "hazelnut",
            "leather",
            "metal_nut",
            "pill",
            "screw",
            "tile",
            "toothbrush",
            "transistor",
            "wood",
            "zipper",
        ],
    ),
    several(
        "VisA",
        962,
        1200,
        &[
            "candle",
            "capsules",
            "cashew",
            "chewinggum",
            "fryum",
            "macaroni1",
            "macaroni2",
            "pcb1",
            "pcb2",
            "pcb3",
            "pcb4",
            "pipe_fryum",
        ],
    ),
    several(
        "MPDD",
        176,
        282,
        &[
            "bracket_black",
            "bracket_brown",
            "bracket_white",
            "connector",
            "metal_plate",
            "tubes",
        ],
    ),
    several("BTAD", 451, 290, &["01", "02", "03"]),
    single(
        "SDD",
        181,
        74,
        &["electrical commutators", "sdd", "kolektorsdd"],
    ),
    several(
        "DAGM",
        6996,
        1054,
        &[
            "Class1", "Class2", "Class3", "Class4", "Class5", "Class6", "Class7", "Class8",
            "Class9", "Class10",
        ],
    ),
    several(
        "DTD-Synthetic",
        357,
        947,
        &[
            "Blotchy_099",
            "Fibrous_183",
            "Marbled_078",
            "Matted_069",
            "Mesh_114",
            "Perforated_037",
            "Stratified_154",
            "Woven_001",
            "Woven_068",
            "Woven_104",
            "Woven_125",
            "Woven_127",
        ],
    ),
    single("ISIC", 0, 379, &["skin", "isic", "isic 2016"]),
    single("ClinicDB", 0, 612, &["colon", "clinicdb", "cvc-clinicdb"]),
    single("ColonDB", 0, 380, &["colon", "colondb", "cvc-colondb"]),
    single("Kvasir", 0, 1000, &["colon", "kvasir", "kvasir-seg"]),
    single("Endo", 0, 200, &["colon", "endo", "endotect"]),
    single("HeadCT", 100, 100, &["brain", "headct", "head-ct"]),
    single(
        "BrainMRI",
        98,
        155,
        &["brain", "brainmri", "brain tumor dataset"],
    ),
    single("Br35H", 1500, 1500, &["brain", "br35h"]),
];

/// A name without case, spaces and punctuation.
pub(super) fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

/// Which of the fifteen was measured: told by its set of categories; where there is one only, by a name
/// that category or folder may have together with the number of images.
pub(crate) fn recognise(report: &Report) -> Option<&'static Known> {
    let found: BTreeSet<String> = report
        .categories
        .iter()
        .map(|c| plain(&c.category))
        .collect();
    let name = plain(&report.dataset);
    KNOWN.iter().find(|known| {
        let names: BTreeSet<String> = known.categories.iter().map(|c| plain(c)).collect();
        if !known.single {
            return names == found;
        }
        let counts = |category: &mpama_train::eval::CategoryReport| {
            (category.normal, category.anomalous) == (known.normal, known.anomalous)
        };
        let named = names.contains(&name) || found.iter().any(|c| names.contains(c));
        report.categories.len() == 1 && named && report.categories.iter().all(counts)
    })
}
