//! The page: what was measured, the figures, the curves, the galleries.

use std::fmt::Write;

use mpama_core::{AdapterConfig, Training};
use mpama_train::eval::{AUPRO_LIMIT, CategoryReport, Curves, Report};

use super::chart::{Axes, Line, Mark, curves, histogram};
use super::compare::Comparison;
use super::gallery::Sides;
use super::text::{escaped, per_cent};
use super::{experts, figures, paper, table};
use crate::heatmap;
use crate::output::count;

const STYLE: &str = include_str!("style.css");
const NOTES: &str = include_str!("notes.html");

/// What nothing on the page may do: load anything, run anything.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

/// The whole of what a page tells.
pub(super) struct Page<'a> {
    pub(super) adapter: &'a str,
    pub(super) method: &'a str,
    pub(super) config: &'a AdapterConfig,
    pub(super) device: &'a str,
    /// Images of each kind in a gallery; 0 if there are no galleries.
    pub(super) shown: usize,
    pub(super) comparison: Option<&'a Comparison>,
    pub(super) sections: Vec<Section<'a>>,
}

/// One dataset.
pub(super) struct Section<'a> {
    pub(super) report: &'a Report,
    /// For each category of the report, the tiles of the worst and of the best images, as HTML.
    pub(super) galleries: Vec<[String; 2]>,
}

/// The page as HTML that needs nothing else.
pub(super) fn html(page: &Page<'_>) -> String {
    let title = format!("Evaluation of {}", escaped(page.adapter));
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"mpama {}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<header><h1>{title}</h1>\n{}</header>\n<main>\n",
        env!("CARGO_PKG_VERSION"),
        facts(page)
    );
    for (number, section) in page.sections.iter().enumerate() {
        html += &dataset(page, section, number);
    }
    html + "</main>\n<footer>\n" + &notes(page) + "</footer>\n</body>\n</html>\n"
}

/// How to read the page, and nothing about what it does not have. A line that is not always there begins with
/// what it is about.
fn notes(page: &Page<'_>) -> String {
    let figures = || {
        page.sections
            .iter()
            .filter_map(|s| s.report.figures.as_ref())
    };
    let experts = figures().any(|f| !f.experts.is_empty());
    let there = [
        ("gallery", page.shown > 0),
        ("sizes", figures().any(figures::has_sizes)),
        ("experts", experts),
        ("maps", experts && page.shown > 0),
        ("cost", figures().any(|f| f.cost.is_some())),
    ];
    let mut html = String::new();
    for line in NOTES.lines() {
        let about = |what| line.strip_prefix(&format!("<!--{what}-->"));
        let found = there
            .iter()
            .find_map(|(what, there)| Some((about(what)?, *there)));
        let (line, shown) = found.unwrap_or((line, true));
        if shown {
            html += line;
            html.push('\n');
        }
    }
    html.replace("{scale}", &scale())
        .replace("{shown}", &page.shown.to_string())
}

/// The colours of the heatmaps from 0 to 1.
fn scale() -> String {
    let stops: Vec<String> = (0..=10)
        .map(|tenth| {
            let [r, g, b] = heatmap::colour(tenth as f32 / 10.0);
            format!("rgb({r} {g} {b})")
        })
        .collect();
    format!("linear-gradient(90deg,{})", stops.join(","))
}

/// What was measured, as terms and what they are.
fn facts(page: &Page<'_>) -> String {
    let config = page.config;
    let size = config.model.image_size;
    let mut facts = vec![
        ("Method", page.method.to_owned()),
        ("Backbone", escaped(&config.base_model.id)),
        ("Input", format!("{}×{} px", size.width, size.height)),
    ];
    if let Some(training) = &config.training {
        let text = format!(
            "{}, {}, seed {}",
            escaped(&training.dataset),
            count(training.images, "image"),
            training.seed
        );
        facts.push(("Trained on", text));
    }
    if let Some(threshold) = &config.threshold {
        let text = format!("{} ({})", threshold.value, escaped(&threshold.origin));
        facts.push(("Threshold", text));
    }
    facts.push(("Device", escaped(page.device)));
    facts.push(("Version", format!("mpama {}", env!("CARGO_PKG_VERSION"))));
    let items: Vec<String> = facts
        .iter()
        .map(|(term, text)| format!("<div><dt>{term}</dt><dd>{text}</dd></div>"))
        .collect();
    format!("<dl class=\"facts\">{}</dl>\n", items.join(""))
}

fn dataset(page: &Page<'_>, section: &Section<'_>, number: usize) -> String {
    let report = section.report;
    let [normal, anomalous] = report
        .categories
        .iter()
        .fold([0, 0], |[n, a], c| [n + c.normal, a + c.anomalous]);
    let categories = match report.categories.len() {
        1 => "1 category".to_owned(),
        several => format!("{several} categories"),
    };
    let mut html = format!(
        "<section class=\"dataset\">\n<h2>{}</h2>\n<p class=\"about\">{normal} normal and \
         {anomalous} anomalous images in {categories}; maps of {}×{} px",
        escaped(&report.dataset),
        report.map_size.1,
        report.map_size.0
    );
    if report.sigma > 0.0 {
        let _ = write!(html, ", smoothed with σ = {}", report.sigma);
    }
    html += "</p>\n";
    html += overlap(page.config.training.as_ref(), report);
    html += &headline(report);
    html += &table::figures(report, number);
    if let Some(comparison) = page.comparison {
        html += &comparison.html(number);
    }
    html += &paper::html(report);
    html += &figures::html(report, &page.config.model.experts);
    if !report.failures.is_empty() {
        let _ = write!(
            html,
            "<details class=\"failures\"><summary>{} could not be read and {} in no \
             figure</summary><ul>",
            count(report.failures.len(), "image"),
            if report.failures.len() == 1 {
                "is"
            } else {
                "are"
            }
        );
        for failure in &report.failures {
            let (id, reason) = (escaped(&failure.id), escaped(&failure.reason));
            let _ = write!(html, "<li><code>{id}</code> {reason}</li>");
        }
        html += "</ul></details>\n";
    }
    for (place, category) in report.categories.iter().enumerate() {
        let _ = writeln!(
            html,
            "<section class=\"category\" id=\"c{number}-{place}\">"
        );
        html += &self::category(page, report, category);
        if let Some(gallery) = section.galleries.get(place) {
            let figures = category.figures.as_ref();
            let colours = figures
                .filter(|figures| !figures.experts.is_empty())
                .map(|_| experts::legend(&page.config.model.experts, |_| String::new()));
            html += &self::gallery(gallery, colours, report.categories.len() == 1);
        }
        html += "</section>\n";
    }
    html + "</section>\n"
}

/// A warning if the figures may be of images that the adapter has learned from.
fn overlap(training: Option<&Training>, report: &Report) -> &'static str {
    match training {
        Some(training) if training.index_hash == report.index_hash => {
            "<p class=\"warning\"><strong>The adapter was trained on these very images</strong>: \
             the figures say nothing about things it has not seen.</p>\n"
        }
        Some(training) if training.dataset == report.dataset => {
            "<p class=\"warning\"><strong>The adapter was trained on a dataset of this \
             name</strong>: if it holds some of these images, the figures say little about things \
             it has not seen.</p>\n"
        }
        _ => "",
    }
}

/// The three figures that most readers look for.
fn headline(report: &Report) -> String {
    let mean = &report.mean;
    let figures = [
        ("Image AUROC", mean.image_auroc),
        ("Pixel AUROC", mean.pixel_auroc),
        ("AUPRO", mean.aupro),
    ];
    let items = figures.map(|(name, value)| {
        let text = per_cent(value);
        format!("<div><dt>{name}</dt><dd>{text}</dd></div>")
    });
    format!("<dl class=\"headline\">{}</dl>\n", items.concat())
}

fn category(page: &Page<'_>, report: &Report, category: &CategoryReport) -> String {
    let mut counts = format!(
        "{} normal and {} anomalous images",
        category.normal, category.anomalous
    );
    if category.without_mask > 0 {
        let _ = write!(
            counts,
            ", {} of them without a mask: no pixel figures",
            category.without_mask
        );
    } else {
        let _ = write!(counts, ", {}", count(category.regions, "defect region"));
    }
    let name = escaped(&category.category);
    let mut html =
        format!("<h3>{name}</h3>\n<p class=\"about\">{counts}</p>\n<div class=\"charts\">\n");
    let none = Curves::default();
    let found = category.curves.as_ref().unwrap_or(&none);
    let scores = &category.scores;
    let line = |name, value, curve| Line { name, value, curve };
    let roc = Axes {
        title: "ROC",
        x: "false positive rate",
        y: "recall",
        end: 1.0,
        chance: true,
    };
    html += &curves(
        &roc,
        &[
            line("image", scores.image_auroc, found.image_roc.as_ref()),
            line("pixel", scores.pixel_auroc, found.pixel_roc.as_ref()),
        ],
    );
    let precision = Axes {
        title: "Precision and recall",
        x: "recall",
        y: "precision",
        end: 1.0,
        chance: false,
    };
    let (of_images, of_pixels) = (&found.image_precision_recall, &found.pixel_precision_recall);
    html += &curves(
        &precision,
        &[
            line("image", scores.image_ap, of_images.as_ref()),
            line("pixel", scores.pixel_ap, of_pixels.as_ref()),
        ],
    );
    let overlap = Axes {
        title: "Per-region overlap",
        x: "false positive rate",
        y: "mean overlap",
        end: AUPRO_LIMIT,
        chance: false,
    };
    html += &curves(
        &overlap,
        &[line("region", scores.aupro, found.pro.as_ref())],
    );
    let mut marks = Vec::new();
    let mut mark = |class, name, value: Option<f32>| {
        marks.extend(value.map(|value| Mark { class, name, value }));
    };
    mark("best", "best F1", category.image_f1_threshold);
    mark(
        "set",
        "threshold",
        page.config.threshold.as_ref().map(|t| t.value),
    );
    let Sides { normal, anomalous } = Sides::of(report, &category.category);
    html += &histogram(&normal, &anomalous, &marks);
    html + "</div>\n"
}

/// The tiles, folded away unless they are the only ones.
/// `colours` are those of the experts.
fn gallery([worst, best]: &[String; 2], colours: Option<String>, open: bool) -> String {
    if worst.is_empty() {
        return String::new();
    }
    let open = if open { " open" } else { "" };
    let mut html = format!("<details class=\"gallery\"{open}><summary>Images</summary>\n");
    if let Some(colours) = colours {
        let _ = writeln!(html, "<p class=\"colours\">Experts: {colours}</p>");
    }
    if best.is_empty() {
        let _ = write!(
            html,
            "<h4>All, most wrong first</h4>\n<div class=\"tiles\">\n{worst}</div>\n"
        );
    } else {
        let _ = write!(
            html,
            "<h4>Most wrong</h4>\n<div class=\"tiles\">\n{worst}</div>\n\
             <h4>Most right</h4>\n<div class=\"tiles\">\n{best}</div>\n"
        );
    }
    html + "</details>\n"
}
