//! Metrics by the size of the defect (figure 4 of the paper).

use serde::{Deserialize, Serialize};

/// Names of the quarters, smallest defects first.
const NAMES: [&str; 4] = ["tiny", "small", "medium", "large"];

/// What separates the quarters of a dataset's anomalous images by their anomalous pixels.
///
/// The paper counts the anomalous pixels of each image and divides the images at the quartiles. It does
/// not say which pixels the metrics of a quarter are taken over; here they are those of its own images,
/// in each category by itself, and the mean over categories follows, as for every other metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quartiles([f64; 3]);

/// The pixel metrics of one quarter; `None` where undefined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleScores {
    /// `tiny`, `small`, `medium` or `large`.
    pub scale: String,
    /// Images in it.
    pub images: usize,
    /// Its largest number of anomalous pixels, at the network's input size; `None` for the last quarter.
    pub most_pixels: Option<f64>,
    /// Area under the ROC curve of the pixels of these images.
    pub pixel_auroc: Option<f64>,
    /// Exact area under the per-region-overlap curve of these images.
    pub aupro: Option<f64>,
}

impl Quartiles {
    /// The quartiles of `counts`, interpolated linearly as NumPy does; images without an anomalous
    /// pixel are left out. `None` if that leaves none.
    pub(super) fn of(mut counts: Vec<usize>) -> Option<Self> {
        counts.retain(|&count| count > 0);
        counts.sort_unstable();
        let last = counts.len().checked_sub(1)?;
        Some(Self([0.25, 0.5, 0.75].map(|q| {
            let place = q * last as f64;
            let (below, above) = (
                counts[place as usize],
                counts[(place as usize + 1).min(last)],
            );
            below as f64 + place.fract() * (above as f64 - below as f64)
        })))
    }

    /// The quarter of an image with so many anomalous pixels, from 0; `None` if it has none.
    pub(super) fn quarter(&self, pixels: usize) -> Option<usize> {
        let above = self.0.iter().filter(|&&most| pixels as f64 > most).count();
        (pixels > 0).then_some(above)
    }

    /// A quarter's results.
    pub(super) fn scores(
        &self,
        quarter: usize,
        images: usize,
        pixel_auroc: Option<f64>,
        aupro: Option<f64>,
    ) -> ScaleScores {
        ScaleScores {
            scale: NAMES[quarter].to_owned(),
            images,
            most_pixels: self.0.get(quarter).copied(),
            pixel_auroc,
            aupro,
        }
    }
}

/// The quarters of a dataset from those of its categories: images in all, metrics as means over the
/// categories in which they are defined.
pub(super) fn mean<'a>(categories: impl Iterator<Item = &'a [ScaleScores]>) -> Vec<ScaleScores> {
    let categories: Vec<&[ScaleScores]> = categories.filter(|all| !all.is_empty()).collect();
    let Some(first) = categories.first() else {
        return Vec::new();
    };
    let quarter = |number: usize| {
        let all = || {
            categories
                .iter()
                .filter_map(move |scales| scales.get(number))
        };
        let mean = |metric: fn(&ScaleScores) -> Option<f64>| {
            let values: Vec<f64> = all().filter_map(metric).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        ScaleScores {
            images: all().map(|scale| scale.images).sum(),
            pixel_auroc: mean(|scale| scale.pixel_auroc),
            aupro: mean(|scale| scale.aupro),
            ..first[number].clone()
        }
    };
    (0..first.len()).map(quarter).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn quarters_are_parted_as_numpy_parts_them() {
        // numpy.percentile([1, 2, 3, 4, 10, 100], [25, 50, 75]) is [2.25, 3.5, 8.5]
        let quartiles = Quartiles::of(vec![100, 0, 4, 1, 3, 2, 10, 0]).unwrap();
        assert_eq!(quartiles, Quartiles([2.25, 3.5, 8.5]));
        let quarters = [0, 1, 2, 3, 4, 10, 100].map(|pixels| quartiles.quarter(pixels));
        let expected = [None, Some(0), Some(0), Some(1), Some(2), Some(3), Some(3)];
        assert_eq!(quarters, expected);
        assert_eq!(Quartiles::of(vec![0, 0]), None);
        assert_eq!(Quartiles::of(vec![7]).unwrap().quarter(7), Some(0));
    }

    #[test]
    fn means_are_over_the_categories_that_have_a_value() {
        let quartiles = Quartiles::of(vec![1, 2, 3, 4]).unwrap();
        let one = [quartiles.scores(0, 3, Some(0.5), None)];
        let two = [quartiles.scores(0, 4, Some(1.0), Some(0.25))];
        let mean = mean([&one[..], &[], &two[..]].into_iter());
        assert_eq!(mean, [quartiles.scores(0, 7, Some(0.75), Some(0.25))]);
    }
}
