//! Two measurements, divided.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::machine::Machine;
use super::report::{Report, Stage, Work};
use crate::output::{Output, shown};
use crate::problem::Mistake;

/// The measurement to compare with.
#[derive(Debug)]
pub(super) struct Baseline {
    file: PathBuf,
    report: Report,
}

/// Ours over theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Comparison {
    /// The other measurement's file.
    pub(super) against: String,
    /// How its machine differs, one line for each property.
    pub(super) machine_differs: Vec<String>,
    /// Type of the products there.
    pub(super) dtype: String,
    pub(super) stages: Vec<Ratio>,
}

/// The times of a step beside those of the other measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ratio {
    pub(super) stage: String,
    /// The median there.
    pub(super) other_median_ms: f64,
    /// The median here over the median there; absent where that is 0.
    pub(super) ratio: Option<f64>,
    /// Whether every round of one was faster than every round of the other.
    pub(super) clear: bool,
}

impl Baseline {
    /// Reads what an earlier `mpama bench --json` printed.
    ///
    /// # Errors
    /// [`Mistake::File`] and [`Mistake::NoBenchmark`].
    pub(super) fn open(file: &Path) -> Result<Self, Mistake> {
        Ok(Self {
            file: file.to_owned(),
            report: Report::read(file)?,
        })
    }

    /// Sees that it did the same work, and warns if another machine did it.
    ///
    /// # Errors
    /// [`Mistake::OtherWork`] with everything that differs.
    pub(super) fn fits(
        &self,
        machine: &Machine,
        work: &Work,
        output: &Output,
    ) -> Result<(), Mistake> {
        let reasons = differences(work, &self.report.work);
        if !reasons.is_empty() {
            let path = self.file.clone();
            return Err(Mistake::OtherWork { path, reasons });
        }
        let other = differences(machine, &self.report.machine);
        if !other.is_empty() {
            output.warn(format_args!(
                "{} was measured on another machine, so the ratios compare machines: {}",
                shown(&self.file),
                other.join("; ")
            ));
        }
        Ok(())
    }

    /// Ours over theirs.
    pub(super) fn compare(&self, ours: &Report) -> Comparison {
        let ratio = |ours: &Stage| {
            let mut all = self.report.stages.iter();
            let theirs = all.find(|theirs| theirs.stage == ours.stage)?;
            let other = theirs.median_ms;
            Some(Ratio {
                stage: ours.stage.clone(),
                other_median_ms: other,
                ratio: (other > 0.0).then(|| ours.median_ms / other),
                clear: ours.worst_ms() < theirs.best_ms || theirs.worst_ms() < ours.best_ms,
            })
        };
        Comparison {
            against: shown(&self.file),
            machine_differs: differences(&ours.machine, &self.report.machine),
            dtype: self.report.subject.dtype.clone(),
            stages: ours.stages.iter().filter_map(ratio).collect(),
        }
    }
}

/// What is not the same, field by field: `batch is 1 there, 8 here`.
fn differences<T: Serialize>(here: &T, there: &T) -> Vec<String> {
    let (Ok(Value::Object(here)), Ok(Value::Object(there))) =
        (serde_json::to_value(here), serde_json::to_value(there))
    else {
        return Vec::new(); // both are structs, which become objects
    };
    let other = here
        .iter()
        .filter(|(key, value)| there.get(*key) != Some(*value));
    other
        .map(|(key, value)| {
            let absent = Value::Null;
            let there = there.get(key).unwrap_or(&absent);
            format!("{} is {there} there, {value} here", key.replace('_', " "))
        })
        .collect()
}
