//! The results of an evaluation: plain data.

use serde::{Deserialize, Serialize};

use mpama_datasets::Label;

use super::binned::PixelBounds;
use super::cost::Cost;
use super::curve::Curves;
use super::scales::ScaleScores;
use super::usage::{ExpertUse, PerceptionUse};

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
    /// Whether they were compared at the size of each image's file instead.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub original_size: bool,
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
    /// The numbers behind the paper's figures 4 and 5 and table 7, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub figures: Option<Figures>,
    /// If pixels were counted in bins: what the exact pixel metrics lie between, as the mean has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bounds: Option<PixelBounds>,
}

/// What the paper's figures 4 and 5 and its table 7 show, over a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Pixel metrics by the size of the defect, smallest first: means over the categories. Empty if no
    /// image has a defect of known size.
    pub scales: Vec<ScaleScores>,
    /// How often each expert was used; empty if the adapter has none.
    pub experts: Vec<ExpertUse>,
    /// The same perception level by perception level, finest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub perceptions: Vec<PerceptionUse>,
    /// What predicting cost.
    pub cost: Option<Cost>,
}

/// The same over a category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryFigures {
    /// Pixel metrics by the size of the defect; the sizes are parted over the whole dataset.
    pub scales: Vec<ScaleScores>,
    /// How often each expert was used.
    pub experts: Vec<ExpertUse>,
    /// The same perception level by perception level, finest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub perceptions: Vec<PerceptionUse>,
    /// Time in the model, in seconds.
    pub predict_seconds: f64,
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
    /// The numbers behind the paper's figures, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub figures: Option<CategoryFigures>,
    /// If pixels were counted in bins: what the exact pixel metrics lie between.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bounds: Option<PixelBounds>,
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
        Self::each(all, |values| (!values.is_empty()).then(|| mean(values)))
    }

    /// Each metric's standard deviation over those of `all` in which it is defined, with their number less
    /// one as divisor; `None` for fewer than two.
    pub fn deviation(all: &[Scores]) -> Scores {
        Self::each(all, |values| {
            let mean = mean(values);
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
        })
    }

    /// One number from all defined values of each metric.
    fn each(all: &[Scores], of: impl Fn(&[f64]) -> Option<f64>) -> Scores {
        let of = |metric: fn(&Scores) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(metric).collect();
            of(&values)
        };
        Scores {
            image_auroc: of(|s| s.image_auroc),
            image_ap: of(|s| s.image_ap),
            image_f1_max: of(|s| s.image_f1_max),
            pixel_auroc: of(|s| s.pixel_auroc),
            pixel_ap: of(|s| s.pixel_ap),
            pixel_f1_max: of(|s| s.pixel_f1_max),
            aupro: of(|s| s.aupro),
            aupro_200: of(|s| s.aupro_200),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let scores = [0.2, 0.4, 0.9].map(|value| Scores {
            pixel_auroc: Some(value),
            ..Scores::default()
        });
        let found = Scores::deviation(&scores).pixel_auroc;
        // numpy.std([0.2, 0.4, 0.9], ddof=1)
        assert!(found.is_some_and(|std| (std - 0.360_555_127_546_398_9).abs() < 1e-15));
        assert_eq!(Scores::deviation(&scores[..1]), Scores::default());
    }

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
