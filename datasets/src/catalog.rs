//! The datasets of the paper's Table 6: what they are, where they are published, and how many images of
//! which label their test parts have.

use serde::Serialize;

use crate::{Counts, Dataset, Label, Layout, Sample};

/// A published dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// As the paper calls it.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// The layouts it is met in, the original first. `meta`, `csv` and `jsonl` fit every dataset.
    pub layouts: &'static [Layout],
    /// Its categories and, where they are published, the normal and anomalous images of each.
    pub categories: &'static [Category],
    /// Normal images (Table 6).
    pub normal: usize,
    /// Anomalous images (Table 6).
    pub anomalous: usize,
    /// What its masks are.
    pub masks: Masks,
    /// As its publisher says, or `see source` where that is not beyond doubt.
    pub licence: &'static str,
    /// Who publishes it, and where.
    pub source: &'static str,
    /// Parts of folder names, in lower case without punctuation, that give it away.
    known_as: &'static [&'static str],
}

/// A category of a published dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Category {
    /// As its folder is called.
    pub name: &'static str,
    /// Normal and anomalous images, where they are published.
    pub counts: Option<(usize, usize)>,
}

/// What the masks of a dataset are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Masks {
    /// There are none: only image metrics are defined.
    None,
    /// Every value above 0 is anomalous, be it 255 or a small class id.
    AboveZero,
    /// JPEG, as published: anomalous from half of white on. Copies as PNG: above 0.
    JpegFromHalf,
}

impl Masks {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Masks::None => "none",
            Masks::AboveZero => "> 0",
            Masks::JpegFromHalf => ">= 128 if JPEG",
        }
    }
}

const fn category(name: &'static str, normal: usize, anomalous: usize) -> Category {
    Category {
        name,
        counts: Some((normal, anomalous)),
    }
}

const fn named(name: &'static str) -> Category {
    Category { name, counts: None }
}

/// The fifteen, in the paper's order.
pub const CATALOG: [Published; 15] = [
    Published {
        name: "MVTec AD",
        about: "industrial objects and textures",
        layouts: &[Layout::Mvtec],
        categories: &[
            category("bottle", 20, 63),
            category("cable", 58, 92),
            category("capsule", 23, 109),
            category("carpet", 28, 89),
            category("grid", 21, 57),
            category("hazelnut", 40, 70),
            category("leather", 32, 92),
            category("metal_nut", 22, 93),
            category("pill", 26, 141),
            category("screw", 41, 119),
            category("tile", 33, 84),
            category("toothbrush", 12, 30),
            category("transistor", 60, 40),
            category("wood", 19, 60),
            category("zipper", 32, 119),
        ],
        normal: 467,
        anomalous: 1258,
        masks: Masks::AboveZero,
        licence: "CC BY-NC-SA 4.0",
        source: "MVTec Software, www.mvtec.com",
        known_as: &["mvtec"],
    },
    Published {
        name: "VisA",
        about: "circuit boards, food, capsules, candles",
        layouts: &[Layout::Visa, Layout::Mvtec],
        categories: &[
            category("candle", 100, 100),
            category("capsules", 60, 100),
            category("cashew", 50, 100),
            category("chewinggum", 50, 100),
            category("fryum", 50, 100),
            category("macaroni1", 100, 100),
            category("macaroni2", 100, 100),
            category("pcb1", 100, 100),
            category("pcb2", 100, 100),
            category("pcb3", 101, 100),
            category("pcb4", 101, 100),
            category("pipe_fryum", 50, 100),
        ],
        normal: 962,
        anomalous: 1200,
        masks: Masks::AboveZero,
        licence: "CC BY 4.0",
        source: "Amazon Science, github.com/amazon-science/spot-diff",
        known_as: &["visa"],
    },
    Published {
        name: "MPDD",
        about: "painted metal parts",
        layouts: &[Layout::Mvtec],
        categories: &[
            category("bracket_black", 32, 47),
            category("bracket_brown", 26, 51),
            category("bracket_white", 30, 30),
            category("connector", 30, 14),
            category("metal_plate", 26, 71),
            category("tubes", 32, 69),
        ],
        normal: 176,
        anomalous: 282,
        masks: Masks::AboveZero,
        licence: "see source",
        source: "Jezek et al., Brno University of Technology",
        known_as: &["mpdd"],
    },
    Published {
        name: "BTAD",
        about: "industrial products",
        layouts: &[Layout::Mvtec],
        categories: &[
            category("01", 21, 49),
            category("02", 30, 200),
            category("03", 400, 41),
        ],
        normal: 451,
        anomalous: 290,
        masks: Masks::AboveZero,
        licence: "see source",
        source: "Mishra et al., AVIRES lab, University of Udine",
        known_as: &["btad", "btech"],
    },
    Published {
        name: "SDD",
        about: "electrical commutators",
        layouts: &[Layout::Kolektor, Layout::Mvtec],
        categories: &[
            category("electrical commutators", 181, 74),
            category("electrical_commutators", 181, 74),
        ],
        normal: 181,
        anomalous: 74,
        masks: Masks::AboveZero,
        licence: "CC BY-NC-SA 4.0 (KolektorSDD)",
        source: "KolektorSDD: ViCoS lab, www.vicos.si; the paper's tiling: AnomalyCLIP's authors",
        known_as: &["sdd", "kolektor"],
    },
    Published {
        name: "DAGM",
        about: "drawn textures, coarse ellipses as masks",
        layouts: &[Layout::Dagm],
        categories: &[
            named("Class1"),
            named("Class2"),
            named("Class3"),
            named("Class4"),
            named("Class5"),
            named("Class6"),
            named("Class7"),
            named("Class8"),
            named("Class9"),
            named("Class10"),
        ],
        normal: 6996,
        anomalous: 1054,
        masks: Masks::AboveZero,
        licence: "see source",
        source: "DAGM 2007 competition; Kaggle, `DAGM_KaggleUpload`",
        known_as: &["dagm"],
    },
    Published {
        name: "DTD-Synthetic",
        about: "textures with drawn defects",
        layouts: &[Layout::Mvtec],
        categories: &[
            named("Blotchy_099"),
            named("Fibrous_183"),
            named("Marbled_078"),
            named("Matted_069"),
            named("Mesh_114"),
            named("Perforated_037"),
            named("Stratified_154"),
            named("Woven_001"),
            named("Woven_068"),
            named("Woven_104"),
            named("Woven_125"),
            named("Woven_127"),
        ],
        normal: 357,
        anomalous: 947,
        masks: Masks::AboveZero,
        licence: "see source",
        source: "Aota et al., WACV 2023",
        known_as: &["dtd"],
    },
    Published {
        name: "ISIC",
        about: "skin lesions, 2016, part 1, test",
        layouts: &[Layout::Isic],
        categories: &[category("skin", 0, 379)],
        normal: 0,
        anomalous: 379,
        masks: Masks::AboveZero,
        licence: "CC0",
        source: "ISIC challenge 2016, challenge.isic-archive.com",
        known_as: &["isic", "isbi"],
    },
    Published {
        name: "ClinicDB",
        about: "colon polyps",
        layouts: &[Layout::ImagesMasks],
        categories: &[category("colon", 0, 612)],
        normal: 0,
        anomalous: 612,
        masks: Masks::AboveZero,
        licence: "see source",
        source: "CVC, Barcelona: CVC-ClinicDB",
        known_as: &["clinic"],
    },
    Published {
        name: "ColonDB",
        about: "colon polyps",
        layouts: &[Layout::ImagesMasks],
        categories: &[category("colon", 0, 380)],
        normal: 0,
        anomalous: 380,
        masks: Masks::AboveZero,
        licence: "see source",
        source: "CVC, Barcelona: CVC-ColonDB",
        known_as: &["colondb"],
    },
    Published {
        name: "Kvasir",
        about: "colon polyps",
        layouts: &[Layout::ImagesMasks],
        categories: &[category("colon", 0, 1000)],
        normal: 0,
        anomalous: 1000,
        masks: Masks::JpegFromHalf,
        licence: "see source",
        source: "Simula: Kvasir-SEG, datasets.simula.no",
        known_as: &["kvasir"],
    },
    Published {
        name: "Endo",
        about: "colon polyps, EndoTect 2020, test",
        layouts: &[Layout::ImagesMasks],
        categories: &[category("colon", 0, 200)],
        normal: 0,
        anomalous: 200,
        masks: Masks::JpegFromHalf,
        licence: "see source",
        source: "Simula: EndoTect challenge 2020",
        known_as: &["endo"],
    },
    Published {
        name: "HeadCT",
        about: "haemorrhages in slices of heads",
        layouts: &[Layout::HeadCt, Layout::Mvtec],
        categories: &[category("brain", 100, 100)],
        normal: 100,
        anomalous: 100,
        masks: Masks::None,
        licence: "see source",
        source: "Kaggle, `Head CT - hemorrhage`",
        known_as: &["headct", "hemorrhage"],
    },
    Published {
        name: "BrainMRI",
        about: "brain tumours",
        layouts: &[Layout::YesNo],
        categories: &[category("brain", 98, 155)],
        normal: 98,
        anomalous: 155,
        masks: Masks::None,
        licence: "see source",
        source: "Kaggle, `Brain MRI Images for Brain Tumor Detection`",
        known_as: &["brainmri", "braintumordataset"],
    },
    Published {
        name: "Br35H",
        about: "brain tumours",
        layouts: &[Layout::YesNo],
        categories: &[category("brain", 1500, 1500)],
        normal: 1500,
        anomalous: 1500,
        masks: Masks::None,
        licence: "see source",
        source: "Kaggle, `Br35H :: Brain Tumor Detection 2020`",
        known_as: &["br35h"],
    },
];

impl Published {
    /// The published dataset that this one is or is a part of: by its categories, where they tell, else
    /// by its layout and by the number of its images or the name of its folder. `None` in doubt.
    pub fn of(dataset: &Dataset) -> Option<&'static Published> {
        let fitting: Vec<_> = CATALOG.iter().filter(|p| p.fits(dataset)).collect();
        let only = |of: &dyn Fn(&Published) -> bool| {
            let mut those = fitting.iter().copied().filter(|p| of(p));
            those.next().filter(|_| those.next().is_none())
        };
        let Counts {
            normal, anomalous, ..
        } = dataset.counts();
        only(&|p| (p.normal, p.anomalous) == (normal, anomalous))
            .or_else(|| only(&|p| p.is_called(&dataset.name)))
            .or_else(|| only(&|p| p.has_categories_of(dataset)))
    }

    /// The category of this name.
    pub fn category(&self, name: &str) -> Option<&'static Category> {
        self.categories.iter().find(|c| c.name == name)
    }

    /// How many categories the paper counts.
    pub fn category_count(&self) -> usize {
        let names: std::collections::BTreeSet<_> =
            self.categories.iter().map(|c| plain(c.name)).collect();
        names.len()
    }

    /// Whether it can be this by its layout and categories, of which none may have more images than
    /// published. Some layouts have no categories of their own: then the name of the only one says
    /// nothing.
    fn fits(&self, dataset: &Dataset) -> bool {
        let is_list = dataset.layout.is_list();
        if !is_list && !self.layouts.contains(&dataset.layout) {
            return false;
        }
        let nameless =
            !is_list && !matches!(dataset.layout, Layout::Mvtec | Layout::Visa | Layout::Dagm);
        self.has_categories_of(dataset) || (nameless && dataset.categories().len() == 1)
    }

    fn has_categories_of(&self, dataset: &Dataset) -> bool {
        let fits = |(name, samples): (&str, Vec<&Sample>)| {
            self.category(name).is_some_and(|category| {
                let normal = samples.iter().filter(|s| s.label == Label::Normal).count();
                let anomalous = samples.len() - normal;
                category
                    .counts
                    .is_none_or(|most| normal <= most.0 && anomalous <= most.1)
            })
        };
        dataset.by_category().into_iter().all(fits)
    }

    /// Whether a folder or category of this name is called as the dataset is.
    pub fn is_called(&self, name: &str) -> bool {
        let name = plain(name);
        self.known_as.iter().any(|part| name.contains(part))
    }
}

/// A name in lower case, without anything but letters and digits.
pub fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;
    use crate::fake::tree;

    #[test]
    fn categories_add_up_to_the_paper_s_counts() {
        for published in &CATALOG {
            let names: BTreeSet<_> = published.categories.iter().map(|c| c.name).collect();
            assert_eq!(
                names.len(),
                published.categories.len(),
                "{}",
                published.name
            );
            let counts: Option<Vec<_>> = published.categories.iter().map(|c| c.counts).collect();
            let Some(counts) = counts else { continue };
            if published.category_count() != published.categories.len() {
                continue; // one category of two spellings
            }
            let (normal, anomalous) = counts.iter().fold((0, 0), |(n, a), (normal, anomalous)| {
                (n + normal, a + anomalous)
            });
            assert_eq!(
                (normal, anomalous),
                (published.normal, published.anomalous),
                "{}",
                published.name
            );
        }
        let counts = CATALOG.map(|p| p.category_count());
        assert_eq!(counts, [15, 12, 6, 3, 1, 10, 12, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn each_is_known_by_categories_counts_or_name() {
        for (root, files, expected) in [
            (
                "x",
                &["bottle/test/good/0.png", "tile/test/crack/0.png"][..],
                Some("MVTec AD"),
            ),
            ("x", &["capsules/test/good/0.png"], Some("VisA")),
            ("x", &["01/test/ok/0.bmp"], Some("BTAD")),
            (
                "x",
                &["electrical commutators/test/good/0.png"],
                Some("SDD"),
            ),
            ("x", &["brain/test/good/0.png"], Some("HeadCT")),
            (
                "x",
                &["nut/test/good/0.png", "bottle/test/good/0.png"],
                None,
            ),
            (
                "Kvasir-SEG",
                &["images/0.jpg", "masks/0.jpg"],
                Some("Kvasir"),
            ),
            (
                "CVC-ColonDB",
                &["images/0.png", "masks/0.png"],
                Some("ColonDB"),
            ),
            ("my polyps", &["images/0.png", "masks/0.png"], None),
            ("brain_mri", &["yes/0.png", "no/0.png"], Some("BrainMRI")),
            ("Br35H-Detection", &["yes/0.png", "no/0.png"], Some("Br35H")),
            ("rust", &["yes/0.png", "no/0.png"], None),
            ("brain_mri", &["good/0.png", "bad/0.png"], None),
        ] {
            let files: Vec<_> = files.iter().map(|file| format!("{root}/{file}")).collect();
            let home = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
            let dataset = Dataset::open(&home.path().join(root), None).unwrap();
            let found = Published::of(&dataset).map(|p| p.name);
            assert_eq!(found, expected, "{root}: {files:?}");
        }
        let many: Vec<_> = (0..380)
            .flat_map(|n| [format!("images/{n}.png"), format!("masks/{n}.png")])
            .collect();
        let home = tree(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let dataset = Dataset::open(home.path(), None).unwrap();
        assert_eq!(Published::of(&dataset).unwrap().name, "ColonDB");
    }
}
