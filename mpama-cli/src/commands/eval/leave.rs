//! What an evaluation leaves in the folder of `--report`.

use std::path::Path;

use mpama_train::eval::EvalConfig;

use crate::cli::Eval;
use crate::files;
use crate::model::Loaded;
use crate::output::{Output, shown};
use crate::report::{self, Collector, Saved};

/// Writes report.json, report.csv and the page; false if Ctrl-C came before the last picture.
pub(super) fn all(
    folder: &Path,
    saved: &Saved,
    loaded: &Loaded,
    config: &EvalConfig,
    collected: Vec<Collector>,
    args: &Eval,
    output: &Output,
) -> anyhow::Result<bool> {
    let said = |name: &str| {
        let file = folder.join(name);
        output.note(format_args!("Wrote {}", shown(&file)));
        file
    };
    saved.write(&folder.join("report.json"))?;
    said("report.json");
    if let Some(first) = saved.pictures.first() {
        let (first, all) = (folder.join(&first.file), saved.pictures.len());
        output.note(format_args!("Wrote {} to {all}.png", shown(&first)));
    }
    files::write_whole(&folder.join("report.csv"), &report::table(&saved.datasets)?)?;
    said("report.csv");
    let (reports, comparison) = (&saved.datasets, saved.comparison.as_ref());
    let page = report::html(
        loaded,
        config,
        reports,
        collected,
        args.gallery,
        comparison,
        output,
    )?;
    let Some(page) = page else {
        output.note("Stopped: the figures are in report.json, the page was not written");
        return Ok(false);
    };
    files::write_whole(&folder.join("report.html"), page.as_bytes())?;
    said("report.html");
    Ok(true)
}
