//! `mpama eval`: an adapter measured on datasets.

use std::path::Path;

use mpama_datasets::{Dataset, Layout};
use mpama_train::eval::{EvalConfig, Report, Scores, evaluate_with};
use mpama_train::{Control, Stages};
use serde::Serialize;
use serde_json::Value;

use super::Outcome;
use super::watch::Watch;
use crate::cli::{Eval, Global};
use crate::files;
use crate::interrupt;
use crate::model::{self, Loaded, device_name};
use crate::output::{Output, Record, count, shown, snake_case};
use crate::problem::Mistake;
use crate::progress::duration;
use crate::report::{self, CURVE_POINTS, Collector};

/// A metric's heading and where it is found.
type Column = (&'static str, fn(&Scores) -> Option<f64>);

/// The columns of the table. Both kinds of AUPRO are shown: they are different measures.
const COLUMNS: [Column; 6] = [
    ("image AUROC", |s| s.image_auroc),
    ("image AP", |s| s.image_ap),
    ("image F1", |s| s.image_f1_max),
    ("pixel AUROC", |s| s.pixel_auroc),
    ("AUPRO", |s| s.aupro),
    ("AUPRO-200", |s| s.aupro_200),
];

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
    if let Some(file) = &args.save {
        save(file, &loaded, &reports, output)?;
    }
    if let Some(folder) = &args.report {
        save(&folder.join("report.json"), &loaded, &reports, output)?;
        let page = report::html(&loaded, &config, &reports, collected, args.gallery, output)?;
        let Some(page) = page else {
            output.note("Stopped: the figures are in report.json, the page was not written");
            return Ok(Outcome::Interrupted);
        };
        let file = folder.join("report.html");
        files::write_whole(&file, page.as_bytes())?;
        output.note(format_args!("Wrote {}", shown(&file)));
    }

    let failures: Vec<String> = reports
        .iter()
        .flat_map(|report| &report.failures)
        .map(|failure| format!("\n  {}", failure.reason))
        .collect();
    if failures.is_empty() {
        return Ok(Outcome::Done);
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
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
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
    let headings: Vec<String> = COLUMNS
        .iter()
        .map(|(heading, _)| format!("{heading:>11}"))
        .collect();
    output.line(format_args!("{:<width$}  {}", "", headings.join("  ")))?;
    for (name, scores) in &rows {
        let cells: Vec<String> = COLUMNS
            .iter()
            .map(|(_, metric)| format!("{:>11}", cell(metric(scores))))
            .collect();
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

/// The file that `--save` and `--report` write: what was measured, and on what.
#[derive(Serialize)]
struct Saved<'a> {
    mpama: &'a str,
    adapter: &'a str,
    adapter_config: Value,
    device: String,
    datasets: &'a [Report],
}

fn save(file: &Path, loaded: &Loaded, reports: &[Report], output: &Output) -> anyhow::Result<()> {
    let saved = Saved {
        mpama: env!("CARGO_PKG_VERSION"),
        adapter: &loaded.name,
        adapter_config: snake_case(serde_json::to_value(&loaded.config)?),
        device: device_name(&loaded.device),
        datasets: reports,
    };
    let text = serde_json::to_string_pretty(&Record::new("report", saved))? + "\n";
    files::write_whole(file, text.as_bytes())?;
    output.note(format_args!("Wrote {}", shown(file)));
    Ok(())
}
