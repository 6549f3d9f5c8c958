//! The paper's figures as lines of a terminal and as tables of the page.

use std::fmt::Write;

use mpama_datasets::catalog::Published;
use mpama_train::eval::{CategoryReport, Report};

use super::super::text::{escaped, per_cent};
use super::{notes, printed, recognise, rows};
use crate::metric::Metric;

/// The systems that are shown of single categories.
const SHOWN: [&str; 3] = ["AnomalyCLIP", "MPA", "MPAMA"];

/// Per cent as the paper prints them.
fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"))
}

/// For each system of the paper, its name and its cells under `columns`; none if the dataset is not one of the
/// fifteen.
pub(crate) fn lines(report: &Report, columns: &[Metric]) -> Option<Vec<(String, Vec<String>)>> {
    let known = recognise(report)?;
    let line = |row: &super::Row| {
        let cells = columns.iter().map(|column| {
            let place = printed().iter().position(|metric| metric.key == column.key);
            cell(place.and_then(|place| row.figures()[place]))
        });
        (format!("paper {}", row.system), cells.collect())
    };
    let shown = rows(known.name, None).filter(|row| SHOWN.contains(&row.system.as_str()));
    Some(shown.map(line).collect())
}

/// The paper's tables with ours in them; empty if the dataset is not one of the fifteen.
pub(in crate::report) fn html(report: &Report) -> String {
    let Some(known) = recognise(report) else {
        return String::new();
    };
    let mut html = format!(
        "<section class=\"paper\">\n<h3>Beside the paper: {}</h3>\n",
        known.name
    );
    html += &means(known, report);
    if rows(
        known.name,
        report.categories.first().map(|c| c.category.as_str()),
    )
    .next()
    .is_some()
    {
        html += &categories(known, report);
    }
    html += "<ul class=\"notes\">";
    for note in notes(known, report) {
        let _ = write!(html, "<li>{}</li>", escaped(&note));
    }
    html + "</ul>\n</section>\n"
}

/// One row per system, ours last; metrics that the paper does not have on this dataset are left out.
fn means(known: &Published, report: &Report) -> String {
    let metrics = printed();
    let there = |place: &usize| rows(known.name, None).any(|row| row.figures()[*place].is_some());
    let columns: Vec<usize> = (0..metrics.len()).filter(there).collect();
    let mut html = String::from(
        "<div class=\"wide\"><table class=\"narrow\"><thead><tr><th scope=\"col\">mean, %</th>",
    );
    for place in &columns {
        let _ = write!(html, "<th scope=\"col\">{}</th>", metrics[*place].heading);
    }
    html += "</tr></thead><tbody>\n";
    for row in rows(known.name, None) {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", row.system);
        for place in &columns {
            let _ = write!(html, "<td>{}</td>", cell(row.figures()[*place]));
        }
        html += "</tr>\n";
    }
    html += "</tbody><tfoot><tr><th scope=\"row\">this adapter</th>";
    for place in &columns {
        let ours = (metrics[*place].of)(&report.mean);
        let _ = write!(html, "<td>{}</td>", per_cent(ours));
    }
    html + "</tr></tfoot></table></div>\n"
}

/// For each metric the paper's systems and ours, one row per category.
fn categories(known: &Published, report: &Report) -> String {
    let mut html = String::from(
        "<details><summary>By category</summary><div class=\"wide\"><table class=\"many\"><thead><tr><th></th>",
    );
    for metric in printed() {
        let columns = SHOWN.len() + 1;
        let _ = write!(
            html,
            "<th colspan=\"{columns}\" scope=\"colgroup\">{}, %</th>",
            metric.heading
        );
    }
    html += "</tr><tr><th scope=\"col\">category</th>";
    for _ in printed() {
        for system in SHOWN {
            let _ = write!(html, "<th scope=\"col\">{system}</th>");
        }
        html += "<th scope=\"col\" class=\"ours\">ours</th>";
    }
    html += "</tr></thead><tbody>\n";
    for category in &report.categories {
        html += &row(known, category);
    }
    html + "</tbody></table></div></details>\n"
}

fn row(known: &Published, category: &CategoryReport) -> String {
    let name = &category.category;
    let mut html = format!("<tr><th scope=\"row\">{}</th>", escaped(name));
    for (place, metric) in printed().iter().enumerate() {
        for system in SHOWN {
            let theirs = rows(known.name, Some(name)).find(|row| row.system == system);
            let figure = theirs.and_then(|row| row.figures()[place]);
            let _ = write!(html, "<td>{}</td>", cell(figure));
        }
        let ours = per_cent((metric.of)(&category.scores));
        let _ = write!(html, "<td class=\"ours\">{ours}</td>");
    }
    html + "</tr>\n"
}
