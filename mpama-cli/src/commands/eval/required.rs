//! `--require`: a bar for the mean of every dataset.

use std::path::Path;

use mpama_train::eval::Report;
use serde_json::json;

use super::super::Outcome;
use crate::metric::Requirement;
use crate::output::{Output, shown};

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
