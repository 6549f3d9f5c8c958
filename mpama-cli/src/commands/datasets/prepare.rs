//! `mpama datasets prepare`: a list of a dataset's images, which every command reads as the dataset.

use std::path::{Path, PathBuf};

use mpama_datasets::{Dataset, Layout};
use serde_json::json;

use crate::cli::Prepare;
use crate::commands::Outcome;
use crate::files;
use crate::output::{LITERAL, Output, count, shown};
use crate::problem::Mistake;

/// Writes the list. Nothing else is touched, and no file is replaced.
pub(super) fn run(args: &Prepare, output: &Output) -> anyhow::Result<Outcome> {
    let layout: Option<Layout> = args.layout.as_deref().map(str::parse).transpose()?;
    let dataset = Dataset::open(&args.data, layout)?;
    let file = match &args.out {
        Some(file) => file.clone(),
        None => beside(&dataset)?,
    };
    if Layout::of_file(&file) != Some(Layout::Jsonl) {
        return Err(Mistake::NotJsonl { path: file }.into());
    }
    if file.symlink_metadata().is_ok() {
        return Err(Mistake::Exists { path: file }.into());
    }
    let text = dataset.to_index(file.parent().unwrap_or(Path::new("")))?;
    files::write_whole(&file, text.as_bytes())?;

    let counts = dataset.counts();
    output.record(
        "index",
        json!({
            "path": shown(&file), "dataset": dataset.name, "layout": dataset.layout,
            "normal": counts.normal, "anomalous": counts.anomalous, "masks": counts.masks,
            "orphans": dataset.orphans.len(),
        }),
    )?;
    output.line(shown(&file))?;
    output.note(format_args!(
        "{} normal and {} anomalous images, {}, read as {}",
        counts.normal,
        counts.anomalous,
        count(counts.masks, "mask"),
        dataset.layout
    ));
    if !dataset.orphans.is_empty() {
        output.warn(format_args!(
            "{} left out or without a mask: {LITERAL}mpama datasets check {}{LITERAL:#} lists them",
            count(dataset.orphans.len(), "file"),
            shown(&args.data)
        ));
    }
    Ok(Outcome::Done)
}

/// `NAME.jsonl` beside the folder or list.
fn beside(dataset: &Dataset) -> Result<PathBuf, Mistake> {
    let root = &dataset.root;
    let folder = match root.file_name() {
        Some(_) => root.parent().map(Path::to_owned),
        // `.` and the like: what they mean
        None => {
            let whole = root.canonicalize();
            let whole = whole.map_err(|error| Mistake::file("read", root, error))?;
            whole.parent().map(Path::to_owned)
        }
    };
    Ok(folder
        .unwrap_or_default()
        .join(format!("{}.jsonl", dataset.name)))
}
