//! Pixel metrics from counts in bins: constant memory and no sorting, within bounds that are known.

use serde::{Deserialize, Serialize};

use super::ap::AveragePrecision;
use super::auroc::Auroc;
use super::curve::{Curves, PrecisionRecall, Roc};
use super::error::MetricError;
use super::f1::BestF1;
use super::pixels::{PixelMap, PixelScores, checked};
use super::pro::{AUPRO_LIMIT, share};
use super::ranking::{Reading, Step, Totals};
use super::regions::label_regions;

/// Pixels counted in bins of equal width between 0 and 1; a score outside counts in the nearest bin.
#[derive(Debug)]
pub struct BinnedMetrics {
    bins: Vec<Bin>,
    regions: usize,
    anomalous: usize,
    normal: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    positives: usize,
    negatives: usize,
    /// What the positives lift the sum of all regions' recalls by.
    recall: f64,
}

/// The lowest and the highest value that a metric can have, whatever the order of scores within bins.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Not below.
    pub lowest: f64,
    /// Not above.
    pub highest: f64,
}

/// Bounds of the exact metrics behind binned ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PixelBounds {
    /// Of the area under the ROC curve.
    pub pixel_auroc: Bounds,
    /// Of the average precision.
    pub pixel_ap: Bounds,
    /// Of the best F1.
    pub pixel_f1_max: Bounds,
    /// Of the exact area under the per-region-overlap curve.
    pub aupro: Bounds,
}

impl BinnedMetrics {
    /// Starts with no pixel in so many bins, at least two.
    pub fn new(bins: usize) -> Self {
        Self {
            bins: vec![Bin::default(); bins.max(2)],
            regions: 0,
            anomalous: 0,
            normal: 0,
        }
    }

    /// Counts one image; on an error nothing is counted.
    ///
    /// # Errors
    /// Scores and mask of `height * width` values are expected, and finite scores.
    pub fn push(&mut self, map: PixelMap<'_>) -> Result<(), MetricError> {
        checked(&map)?;
        let regions = label_regions(map.mask, map.height, map.width)?;
        let recalls: Vec<f64> = regions
            .areas
            .iter()
            .map(|&area| 1.0 / area as f64)
            .collect();
        let (last, width) = (self.bins.len() - 1, self.bins.len() as f32);
        for (&score, &label) in map.scores.iter().zip(&regions.labels) {
            // a cast brings what is negative to 0
            let bin = &mut self.bins[((score * width) as usize).min(last)];
            match label {
                0 => bin.negatives += 1,
                label => {
                    bin.positives += 1;
                    bin.recall += recalls[label as usize - 1];
                }
            }
        }
        let anomalous: usize = regions.areas.iter().sum();
        self.anomalous += anomalous;
        self.normal += map.scores.len() - anomalous;
        self.regions += regions.areas.len();
        Ok(())
    }

    /// The metrics as if all scores of a bin were equal, the bounds of the exact ones, and curves of at
    /// most `most` points, none for 0. AUPRO with 200 thresholds is `None`: it does not depend on the
    /// order alone, so that there is no bound; so is its curve.
    pub fn finish(self, most: usize) -> (PixelScores, Option<PixelBounds>, Curves) {
        let mut scores = PixelScores::undefined(self.regions, self.anomalous, self.normal);
        let mut curves = Curves::default();
        if self.anomalous == 0 || self.normal == 0 {
            return (scores, None, curves);
        }
        let totals = Totals {
            positives: self.anomalous,
            negatives: self.normal,
            areas: &[],
            lowest: 0.0,
            highest: 1.0,
        };
        let mut auroc = Auroc::new(&totals);
        let mut precision = AveragePrecision::new(&totals);
        let mut f1 = BestF1::new(&totals);
        let mut drawn =
            (most > 0).then(|| (Roc::new(&totals, most), PrecisionRecall::new(&totals, most)));
        let mut bracket = Bracket::new(&self);
        for (number, bin) in self.bins.iter().enumerate().rev() {
            let step = bracket.step(bin, number as f32 / self.bins.len() as f32);
            if bin.positives > 0 {
                auroc.step(&step);
                precision.step(&step);
                f1.step(&step);
                if let Some((roc, precision_recall)) = &mut drawn {
                    roc.step(&step);
                    precision_recall.step(&step);
                }
            }
        }
        scores.auroc = Some(auroc.value());
        scores.average_precision = Some(precision.value());
        scores.f1_max = Some(f1.value());
        let (aupro, bounds) = bracket.finish(f1.value().value);
        scores.aupro = Some(aupro);
        if let Some((roc, precision_recall)) = drawn {
            curves.pixel_roc = Some(roc.curve());
            curves.pixel_precision_recall = Some(precision_recall.curve());
        }
        (scores, Some(bounds), curves)
    }
}

impl PixelBounds {
    /// Bounds of the means over categories; `None` without a category.
    pub(super) fn mean(all: &[PixelBounds]) -> Option<PixelBounds> {
        let mean = |metric: fn(&PixelBounds) -> Bounds| {
            let sum = |end: fn(Bounds) -> f64| all.iter().map(|b| end(metric(b))).sum::<f64>();
            Bounds {
                lowest: sum(|bounds| bounds.lowest) / all.len() as f64,
                highest: sum(|bounds| bounds.highest) / all.len() as f64,
            }
        };
        (!all.is_empty()).then(|| PixelBounds {
            pixel_auroc: mean(|b| b.pixel_auroc),
            pixel_ap: mean(|b| b.pixel_ap),
            pixel_f1_max: mean(|b| b.pixel_f1_max),
            aupro: mean(|b| b.aupro),
        })
    }
}

/// Best and worst order within bins: all anomalous pixels of a bin first, or all normal ones.
struct Bracket {
    positives: f64,
    negatives: f64,
    regions: f64,
    tp: usize,
    fp: usize,
    auroc: Bounds,
    precision: Bounds,
    best_f1: f64,
    overlap: Bounds,
    middle_overlap: f64,
}

impl Bracket {
    fn new(metrics: &BinnedMetrics) -> Self {
        let none = Bounds {
            lowest: 0.0,
            highest: 0.0,
        };
        Self {
            positives: metrics.anomalous as f64,
            negatives: metrics.normal as f64,
            regions: metrics.regions as f64,
            tp: 0,
            fp: 0,
            auroc: none,
            precision: none,
            best_f1: 0.0,
            overlap: none,
            middle_overlap: 0.0,
        }
    }

    /// The next bin, as a step at its lower edge.
    fn step(&mut self, bin: &Bin, threshold: f32) -> Step<'static> {
        let (fp_above, tp_above) = (self.fp, self.tp);
        self.fp += bin.negatives;
        self.tp += bin.positives;
        let (tp, fp) = (self.tp, self.fp);
        let reached = bin.positives as f64;
        let rate = |fp: usize| fp as f64 / self.negatives;

        self.auroc.highest += reached * (1.0 - rate(fp_above));
        self.auroc.lowest += reached * (1.0 - rate(fp));
        if bin.positives > 0 {
            self.precision.highest += reached * tp as f64 / (tp + fp_above) as f64;
            let one_by_one = (tp_above + 1..=tp).map(|tp| tp as f64 / (tp + fp) as f64);
            self.precision.lowest += one_by_one.sum::<f64>();
            let f1 = 2.0 * tp as f64 / (tp as f64 + fp_above as f64 + self.positives);
            self.best_f1 = self.best_f1.max(f1);
        }
        let (from, to) = (rate(fp_above), rate(fp));
        self.overlap.highest += bin.recall * share(AUPRO_LIMIT, from, from);
        self.overlap.lowest += bin.recall * share(AUPRO_LIMIT, to, to);
        self.middle_overlap += bin.recall * share(AUPRO_LIMIT, from, to);
        Step {
            threshold,
            reached: bin.positives,
            regions: &[],
            tp,
            fp_above,
            fp,
        }
    }

    /// AUPRO and all bounds. The F1 at the edges of bins is reached by real thresholds.
    fn finish(self, f1: f64) -> (f64, PixelBounds) {
        let over = |bounds: Bounds, of: f64| Bounds {
            lowest: bounds.lowest / of,
            highest: bounds.highest / of,
        };
        let bounds = PixelBounds {
            pixel_auroc: over(self.auroc, self.positives),
            pixel_ap: over(self.precision, self.positives),
            pixel_f1_max: Bounds {
                lowest: f1,
                highest: self.best_f1,
            },
            aupro: over(self.overlap, self.regions),
        };
        (self.middle_overlap / self.regions, bounds)
    }
}
