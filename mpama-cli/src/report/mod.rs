//! What an evaluation leaves behind. `file` has `report.json` and `report.csv`, `compare` two reports
//! subtracted, `paper` the paper's own figures, `pictures` a few defects for a model card.
//!
//! `report.html` is one page that needs nothing else, to read, print and pass on: `gallery` keeps the images
//! worth a look while a dataset is measured, `pair` draws photo and heatmap, `tile` the map of their `experts` too, `chart`, `bars`
//! and `table` draw the metrics and `figures` what the paper's figures show; `page` puts all in order. No part of the page asks for anything from outside, and nothing in it runs.

mod bars;
mod chart;
mod compare;
mod experts;
mod figures;
mod file;
mod gallery;
mod page;
mod pair;
pub(crate) mod paper;
mod pictures;
mod table;
mod text;
mod tile;

use mpama_core::preprocess::Orientation;
use mpama_train::eval::{EvalConfig, Report};

pub(crate) use compare::{Baseline, Comparison};
pub(crate) use file::{Saved, table};
pub(crate) use gallery::Collector;
pub(crate) use pictures::{Pictured, pictures};

use self::page::{Page, Section};
use self::pair::Reading;
use self::tile::tile;
use crate::interrupt;
use crate::model::{Loaded, device_name};
use crate::output::{Output, count};
use crate::progress::EVERY_HUNDRED;

/// Points of a curve on the page.
pub(crate) const CURVE_POINTS: usize = 300;

/// The page on these reports, each with what was collected while it was made; `None` if Ctrl-C came
/// before the last picture. `shown` is what the collectors were made with; `comparison` has its tables on
/// the page too.
pub(crate) fn html(
    loaded: &Loaded,
    config: &EvalConfig,
    reports: &[Report],
    collected: Vec<Collector>,
    shown: usize,
    comparison: Option<&Comparison>,
    output: &Output,
) -> anyhow::Result<Option<String>> {
    let orientation = match config.exif_orientation {
        true => Orientation::Apply,
        false => Orientation::Ignore,
    };
    let threshold = loaded.config.threshold.as_ref().map(|t| t.value);
    let pool = &loaded.config.model.experts;
    let galleries: Vec<_> = collected
        .into_iter()
        .zip(reports)
        .map(|(collector, report)| collector.galleries(report))
        .collect();
    let cases = galleries
        .iter()
        .flat_map(|by_category| by_category.values());
    let total = cases
        .map(|gallery| gallery.worst.len() + gallery.best.len())
        .sum();

    let progress = output.progress();
    progress.start("Drawing pictures", total, 0, EVERY_HUNDRED);
    let mut number = 0;
    let mut sections = Vec::new();
    for (report, mut by_category) in reports.iter().zip(galleries) {
        let reading = Reading {
            orientation,
            mask_threshold: report.mask_threshold,
        };
        let mut drawn = Vec::new();
        for category in &report.categories {
            let mut both = [String::new(), String::new()];
            let Some(gallery) = by_category.remove(&category.category) else {
                drawn.push(both);
                continue;
            };
            for (tiles, cases) in both.iter_mut().zip([gallery.worst, gallery.best]) {
                for case in &cases {
                    if interrupt::requested() {
                        progress.clear();
                        return Ok(None);
                    }
                    *tiles += &tile(case, number, threshold, reading, pool)?;
                    number += 1;
                    progress.advance(number, "");
                }
            }
            drawn.push(both);
        }
        sections.push(Section {
            report,
            galleries: drawn,
        });
    }
    progress.finish(&count(total, "image"));
    let page = Page {
        adapter: &loaded.name,
        method: loaded.method,
        config: &loaded.config,
        device: &device_name(&loaded.device),
        shown,
        comparison,
        sections,
    };
    Ok(Some(page::html(&page)))
}
