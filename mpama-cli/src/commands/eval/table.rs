//! The table of one dataset on the terminal.

use std::path::Path;
use std::time::Duration;

use mpama_train::eval::{Bounds, Cost, Report};

use crate::metric::{METRICS, Metric};
use crate::output::{Output, count, shown};
use crate::progress::duration;
use crate::report::paper;

/// Its columns. Both kinds of AUPRO are shown: they are different measures.
pub(super) const COLUMNS: [Metric; 6] = [
    METRICS[0], METRICS[1], METRICS[2], METRICS[3], METRICS[6], METRICS[7],
];

/// The table of one dataset, in per cent.
pub(super) fn show(report: &Report, per_category: bool, output: &Output) -> anyhow::Result<()> {
    let name = |name: &str| shown(Path::new(name));
    let mut rows = Vec::new();
    if per_category {
        rows.extend(
            report
                .categories
                .iter()
                .map(|c| (name(&c.category), c.scores)),
        );
    }
    rows.push(("mean".to_owned(), report.mean));
    // beside the paper's own figures, where it has any
    let theirs = paper::lines(report, &COLUMNS).unwrap_or_default();
    let names = rows.iter().map(|(name, _)| name);
    let width = names
        .chain(theirs.iter().map(|(name, _)| name))
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(10);

    let (normal, anomalous) = report
        .categories
        .iter()
        .fold((0, 0), |(n, a), c| (n + c.normal, a + c.anomalous));
    output.line(format_args!(
        "{}: {}, {normal} normal and {anomalous} anomalous images, in per cent",
        name(&report.dataset),
        match report.categories.len() {
            1 => "1 category".to_owned(),
            several => format!("{several} categories"),
        },
    ))?;
    let headings = COLUMNS.map(|metric| format!("{:>11}", metric.heading));
    output.line(format_args!("{:<width$}  {}", "", headings.join("  ")))?;
    for (name, scores) in &rows {
        let cells = COLUMNS.map(|metric| format!("{:>11}", cell((metric.of)(scores))));
        output.line(format_args!("{name:<width$}  {}", cells.join("  ")))?;
    }
    for (name, cells) in theirs {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>11}")).collect();
        output.line(format_args!("{name:<width$}  {}", cells.join("  ")))?;
    }
    if let Some(bounds) = &report.bounds {
        let between = |name: &str, bounds: Bounds| {
            format!(
                "{name} {:.3} to {:.3}",
                100.0 * bounds.lowest,
                100.0 * bounds.highest
            )
        };
        output.line(format_args!(
            "counted in bins; the exact means lie within {}, {}, {}, {}",
            between("pixel AUROC", bounds.pixel_auroc),
            between("pixel AP", bounds.pixel_ap),
            between("pixel F1", bounds.pixel_f1_max),
            between("AUPRO", bounds.aupro),
        ))?;
    }
    let without: usize = report.categories.iter().map(|c| c.without_mask).sum();
    if without > 0 {
        output.note(format_args!(
            "{} without a mask: categories that have such have no pixel metrics",
            count(without, "anomalous image")
        ));
    }
    output.note(format_args!(
        "Measured in {}{}",
        duration(Duration::from_secs_f64(report.seconds)),
        report
            .figures
            .as_ref()
            .and_then(|figures| figures.cost.as_ref())
            .map_or(String::new(), cost)
    ));
    Ok(())
}

/// What predicting cost, for the end of a sentence.
fn cost(cost: &Cost) -> String {
    let memory = cost.peak_memory.map_or(String::new(), |bytes| {
        format!(", at most {} MB of memory", bytes / 1_000_000)
    });
    format!(
        "; the model took {:.3} s an image in batches of {} ({:.1} images a second){memory}",
        cost.seconds_per_image, cost.batch_size, cost.images_per_second
    )
}

/// A fraction in per cent, `n/a` where it is undefined.
pub(super) fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{:.1}", 100.0 * value))
}
