//! The results of an evaluation: plain data.

use serde::{Deserialize, Serialize};

use mpama_datasets::Label;

use super::curve::Curves;

/// An adapter measured on a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the dataset.
    pub dataset: String,
    /// Hash of its index: which images, labels and masks.
    pub index_hash: String,
    /// Mask values above it counted as anomalous.
    #[serde(default)]
    pub mask_threshold: u8,
    /// Height and width in pixels at which maps and masks were compared.
    pub map_size: (usize, usize),
    /// Standard deviation of the Gaussian over the maps, in pixels; 0 is none.
    pub sigma: f64,
    /// One entry per category, sorted by name.
    pub categories: Vec<CategoryReport>,
    /// Unweighted mean over the categories in which a metric is defined.
    pub mean: Scores,
    /// Images that could not be read, and are in no other number.
    pub failures: Vec<Failure>,
    /// Time the whole took.
    pub seconds: f64,
    /// Every image, if asked for, in the order of ids.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub images: Option<Vec<ImageResult>>,
}

/// The results of one category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryReport {
    /// Its name.
    pub category: String,
    /// Normal images that were scored.
    pub normal: usize,
    /// Anomalous images that were scored.
    pub anomalous: usize,
    /// Anomalous images among them whose mask is unknown. If there is one, pixel metrics are
    /// undefined: its defect would count as normal.
    pub without_mask: usize,
    /// Connected defects in the masks.
    pub regions: usize,
    /// The metrics.
    pub scores: Scores,
    /// The image score at which [`Scores::image_f1_max`] is reached.
    pub image_f1_threshold: Option<f32>,
    /// The curves, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub curves: Option<Curves>,
    /// Time the category took.
    pub seconds: f64,
}

/// Metrics as fractions; `None` where one is undefined, as with images of one label only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Area under the ROC curve of image scores.
    pub image_auroc: Option<f64>,
    /// Average precision of image scores.
    pub image_ap: Option<f64>,
    /// Best F1 of image scores.
    pub image_f1_max: Option<f64>,
    /// Area under the ROC curve of pixels.
    pub pixel_auroc: Option<f64>,
    /// Average precision of pixels.
    pub pixel_ap: Option<f64>,
    /// Best F1 of pixels.
    pub pixel_f1_max: Option<f64>,
    /// Area under the per-region-overlap curve up to a false-positive rate of 0.3, exact.
    pub aupro: Option<f64>,
    /// The same by the 200 thresholds of the field's code, which the paper's tables use.
    pub aupro_200: Option<f64>,
}

/// An image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its id.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// One scored image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageResult {
    /// Its id.
    pub id: String,
    /// Its category.
    pub category: String,
    /// The truth.
    pub label: Label,
    /// Its score in [0, 1].
    pub score: f32,
}

impl Scores {
    /// Each metric's mean over those of `all` in which it is defined.
    pub fn mean(all: &[Scores]) -> Scores {
        let mean = |metric: fn(&Scores) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(metric).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        Scores {
            image_auroc: mean(|s| s.image_auroc),
            image_ap: mean(|s| s.image_ap),
            image_f1_max: mean(|s| s.image_f1_max),
            pixel_auroc: mean(|s| s.pixel_auroc),
            pixel_ap: mean(|s| s.pixel_ap),
            pixel_f1_max: mean(|s| s.pixel_f1_max),
            aupro: mean(|s| s.aupro),
            aupro_200: mean(|s| s.aupro_200),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_skips_what_is_undefined() {
        let a = Scores {
            image_auroc: Some(0.5),
            aupro: Some(0.2),
            ..Scores::default()
        };
        let b = Scores {
            image_auroc: Some(1.0),
            ..Scores::default()
        };
        let mean = Scores::mean(&[a, b]);
        assert_eq!(
            (mean.image_auroc, mean.aupro, mean.pixel_ap),
            (Some(0.75), Some(0.2), None)
        );
        assert_eq!(Scores::mean(&[]), Scores::default());
    }
}
