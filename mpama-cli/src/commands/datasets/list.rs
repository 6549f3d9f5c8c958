//! `mpama datasets list`: the datasets of the paper, and the layouts that can be read.

use mpama_datasets::Layout;
use mpama_datasets::catalog::{CATALOG, Category, Published};
use serde_json::json;

use crate::commands::Outcome;
use crate::output::Output;

/// Shows both tables.
pub(super) fn run(output: &Output) -> anyhow::Result<Outcome> {
    let layouts = |p: &Published| p.layouts.iter().map(Layout::as_str).collect::<Vec<_>>();
    output.line(format_args!(
        "{:<14} {:>6} {:>9} {:>10}  {:<14}  {:<17} licence; source",
        "dataset", "normal", "anomalous", "categories", "masks", "layouts"
    ))?;
    for published in &CATALOG {
        output.line(format_args!(
            "{:<14} {:>6} {:>9} {:>10}  {:<14}  {:<17} {}; {}",
            published.name,
            published.normal,
            published.anomalous,
            published.category_count(),
            published.masks.as_str(),
            layouts(published).join(", "),
            published.licence,
            published.source,
        ))?;
        let category = |c: &Category| {
            let (normal, anomalous) = c.counts.unzip();
            json!({ "name": c.name, "normal": normal, "anomalous": anomalous })
        };
        output.record(
            "dataset",
            json!({
                "name": published.name, "about": published.about, "layouts": layouts(published),
                "normal": published.normal, "anomalous": published.anomalous,
                "categories": published.categories.iter().map(category).collect::<Vec<_>>(),
                "masks": published.masks, "licence": published.licence,
                "source": published.source,
            }),
        )?;
    }
    output.line(format_args!("\n{:<14} what must lie there", "layout"))?;
    for layout in Layout::ALL {
        output.line(format_args!("{:<14} {}", layout.as_str(), layout.words()))?;
        output.record(
            "layout",
            json!({ "name": layout.as_str(), "shape": layout.words() }),
        )?;
    }
    output.note(
        "Counts are the paper's (Table 6). Nothing is downloaded: give `--data` the folder that you \
         have; `mpama datasets check DATASET` tells whether it is in order",
    );
    Ok(Outcome::Done)
}
