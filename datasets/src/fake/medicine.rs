//! Datasets of medicine, and datasets of one's own.

use super::trees::Content::{Mask, Photo, Text};
use super::trees::Tree;
use crate::Label::{Anomalous, Normal};
use crate::Layout;

pub(super) const TREES: [Tree; 13] = [
    Tree {
        name: "ISBI",
        published: Some("ISIC"),
        open: "",
        layout: Layout::Isic,
        files: &[
            ("skin/test/bad/ISIC_0000003.jpg", Photo),
            ("skin/test/bad/ISIC_0000012.jpg", Photo),
            (
                "skin/ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png",
                Mask,
            ),
            (
                "skin/ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000012_Segmentation.png",
                Mask,
            ),
        ],
        samples: &[
            (
                "skin/test/bad/ISIC_0000003.jpg",
                Anomalous,
                Some("skin/ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png"),
            ),
            (
                "skin/test/bad/ISIC_0000012.jpg",
                Anomalous,
                Some("skin/ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000012_Segmentation.png"),
            ),
        ],
        left_out: &[],
    },
    Tree {
        name: "CVC-ClinicDB",
        published: Some("ClinicDB"),
        open: "",
        layout: Layout::ImagesMasks,
        files: &[
            ("Original/1.tif", Photo),
            ("Original/10.tif", Photo),
            ("Original/2.tif", Photo),
            ("Ground Truth/1.tif", Mask),
            ("Ground Truth/10.tif", Mask),
            ("Ground Truth/2.tif", Mask),
        ],
        samples: &[
            ("Original/1.tif", Anomalous, Some("Ground Truth/1.tif")),
            ("Original/10.tif", Anomalous, Some("Ground Truth/10.tif")),
            ("Original/2.tif", Anomalous, Some("Ground Truth/2.tif")),
        ],
        left_out: &[],
    },
    Tree {
        name: "CVC-ColonDB",
        published: Some("ColonDB"),
        open: "",
        layout: Layout::ImagesMasks,
        files: &[
            ("images/1.png", Photo),
            ("images/2.png", Photo),
            ("masks/1.png", Mask),
            ("masks/2.png", Mask),
        ],
        samples: &[
            ("images/1.png", Anomalous, Some("masks/1.png")),
            ("images/2.png", Anomalous, Some("masks/2.png")),
        ],
        left_out: &[],
    },
    Tree {
        name: "kvasir-seg",
        published: Some("Kvasir"),
        open: "",
        layout: Layout::ImagesMasks,
        files: &[
            ("kavsir_bboxes.json", Text("{}")),
            ("images/cju0qkwl.jpg", Photo),
            ("images/cju0qoxq.jpg", Photo),
            ("masks/cju0qkwl.jpg", Mask),
            ("masks/cju0qoxq.jpg", Mask),
        ],
        samples: &[
            ("images/cju0qkwl.jpg", Anomalous, Some("masks/cju0qkwl.jpg")),
            ("images/cju0qoxq.jpg", Anomalous, Some("masks/cju0qoxq.jpg")),
        ],
        left_out: &[],
    },
    Tree {
        name: "head-ct-hemorrhage",
        published: Some("HeadCT"),
        open: "",
        layout: Layout::HeadCt,
        files: &[
            ("labels.csv", Text("id, hemorrhage\n0,1\n1,1\n100,0\n")),
            ("head_ct/head_ct/000.png", Photo),
            ("head_ct/head_ct/001.png", Photo),
            ("head_ct/head_ct/100.png", Photo),
        ],
        samples: &[
            ("head_ct/head_ct/000.png", Anomalous, None),
            ("head_ct/head_ct/001.png", Anomalous, None),
            ("head_ct/head_ct/100.png", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "HeadCT_anomaly_detection",
        published: Some("HeadCT"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("brain/test/good/100.png", Photo),
            ("brain/test/defect/000.png", Photo),
        ],
        samples: &[
            ("brain/test/defect/000.png", Anomalous, None),
            ("brain/test/good/100.png", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "BrainMRI",
        published: Some("BrainMRI"),
        open: "",
        layout: Layout::YesNo,
        files: &[
            ("yes/Y1.jpg", Photo),
            ("yes/Y10.JPG", Photo),
            ("no/1 no.jpeg", Photo),
            ("no/N1.png", Photo),
            ("brain_tumor_dataset/yes/Y1.jpg", Photo),
            ("brain_tumor_dataset/no/N1.png", Photo),
        ],
        samples: &[
            ("no/1 no.jpeg", Normal, None),
            ("no/N1.png", Normal, None),
            ("yes/Y1.jpg", Anomalous, None),
            ("yes/Y10.JPG", Anomalous, None),
        ],
        left_out: &["brain_tumor_dataset"],
    },
    Tree {
        name: "Br35H",
        published: Some("Br35H"),
        open: "",
        layout: Layout::YesNo,
        files: &[
            ("yes/y0.jpg", Photo),
            ("no/no0.jpg", Photo),
            ("pred/pred0.jpg", Photo),
            ("Br35H-Mask-RCNN/TRAIN/y0.jpg", Photo),
            ("meta.json", Text("{\"train\": {}, \"test\": {}}")),
        ],
        samples: &[
            ("no/no0.jpg", Normal, None),
            ("yes/y0.jpg", Anomalous, None),
        ],
        left_out: &["Br35H-Mask-RCNN", "pred"],
    },
    Tree {
        name: "EndoTect_2020_Segmentation_Test_Dataset",
        published: Some("Endo"),
        open: "",
        layout: Layout::ImagesMasks,
        files: &[
            ("images/0aa7.jpg", Photo),
            ("images/1b2c.jpg", Photo),
            ("masks/0aa7.jpg", Mask),
            ("masks/1b2c.jpg", Mask),
        ],
        samples: &[
            ("images/0aa7.jpg", Anomalous, Some("masks/0aa7.jpg")),
            ("images/1b2c.jpg", Anomalous, Some("masks/1b2c.jpg")),
        ],
        left_out: &[],
    },
    Tree {
        name: "endo-meta",
        published: Some("Endo"),
        open: "",
        layout: Layout::Meta,
        files: &[
            ("meta.json", Text(META)),
            ("polyps/1.jpg", Photo),
            ("polyps/2.jpg", Photo),
            ("truth/1.jpg", Mask),
            ("truth/2.jpg", Mask),
        ],
        samples: &[
            ("polyps/1.jpg", Anomalous, Some("truth/1.jpg")),
            ("polyps/2.jpg", Anomalous, Some("truth/2.jpg")),
        ],
        left_out: &[],
    },
    Tree {
        name: "own-folder",
        published: None,
        open: "",
        layout: Layout::Folder,
        files: &[
            ("good/1.png", Photo),
            ("dent/1.png", Photo),
            ("dent/2.png", Photo),
            ("masks/dent/1.png", Mask),
            ("masks/dent/2_mask.png", Mask),
        ],
        samples: &[
            ("dent/1.png", Anomalous, Some("masks/dent/1.png")),
            ("dent/2.png", Anomalous, Some("masks/dent/2_mask.png")),
            ("good/1.png", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "own-table",
        published: None,
        open: "parts.csv",
        layout: Layout::Csv,
        files: &[
            (
                "parts.csv",
                Text("image;label;mask\nphotos/1.png;ok;\nphotos/2.png;ng;truth/x.png\n"),
            ),
            ("photos/1.png", Photo),
            ("photos/2.png", Photo),
            ("truth/x.png", Mask),
        ],
        samples: &[
            ("photos/1.png", Normal, None),
            ("photos/2.png", Anomalous, Some("truth/x.png")),
        ],
        left_out: &[],
    },
    Tree {
        name: "own-lines",
        published: None,
        open: "parts.jsonl",
        layout: Layout::Jsonl,
        files: &[
            ("parts.jsonl", Text(LINES)),
            ("photos/1.png", Photo),
            ("photos/2.png", Photo),
            ("photos/3.png", Photo),
            ("truth/x.png", Mask),
        ],
        samples: &[
            ("photos/1.png", Normal, None),
            ("photos/2.png", Anomalous, Some("truth/x.png")),
            ("photos/3.png", Normal, None),
        ],
        left_out: &[],
    },
];

const LINES: &str = r#"{"image": "photos/1.png", "label": "normal"}
{"image": "photos/2.png", "label": 1, "mask": "truth/x.png", "category": "nut", "defect": "scratch"}

{"image": "photos/3.png", "label": false, "category": "nut"}
"#;

const META: &str = r#"{"train": {}, "test": {"colon": [
    {"img_path": "polyps/1.jpg", "mask_path": "truth/1.jpg",
     "cls_name": "colon", "specie_name": "", "anomaly": 1},
    {"img_path": "/remote/author/Endo/polyps/2.jpg", "mask_path": "/remote/author/Endo/truth/2.jpg",
     "cls_name": "colon", "specie_name": "", "anomaly": 1}]}}"#;
