//! Two reports on the same data, subtracted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use mpama_train::eval::{Report, Scores};
use serde::{Deserialize, Serialize};

use super::file::Saved;
use super::text::escaped;
use crate::metric::{METRICS, differences};
use crate::output::{Output, shown};
use crate::problem::Mistake;

/// The report to compare with, known to be on the same data.
#[derive(Debug)]
pub(crate) struct Baseline {
    file: String,
    saved: Saved,
}

/// Ours minus theirs; differences of fractions, absent where either side is undefined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// The other report's file.
    pub(crate) against: String,
    /// The adapter it is about.
    pub(crate) adapter: String,
    pub(crate) datasets: Vec<DatasetComparison>,
}

/// The differences on one dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct DatasetComparison {
    pub(crate) dataset: String,
    pub(crate) categories: Vec<CategoryComparison>,
    pub(crate) mean: BTreeMap<String, Option<f64>>,
}

/// The differences on one category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CategoryComparison {
    pub(crate) category: String,
    pub(crate) differences: BTreeMap<String, Option<f64>>,
}

impl Baseline {
    /// Reads the report, and sees that it is about each of these datasets, given by name, index hash and
    /// map size, and has its maps at the files' sizes or not as here: before anything is measured.
    ///
    /// # Errors
    /// [`Mistake::NoReport`] for a file that is none; [`Mistake::NotComparable`] with everything that differs.
    pub(crate) fn open(
        file: &Path,
        datasets: &[(&str, String, (usize, usize))],
        original_size: bool,
    ) -> Result<Self, Mistake> {
        let saved = Saved::read(file)?;
        let mut reasons = Vec::new();
        for (name, hash, size) in datasets {
            let same = saved.datasets.iter().find(|d| d.index_hash == *hash);
            match same.or_else(|| saved.datasets.iter().find(|d| d.dataset == *name)) {
                None => {
                    let there: Vec<&str> =
                        saved.datasets.iter().map(|d| d.dataset.as_str()).collect();
                    reasons.push(format!("{name} is not in it, only {}", there.join(", ")));
                }
                Some(other) => {
                    if other.index_hash != *hash {
                        reasons.push(format!(
                            "{name} has other images, labels or masks there: index {}, here {}",
                            short(&other.index_hash),
                            short(hash)
                        ));
                    }
                    if other.original_size != original_size {
                        let words = |original| match original {
                            true => "the size of each file",
                            false => "the size of the network's input",
                        };
                        reasons.push(format!(
                            "{name} was measured at {} there, here at {}",
                            words(other.original_size),
                            words(original_size)
                        ));
                    }
                    let (there, here) = (other.map_size, size);
                    if there != *here {
                        reasons.push(format!(
                            "{name} has maps of {}x{} px there, here of {}x{}",
                            there.0, there.1, here.0, here.1
                        ));
                    }
                }
            }
        }
        if reasons.is_empty() {
            let file = shown(file);
            return Ok(Self { file, saved });
        }
        Err(Mistake::NotComparable {
            path: file.to_owned(),
            reasons,
        })
    }

    /// Their report on the data of ours.
    fn other(&self, ours: &Report) -> Option<&Report> {
        let mut all = self.saved.datasets.iter();
        all.find(|other| other.index_hash == ours.index_hash)
    }

    /// Ours minus theirs.
    pub(crate) fn compare(&self, reports: &[Report]) -> Comparison {
        let none = Scores::default();
        let datasets = reports.iter().filter_map(|ours| {
            let theirs = self.other(ours)?;
            let of = |name: &str| theirs.categories.iter().find(|c| c.category == name);
            let categories = ours.categories.iter().map(|c| CategoryComparison {
                category: c.category.clone(),
                differences: differences(&c.scores, of(&c.category).map_or(&none, |o| &o.scores)),
            });
            Some(DatasetComparison {
                dataset: ours.dataset.clone(),
                categories: categories.collect(),
                mean: differences(&ours.mean, &theirs.mean),
            })
        });
        Comparison {
            against: self.file.clone(),
            adapter: self.saved.adapter.clone(),
            datasets: datasets.collect(),
        }
    }
}

/// The first digits of a hash.
fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// A difference in points of per cent, always with its sign; none is 0, not −0.
fn points(difference: Option<f64>) -> String {
    difference.map_or_else(
        || "n/a".to_owned(),
        |difference| {
            let text = format!("{:+.1}", 100.0 * difference);
            match text.as_str() {
                "-0.0" | "+0.0" => "0.0".to_owned(),
                _ => text.replace('-', "\u{2212}"),
            }
        },
    )
}

impl DatasetComparison {
    /// Categories and mean, by name.
    fn rows(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, Option<f64>>)> {
        let categories = self.categories.iter();
        let categories = categories.map(|c| (c.category.as_str(), &c.differences));
        categories.chain([("mean", &self.mean)])
    }
}

impl Comparison {
    /// One table per dataset on stdout, one row per category.
    pub(crate) fn show(&self, output: &Output) -> anyhow::Result<()> {
        let (against, adapter) = (&self.against, shown(Path::new(&self.adapter)));
        for dataset in &self.datasets {
            let name = shown(Path::new(&dataset.dataset));
            output.line(format_args!(
                "\n{name}: this minus {against} ({adapter}), in points of per cent"
            ))?;
            let names = dataset.rows().map(|(name, _)| shown(Path::new(name)));
            let names: Vec<String> = names.collect();
            let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
            let width = width.max(10);
            let headings = METRICS.map(|metric| format!("{:>11}", metric.heading));
            output.line(format_args!("{:width$}  {}", "", headings.join("  ")))?;
            for (name, (_, row)) in names.iter().zip(dataset.rows()) {
                let cells = METRICS.map(|metric| {
                    let value = row.get(&metric.field()).copied().flatten();
                    format!("{:>11}", points(value))
                });
                output.line(format_args!("{name:width$}  {}", cells.join("  ")))?;
            }
        }
        output.record("comparison", self)
    }

    /// The table of one dataset, by its place among the reports, as HTML.
    pub(super) fn html(&self, dataset: usize) -> String {
        let Some(of) = self.datasets.get(dataset) else {
            return String::new();
        };
        let mut html = format!(
            "<section class=\"comparison\">\n<h3>Compared with another report</h3>\n<p class=\"about\">This minus \
             <code>{}</code> (adapter <code>{}</code>), in points of per cent</p>\n<div class=\"wide\"><table>\
             <thead><tr><th scope=\"col\">category</th>",
            escaped(&self.against),
            escaped(&self.adapter)
        );
        for metric in METRICS {
            let _ = write!(html, "<th scope=\"col\">{}</th>", metric.heading);
        }
        html += "</tr></thead><tbody>\n";
        for (name, row) in of.rows() {
            let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escaped(name));
            for metric in METRICS {
                let value = row.get(&metric.field()).copied().flatten();
                let class = match value {
                    None => "none",
                    Some(value) if value > 0.0005 => "better",
                    Some(value) if value < -0.0005 => "worse",
                    Some(_) => "same",
                };
                let _ = write!(html, "<td class=\"{class}\">{}</td>", points(value));
            }
            html += "</tr>\n";
        }
        html + "</tbody></table></div>\n</section>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_signs_and_zero_has_none() {
        let shown = [
            Some(0.0123),
            Some(-0.0123),
            Some(1e-9),
            Some(-1e-9),
            Some(0.0),
            None,
        ];
        assert_eq!(
            shown.map(points),
            ["+1.2", "−1.2", "0.0", "0.0", "0.0", "n/a"]
        );
    }
}
