//! `mpama eval`: an adapter measured on datasets.

mod judge;
mod leave;

use std::path::Path;

use mpama_datasets::{Dataset, Layout};
use mpama_train::eval::{EvalConfig, Report, evaluate_with};
use mpama_train::{Control, Stages};

use super::Outcome;
use super::watch::Watch;
use crate::cli::{Eval, Global};
use crate::files;
use crate::interrupt;
use crate::metric::{METRICS, Metric};
use crate::model;
use crate::output::{Output, count, shown};
use crate::problem::Mistake;
use crate::progress::duration;
use crate::report::{CURVE_POINTS, Collector, Saved, paper};

/// The columns of the table, as places among the metrics. Both kinds of AUPRO are shown: they are different
/// measures.
const COLUMNS: [usize; 6] = [0, 1, 2, 3, 6, 7];

/// Measures on one dataset after the other.
pub(crate) fn run(args: &Eval, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    interrupt::listen(output.talks())?;
    let layout: Option<Layout> = args.layout.as_deref().map(str::parse).transpose()?;
    // a misspelt folder is found before the backbone is loaded
    let datasets = args
        .data
        .iter()
        .map(|root| Dataset::open(root, layout))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(folder) = &args.report {
        files::writable_folder(folder)?;
    }
    let loaded = model::load(&args.model, global, output)?;
    let baseline = judge::baseline(args.compare.as_deref(), &loaded, &datasets)?;

    let config = EvalConfig {
        per_image: args.save.is_some() || args.report.is_some(),
        curve_points: args.report.as_ref().map_or(0, |_| CURVE_POINTS),
        ..EvalConfig::default()
    };
    let (mut reports, mut collected) = (Vec::new(), Vec::new());
    for dataset in &datasets {
        let mut watch = Watch::new(output, Stages::Both);
        let mut events = |event| watch.event(event);
        let mut control = Control::new(interrupt::flag(), &mut events);
        let mut collector = Collector::new(args.report.as_ref().map_or(0, |_| args.gallery));
        let mut look = |sample: &_, prediction: &_| collector.look(sample, prediction);
        let ended = evaluate_with(&loaded.detector, dataset, &config, &mut control, &mut look)?;
        watch.finish()?;
        let mpama_train::Outcome::Done(report) = ended else {
            output.note("Stopped: a dataset that is not done has no figures");
            return Ok(Outcome::Interrupted);
        };
        show(&report, args.per_category, output)?;
        output.record("evaluation", &report)?;
        reports.push(report);
        collected.push(collector);
    }
    let compared = baseline.map(|baseline| baseline.compare(&reports));
    if let Some(comparison) = &compared {
        comparison.show(output)?;
    }
    let saved = Saved::new(&loaded, reports, compared)?;
    if let Some(file) = &args.save {
        saved.write(file)?;
        output.note(format_args!("Wrote {}", shown(file)));
    }
    if let Some(folder) = &args.report
        && !leave::all(folder, &saved, &loaded, &config, collected, args, output)?
    {
        return Ok(Outcome::Interrupted);
    }

    let reports = &saved.datasets;
    let failures: Vec<String> = reports
        .iter()
        .flat_map(|report| &report.failures)
        .map(|failure| format!("\n  {}", failure.reason))
        .collect();
    if failures.is_empty() {
        return judge::met(&args.require, reports, output);
    }
    let all = datasets.iter().map(|dataset| dataset.samples.len()).sum();
    Err(Mistake::SomeFailed {
        failed: failures.len(),
        all: count(all, "image"),
        list: failures.concat(),
    }
    .into())
}

/// The table of one dataset, in per cent.
fn show(report: &Report, per_category: bool, output: &Output) -> anyhow::Result<()> {
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
    let theirs = paper::lines(report, &COLUMNS.map(|place| METRICS[place])).unwrap_or_default();
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
    let columns: [Metric; COLUMNS.len()] = COLUMNS.map(|place| METRICS[place]);
    let headings = columns.map(|metric| format!("{:>11}", metric.heading));
    output.line(format_args!("{:<width$}  {}", "", headings.join("  ")))?;
    for (name, scores) in &rows {
        let cells = columns.map(|metric| format!("{:>11}", cell((metric.of)(scores))));
        output.line(format_args!("{name:<width$}  {}", cells.join("  ")))?;
    }
    for (name, cells) in theirs {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>11}")).collect();
        output.line(format_args!("{name:<width$}  {}", cells.join("  ")))?;
    }
    let without: usize = report.categories.iter().map(|c| c.without_mask).sum();
    if without > 0 {
        output.note(format_args!(
            "{} without a mask: categories that have such have no pixel metrics",
            count(without, "anomalous image")
        ));
    }
    output.note(format_args!(
        "Measured in {}",
        duration(std::time::Duration::from_secs_f64(report.seconds))
    ));
    Ok(())
}

/// A fraction in per cent, `n/a` where it is undefined.
fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{:.1}", 100.0 * value))
}
