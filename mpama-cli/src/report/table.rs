//! The figures of a dataset as a table.

use std::fmt::Write;

use mpama_train::eval::{Report, Scores};

use super::text::{escaped, per_cent};

/// A heading, the one above it, and where the figure is found.
type Column = (&'static str, fn(&Scores) -> Option<f64>);

/// Both kinds of AUPRO are shown: they are different measures.
const COLUMNS: [Column; 8] = [
    ("AUROC", |s| s.image_auroc),
    ("AP", |s| s.image_ap),
    ("F1-max", |s| s.image_f1_max),
    ("AUROC", |s| s.pixel_auroc),
    ("AP", |s| s.pixel_ap),
    ("F1-max", |s| s.pixel_f1_max),
    ("AUPRO", |s| s.aupro),
    ("AUPRO-200", |s| s.aupro_200),
];
/// How many of the columns are over images; the others are over pixels.
const OF_IMAGES: usize = 3;

/// One row per category, linked to its section `#c<dataset>-<category>`, and the mean.
pub(super) fn figures(report: &Report, dataset: usize) -> String {
    let mut html = String::from("<div class=\"wide\"><table><thead><tr><th></th>");
    let _ = write!(
        html,
        "<th colspan=\"2\" scope=\"colgroup\">images</th>\
         <th colspan=\"{OF_IMAGES}\" scope=\"colgroup\">image, %</th>\
         <th colspan=\"{}\" scope=\"colgroup\">pixel, %</th></tr><tr><th scope=\"col\">category</th>\
         <th scope=\"col\">normal</th><th scope=\"col\">anomalous</th>",
        COLUMNS.len() - OF_IMAGES
    );
    for (heading, _) in COLUMNS {
        let _ = write!(html, "<th scope=\"col\">{heading}</th>");
    }
    html += "</tr></thead><tbody>\n";
    for (number, category) in report.categories.iter().enumerate() {
        let name = format!(
            "<a href=\"#c{dataset}-{number}\">{}</a>",
            escaped(&category.category)
        );
        let counts = [category.normal, category.anomalous].map(|n| n.to_string());
        html += &row(&name, &counts, &category.scores);
    }
    html += "</tbody><tfoot>\n";
    html += &row("mean", &[String::new(), String::new()], &report.mean);
    html + "</tfoot></table></div>\n"
}

/// `name` is HTML.
fn row(name: &str, [normal, anomalous]: &[String; 2], scores: &Scores) -> String {
    let mut html =
        format!("<tr><th scope=\"row\">{name}</th><td>{normal}</td><td>{anomalous}</td>");
    for (_, metric) in COLUMNS {
        let value = metric(scores);
        let text = per_cent(value);
        let _ = match value {
            Some(_) => write!(
                html,
                "<td class=\"score\" style=\"--share:{text}%\">{text}</td>"
            ),
            None => write!(html, "<td class=\"none\">{text}</td>"),
        };
    }
    html + "</tr>\n"
}
