//! Several adapters side by side: mean and standard deviation, as over the seeds of the paper.

use std::path::Path;

use mpama_train::eval::Scores;
use serde::Serialize;

use super::table::{COLUMNS, cell};
use crate::output::{Output, shown};
use crate::report::Saved;

/// What the adapters have on one dataset.
#[derive(Serialize)]
pub(super) struct Spread {
    dataset: String,
    adapters: usize,
    /// Mean over the adapters of their means over categories.
    mean: Scores,
    /// Standard deviation of the same, with `adapters - 1` as divisor.
    std: Scores,
}

/// One spread for each dataset.
pub(super) fn of(measured: &[Saved]) -> Vec<Spread> {
    let datasets = measured.first().map_or(0, |saved| saved.datasets.len());
    (0..datasets)
        .map(|number| {
            let reports = || {
                measured
                    .iter()
                    .filter_map(move |saved| saved.datasets.get(number))
            };
            let scores: Vec<Scores> = reports().map(|report| report.mean).collect();
            Spread {
                dataset: reports()
                    .next()
                    .map_or(String::new(), |r| r.dataset.clone()),
                adapters: scores.len(),
                mean: Scores::mean(&scores),
                std: Scores::deviation(&scores),
            }
        })
        .collect()
}

/// A table for each dataset: a row for each adapter, then the mean and the deviation.
pub(super) fn show(measured: &[Saved], output: &Output) -> anyhow::Result<()> {
    let width = measured
        .iter()
        .map(|saved| saved.adapter.chars().count())
        .max()
        .unwrap_or(0)
        .max(10);
    for (number, spread) in of(measured).into_iter().enumerate() {
        output.line(format_args!(
            "\n{}: {} adapters, in per cent",
            shown(Path::new(&spread.dataset)),
            spread.adapters
        ))?;
        let headings = COLUMNS.map(|metric| format!("{:>13}", metric.heading));
        output.line(format_args!("{:<width$}  {}", "", headings.join("  ")))?;
        for saved in measured {
            let cells = COLUMNS.map(|metric| {
                let mean = &saved.datasets[number].mean;
                format!("{:>13}", cell((metric.of)(mean)))
            });
            output.line(format_args!(
                "{:<width$}  {}",
                saved.adapter,
                cells.join("  ")
            ))?;
        }
        let cells =
            COLUMNS.map(
                |metric| match ((metric.of)(&spread.mean), (metric.of)(&spread.std)) {
                    (Some(mean), Some(std)) => format!(
                        "{:>13}",
                        format!("{:.1} ± {:.2}", 100.0 * mean, 100.0 * std)
                    ),
                    (mean, _) => format!("{:>13}", cell(mean)),
                },
            );
        output.line(format_args!(
            "{:<width$}  {}",
            "mean ± std",
            cells.join("  ")
        ))?;
        output.record("spread", &spread)?;
    }
    Ok(())
}
