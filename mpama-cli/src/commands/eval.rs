//! `mpama eval`: adapters measured on datasets.

mod judge;
mod leave;
mod protocol;
mod resume;
mod spread;
mod table;

use std::path::PathBuf;

use mpama_datasets::{Dataset, Layout};
use mpama_train::eval::{EvalConfig, MAP_INDEX, SavedMaps, Seen, evaluate_with};
use mpama_train::{Control, Stages};
use serde_json::json;

use self::resume::Resume;
use super::Outcome;
use super::watch::Watch;
use crate::cli::{Eval, Global, Model};
use crate::files;
use crate::interrupt;
use crate::model::{self, Loaded};
use crate::output::{Output, Record, count, shown};
use crate::problem::Mistake;
use crate::report::{Baseline, CURVE_POINTS, Collector, Saved, pictures};

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
    let of_one = [
        ("--report", &args.report),
        ("--save-maps", &args.save_maps),
        ("--compare", &args.compare),
    ];
    for (flag, _) in of_one.iter().filter(|(_, given)| given.is_some()) {
        if adapters > 1 {
            return Err(Mistake::OneAdapter { flag, adapters }.into());
        }
    }
    for folder in [&args.report, &args.save_maps].into_iter().flatten() {
        files::writable_folder(folder)?;
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
            dtype: args.dtype,
        };
        let loaded = model::load(&model, global, output)?;
        protocol::check(&loaded.config, &datasets, args.allow_training_data)?;
        protocol::tell(&loaded.config, &datasets, output);
        let baseline = judge::baseline(args, &loaded, &datasets)?;
        let mut resume = Resume::new(args, adapter.map(PathBuf::as_path))?;
        let Some(saved) = one(args, &loaded, &datasets, baseline, &mut resume, output)? else {
            return Ok(Outcome::Interrupted);
        };
        if let (Some(file), 1) = (&args.save, adapters.max(1)) {
            saved.write(file)?;
            output.note(format_args!("Wrote {}", shown(file)));
        }
        measured.push(saved);
        resumes.push(resume);
    }
    if measured.len() > 1 {
        spread::show(&measured, output)?;
        if let Some(file) = &args.save {
            let spread = spread::of(&measured);
            let saved = Record::new("spread", json!({ "adapters": measured, "spread": spread }));
            let text = serde_json::to_string_pretty(&saved)? + "\n";
            files::write_whole(file, text.as_bytes())?;
            output.note(format_args!("Wrote {}", shown(file)));
        }
    }
    resumes.into_iter().try_for_each(Resume::end)?;
    failures(&measured, &datasets)?;
    let reports = measured.iter().flat_map(|saved| &saved.datasets);
    judge::met(&args.require, reports, output)
}

/// Measures one adapter; `None` if Ctrl-C came before the end.
fn one(
    args: &Eval,
    loaded: &Loaded,
    datasets: &[Dataset],
    baseline: Option<Baseline>,
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
            collector.look(seen);
            maps.as_ref().map_or(Ok(()), |maps| maps.save(seen))
        };
        let detector = &loaded.detector;
        let ended = evaluate_with(detector, dataset, &config, state, &mut control, &mut look)?;
        watch.finish()?;
        let mpama_train::Outcome::Done(report) = ended else {
            resume.stopped(output)?;
            return Ok(None);
        };
        table::show(&report, args.per_category, output)?;
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
    let compared = baseline.map(|baseline| baseline.compare(&reports));
    if let Some(comparison) = &compared {
        comparison.show(output)?;
    }
    let mut saved = Saved::new(loaded, reports, compared)?;
    if let Some(folder) = &args.report {
        if args.gallery > 0 {
            let reports = &saved.datasets;
            saved.pictures = pictures(folder, loaded, &config, datasets, reports, output)?;
        }
        if !leave::all(folder, &saved, loaded, &config, collected, args, output)? {
            return Ok(None);
        }
        saved.pictures.clear(); // another file has none beside it
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
fn failures(measured: &[Saved], datasets: &[Dataset]) -> Result<(), Mistake> {
    let reports = measured.first().map_or(&[][..], |saved| &saved.datasets);
    let failures: Vec<String> = reports
        .iter()
        .flat_map(|report| &report.failures)
        .map(|failure| format!("\n  {}", failure.reason))
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    let all = datasets.iter().map(|dataset| dataset.samples.len()).sum();
    Err(Mistake::SomeFailed {
        failed: failures.len(),
        all: count(all, "image"),
        list: failures.concat(),
    })
}
