//! An evaluation as a judge: against an earlier report, and against a bar.

use std::path::Path;

use mpama_datasets::Dataset;
use mpama_train::eval::Report;
use serde_json::json;

use super::Outcome;
use crate::cli::Eval;
use crate::metric::Requirement;
use crate::model::Loaded;
use crate::output::{Output, shown};
use crate::problem::Mistake;
use crate::report::Baseline;

/// The report to compare with, if one was given: read before anything is measured, and refused if it is about
/// other data or maps of another size.
pub(super) fn baseline(
    args: &Eval,
    loaded: &Loaded,
    datasets: &[Dataset],
) -> Result<Option<Baseline>, Mistake> {
    let size = loaded.config.model.image_size;
    let size = (size.height, size.width);
    let measured = datasets
        .iter()
        .map(|d| (d.name.as_str(), d.index_hash(), size));
    let measured: Vec<_> = measured.collect();
    let open = |file| Baseline::open(file, &measured, args.original_size);
    args.compare.as_deref().map(open).transpose()
}

/// Whether every dataset's mean is as high as required; what is undefined is not.
pub(super) fn met<'a>(
    required: &[Requirement],
    reports: impl Iterator<Item = &'a Report>,
    output: &Output,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Done;
    for report in reports {
        for Requirement { metric, least } in required {
            let value = (metric.of)(&report.mean);
            let met = value.is_some_and(|value| 100.0 * value >= *least);
            let dataset = &report.dataset;
            output.record(
                "requirement",
                json!({
                    "dataset": dataset, "metric": metric.field(), "least": least / 100.0,
                    "value": value, "met": met,
                }),
            )?;
            if !met {
                outcome = Outcome::No;
                output.warn(format_args!(
                    "{}: {} is {}, required is {least}",
                    shown(Path::new(dataset)),
                    metric.heading,
                    // as many digits as tell the two apart
                    value.map_or_else(|| "n/a".to_owned(), |v| format!("{:.3}", 100.0 * v))
                ));
            }
        }
    }
    Ok(outcome)
}
