//! The curves behind the areas, with few enough points to be drawn.

use serde::{Deserialize, Serialize};

use super::error::MetricError;
use super::pixels::{PixelMap, PixelMetrics};
use super::pro::checked_limit;
use super::ranking::Ranking;

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
    Ok(Ranking::of(scores, labels)?.roc_curve(most))
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
    Ok(Ranking::of(scores, labels)?.precision_recall_curve(most))
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
    Ok(PixelMetrics::of(maps)?.rank().pro_curve(limit, most))
}

impl Ranking {
    pub(super) fn roc_curve(&self, most: usize) -> Option<Curve> {
        let (positives, negatives) = self.counts()?;
        let at =
            |fp: usize, tp: usize| [fp as f64 / negatives as f64, tp as f64 / positives as f64];
        let steps = self.steps().flat_map(|step| {
            [
                at(step.fp_above, step.tp - step.reached.len()),
                at(step.fp, step.tp),
            ]
        });
        let whole = [[0.0, 0.0]].into_iter().chain(steps).chain([[1.0, 1.0]]);
        Some(thinned(whole, most))
    }

    pub(super) fn precision_recall_curve(&self, most: usize) -> Option<Curve> {
        let (positives, _) = self.counts()?;
        let recall = |tp: usize| tp as f64 / positives as f64;
        let stairs = self.steps().flat_map(|step| {
            let precision = step.tp as f64 / (step.tp + step.fp) as f64;
            [
                [recall(step.tp - step.reached.len()), precision],
                [recall(step.tp), precision],
            ]
        });
        Some(thinned(stairs, most))
    }

    pub(super) fn pro_curve(&self, limit: f64, most: usize) -> Option<Curve> {
        let (_, negatives) = self.counts()?;
        let rate = |fp: usize| fp as f64 / negatives as f64;
        let share: Vec<f64> = self
            .areas
            .iter()
            .map(|&area| 1.0 / (area as f64 * self.areas.len() as f64))
            .collect();
        let mut overlap = 0.0;
        let steps = self.steps().flat_map(|step| {
            let before = overlap;
            overlap += step
                .reached
                .iter()
                .map(|pixel| share[pixel.region as usize])
                .sum::<f64>();
            [
                [rate(step.fp_above), before],
                [rate(step.fp), overlap.min(1.0)],
            ]
        });
        let whole = [[0.0, 0.0]].into_iter().chain(steps).chain([[1.0, 1.0]]);
        Some(thinned(cut(whole, limit), most))
    }
}

/// The part of a curve up to `x = limit`, which it is known to reach; it ends there.
fn cut(points: impl Iterator<Item = [f64; 2]>, limit: f64) -> impl Iterator<Item = [f64; 2]> {
    let (mut last, mut ended) = ([0.0, 0.0], false);
    points.map_while(move |[x, y]| {
        if ended {
            return None;
        }
        if x <= limit {
            last = [x, y];
            return Some(last);
        }
        ended = true;
        let along = (limit - last[0]) / (x - last[0]);
        Some([limit, last[1] + along * (y - last[1])])
    })
}

/// The curve with at most `most` of its points, at least two: the first, the last, and those at which
/// it has moved on.
fn thinned(points: impl Iterator<Item = [f64; 2]>, most: usize) -> Curve {
    let most = most.max(2);
    // A rising curve within the unit square is at most 2 long, and two points are kept at most for
    // every `apart` of it.
    let mut apart = 4.0 / most as f64;
    let mut curve = spaced(points, apart);
    while curve.len() > most {
        apart *= 1.25; // precision goes up and down
        curve = spaced(curve.into_iter(), apart);
    }
    curve
}

/// The points that are further than `apart` from the one kept before them, along the axes, and those
/// just before such a leap: a corner stays a corner.
fn spaced(points: impl Iterator<Item = [f64; 2]>, apart: f64) -> Curve {
    let mut kept: Curve = Vec::new();
    let mut pending = None;
    for point in points {
        let Some(&last) = kept.last() else {
            kept.push(point);
            continue;
        };
        let mut far = distance(last, point) > apart;
        if let (true, Some(corner)) = (far, pending.take()) {
            kept.push(corner);
            far = distance(corner, point) > apart;
        }
        if far {
            kept.push(point);
        } else {
            pending = (kept.last() != Some(&point)).then_some(point);
        }
    }
    kept.extend(pending);
    kept
}

fn distance(a: [f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).abs() + (a[1] - b[1]).abs()
}
