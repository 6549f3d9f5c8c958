//! The figures of an experiment as a table: for people, for documents, for spreadsheets and programs.

use std::fmt::Write;

use mpama_train::eval::Scores;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::schedule::Schedule;
use crate::metric::METRICS;

/// What one run scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) seed: u64,
    /// The report it is from.
    pub(crate) file: String,
    /// Means over the categories, fractions.
    pub(crate) scores: Scores,
}

/// Everything measured so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) notes: Vec<String>,
    /// Version of the writer.
    pub(crate) mpama: String,
    /// Keys of the metrics that are shown.
    pub(crate) metrics: Vec<String>,
    /// In the order of the datasets tested on, then of the variants.
    pub(crate) rows: Vec<Row>,
}

/// A variant on a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) variant: String,
    pub(crate) trained_on: String,
    pub(crate) tested_on: String,
    pub(crate) runs: Vec<Measured>,
    /// In the order of the table's metrics.
    pub(crate) figures: Vec<Figure>,
}

/// One cell: fractions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Over the seeds.
    pub(crate) mean: Option<f64>,
    /// Standard deviation over the seeds, n − 1 in the denominator; absent with one seed.
    pub(crate) deviation: Option<f64>,
    /// The paper's.
    pub(crate) paper: Option<f64>,
}

impl Table {
    /// The table of `plan` with what `measured` knows of each run's measurements.
    pub(crate) fn new(
        plan: &Plan,
        schedule: &Schedule,
        seeds: &[u64],
        measured: impl Fn(&std::path::Path) -> Option<Scores>,
    ) -> Self {
        let mut rows = Vec::new();
        for (place, training) in plan.trainings.iter().enumerate() {
            for test in &training.test {
                for (row, variant) in plan.variants.iter().enumerate() {
                    let of_seed = |&seed: &u64| {
                        let run = schedule.run_of(row, place, seed)?;
                        let file = run.measurement(variant.adapter, test).file;
                        Some(Measured {
                            seed,
                            scores: measured(&file)?,
                            file: file.to_string_lossy().into_owned(),
                        })
                    };
                    let runs: Vec<Measured> = seeds.iter().filter_map(of_seed).collect();
                    let figures = plan.metrics.iter().enumerate().map(|(column, metric)| {
                        let values = runs.iter().filter_map(|run| (metric.of)(&run.scores));
                        let printed = variant.printed(test, column);
                        Figure::of(&values.collect::<Vec<_>>(), printed.map(|v| v / 100.0))
                    });
                    let figures: Vec<Figure> = figures.collect();
                    if runs.is_empty() && figures.iter().all(|figure| figure.paper.is_none()) {
                        continue;
                    }
                    rows.push(Row {
                        variant: variant.name.clone(),
                        trained_on: training.on.clone(),
                        tested_on: test.clone(),
                        runs,
                        figures,
                    });
                }
            }
        }
        Self {
            title: plan.title.clone(),
            notes: plan.notes.clone(),
            mpama: env!("CARGO_PKG_VERSION").to_owned(),
            metrics: plan.metrics.iter().map(|m| m.key.to_owned()).collect(),
            rows,
        }
    }

    /// Rows by the dataset tested on, in order.
    fn sections(&self) -> impl Iterator<Item = &[Row]> {
        self.rows
            .chunk_by(|a, b| (&a.tested_on, &a.trained_on) == (&b.tested_on, &b.trained_on))
    }

    fn heading(&self, column: usize) -> &str {
        let key = self.metrics.get(column).map_or("", String::as_str);
        let known = METRICS.iter().find(|metric| metric.key == key);
        known.map_or(key, |metric| metric.heading)
    }

    /// Lines for a terminal.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for rows in self.sections() {
            lines.extend(heading(rows));
            let names = rows.iter().map(|row| row.variant.chars().count());
            let width = names.max().unwrap_or(0).max(10);
            let columns = 0..self.metrics.len();
            let first: String = columns
                .map(|column| format!("  {:>11} {:>6}", self.heading(column), "paper"))
                .collect();
            lines.push(format!("{:width$}  {:>5}{first}", "", "seeds"));
            for row in rows {
                let cells = row
                    .figures
                    .iter()
                    .map(|figure| format!("  {:>11} {:>6}", figure.ours(), per_cent(figure.paper)));
                // by characters: names are not all ASCII
                let gap = " ".repeat(width - row.variant.chars().count());
                let cells: String = cells.collect();
                lines.push(format!(
                    "{}{gap}  {:>5}{cells}",
                    row.variant,
                    row.runs.len()
                ));
            }
            lines.push(String::new());
        }
        lines.pop();
        lines
    }

    /// A document.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.title);
        for rows in self.sections() {
            if let Some(heading) = heading(rows) {
                let _ = write!(text, "\n## {heading}\n\n| | seeds |");
            }
            for column in 0..self.metrics.len() {
                let _ = write!(text, " {} | paper |", self.heading(column));
            }
            text += "\n|---|---:|";
            text += &"---:|---:|".repeat(self.metrics.len());
            text.push('\n');
            for row in rows {
                let name = row.variant.replace('|', "\\|");
                let _ = write!(text, "| {name} | {} |", row.runs.len());
                for figure in &row.figures {
                    let _ = write!(text, " {} | {} |", figure.ours(), per_cent(figure.paper));
                }
                text.push('\n');
            }
        }
        text += "\nIn per cent: mean over the seeds, ± standard deviation (n − 1 in the denominator).\n";
        for note in &self.notes {
            let _ = write!(text, "\n- {note}");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        text
    }

    /// One row per variant and dataset; fractions, empty where there is none.
    pub(crate) fn csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut header = ["variant", "trained_on", "tested_on", "seeds"]
            .map(str::to_owned)
            .to_vec();
        for key in &self.metrics {
            let key = key.replace('-', "_");
            header.extend(["mean", "deviation", "paper"].map(|what| format!("{key}_{what}")));
        }
        writer.write_record(&header)?;
        for row in &self.rows {
            let seeds: Vec<String> = row.runs.iter().map(|run| run.seed.to_string()).collect();
            let mut cells = vec![
                row.variant.clone(),
                row.trained_on.clone(),
                row.tested_on.clone(),
                seeds.join(" "),
            ];
            for figure in &row.figures {
                let values = [figure.mean, figure.deviation, figure.paper];
                cells.extend(values.map(|v| v.map_or_else(String::new, |v| v.to_string())));
            }
            writer.write_record(&cells)?;
        }
        Ok(writer.into_inner()?)
    }
}

impl Figure {
    fn of(values: &[f64], paper: Option<f64>) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        Self {
            mean: (n > 0.0).then_some(mean),
            deviation: (n > 1.0).then(|| (squares / (n - 1.0)).sqrt()),
            paper,
        }
    }

    /// `93.1 ± 0.2`.
    fn ours(&self) -> String {
        match self.deviation {
            Some(deviation) => format!("{} ± {:.1}", per_cent(self.mean), 100.0 * deviation),
            None => per_cent(self.mean),
        }
    }
}

fn heading(rows: &[Row]) -> Option<String> {
    let row = rows.first()?;
    Some(format!("{}, trained on {}", row.tested_on, row.trained_on))
}

fn per_cent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1}", 100.0 * value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_figure_is_the_mean_and_the_deviation_over_seeds() {
        let figure = Figure::of(&[0.90, 0.92, 0.94], Some(0.93));
        assert!((figure.mean.unwrap() - 0.92).abs() < 1e-12);
        assert!((figure.deviation.unwrap() - 0.02).abs() < 1e-12);
        assert_eq!(figure.ours(), "92.0 ± 2.0");
        assert_eq!(Figure::of(&[0.5], None).ours(), "50.0");
        assert_eq!(Figure::of(&[], None), Figure::default());
        assert_eq!(Figure::default().ours(), "–");
    }

    #[test]
    fn names_of_any_kind_stand_in_columns_and_in_documents() {
        let row = |variant: &str| Row {
            variant: variant.to_owned(),
            trained_on: "visa".to_owned(),
            tested_on: "mvtec".to_owned(),
            runs: Vec::new(),
            figures: vec![Figure::of(&[0.5, 0.7], Some(0.9))],
        };
        let table = Table {
            title: "λ".to_owned(),
            notes: vec!["one".to_owned()],
            mpama: String::new(),
            metrics: vec!["aupro-200".to_owned()],
            rows: vec![row("λ = 3"), row("a|b, \"c\"")],
        };
        let lines = table.lines();
        let ends: Vec<usize> = lines[1..].iter().map(|line| line.chars().count()).collect();
        assert_eq!(ends, [ends[0]; 3], "{lines:#?}");
        let text = table.markdown();
        assert!(
            text.contains("| a\\|b, \"c\" | 0 | 60.0 ± 14.1 | 90.0 |"),
            "{text}"
        );
        let csv = String::from_utf8(table.csv().unwrap()).unwrap();
        assert!(csv.contains("\"a|b, \"\"c\"\"\",visa,mvtec,,0.6"), "{csv}");
    }
}
