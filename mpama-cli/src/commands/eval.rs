//! `mpama eval`: adapters measured on datasets.

mod protocol;
mod resume;
mod spread;

use std::path::{Path, PathBuf};
use std::time::Duration;

use mpama_datasets::{Dataset, Layout};
use mpama_train::eval::{
    Bounds, Cost, EvalConfig, MAP_INDEX, Report, SavedMaps, Scores, Seen, evaluate_with,
};
use mpama_train::{Control, Stages};
use serde::Serialize;
use serde_json::{Value, json};

use self::resume::Resume;
use super::Outcome;
use super::watch::Watch;
use crate::cli::{Eval, Global, Model};
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

/// Measures one adapter after the other on one dataset after the other.
pub(crate) fn run(args: &Eval, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    interrupt::listen(output.talks())?;
    let layout: Option<Layout> = args.layout.as_deref().map(str::parse).transpose()?;
    // a misspelt folder is found before the backbone is loaded
    let datasets = args
        .data
        .iter()
        .map(|root| Dataset::open(root, layout))
        .collect::<Result<Vec<_>, _>>()?;
    let adapters = args.adapter.len();
    for (flag, folder) in [("--report", &args.report), ("--save-maps", &args.save_maps)] {
        if let Some(folder) = folder {
            if adapters > 1 {
                return Err(Mistake::OneAdapter { flag, adapters }.into());
            }
            files::writable_folder(folder)?;
        }
    }
    let all = match adapters {
        0 => vec![None],
        _ => args.adapter.iter().map(Some).collect(),
    };
    let mut measured: Vec<Saved> = Vec::new();
    let mut resumes = Vec::new();
    for adapter in all {
        let model = Model {
            clip: args.clip.clone(),
            adapter: adapter.cloned(),
        };
        let loaded = model::load(&model, global, output)?;
        protocol::check(&loaded.config, &datasets, args.allow_training_data)?;
        protocol::tell(&loaded.config, &datasets, output);
        let mut resume = Resume::new(args, adapter.map(PathBuf::as_path))?;
        let Some(saved) = one(args, &loaded, &datasets, &mut resume, output)? else {
            return Ok(Outcome::Interrupted);
        };
        if let (Some(file), 1) = (&args.save, adapters.max(1)) {
            write(file, "report", &saved, output)?;
        }
        measured.push(saved);
        resumes.push(resume);
    }
    if measured.len() > 1 {
        spread::show(&measured, output)?;
        if let Some(file) = &args.save {
            let spread = spread::of(&measured);
            let saved = json!({ "adapters": measured, "spread": spread });
            write(file, "spread", saved, output)?;
        }
    }
    resumes.into_iter().try_for_each(Resume::end)?;
    failures(&measured, &datasets)
}

/// Measures one adapter; `None` if Ctrl-C came before the end.
fn one(
    args: &Eval,
    loaded: &Loaded,
    datasets: &[Dataset],
    resume: &mut Resume,
    output: &Output,
) -> anyhow::Result<Option<Saved>> {
    let kept = args.save.is_some() || args.report.is_some();
    let config = EvalConfig {
        batch_size: args.batch_size,
        per_image: kept || args.save_maps.is_some(),
        curve_points: args.report.as_ref().map_or(0, |_| CURVE_POINTS),
        figures: kept,
        original_size: args.original_size,
        bins: args.bins,
        spill: args.report.clone(),
        look_again: args.report.as_ref().map_or(0, |_| args.gallery),
        ..EvalConfig::default()
    };
    let (mut reports, mut collected) = (Vec::new(), Vec::new());
    let mut index = String::new();
    for (number, dataset) in datasets.iter().enumerate() {
        let maps = args
            .save_maps
            .as_ref()
            .map(|folder| SavedMaps::new(folder, &distinct(datasets, number)));
        let state = resume.begin(dataset, &config, maps.as_ref(), output)?;
        let mut watch = Watch::new(output, Stages::Both);
        let mut events = |event| watch.event(event);
        let mut control = Control::new(interrupt::flag(), &mut events);
        let mut collector = Collector::new(args.report.as_ref().map_or(0, |_| args.gallery));
        let mut look = |seen: &Seen<'_>| {
            collector.look(seen.sample, seen.prediction);
            maps.as_ref().map_or(Ok(()), |maps| maps.save(seen))
        };
        let detector = &loaded.detector;
        let ended = evaluate_with(detector, dataset, &config, state, &mut control, &mut look)?;
        watch.finish()?;
        let mpama_train::Outcome::Done(report) = ended else {
            resume.stopped(output)?;
            return Ok(None);
        };
        show(&report, args.per_category, output)?;
        output.record("evaluation", &report)?;
        if let Some(maps) = &maps {
            index += &maps.lines(dataset, &report)?;
        }
        reports.push(report);
        collected.push(collector);
    }
    if let Some(folder) = &args.save_maps {
        let file = folder.join(MAP_INDEX);
        files::write_whole(&file, index.as_bytes())?;
        output.note(format_args!("Wrote {} and what it lists", shown(&file)));
    }
    let saved = Saved::of(loaded, reports)?;
    if let Some(folder) = &args.report {
        write(&folder.join("report.json"), "report", &saved, output)?;
        let reports = &saved.datasets;
        let page = report::html(loaded, &config, reports, collected, args.gallery, output)?;
        let Some(page) = page else {
            output.note("Stopped: the figures are in report.json, the page was not written");
            return Ok(None);
        };
        let file = folder.join("report.html");
        files::write_whole(&file, page.as_bytes())?;
        output.note(format_args!("Wrote {}", shown(&file)));
    }
    Ok(Some(saved))
}

/// A dataset's name, with its place behind it if an earlier one is called the same.
fn distinct(datasets: &[Dataset], number: usize) -> String {
    let name = &datasets[number].name;
    match datasets[..number].iter().any(|other| other.name == *name) {
        true => format!("{name}-{}", number + 1),
        false => name.clone(),
    }
}

/// An error if there are images that could not be read.
fn failures(measured: &[Saved], datasets: &[Dataset]) -> anyhow::Result<Outcome> {
    let reports = measured.first().map_or(&[][..], |saved| &saved.datasets);
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
fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |value| format!("{:.1}", 100.0 * value))
}

/// The file that `--save` and `--report` write: what was measured, and on what.
#[derive(Serialize)]
struct Saved {
    mpama: &'static str,
    adapter: String,
    adapter_config: Value,
    device: String,
    datasets: Vec<Report>,
}

impl Saved {
    fn of(loaded: &Loaded, datasets: Vec<Report>) -> serde_json::Result<Self> {
        Ok(Self {
            mpama: env!("CARGO_PKG_VERSION"),
            adapter: loaded.name.clone(),
            adapter_config: snake_case(serde_json::to_value(&loaded.config)?),
            device: device_name(&loaded.device),
            datasets,
        })
    }
}

fn write(file: &Path, kind: &str, saved: impl Serialize, output: &Output) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&Record::new(kind, saved))? + "\n";
    files::write_whole(file, text.as_bytes())?;
    output.note(format_args!("Wrote {}", shown(file)));
    Ok(())
}
