//! All pixel metrics of one category, from maps that arrive one at a time, in bounded memory.

use std::path::Path;

use rayon::prelude::*;

use super::ap::AveragePrecision;
use super::auroc::Auroc;
use super::curve::{Curves, PrecisionRecall, Pro, Roc};
use super::error::{MetricError, all_finite};
use super::f1::{BestF1, F1};
use super::key;
use super::pro::{AUPRO_LIMIT, Aupro, checked_limit};
use super::pro_200::Aupro200;
use super::ranking::{Ranking, Reading, Samples, Step, Totals, range};
use super::regions::label_regions;

/// The anomaly map of one image and its ground truth, both `[H, W]` row by row.
#[derive(Clone, Copy, Debug)]
pub struct PixelMap<'a> {
    /// Finite anomaly scores, higher is more anomalous.
    pub scores: &'a [f32],
    /// Nonzero on defects; all zero for a normal image.
    pub mask: &'a [u8],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The memory in bytes that [`PixelMetrics`] keep to unless told otherwise: room for 67 million normal
/// pixels, or 250 maps of 518×518, before anything is written to a file.
pub const PIXEL_MEMORY: usize = 512 << 20;

/// Pixels collected so far: four bytes for each normal one, eight for each anomalous one. Images
/// may differ in size.
///
/// However many there are, they and the work on them take no more memory than was allowed, beside some
/// 50 bytes for each region: what goes beyond is sorted and written to a temporary file without a name,
/// which the system removes when the process ends, however it ends. The results are the same to the last
/// bit.
#[derive(Debug)]
pub struct PixelMetrics {
    limit: f64,
    ranking: Ranking,
}

/// Every pixel metric of a set of images; `None` where undefined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelScores {
    /// As [`auroc`](super::auroc), over all pixels of all images, normal images included.
    pub auroc: Option<f64>,
    /// As [`average_precision`](super::average_precision), over the same pixels.
    pub average_precision: Option<f64>,
    /// As [`f1_max`](super::f1_max), over the same pixels.
    pub f1_max: Option<F1>,
    /// As [`aupro`](super::aupro).
    pub aupro: Option<f64>,
    /// As [`aupro_200`](super::aupro_200).
    pub aupro_200: Option<f64>,
    /// Connected defects over all images.
    pub regions: usize,
    /// Pixels on a defect.
    pub anomalous: usize,
    /// Pixels outside every defect.
    pub normal: usize,
}

impl PixelScores {
    /// What was counted, and no metric yet.
    pub(super) fn undefined(regions: usize, anomalous: usize, normal: usize) -> Self {
        Self {
            auroc: None,
            average_precision: None,
            f1_max: None,
            aupro: None,
            aupro_200: None,
            regions,
            anomalous,
            normal,
        }
    }
}

impl Default for PixelMetrics {
    fn default() -> Self {
        Self::within(PIXEL_MEMORY, None)
    }
}

impl PixelMetrics {
    /// Starts with no pixel, [`AUPRO_LIMIT`] and [`PIXEL_MEMORY`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with no pixel, and another limit on the false positive rate of [`PixelScores::aupro`].
    ///
    /// # Errors
    /// A limit in `(0, 1]` is expected.
    pub fn with_limit(limit: f64) -> Result<Self, MetricError> {
        Ok(Self {
            limit: checked_limit(limit)?,
            ..Self::default()
        })
    }

    /// Starts with no pixel and keeps to `memory` bytes; beyond them there is a temporary file in
    /// `folder`, or in the system's folder for such files.
    ///
    /// The bound holds for pixels of up to `memory² / 12 KiB` bytes: from 4 MiB on for any dataset of
    /// the field. With less, reading many short runs side by side takes somewhat more.
    pub fn within(memory: usize, folder: Option<&Path>) -> Self {
        Self {
            limit: AUPRO_LIMIT,
            ranking: Ranking::new(memory, folder),
        }
    }

    /// Collects from a slice of maps.
    pub(super) fn of(maps: &[PixelMap<'_>]) -> Result<Self, MetricError> {
        let mut metrics = Self::new();
        metrics.push_all(maps)?;
        Ok(metrics)
    }

    /// Adds one image; on an error nothing is added.
    ///
    /// # Errors
    /// Scores and mask of `height * width` values are expected, and finite scores.
    /// [`MetricError::Spill`] if the temporary file cannot be written: no metric can be had then.
    pub fn push(&mut self, map: PixelMap<'_>) -> Result<(), MetricError> {
        self.ranking.add(samples(&map)?)
    }

    /// Adds images, as [`PixelMetrics::push`] one after the other would; their regions are found side by
    /// side. On an error none is added.
    ///
    /// # Errors
    /// As [`PixelMetrics::push`], for the first image that is at fault.
    pub fn push_all(&mut self, maps: &[PixelMap<'_>]) -> Result<(), MetricError> {
        for maps in maps.chunks(2 * rayon::current_num_threads()) {
            let all: Vec<_> = maps.par_iter().map(samples).collect();
            let all: Vec<Samples> = all.into_iter().collect::<Result<_, _>>()?;
            for samples in all {
                self.ranking.add(samples)?;
            }
        }
        Ok(())
    }

    /// Sorted runs in the temporary file so far, and their bytes: 0 while memory is enough.
    pub fn spilled(&self) -> (usize, u64) {
        self.ranking.spilled()
    }

    /// Sorts the pixels and reads every metric off their order, in one pass.
    ///
    /// # Errors
    /// [`MetricError::Spill`] if the temporary file cannot be written or read.
    pub fn finish(self) -> Result<PixelScores, MetricError> {
        Ok(self.measure(None)?.0)
    }

    /// [`PixelMetrics::finish`], and in the same pass the pixel curves with at most `most` points each;
    /// the curves of images are `None`.
    ///
    /// # Errors
    /// As [`PixelMetrics::finish`].
    pub fn finish_with_curves(self, most: usize) -> Result<(PixelScores, Curves), MetricError> {
        self.measure(Some(most))
    }

    fn measure(self, most: Option<usize>) -> Result<(PixelScores, Curves), MetricError> {
        let limit = self.limit;
        let (anomalous, normal) = self.ranking.len();
        let mut scores = PixelScores::undefined(self.ranking.regions(), anomalous, normal);
        let mut curves = Curves::default();
        let begin = |totals: &Totals<'_>| All::new(totals, limit, most);
        if let Some(all) = self.read(Aupro200::stops, begin)? {
            scores.auroc = Some(all.auroc.value());
            scores.average_precision = Some(all.average_precision.value());
            scores.f1_max = Some(all.f1.value());
            scores.aupro = Some(all.aupro.value());
            scores.aupro_200 = all.aupro_200.value();
            if let Some((roc, precision_recall, pro)) = all.curves {
                curves.pixel_roc = Some(roc.curve());
                curves.pixel_precision_recall = Some(precision_recall.curve());
                curves.pro = Some(pro.curve());
            }
        }
        Ok((scores, curves))
    }

    /// Reads something off the order of the pixels.
    pub(super) fn read<R: Reading>(
        self,
        stops: impl FnOnce(&Totals<'_>) -> Vec<f64>,
        begin: impl FnOnce(&Totals<'_>) -> R,
    ) -> Result<Option<R>, MetricError> {
        self.ranking.read(stops, begin)
    }
}

/// Refuses scores that do not fill their image or are not finite.
pub(super) fn checked(map: &PixelMap<'_>) -> Result<(), MetricError> {
    if map.scores.len() != map.height * map.width {
        return Err(MetricError::Shape {
            what: "scores",
            found: map.scores.len(),
            height: map.height,
            width: map.width,
        });
    }
    all_finite(map.scores)
}

/// Checks a map, finds its regions and parts its pixels.
fn samples(map: &PixelMap<'_>) -> Result<Samples, MetricError> {
    checked(map)?;
    let PixelMap {
        scores,
        mask,
        height,
        width,
    } = *map;
    let regions = label_regions(mask, height, width)?;
    let anomalous = regions.areas.iter().sum();
    let mut positives = Vec::with_capacity(anomalous);
    let mut negatives = Vec::with_capacity(scores.len() - anomalous);
    for (&score, &label) in scores.iter().zip(&regions.labels) {
        match label {
            0 => negatives.push(key::of_score(score)),
            _ => positives.push(key::of_positive(score, label - 1)),
        }
    }
    Ok(Samples {
        positives,
        negatives,
        areas: regions.areas,
        range: range(scores),
    })
}

/// All metrics in the making, and the curves if they are asked for.
struct All {
    auroc: Auroc,
    average_precision: AveragePrecision,
    f1: BestF1,
    aupro: Aupro,
    aupro_200: Aupro200,
    curves: Option<(Roc, PrecisionRecall, Pro)>,
}

impl All {
    fn new(totals: &Totals<'_>, limit: f64, most: Option<usize>) -> Self {
        Self {
            auroc: Auroc::new(totals),
            average_precision: AveragePrecision::new(totals),
            f1: BestF1::new(totals),
            aupro: Aupro::new(totals, limit),
            aupro_200: Aupro200::new(totals),
            curves: most.map(|most| {
                (
                    Roc::new(totals, most),
                    PrecisionRecall::new(totals, most),
                    Pro::new(totals, limit, most),
                )
            }),
        }
    }
}

impl Reading for All {
    fn step(&mut self, step: &Step<'_>) {
        self.auroc.step(step);
        self.average_precision.step(step);
        self.f1.step(step);
        self.aupro.step(step);
        self.aupro_200.step(step);
        if let Some((roc, precision_recall, pro)) = &mut self.curves {
            roc.step(step);
            precision_recall.step(step);
            pro.step(step);
        }
    }

    fn stop(&mut self, fp: usize) {
        self.aupro_200.stop(fp);
    }
}
