//! How scores look: one line or record per image, then a summary.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::inputs::Input;
use super::pass::Times;
use super::pictures::Files;
use crate::cli::Predict;
use crate::model::{Loaded, device_name};
use crate::output::{ALARM, LITERAL, Output, count, shown};
use crate::problem::Problem;
use crate::progress::duration;

/// Cells of a score bar.
const BAR: usize = 20;
/// The widest that the column of paths grows.
const WIDEST: usize = 60;

/// One scored image.
pub(super) struct Row {
    pub(super) path: PathBuf,
    pub(super) score: f32,
    pub(super) global: f32,
    pub(super) local: f32,
    /// Column and row, in the photo's pixels.
    pub(super) peak: [usize; 2],
    pub(super) files: Files,
    pub(super) times: Times,
}

/// A row as a record.
#[derive(Serialize)]
struct PredictionRecord<'a> {
    path: &'a str,
    score: f32,
    global: f32,
    local: f32,
    threshold: Option<f32>,
    anomalous: Option<bool>,
    peak: [usize; 2],
    map: Option<String>,
    overlay: Option<String>,
    ms: Milliseconds,
}

/// Times of the steps; `decode` has the resizing in it, `model` is `tower` and `maps`.
#[derive(Serialize)]
struct Milliseconds {
    decode: f64,
    model: f64,
    tower: f64,
    maps: f64,
    smooth: f64,
    write: f64,
}

impl From<Times> for Milliseconds {
    fn from(times: Times) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Self {
            decode: ms(times.decode + times.resize),
            model: ms(times.tower + times.maps),
            tower: ms(times.tower),
            maps: ms(times.maps),
            smooth: ms(times.smooth),
            write: ms(times.write),
        }
    }
}

#[derive(Serialize)]
struct FailureRecord<'a> {
    path: &'a str,
    #[serde(flatten)]
    problem: &'a Problem,
}

#[derive(Serialize)]
struct SummaryRecord<'a> {
    images: usize,
    anomalous: Option<usize>,
    failed: usize,
    threshold: Option<f32>,
    adapter: &'a str,
    device: String,
    seconds: f64,
}

/// The answer as it grows.
pub(super) struct Show<'a> {
    args: &'a Predict,
    output: &'a Output,
    threshold: Option<f32>,
    width: usize,
    /// Rows that wait to be sorted.
    waiting: Vec<Row>,
    scored: usize,
    anomalous: usize,
    failures: Vec<String>,
}

/// What the command's end depends on.
pub(super) struct End {
    pub(super) seen: usize,
    pub(super) anomalous: usize,
    pub(super) failures: usize,
    /// One indented line per failure.
    pub(super) list: String,
}

impl<'a> Show<'a> {
    pub(super) fn new(
        args: &'a Predict,
        images: &[Input],
        threshold: Option<f32>,
        output: &'a Output,
    ) -> Self {
        let width = images
            .iter()
            .map(|input| shown(&input.path).chars().count())
            .max();
        let width = width.unwrap_or(0).min(WIDEST);
        Self {
            args,
            output,
            threshold,
            width,
            waiting: Vec::new(),
            scored: 0,
            anomalous: 0,
            failures: Vec::new(),
        }
    }

    /// Shows a row, or keeps it if the order is not that of the inputs.
    pub(super) fn row(&mut self, row: Row) -> anyhow::Result<()> {
        self.scored += 1;
        self.anomalous += usize::from(self.verdict(&row) == Some(true));
        if self.args.sort.is_some() || self.args.top.is_some() {
            self.waiting.push(row);
            return Ok(());
        }
        self.print(&row)
    }

    /// Notes what went wrong with one file.
    pub(super) fn failure(&mut self, path: &Path, error: &anyhow::Error) -> anyhow::Result<()> {
        let Some(problem) = Problem::of(error) else {
            return Ok(());
        };
        let path = shown(path);
        self.output.record(
            "failure",
            FailureRecord {
                path: &path,
                problem: &problem,
            },
        )?;
        self.failures.push(match problem.message.contains(&path) {
            true => format!("\n  {}", problem.message),
            false => format!("\n  {path}: {}", problem.message),
        });
        Ok(())
    }

    /// Shows what waited and the summary.
    pub(super) fn finish(mut self, loaded: &Loaded, took: Duration) -> anyhow::Result<End> {
        let mut rows = std::mem::take(&mut self.waiting);
        rows.sort_by(|a, b| {
            b.score
                .total_cmp(&a.score)
                .then_with(|| a.path.cmp(&b.path))
        });
        rows.truncate(self.args.top.unwrap_or(usize::MAX));
        rows.iter().try_for_each(|row| self.print(row))?;
        let record = SummaryRecord {
            images: self.scored,
            anomalous: self.threshold.map(|_| self.anomalous),
            failed: self.failures.len(),
            threshold: self.threshold,
            adapter: &loaded.name,
            device: device_name(&loaded.device),
            seconds: took.as_secs_f64(),
        };
        self.output.record("summary", record)?;
        let mut summary = format!(
            "Scored {} in {}",
            count(self.scored, "image"),
            duration(took)
        );
        if let Some(threshold) = self.threshold {
            summary += &format!(", {} at {threshold:.2} or above", self.anomalous);
        }
        match &self.args.maps {
            Some(folder) => summary += &format!(". Maps are in {}", shown(folder)),
            None => summary += &format!(". Maps: add `{LITERAL}--maps DIR{LITERAL:#}`"),
        }
        self.output.note(summary);
        Ok(End {
            seen: self.scored + self.failures.len(),
            anomalous: self.anomalous,
            failures: self.failures.len(),
            list: self.failures.concat(),
        })
    }

    fn verdict(&self, row: &Row) -> Option<bool> {
        self.threshold.map(|threshold| row.score >= threshold)
    }

    fn print(&self, row: &Row) -> anyhow::Result<()> {
        let verdict = self.verdict(row);
        let (path, [x, y]) = (shown(&row.path), row.peak);
        let ms = Milliseconds::from(row.times);
        let Milliseconds { decode, model, .. } = ms;
        let record = PredictionRecord {
            path: &path,
            score: row.score,
            global: row.global,
            local: row.local,
            threshold: self.threshold,
            anomalous: verdict,
            peak: row.peak,
            map: row.files.map.as_deref().map(shown),
            overlay: row.files.overlay.as_deref().map(shown),
            ms,
        };
        self.output.record("prediction", record)?;
        let bar = if self.output.is_terminal() {
            format!("{:<BAR$}  ", bar(row.score))
        } else {
            String::new()
        };
        let alarm = if verdict == Some(true) {
            format!("   {ALARM}anomalous{ALARM:#}")
        } else {
            String::new()
        };
        let width = self.width;
        self.output.line(format_args!(
            "{:.3}  {bar}{path:<width$}{alarm}   peak {x},{y}",
            row.score
        ))?;
        self.output.detail(format_args!(
            "       {path}: decoded in {decode:.0} ms, scored in {model:.0} ms"
        ));
        Ok(())
    }
}

/// A score in [0, 1] as a bar of up to [`BAR`] cells, in eighths of a cell.
fn bar(score: f32) -> String {
    let eighths = (score.clamp(0.0, 1.0) * (8 * BAR) as f32).round() as usize;
    let mut text = "█".repeat(eighths / 8);
    text += ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_eighths() {
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.5), "██████████");
        assert_eq!(bar(0.94), "██████████████████▊");
        assert_eq!(bar(0.31), "██████▎");
        assert_eq!(bar(1.0).chars().count(), BAR);
    }
}
