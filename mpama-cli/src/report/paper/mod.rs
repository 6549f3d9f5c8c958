//! The paper's own figures, to stand beside ours where the dataset is one of its fifteen.
//!
//! `figures.csv` holds Tables 1 and 2 (no category) and 9 to 20, in per cent as printed. A dataset is known
//! by its categories, never by its folder alone: drawn or private data is not compared with anything.

mod cost;
mod known;
mod show;

use std::sync::LazyLock;

use mpama_datasets::catalog::{Published, plain};
use mpama_train::eval::Report;
use serde::{Deserialize, Serialize};

pub(super) use cost::COSTS;
pub(crate) use known::recognise;
pub(super) use show::html;
pub(crate) use show::lines;

use crate::metric::{METRICS, Metric};

/// The metrics of the paper: image AUROC and AP, pixel AUROC, and AUPRO by 200 thresholds.
const PRINTED: [usize; 4] = [0, 1, 3, 7];

/// One line of the paper's tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Row {
    /// One of the paper's fifteen, by its name there.
    pub(crate) dataset: String,
    /// Absent for the mean over categories.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) category: Option<String>,
    pub(crate) system: String,
    image_auroc: Option<f64>,
    image_ap: Option<f64>,
    pixel_auroc: Option<f64>,
    #[serde(rename = "aupro-200")]
    aupro_200: Option<f64>,
}

impl Row {
    /// The figures in the order of [`printed`], in per cent.
    pub(crate) fn figures(&self) -> [Option<f64>; 4] {
        [
            self.image_auroc,
            self.image_ap,
            self.pixel_auroc,
            self.aupro_200,
        ]
    }
}

/// The metrics that the paper prints.
pub(crate) fn printed() -> [Metric; 4] {
    PRINTED.map(|place| METRICS[place])
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut reader = csv::Reader::from_reader(include_str!("figures.csv").as_bytes());
    // a test reads every row: none is lost here
    reader.deserialize().filter_map(Result::ok).collect()
});

/// The paper's lines on a dataset, over its categories (`None`) or on one of them.
pub(crate) fn rows(dataset: &str, category: Option<&str>) -> impl Iterator<Item = &'static Row> {
    let category = category.map(plain);
    ROWS.iter()
        .filter(move |row| row.dataset == dataset && row.category.as_deref().map(plain) == category)
}

/// What `report.json` says of the paper: the figures as fractions, as ours are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// The dataset as we call it.
    dataset: String,
    /// The dataset as the paper calls it.
    known_as: String,
    systems: Vec<System>,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct System {
    system: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    category: Option<String>,
    image_auroc: Option<f64>,
    image_ap: Option<f64>,
    pixel_auroc: Option<f64>,
    aupro_200: Option<f64>,
}

impl Beside {
    /// The paper's figures on the dataset of `report`, if it is one of the fifteen.
    pub(crate) fn of(report: &Report) -> Option<Self> {
        let known = recognise(report)?;
        let fraction = |value: Option<f64>| value.map(|value| value / 100.0);
        let of_dataset = ROWS.iter().filter(|row| row.dataset == known.name);
        let systems = of_dataset.map(|row| System {
            system: row.system.clone(),
            category: row.category.clone(),
            image_auroc: fraction(row.image_auroc),
            image_ap: fraction(row.image_ap),
            pixel_auroc: fraction(row.pixel_auroc),
            aupro_200: fraction(row.aupro_200),
        });
        Some(Self {
            dataset: report.dataset.clone(),
            known_as: known.name.to_owned(),
            systems: systems.collect(),
            notes: notes(known, report),
        })
    }
}

/// What to bear in mind when ours and theirs stand side by side.
fn notes(known: &Published, report: &Report) -> Vec<String> {
    let mut notes = vec![
        "The paper's figures are of CLIP ViT-L/14@336 at 518×518, means of five runs, trained on VisA for \
         MVTec AD and on MVTec AD for all others. Its AUPRO is the field's measure with 200 thresholds: compare \
         it with AUPRO-200, never with the exact AUPRO. Figures it took from other papers may follow yet other \
         definitions."
            .to_owned(),
    ];
    let count = |of: fn(&mpama_train::eval::CategoryReport) -> usize| -> usize {
        report.categories.iter().map(of).sum()
    };
    let (normal, anomalous) = (count(|c| c.normal), count(|c| c.anomalous));
    if (normal, anomalous) != (known.normal, known.anomalous) {
        notes.push(format!(
            "Measured here on {normal} normal and {anomalous} anomalous images; the paper's {} has {} and {}.",
            known.name, known.normal, known.anomalous
        ));
    }
    let odd = odd_means(known.name);
    if !odd.is_empty() {
        notes.push(format!(
            "Where the paper's mean is not the mean of its own categories: {}.",
            odd.join("; ")
        ));
    }
    notes
}

/// Means of the paper that its own categories do not give, to the digit that it prints.
fn odd_means(dataset: &str) -> Vec<String> {
    let mut odd = Vec::new();
    for mean in rows(dataset, None) {
        for (place, metric) in printed().iter().enumerate() {
            let of_categories: Vec<f64> = ROWS
                .iter()
                .filter(|row| row.dataset == dataset && row.system == mean.system)
                .filter(|row| row.category.is_some())
                .filter_map(|row| row.figures()[place])
                .collect();
            let Some(said) = mean.figures()[place].filter(|_| !of_categories.is_empty()) else {
                continue;
            };
            let found = of_categories.iter().sum::<f64>() / of_categories.len() as f64;
            if (found - said).abs() > 0.0501 {
                odd.push(format!(
                    "{} {}, said {said:.1}, is {found:.2}",
                    mean.system, metric.heading
                ));
            }
        }
    }
    odd
}

#[cfg(test)]
mod tests;
