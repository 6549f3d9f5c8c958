//! Which images are worth looking at: those that the detector got most wrong, and most right.

use std::collections::BTreeMap;

use mpama_core::AnomalyMap;
use mpama_datasets::{Label, Sample};
use mpama_train::eval::{Report, Seen};

use super::experts::ExpertMap;
use super::tile::THUMBNAIL;

/// An image that may be shown.
pub(super) struct Candidate {
    pub(super) sample: Sample,
    pub(super) score: f32,
    /// At most [`THUMBNAIL`] a side.
    pub(super) map: AnomalyMap,
    /// `None` if the adapter has no experts, or nobody asked for them.
    pub(super) experts: Option<ExpertMap>,
}

/// Keeps, while a dataset is measured, what its gallery may need: in each category and of each label
/// the `keep` lowest and the `keep` highest scores. However many images there are, no more is held.
pub(crate) struct Collector {
    keep: usize,
    /// By category; normal and anomalous images, lowest score first.
    kept: BTreeMap<String, [Vec<Candidate>; 2]>,
}

/// An image and how it fared.
pub(super) struct Case {
    pub(super) candidate: Candidate,
    /// Share of the images with the other label that are on the wrong side of it, a tie counting
    /// half; `None` if there are none.
    pub(super) wrong: Option<f64>,
}

/// What is shown of a category.
pub(super) struct Gallery {
    /// Most wrong first.
    pub(super) worst: Vec<Case>,
    /// Most right first; empty if `worst` holds all images.
    pub(super) best: Vec<Case>,
}

impl Collector {
    /// Will show `keep` images of each kind.
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            keep,
            kept: BTreeMap::new(),
        }
    }

    /// Sees one image.
    pub(crate) fn look(&mut self, seen: &Seen<'_>) {
        let Seen {
            sample,
            prediction,
            routes,
            ..
        } = *seen;
        let score = prediction.score;
        let category = self.kept.entry(sample.category.clone()).or_default();
        let [normal, anomalous] = category;
        let list = match sample.label {
            Label::Normal => normal,
            Label::Anomalous => anomalous,
        };
        let at = list.partition_point(|other| other.score <= score);
        if list.len() == 2 * self.keep && at == self.keep {
            return; // neither among the lowest nor among the highest
        }
        let map = &prediction.map;
        let candidate = Candidate {
            sample: sample.clone(),
            score,
            map: map.resized(map.height.min(THUMBNAIL), map.width.min(THUMBNAIL)),
            experts: ExpertMap::of(routes),
        };
        list.insert(at, candidate);
        if list.len() > 2 * self.keep {
            list.remove(self.keep);
        }
    }

    /// The galleries by category. `report` must hold every image's score.
    pub(super) fn galleries(self, report: &Report) -> BTreeMap<String, Gallery> {
        let keep = self.keep;
        let galleries = self.kept.into_iter().map(|(category, kept)| {
            let scores = Sides::of(report, &category);
            // which of two equally wrong images comes first: the one further on the wrong side
            let border = report.categories.iter().find(|c| c.category == category);
            let border = border.and_then(|c| c.image_f1_threshold).unwrap_or(0.0);
            let mut cases: Vec<(Case, f32)> = kept
                .into_iter()
                .flatten()
                .map(|candidate| {
                    let (label, score) = (candidate.sample.label, candidate.score);
                    let wrong = scores.wrong(label, score);
                    let beyond = match label {
                        Label::Normal => score - border,
                        Label::Anomalous => border - score,
                    };
                    (Case { candidate, wrong }, beyond)
                })
                .collect();
            cases.sort_by(|(a, a_beyond), (b, b_beyond)| {
                b.wrong
                    .unwrap_or(0.0)
                    .total_cmp(&a.wrong.unwrap_or(0.0))
                    .then(b_beyond.total_cmp(a_beyond))
                    .then_with(|| a.candidate.sample.id.cmp(&b.candidate.sample.id))
            });
            let mut worst: Vec<Case> = cases.into_iter().map(|(case, _)| case).collect();
            let mut best = Vec::new();
            if worst.len() > 2 * keep {
                best = worst.split_off(worst.len() - keep);
                best.reverse();
                worst.truncate(keep);
            }
            (category, Gallery { worst, best })
        });
        galleries.collect()
    }
}

/// The scores of one category, each side sorted.
pub(super) struct Sides {
    pub(super) normal: Vec<f32>,
    pub(super) anomalous: Vec<f32>,
}

impl Sides {
    /// Those of a report that holds every image's score.
    pub(super) fn of(report: &Report, category: &str) -> Self {
        let all = report.images.iter().flatten();
        let mut sides = Self {
            normal: Vec::new(),
            anomalous: Vec::new(),
        };
        for image in all.filter(|image| image.category == category) {
            match image.label {
                Label::Normal => sides.normal.push(image.score),
                Label::Anomalous => sides.anomalous.push(image.score),
            }
        }
        sides.normal.sort_by(f32::total_cmp);
        sides.anomalous.sort_by(f32::total_cmp);
        sides
    }

    /// [`Case::wrong`] of an image.
    fn wrong(&self, label: Label, score: f32) -> Option<f64> {
        let others = match label {
            Label::Normal => &self.anomalous,
            Label::Anomalous => &self.normal,
        };
        let below = others.partition_point(|other| *other < score);
        let up_to = others.partition_point(|other| *other <= score);
        let middle = (below + up_to) as f64 / 2.0;
        let wrong = match label {
            Label::Normal => middle,
            Label::Anomalous => others.len() as f64 - middle,
        };
        (!others.is_empty()).then(|| wrong / others.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mpama_core::config::ExpertsConfig;
    use mpama_core::experts::Routing;
    use mpama_core::{Prediction, Routes};
    use mpama_train::eval::{ImageResult, Scores};

    use super::super::experts::colour;
    use super::*;

    fn seen(scores: &[(f32, Label)], keep: usize) -> (Collector, Report) {
        let mut collector = Collector::new(keep);
        let mut images = Vec::new();
        for (number, &(score, label)) in scores.iter().enumerate() {
            let sample = Sample {
                id: format!("{number:03}"),
                image: "x.png".into(),
                mask: None,
                category: "c".to_owned(),
                defect: "d".to_owned(),
                label,
                image_bytes: 0,
                mask_bytes: 0,
            };
            let map = AnomalyMap {
                height: 1,
                width: 1,
                values: vec![score],
            };
            let prediction = Prediction {
                score,
                global: score,
                local: score,
                map,
            };
            // the number of the image is the expert of its only patch
            let routes = [Routes {
                level: 1,
                windows: (1, 1),
                routing: Routing {
                    chosen: vec![number],
                    top_k: 1,
                },
            }];
            collector.look(&Seen {
                sample: &sample,
                prediction: &prediction,
                map: &prediction.map,
                mask: None,
                routes: &routes,
            });
            images.push(ImageResult {
                id: sample.id,
                category: sample.category,
                label,
                score,
            });
        }
        let report = Report {
            dataset: "d".to_owned(),
            index_hash: String::new(),
            mask_threshold: 0,
            map_size: (1, 1),
            original_size: false,
            sigma: 0.0,
            categories: Vec::new(),
            mean: Scores::default(),
            failures: Vec::new(),
            seconds: 0.0,
            images: Some(images),
            figures: None,
            bounds: None,
        };
        (collector, report)
    }

    fn scores(cases: &[Case]) -> Vec<f32> {
        cases.iter().map(|case| case.candidate.score).collect()
    }

    #[test]
    fn the_most_wrong_come_first_however_many_there_are() {
        // normal scores 0.00 to 0.99, anomalous ones 0.50 to 1.49, in no order
        let all: Vec<(f32, Label)> = (0..200)
            .map(|i| match (i * 77 % 200, i) {
                (n, _) if n < 100 => (n as f32 / 100.0, Label::Normal),
                (n, _) => ((n - 50) as f32 / 100.0, Label::Anomalous),
            })
            .collect();
        let (collector, report) = seen(&all, 3);
        let gallery = collector.galleries(&report).remove("c").unwrap();
        let wrong = |case: &Case| case.wrong.unwrap();
        // as if all had been kept
        let sides = Sides::of(&report, "c");
        let mut expected: Vec<f64> = all
            .iter()
            .map(|&(score, label)| sides.wrong(label, score).unwrap())
            .collect();
        expected.sort_by(|a, b| b.total_cmp(a));
        let found: Vec<f64> = gallery.worst.iter().map(wrong).collect();
        assert_eq!(found, expected[..3]);
        assert_eq!(gallery.best.len(), 3);
        assert!(gallery.best.iter().all(|case| wrong(case) == 0.0));
        // the anomalous image of 0.50 lies below 49 normal ones and beside one
        assert!((wrong(&gallery.worst[0]) - 0.495).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn few_images_are_all_shown_once() {
        let all = [
            (0.9, Label::Normal),
            (0.2, Label::Anomalous),
            (0.1, Label::Normal),
        ];
        let (collector, report) = seen(&all, 2);
        let gallery = collector.galleries(&report).remove("c").unwrap();
        assert_eq!(gallery.worst.len(), 3);
        assert!(gallery.best.is_empty());
        assert_eq!(scores(&gallery.worst)[2], 0.1);
        assert_eq!(gallery.worst[0].wrong, Some(1.0));
        // each with the map of its own experts
        let pool = ExpertsConfig::default();
        for Case { candidate, .. } in &gallery.worst {
            let number = candidate.sample.id.parse().unwrap();
            let picture = candidate.experts.as_ref().unwrap().picture(&pool);
            assert_eq!(picture.get_pixel(0, 0).0, colour(number, &pool));
        }
    }

    #[test]
    fn with_one_label_nothing_is_wrong_and_the_order_is_the_scores() {
        let (collector, report) = seen(&[(0.3, Label::Anomalous), (0.1, Label::Anomalous)], 5);
        let gallery = collector.galleries(&report).remove("c").unwrap();
        assert_eq!(scores(&gallery.worst), [0.1, 0.3]);
        assert_eq!(gallery.worst[0].wrong, None);
    }
}
