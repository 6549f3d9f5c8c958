//! `mpama push`: an adapter to the Hub, for everybody to use.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use candle_core::Device;
use mpama_core::{Adapter, AdapterConfig};
use mpama_datasets::catalog::CATALOG;
use mpama_hub::{Card, Licence, Measured, Picture, Publication};
use serde_json::json;

use super::Outcome;
use crate::cli::{Global, Push};
use crate::hub::{connect, size};
use crate::interrupt;
use crate::metric::METRICS;
use crate::output::{LITERAL, Output, shown, snake_case};
use crate::problem::Mistake;
use crate::python;
use crate::report::{Pictured, Saved};

/// Shows what would be published, asks, publishes.
pub(crate) fn run(args: &Push, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let folder = adapter_folder(&args.folder)?;
    // Read whole: what others could not load is not published.
    let adapter = Adapter::load(&folder, &Device::Cpu)?;
    let mut pictures = Pictures::default();
    let (results, data) = match &args.report {
        Some(file) => {
            let report = report_on(&adapter.config, file)?;
            if !args.no_pictures {
                pictures.take(&report.pictures, file)?;
            }
            measured(&report, &adapter.config, args)
        }
        None => (Vec::new(), licences(&adapter.config, &[])),
    };
    pictures.add(&args.picture)?;
    let Pictures {
        examples,
        others,
        mut files,
    } = pictures;
    let script = python::knows(&adapter.config).then_some(python::SCRIPT);
    let card = Card {
        id: &args.id,
        config: &adapter.config,
        method: adapter.method(),
        licence: args.license.as_deref(),
        results: &results,
        data: &data,
        examples: &examples,
        pictures: &others,
        script: script.map(|(name, _)| name),
    };
    let card = card.text();
    files.extend(script.map(|(name, text)| (name.to_owned(), text.into())));
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        files.push((name.to_owned(), read(&folder.join(name))?));
    }
    files.push(("README.md".to_owned(), card.clone().into_bytes()));
    files.sort();

    let hub = connect(global, output)?;
    output.note(format_args!("To {}/{}:", hub.settings().endpoint, args.id));
    for (name, bytes) in &files {
        output.note(format_args!("  {:>9}  {name}", size(bytes.len() as u64)));
    }
    if args.dry_run {
        output.line(&card)?;
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| json!({ "name": name, "bytes": bytes.len() }))
            .collect();
        output.record(
            "plan",
            json!({ "id": args.id, "files": files, "card": card }),
        )?;
        return Ok(Outcome::Done);
    }
    output.note(format_args!("\n{card}"));
    if !args.yes && !agreed(args)? {
        output.note("Nothing was published");
        return Ok(Outcome::Done);
    }
    interrupt::listen(output.talks())?;
    let publication = Publication {
        id: args.id.clone(),
        private: args.private,
        message: format!(
            "{} adapter for {}",
            adapter.method(),
            adapter.config.base_model.id
        ),
        files,
    };
    let Some(published) = hub.publish(&publication, interrupt::flag())? else {
        output.note("Stopped; nothing was published, repeat the command to do so");
        output.record("interrupted", json!({ "id": args.id }))?;
        return Ok(Outcome::Interrupted);
    };
    output.line(&published.url)?;
    output.record(
        "published",
        json!({
            "id": args.id, "url": published.url, "commit": published.commit,
            "unchanged": published.unchanged,
        }),
    )?;
    output.success(match published.unchanged {
        true => format!(
            "The Hub has these very files already, at {}",
            published.commit
        ),
        false => format!("Published at {}", published.commit),
    });
    output.note(format_args!(
        "Anyone{} can now: {LITERAL}mpama predict IMAGES --adapter {}{LITERAL:#}",
        if args.private { " with access" } else { "" },
        args.id
    ));
    Ok(Outcome::Done)
}

/// An adapter's folder, or the one in a run's folder.
fn adapter_folder(given: &Path) -> Result<PathBuf, Mistake> {
    let missing = || Mistake::NoFolder {
        what: "adapter",
        path: given.to_owned(),
    };
    let inside = given.join("adapter");
    let is_adapter = |folder: &Path| folder.join("adapter_config.json").is_file();
    match () {
        () if is_adapter(given) => Ok(given.to_owned()),
        () if is_adapter(&inside) => Ok(inside),
        () => Err(missing()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Mistake> {
    fs::read(path).map_err(|error| Mistake::file("read", path, error))
}

/// A report, if it is on this very adapter.
fn report_on(config: &AdapterConfig, file: &Path) -> anyhow::Result<Saved> {
    let report = Saved::read(file)?;
    if report.adapter_config != snake_case(serde_json::to_value(config)?) {
        return Err(Mistake::OtherAdapter {
            path: file.to_owned(),
        }
        .into());
    }
    Ok(report)
}

/// The figures of a report, and the terms of the data behind them.
fn measured(report: &Saved, config: &AdapterConfig, args: &Push) -> (Vec<Measured>, Vec<Licence>) {
    let results: Vec<Measured> = report
        .datasets
        .iter()
        .map(|dataset| {
            let metric = |metric: &crate::metric::Metric| {
                let value = (metric.of)(&dataset.mean)?;
                let kind = match metric.key {
                    key if key.ends_with("auroc") => "auroc",
                    key if key.ends_with("-ap") => "average_precision",
                    key if key.ends_with("f1-max") => "f1",
                    key => key,
                };
                Some((kind.to_owned(), metric.heading.to_owned(), 100.0 * value))
            };
            let images = dataset.categories.iter().map(|c| c.normal + c.anomalous);
            Measured {
                dataset: dataset.dataset.clone(),
                images: images.sum(),
                metrics: METRICS.iter().filter_map(metric).collect(),
                command: format!(
                    "mpama eval --adapter {} --data {}",
                    args.id, dataset.dataset
                ),
            }
        })
        .collect();
    let names: Vec<&str> = results.iter().map(|m| m.dataset.as_str()).collect();
    let data = licences(config, &names);
    (results, data)
}

/// The terms of the datasets of the catalogue that an adapter was trained or measured on.
fn licences(config: &AdapterConfig, measured: &[&str]) -> Vec<Licence> {
    let trained = config
        .training
        .iter()
        .map(|training| training.dataset.as_str());
    let mut names: Vec<&str> = trained.chain(measured.iter().copied()).collect();
    names.sort_unstable();
    names.dedup();
    let terms = |name: &str| {
        let published = CATALOG.iter().find(|published| published.is_called(name))?;
        Some(Licence {
            dataset: published.name.to_owned(),
            terms: format!("{} ({})", published.licence, published.source),
        })
    };
    names.into_iter().filter_map(terms).collect()
}

/// Pictures under `pictures/`, numbered: names on this machine stay here.
#[derive(Default)]
struct Pictures {
    /// Those of the report.
    examples: Vec<Picture>,
    /// Those that were given one by one.
    others: Vec<Picture>,
    /// Name and bytes of all.
    files: Vec<(String, Vec<u8>)>,
}

impl Pictures {
    /// Takes those of the report that was read from `report`.
    fn take(&mut self, pictured: &[Pictured], report: &Path) -> Result<(), Mistake> {
        for one in pictured {
            let file = self.file(Path::new(&one.file), one.read(report)?)?;
            let Pictured {
                dataset,
                category,
                defect,
                score,
                ..
            } = one;
            let shows = format!("{dataset}, {category}, {defect}: score {score:.3}");
            self.examples.push(Picture { file, shows });
        }
        Ok(())
    }

    /// Adds those at `paths`.
    fn add(&mut self, paths: &[PathBuf]) -> Result<(), Mistake> {
        for path in paths {
            let file = self.file(path, read(path)?)?;
            let shows = format!("Picture {}", self.files.len());
            self.others.push(Picture { file, shows });
        }
        Ok(())
    }

    /// The name of one more; `path` is for the error if it is none.
    fn file(&mut self, path: &Path, bytes: Vec<u8>) -> Result<String, Mistake> {
        let format = image::guess_format(&bytes).ok();
        let ending = format.and_then(|format| format.extensions_str().first());
        let ending = ending.ok_or_else(|| Mistake::NotPicture {
            path: path.to_owned(),
        })?;
        let file = format!("pictures/{}.{ending}", self.files.len() + 1);
        self.files.push((file.clone(), bytes));
        Ok(file)
    }
}

/// Asks, if there is somebody to ask.
fn agreed(args: &Push) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Mistake::Unasked.into());
    }
    let kind = if args.private {
        "privately"
    } else {
        "for everybody"
    };
    write!(
        io::stderr(),
        "Publish {} as {} {kind}? [y/N] ",
        shown(&args.folder),
        args.id
    )?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
