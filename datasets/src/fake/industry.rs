//! Datasets of made things.

use super::trees::Content::{Black, ClassId, Mask, Photo, Text};
use super::trees::Tree;
use crate::Label::{Anomalous, Normal};
use crate::Layout;

pub(super) const TREES: [Tree; 9] = [
    Tree {
        name: "mvtec",
        published: Some("MVTec AD"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("license.txt", Text("a licence")),
            ("bottle/train/good/000.png", Photo),
            ("bottle/test/good/000.png", Photo),
            ("bottle/test/broken_large/000.png", Photo),
            ("bottle/test/broken_large/001.png", Photo),
            ("bottle/ground_truth/broken_large/000_mask.png", Mask),
            ("bottle/ground_truth/broken_large/001_mask.png", Mask),
            ("zipper/test/good/000.png", Photo),
        ],
        samples: &[
            (
                "bottle/test/broken_large/000.png",
                Anomalous,
                Some("bottle/ground_truth/broken_large/000_mask.png"),
            ),
            (
                "bottle/test/broken_large/001.png",
                Anomalous,
                Some("bottle/ground_truth/broken_large/001_mask.png"),
            ),
            ("bottle/test/good/000.png", Normal, None),
            ("zipper/test/good/000.png", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "VisA_20220922",
        published: Some("VisA"),
        open: "",
        layout: Layout::Visa,
        files: &[
            ("split_csv/1cls.csv", Text(VISA)),
            ("candle/image_anno.csv", Text("image,label,mask\n")),
            ("candle/Data/Images/Normal/0000.JPG", Photo),
            ("candle/Data/Images/Normal/0001.JPG", Photo),
            ("candle/Data/Images/Anomaly/000.JPG", Photo),
            ("candle/Data/Images/Anomaly/001.JPG", Photo),
            ("candle/Data/Masks/Anomaly/000.png", ClassId),
            ("candle/Data/Masks/Anomaly/001.png", ClassId),
        ],
        samples: &[
            (
                "candle/Data/Images/Anomaly/000.JPG",
                Anomalous,
                Some("candle/Data/Masks/Anomaly/000.png"),
            ),
            (
                "candle/Data/Images/Anomaly/001.JPG",
                Anomalous,
                Some("candle/Data/Masks/Anomaly/001.png"),
            ),
            ("candle/Data/Images/Normal/0000.JPG", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "visa-1cls",
        published: Some("VisA"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("pcb1/train/good/0001.JPG", Photo),
            ("pcb1/test/good/0000.JPG", Photo),
            ("pcb1/test/bad/000.JPG", Photo),
            ("pcb1/ground_truth/bad/000.png", ClassId),
        ],
        samples: &[
            (
                "pcb1/test/bad/000.JPG",
                Anomalous,
                Some("pcb1/ground_truth/bad/000.png"),
            ),
            ("pcb1/test/good/0000.JPG", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "MPDD",
        published: Some("MPDD"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("tubes/test/good/000.png", Photo),
            ("tubes/test/anomalous/000.png", Photo),
            ("tubes/ground_truth/anomalous/000_mask.png", Mask),
        ],
        samples: &[
            (
                "tubes/test/anomalous/000.png",
                Anomalous,
                Some("tubes/ground_truth/anomalous/000_mask.png"),
            ),
            ("tubes/test/good/000.png", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "BTech_Dataset_transformed",
        published: Some("BTAD"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("01/test/ok/0000.bmp", Photo),
            ("01/test/ko/0000.bmp", Photo),
            ("01/ground_truth/ko/0000.png", Mask),
            ("03/test/ok/0000.bmp", Photo),
            ("03/test/ko/0000.bmp", Photo),
            ("03/ground_truth/ko/0000.bmp", Mask),
        ],
        samples: &[
            (
                "01/test/ko/0000.bmp",
                Anomalous,
                Some("01/ground_truth/ko/0000.png"),
            ),
            ("01/test/ok/0000.bmp", Normal, None),
            (
                "03/test/ko/0000.bmp",
                Anomalous,
                Some("03/ground_truth/ko/0000.bmp"),
            ),
            ("03/test/ok/0000.bmp", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "KolektorSDD",
        published: Some("SDD"),
        open: "",
        layout: Layout::Kolektor,
        files: &[
            ("kos01/Part0.jpg", Photo),
            ("kos01/Part0_label.bmp", Black),
            ("kos01/Part1.jpg", Photo),
            ("kos01/Part1_label.bmp", Mask),
            ("kos02/Part0.jpg", Photo),
            ("kos02/Part0_label.bmp", ClassId),
        ],
        samples: &[
            ("kos01/Part0.jpg", Normal, None),
            ("kos01/Part1.jpg", Anomalous, Some("kos01/Part1_label.bmp")),
            ("kos02/Part0.jpg", Anomalous, Some("kos02/Part0_label.bmp")),
        ],
        left_out: &[],
    },
    Tree {
        name: "SDD_anomaly_detection",
        published: Some("SDD"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("electrical commutators/test/good/000.png", Photo),
            ("electrical commutators/test/defect/000.png", Photo),
            ("electrical commutators/ground_truth/defect/000.png", Mask),
        ],
        samples: &[
            (
                "electrical commutators/test/defect/000.png",
                Anomalous,
                Some("electrical commutators/ground_truth/defect/000.png"),
            ),
            ("electrical commutators/test/good/000.png", Normal, None),
        ],
        left_out: &[],
    },
    Tree {
        name: "DAGM_KaggleUpload",
        published: Some("DAGM"),
        open: "",
        layout: Layout::Dagm,
        files: &[
            ("Class1/Train/0001.PNG", Photo),
            ("Class1/Train/Label/0001_label.PNG", Mask),
            ("Class1/Test/0576.PNG", Photo),
            ("Class1/Test/0577.PNG", Photo),
            ("Class1/Test/0578.PNG", Photo),
            ("Class1/Test/Label/0577_label.PNG", Mask),
            ("Class1/Test/Label/0578_label.PNG", Mask),
            (
                "Class1/Test/Label/Labels.txt",
                Text(
                    "1\n576 0 0576.PNG 0 0\n577 1 0577.PNG 0 0577_label.PNG\n578 1 0578.PNG 0 0578_label.PNG\n",
                ),
            ),
        ],
        samples: &[
            ("Class1/Test/0576.PNG", Normal, None),
            (
                "Class1/Test/0577.PNG",
                Anomalous,
                Some("Class1/Test/Label/0577_label.PNG"),
            ),
            (
                "Class1/Test/0578.PNG",
                Anomalous,
                Some("Class1/Test/Label/0578_label.PNG"),
            ),
        ],
        left_out: &[],
    },
    Tree {
        name: "DTD-Synthetic",
        published: Some("DTD-Synthetic"),
        open: "",
        layout: Layout::Mvtec,
        files: &[
            ("Woven_001/test/good/000.png", Photo),
            ("Woven_001/test/bad/000.png", Photo),
            ("Woven_001/ground_truth/bad/000_mask.png", Mask),
        ],
        samples: &[
            (
                "Woven_001/test/bad/000.png",
                Anomalous,
                Some("Woven_001/ground_truth/bad/000_mask.png"),
            ),
            ("Woven_001/test/good/000.png", Normal, None),
        ],
        left_out: &[],
    },
];

const VISA: &str = "object,split,label,image,mask\n\
    candle,train,normal,candle/Data/Images/Normal/0001.JPG,\n\
    candle,test,normal,candle/Data/Images/Normal/0000.JPG,\n\
    candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n\
    candle,test,anomaly,candle/Data/Images/Anomaly/001.JPG,candle/Data/Masks/Anomaly/001.png\n";
