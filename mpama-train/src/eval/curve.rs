//! The curves behind the areas, with few enough points to be drawn.

use serde::{Deserialize, Serialize};

use super::error::MetricError;
use super::pixels::{PixelMap, PixelMetrics};
use super::pro::checked_limit;
use super::ranking::{Ranking, Reading, Step, Totals};

/// Points `[x, y]` to be joined by straight lines; `x` never falls.
///
/// Every point lies on the exact curve. Points are left out that lie close to one that is kept: along
/// the axes, within 4 over the number of points asked for, or somewhat more where precision goes up and
/// down.
pub type Curve = Vec<[f64; 2]>;

/// The curves of one category; `None` where the metric of the same name is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// [`roc_curve`] of image scores.
    pub image_roc: Option<Curve>,
    /// [`precision_recall_curve`] of image scores.
    pub image_precision_recall: Option<Curve>,
    /// [`roc_curve`] of pixels.
    pub pixel_roc: Option<Curve>,
    /// [`precision_recall_curve`] of pixels.
    pub pixel_precision_recall: Option<Curve>,
    /// [`pro_curve`].
    pub pro: Option<Curve>,
}

/// Recall over false positive rate, from `[0, 0]` to `[1, 1]`, of at most `most` points, though never
/// fewer than two. The area below is [`auroc`](super::auroc), but for what leaving points out costs.
/// `None` unless both classes are present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn roc_curve(
    scores: &[f32],
    labels: &[bool],
    most: usize,
) -> Result<Option<Curve>, MetricError> {
    let read =
        Ranking::of(scores, labels)?.read(|_| Vec::new(), |totals| Roc::new(totals, most))?;
    Ok(read.map(Roc::curve))
}

/// Precision over recall as stairs, each step as high as the precision where its recall is reached:
/// the area below is [`average_precision`](super::average_precision), but for what leaving points out
/// costs. Of at most `most` points, though never fewer than two. `None` unless both classes are
/// present.
///
/// # Errors
/// As many labels as scores are expected, and finite scores.
pub fn precision_recall_curve(
    scores: &[f32],
    labels: &[bool],
    most: usize,
) -> Result<Option<Curve>, MetricError> {
    let begin = |totals: &Totals<'_>| PrecisionRecall::new(totals, most);
    let read = Ranking::of(scores, labels)?.read(|_| Vec::new(), begin)?;
    Ok(read.map(PrecisionRecall::curve))
}

/// Mean recall of the regions over false positive rate, from 0 to `limit`: the area below, over
/// `limit`, is [`aupro`](super::aupro), but for what leaving points out costs. Of at most `most`
/// points, though never fewer than two. `None` without a region or without a normal pixel.
///
/// # Errors
/// Finite scores, slices that fill their images and a limit in `(0, 1]` are expected.
pub fn pro_curve(
    maps: &[PixelMap<'_>],
    limit: f64,
    most: usize,
) -> Result<Option<Curve>, MetricError> {
    let limit = checked_limit(limit)?;
    let begin = |totals: &Totals<'_>| Pro::new(totals, limit, most);
    let read = PixelMetrics::of(maps)?.read(|_| Vec::new(), begin)?;
    Ok(read.map(Pro::curve))
}

/// [`roc_curve`] in the making.
pub(super) struct Roc {
    positives: f64,
    negatives: f64,
    points: Thinned,
}

impl Roc {
    pub(super) fn new(totals: &Totals<'_>, most: usize) -> Self {
        let mut points = Thinned::new(most);
        points.push([0.0, 0.0]);
        Self {
            positives: totals.positives as f64,
            negatives: totals.negatives as f64,
            points,
        }
    }

    pub(super) fn curve(mut self) -> Curve {
        self.points.push([1.0, 1.0]);
        self.points.finish()
    }
}

impl Reading for Roc {
    fn step(&mut self, step: &Step<'_>) {
        let before = step.tp - step.reached;
        for (fp, tp) in [(step.fp_above, before), (step.fp, step.tp)] {
            let (rate, recall) = (fp as f64 / self.negatives, tp as f64 / self.positives);
            self.points.push([rate, recall]);
        }
    }
}

/// [`precision_recall_curve`] in the making.
pub(super) struct PrecisionRecall {
    positives: f64,
    points: Thinned,
}

impl PrecisionRecall {
    pub(super) fn new(totals: &Totals<'_>, most: usize) -> Self {
        Self {
            positives: totals.positives as f64,
            points: Thinned::new(most),
        }
    }

    pub(super) fn curve(self) -> Curve {
        self.points.finish()
    }
}

impl Reading for PrecisionRecall {
    fn step(&mut self, step: &Step<'_>) {
        let precision = step.tp as f64 / (step.tp + step.fp) as f64;
        for tp in [step.tp - step.reached, step.tp] {
            self.points.push([tp as f64 / self.positives, precision]);
        }
    }
}

/// [`pro_curve`] in the making.
pub(super) struct Pro {
    limit: f64,
    negatives: f64,
    /// What a pixel of each region lifts the mean recall by.
    shares: Vec<f64>,
    overlap: f64,
    /// The last point, unless the curve has reached its limit.
    last: Option<[f64; 2]>,
    points: Thinned,
}

impl Pro {
    pub(super) fn new(totals: &Totals<'_>, limit: f64, most: usize) -> Self {
        let regions = totals.areas.len() as f64;
        let shares = totals
            .areas
            .iter()
            .map(|&area| 1.0 / (area as f64 * regions));
        let mut pro = Self {
            limit,
            negatives: totals.negatives as f64,
            shares: shares.collect(),
            overlap: 0.0,
            last: Some([0.0, 0.0]),
            points: Thinned::new(most),
        };
        pro.push([0.0, 0.0]);
        pro
    }

    /// A point of the whole curve; the one that crosses the limit is put on it.
    fn push(&mut self, [x, y]: [f64; 2]) {
        let Some(last) = self.last else { return };
        if x <= self.limit {
            self.last = Some([x, y]);
            self.points.push([x, y]);
        } else {
            let along = (self.limit - last[0]) / (x - last[0]);
            self.points
                .push([self.limit, last[1] + along * (y - last[1])]);
            self.last = None;
        }
    }

    pub(super) fn curve(mut self) -> Curve {
        self.push([1.0, 1.0]);
        self.points.finish()
    }
}

impl Reading for Pro {
    fn step(&mut self, step: &Step<'_>) {
        if self.last.is_none() {
            return;
        }
        let before = self.overlap;
        for &(region, pixels) in step.regions {
            self.overlap += f64::from(pixels) * self.shares[region as usize];
        }
        self.push([step.fp_above as f64 / self.negatives, before]);
        self.push([step.fp as f64 / self.negatives, self.overlap.min(1.0)]);
    }
}

/// A curve with at most `most` of its points, at least two: the first, the last, and those at which it
/// has moved on. Points come one by one and only those that are kept are held.
struct Thinned {
    most: usize,
    spaced: Spaced,
}

impl Thinned {
    fn new(most: usize) -> Self {
        let most = most.max(2);
        // A rising curve within the unit square is at most 2 long, and two points are kept at most for
        // every `apart` of it.
        let spaced = Spaced::new(4.0 / most as f64);
        Self { most, spaced }
    }

    fn push(&mut self, point: [f64; 2]) {
        self.spaced.push(point);
    }

    fn finish(self) -> Curve {
        let mut apart = self.spaced.apart;
        let mut curve = self.spaced.finish();
        while curve.len() > self.most {
            apart *= 1.25; // precision goes up and down
            let mut spaced = Spaced::new(apart);
            curve.into_iter().for_each(|point| spaced.push(point));
            curve = spaced.finish();
        }
        curve
    }
}

/// The points that are further than `apart` from the one kept before them, along the axes, and those
/// just before such a leap: a corner stays a corner.
struct Spaced {
    apart: f64,
    kept: Curve,
    pending: Option<[f64; 2]>,
}

impl Spaced {
    fn new(apart: f64) -> Self {
        Self {
            apart,
            kept: Vec::new(),
            pending: None,
        }
    }

    fn push(&mut self, point: [f64; 2]) {
        let Some(&last) = self.kept.last() else {
            self.kept.push(point);
            return;
        };
        let mut far = distance(last, point) > self.apart;
        if let (true, Some(corner)) = (far, self.pending.take()) {
            self.kept.push(corner);
            far = distance(corner, point) > self.apart;
        }
        if far {
            self.kept.push(point);
        } else {
            self.pending = (self.kept.last() != Some(&point)).then_some(point);
        }
    }

    fn finish(mut self) -> Curve {
        self.kept.extend(self.pending);
        self.kept
    }
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).abs() + (a[1] - b[1]).abs()
}
