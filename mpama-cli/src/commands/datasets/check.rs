//! `mpama datasets check`: what a dataset is, and what is wrong with it.

use std::path::Path;

use mpama_datasets::catalog::Published;
use mpama_datasets::{Dataset, Label, Layout, Sample};
use serde::Serialize;
use serde_json::json;

use super::findings::{self, Finding};
use crate::cli::Check;
use crate::commands::Outcome;
use crate::interrupt;
use crate::output::{Output, count, shown};

/// Files shown of each kind of finding; `--json` has all.
const SHOWN: usize = 10;

/// Looks through the dataset. The answer is no if there is a problem; another number of images than
/// published is none.
pub(super) fn run(args: &Check, output: &Output) -> anyhow::Result<Outcome> {
    interrupt::listen(output.talks())?;
    let layout: Option<Layout> = args.layout.as_deref().map(str::parse).transpose()?;
    let dataset = Dataset::open(&args.data, layout)?;
    let Some(findings) = findings::all(&dataset, output) else {
        output.note("Stopped: what was not opened yet is not known");
        return Ok(Outcome::Interrupted);
    };
    let published = Published::of(&dataset);
    let categories = categories(&dataset, published);

    describe(&dataset, published, &categories, output)?;
    for finding in &findings {
        output.record("finding", finding)?;
    }
    for kind in findings.chunk_by(|a, b| (a.problem, &a.what) == (b.problem, &b.what)) {
        show(kind, output)?;
    }
    let problems = findings.iter().filter(|finding| finding.problem).count();
    let remarks = findings.len() - problems;
    let counts = dataset.counts();
    output.record(
        "check",
        json!({
            "path": shown(&args.data), "layout": dataset.layout, "dataset": published.map(|p| p.name),
            "normal": counts.normal, "anomalous": counts.anomalous, "masks": counts.masks,
            "mask_threshold": dataset.mask_threshold, "index_hash": dataset.index_hash(),
            "published": published.map(|p| json!({ "normal": p.normal, "anomalous": p.anomalous })),
            "as_published": published.map(|p| is_whole(p, &dataset)),
            "categories": categories, "problems": problems, "remarks": remarks,
        }),
    )?;
    output.line(format_args!(
        "\n{}, {}",
        count(problems, "problem"),
        count(remarks, "remark")
    ))?;
    Ok(match problems {
        0 => Outcome::Done,
        _ => Outcome::No,
    })
}

/// The images of a category, here and as published; `None` where that is not known.
#[derive(Debug, Serialize)]
struct Row {
    category: String,
    normal: usize,
    anomalous: usize,
    published: Option<[usize; 2]>,
}

/// Every category that is here or ought to be.
fn categories(dataset: &Dataset, published: Option<&Published>) -> Vec<Row> {
    let here = dataset.by_category();
    let several = published.is_some_and(|p| p.category_count() > 1);
    let mut names: Vec<&str> = here.keys().copied().collect();
    if let Some(published) = published.filter(|_| several) {
        let known = published.categories.iter().map(|c| c.name);
        names.extend(known.filter(|name| !here.contains_key(name)));
    }
    let row = |name: &str| {
        let samples = here.get(name).map_or(&[][..], Vec::as_slice);
        let count = |label| {
            samples
                .iter()
                .filter(|s: &&&Sample| s.label == label)
                .count()
        };
        let counts = match published {
            Some(published) if several => published.category(name).and_then(|c| c.counts),
            Some(published) => Some((published.normal, published.anomalous)),
            None => None,
        };
        Row {
            category: name.to_owned(),
            normal: count(Label::Normal),
            anomalous: count(Label::Anomalous),
            published: counts.map(|(normal, anomalous)| [normal, anomalous]),
        }
    };
    names.into_iter().map(row).collect()
}

fn is_whole(published: &Published, dataset: &Dataset) -> bool {
    let counts = dataset.counts();
    (counts.normal, counts.anomalous) == (published.normal, published.anomalous)
}

/// Says what it is and how many images it has.
fn describe(
    dataset: &Dataset,
    published: Option<&Published>,
    rows: &[Row],
    output: &Output,
) -> anyhow::Result<()> {
    let counts = dataset.counts();
    let masks = match counts.masks {
        0 => "no masks".to_owned(),
        masks => format!(
            "{} (anomalous above {})",
            count(masks, "mask"),
            dataset.mask_threshold
        ),
    };
    output.line(format_args!(
        "{}: {}, {} normal and {} anomalous images, {masks}",
        shown(&dataset.root),
        dataset.layout,
        counts.normal,
        counts.anomalous,
    ))?;
    match published {
        None => output.line("none of the published datasets that `mpama datasets list` names")?,
        Some(published) => output.line(format_args!(
            "{}: {}, {} normal and {} anomalous images published{}",
            published.name,
            published.about,
            published.normal,
            published.anomalous,
            match is_whole(published, dataset) {
                true => ", as here",
                false => "; not so here: figures will not compare with the paper's",
            }
        ))?,
    }
    let name = |row: &Row| shown(Path::new(&row.category));
    let widest = rows.iter().map(|row| name(row).chars().count()).max();
    let width = widest.unwrap_or(0).max("category".len());
    output.line(format_args!(
        "\n  {:<width$}  {:>6}  {:>9}  published",
        "category", "normal", "anomalous"
    ))?;
    for row in rows {
        let published = match row.published {
            Some(counts) if counts == [row.normal, row.anomalous] => "the same".to_owned(),
            Some([normal, anomalous]) => format!("{normal} and {anomalous}"),
            None => "unknown".to_owned(),
        };
        let (name, normal, anomalous) = (name(row), row.normal, row.anomalous);
        output.line(format_args!(
            "  {name:<width$}  {normal:>6}  {anomalous:>9}  {published}"
        ))?;
    }
    Ok(())
}

/// Shows findings of one kind.
fn show(kind: &[Finding], output: &Output) -> anyhow::Result<()> {
    let Some(first) = kind.first() else {
        return Ok(());
    };
    let word = if first.problem { "problem" } else { "remark" };
    output.line(format_args!("\n{word}: {} ({})", first.what, kind.len()))?;
    for finding in kind.iter().take(SHOWN) {
        match &finding.detail {
            Some(detail) => output.line(format_args!("  {}: {detail}", finding.path))?,
            None => output.line(format_args!("  {}", finding.path))?,
        }
    }
    if kind.len() > SHOWN {
        output.line(format_args!(
            "  and {} more: `--json` lists all",
            kind.len() - SHOWN
        ))?;
    }
    Ok(())
}
