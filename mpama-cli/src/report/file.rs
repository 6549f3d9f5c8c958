//! `report.json` and `report.csv`: what was measured, for programs and for spreadsheets.

use std::path::Path;

use mpama_train::eval::{Report, Scores};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::Comparison;
use super::paper::Beside;
use super::pictures::Pictured;
use crate::files;
use crate::metric::METRICS;
use crate::model::{Loaded, device_name};
use crate::output::{RECORD_VERSION, Record, snake_case};
use crate::problem::Mistake;

/// The record's type.
const KIND: &str = "report";

/// Everything that was measured, and on what. Keys are only ever added within one version; readers skip
/// those they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Version of the writer.
    pub(crate) mpama: String,
    /// The adapter's folder as it was given.
    pub(crate) adapter: String,
    /// Its `adapter_config.json`, keys in snake case.
    pub(crate) adapter_config: Value,
    /// Where it was computed.
    pub(crate) device: String,
    /// One entry per dataset, in the order they were given.
    pub(crate) datasets: Vec<Report>,
    /// The paper's figures on those datasets that are among its fifteen.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) paper: Vec<Beside>,
    /// The differences to another report, if one was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) comparison: Option<Comparison>,
    /// A few defects as pictures beside this file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) pictures: Vec<Pictured>,
}

impl Saved {
    /// What `loaded` was measured to be.
    pub(crate) fn new(
        loaded: &Loaded,
        datasets: Vec<Report>,
        comparison: Option<Comparison>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            mpama: env!("CARGO_PKG_VERSION").to_owned(),
            adapter: loaded.name.clone(),
            adapter_config: snake_case(serde_json::to_value(&loaded.config)?),
            device: device_name(&loaded.device),
            paper: datasets.iter().filter_map(Beside::of).collect(),
            datasets,
            comparison,
            pictures: Vec::new(),
        })
    }

    /// Writes it as JSON, whole or not at all.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(&Record::new(KIND, self))? + "\n";
        files::write_whole(file, text.as_bytes())?;
        Ok(())
    }

    /// Reads what [`Saved::write`] wrote, by this version or an earlier one.
    pub(crate) fn read(file: &Path) -> Result<Self, Mistake> {
        let bytes = std::fs::read(file).map_err(|error| Mistake::file("read", file, error))?;
        let wrong = |reason: String| Mistake::NoReport {
            path: file.to_owned(),
            reason,
        };
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if value["type"] != KIND {
            return Err(wrong(format!("its `type` is not \"{KIND}\"")));
        }
        if value["v"] != RECORD_VERSION {
            let found = &value["v"];
            return Err(wrong(format!(
                "it is of version {found}, not {RECORD_VERSION}"
            )));
        }
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
    }
}

/// One row per dataset and category and one for each dataset's mean, in which the counts are sums. Metrics
/// are fractions, unrounded; one that is undefined is empty.
pub(crate) fn table(reports: &[Report]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let counted = ["normal", "anomalous", "without_mask", "regions"];
    let header = ["dataset", "category"].into_iter().chain(counted);
    let fields = METRICS.map(|metric| metric.field());
    writer.write_record(header.chain(fields.iter().map(String::as_str)))?;
    for report in reports {
        let mut row = |name: &str, counts: [usize; 4], scores: &Scores| {
            let metrics = METRICS.iter().map(|metric| (metric.of)(scores));
            let metrics = metrics.map(|value| value.map_or_else(String::new, |v| v.to_string()));
            let first = [report.dataset.clone(), name.to_owned()].into_iter();
            let all = first.chain(counts.map(|n| n.to_string())).chain(metrics);
            writer.write_record(all)
        };
        let mut sums = [0; 4];
        for category in &report.categories {
            let c = category;
            let counts = [c.normal, c.anomalous, c.without_mask, c.regions];
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
            row(&c.category, counts, &c.scores)?;
        }
        row("mean", sums, &report.mean)?;
    }
    Ok(writer.into_inner()?)
}
