//! The metrics by name: columns of tables and files, what `--require` asks for, what plans tabulate.

use std::collections::BTreeMap;
use std::str::FromStr;

use mpama_train::eval::Scores;

/// One metric of [`Scores`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric {
    /// As it is typed; with `_` for `-` it is its key in JSON and CSV.
    pub(crate) key: &'static str,
    /// As it stands over a column.
    pub(crate) heading: &'static str,
    /// Its value, a fraction; `None` where it is undefined.
    pub(crate) of: fn(&Scores) -> Option<f64>,
}

/// All of them, those over images first. Both kinds of AUPRO are here: they are different measures.
pub(crate) const METRICS: [Metric; 8] = [
    metric("image-auroc", "image AUROC", |s| s.image_auroc),
    metric("image-ap", "image AP", |s| s.image_ap),
    metric("image-f1-max", "image F1", |s| s.image_f1_max),
    metric("pixel-auroc", "pixel AUROC", |s| s.pixel_auroc),
    metric("pixel-ap", "pixel AP", |s| s.pixel_ap),
    metric("pixel-f1-max", "pixel F1", |s| s.pixel_f1_max),
    metric("aupro", "AUPRO", |s| s.aupro),
    metric("aupro-200", "AUPRO-200", |s| s.aupro_200),
];

const fn metric(
    key: &'static str,
    heading: &'static str,
    of: fn(&Scores) -> Option<f64>,
) -> Metric {
    Metric { key, heading, of }
}

impl Metric {
    /// Its key in JSON and CSV.
    pub(crate) fn field(&self) -> String {
        self.key.replace('-', "_")
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = METRICS.into_iter().find(|metric| metric.key == text);
        found.ok_or_else(|| {
            let keys = METRICS.map(|metric| metric.key).join(", ");
            format!("no metric `{text}`: there are {keys}")
        })
    }
}

/// Ours minus theirs in every metric, by [`Metric::field`]; `None` where either is undefined.
pub(crate) fn differences(ours: &Scores, theirs: &Scores) -> BTreeMap<String, Option<f64>> {
    METRICS
        .iter()
        .map(|metric| {
            let both = (metric.of)(ours).zip((metric.of)(theirs));
            (metric.field(), both.map(|(ours, theirs)| ours - theirs))
        })
        .collect()
}

/// The least a metric's mean may be, as `--require` takes it: `image-auroc=90`, in per cent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requirement {
    pub(crate) metric: Metric,
    /// In per cent.
    pub(crate) least: f64,
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, least) = text
            .split_once('=')
            .ok_or("expected METRIC=PERCENT, as in image-auroc=90")?;
        let metric = metric.trim().parse()?;
        match least.trim().parse::<f64>() {
            Ok(least) if least > 0.0 && least <= 1.0 => Err(format!(
                "{least} is a fraction: per cent are meant, as in image-auroc=90"
            )),
            Ok(least) if (0.0..=100.0).contains(&least) => Ok(Self { metric, least }),
            _ => Err(format!("`{least}` is no number from 0 to 100")),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_field_of_the_scores_is_a_metric_and_by_that_name() {
        let scores = serde_json::to_value(Scores::default()).unwrap();
        let fields: Vec<&String> = scores.as_object().unwrap().keys().collect();
        let mut metrics = METRICS.map(|metric| metric.field()).to_vec();
        metrics.sort();
        assert_eq!(fields, metrics.iter().collect::<Vec<_>>());
        for metric in METRICS {
            let mut one = scores.clone();
            one[metric.field()] = 0.25.into();
            let one: Scores = serde_json::from_value(one).unwrap();
            assert_eq!((metric.of)(&one), Some(0.25), "{}", metric.key);
        }
    }

    #[test]
    fn requirements_are_in_per_cent() {
        let sound: Requirement = "image-auroc=90".parse().unwrap();
        assert_eq!((sound.metric.key, sound.least), ("image-auroc", 90.0));
        for (text, word) in [
            ("image-auroc=0.9", "per cent"),
            ("image-auroc=101", "0 to 100"),
            ("image-auroc=much", "0 to 100"),
            ("image-auroc=NaN", "0 to 100"),
            ("auroc=90", "aupro-200"),
            ("90", "METRIC=PERCENT"),
        ] {
            let error = text.parse::<Requirement>().unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_difference_needs_both() {
        let of = |image_auroc, aupro| Scores {
            image_auroc,
            aupro,
            ..Scores::default()
        };
        let found = differences(&of(Some(0.75), None), &of(Some(0.5), Some(0.5)));
        assert_eq!(found["image_auroc"], Some(0.25));
        assert_eq!((found["aupro"], found["pixel_ap"]), (None, None));
    }
}
