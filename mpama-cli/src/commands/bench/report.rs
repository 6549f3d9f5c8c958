//! What was measured: the record of `mpama bench --json`, which `--compare` reads again.

use std::path::Path;

use mpama_core::Throughput;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compare::Comparison;
use super::machine::Machine;
use crate::output::RECORD_VERSION;
use crate::problem::Mistake;

/// A whole measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// Version of the program.
    pub(super) mpama: String,
    pub(super) machine: Machine,
    pub(super) subject: Subject,
    pub(super) work: Work,
    /// Time from the model's files to its first image; absent where weights were made.
    pub(super) load_ms: Option<f64>,
    /// In the order of the steps; the last is all of them.
    pub(super) stages: Vec<Stage>,
    pub(super) tower: Tower,
    /// Of f32, in operations per second.
    pub(super) peak: Throughput,
    /// The most memory that the process has held, in bytes, loading included; on Linux.
    pub(super) peak_memory: Option<u64>,
    /// Beside an earlier measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compared: Option<Comparison>,
}

/// Names of what was measured, which do not decide on how much there was to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    pub(super) backbone: String,
    pub(super) adapter: String,
    /// `file`, `demo` or `random`.
    pub(super) weights: String,
    /// Of the tower's products.
    pub(super) dtype: String,
}

/// How much there was to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Work {
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) mlp_width: usize,
    pub(super) heads: usize,
    pub(super) patch: usize,
    pub(super) vv_depth: usize,
    /// `MPA` or `MPAMA`.
    pub(super) method: String,
    pub(super) perceptions: Vec<usize>,
    /// Height and width of the network's input.
    pub(super) input: [usize; 2],
    /// Height and width of the photograph.
    pub(super) photo: [usize; 2],
    pub(super) batch: usize,
    pub(super) device: String,
}

/// The times of a step, for one image, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stage {
    pub(super) stage: String,
    pub(super) best_ms: f64,
    pub(super) median_ms: f64,
    /// The worst less the best, in parts of the median.
    pub(super) spread: f64,
    /// Round by round.
    pub(super) ms: Vec<f64>,
}

/// How well the image tower uses the processor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tower {
    /// Operations for one image, in billions: `VisionConfig::operations`.
    pub(super) gflop: f64,
    /// The same per second, in the median round.
    pub(super) gflop_per_second: f64,
    /// In the best round.
    pub(super) best_gflop_per_second: f64,
    /// What the median is of the peak of f32 on all threads; of whole numbers it may be more than 1.
    pub(super) share_of_peak: f64,
}

impl Stage {
    /// `ms` must not be empty.
    pub(super) fn new(stage: &str, ms: Vec<f64>) -> Self {
        let mut sorted = ms.clone();
        sorted.sort_by(f64::total_cmp);
        let (best, worst) = (sorted[0], sorted[sorted.len() - 1]);
        let median = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Self {
            stage: stage.to_owned(),
            best_ms: best,
            median_ms: median,
            spread: (worst - best) / median.max(f64::MIN_POSITIVE),
            ms,
        }
    }

    /// The longest.
    pub(super) fn worst_ms(&self) -> f64 {
        self.ms.iter().copied().fold(self.best_ms, f64::max)
    }
}

impl Report {
    /// Reads what `--json` printed.
    ///
    /// # Errors
    /// [`Mistake::File`] and [`Mistake::NoBenchmark`].
    pub(super) fn read(path: &Path) -> Result<Self, Mistake> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Mistake::file("read", path, error))?;
        let bad = |reason: String| Mistake::NoBenchmark {
            path: path.to_owned(),
            reason,
        };
        let mut value: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let fields = value.as_object_mut();
        let fields = fields.ok_or_else(|| bad("it is no JSON object".to_owned()))?;
        if fields.remove("type") != Some("bench".into()) {
            return Err(bad("its `type` is not `bench`".to_owned()));
        }
        if fields.remove("v") != Some(RECORD_VERSION.into()) {
            return Err(bad(format!("its version `v` is not {RECORD_VERSION}")));
        }
        serde_json::from_value(value).map_err(|error| bad(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let stage = Stage::new("tower", vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!(
            (stage.best_ms, stage.median_ms, stage.spread),
            (1.0, 2.5, 1.2)
        );
        assert_eq!(stage.worst_ms(), 4.0);
        let once = Stage::new("tower", vec![7.0]);
        assert_eq!((once.best_ms, once.median_ms, once.spread), (7.0, 7.0, 0.0));
    }
}
