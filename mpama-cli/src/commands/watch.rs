//! The events of long work as progress, remarks and records.

use mpama_train::{Event, Stage, Stages};
use serde_json::json;

use crate::output::{Output, shown};
use crate::progress::{EVERY_HUNDRED, NEVER};

/// Turns events into what is seen. A failure to write is kept until the end: an event cannot fail.
pub(crate) struct Watch<'a> {
    output: &'a Output,
    stages: Stages,
    phase: Option<Phase>,
    failed: Option<anyhow::Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Checking,
    Encoding,
    Scoring,
}

impl<'a> Watch<'a> {
    /// Watches a run of these stages, or an evaluation.
    pub(crate) fn new(output: &'a Output, stages: Stages) -> Self {
        Self {
            output,
            stages,
            phase: None,
            failed: None,
        }
    }

    /// Shows one event.
    pub(crate) fn event(&mut self, event: Event) {
        if let Err(error) = self.show(event) {
            self.failed.get_or_insert(error);
        }
    }

    /// What went wrong with showing, if anything did.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.output.progress().clear();
        self.failed.map_or(Ok(()), Err)
    }

    fn show(&mut self, event: Event) -> anyhow::Result<()> {
        let progress = self.output.progress();
        match event {
            Event::Checked { done, total } => {
                self.count(
                    Phase::Checking,
                    "Checking files",
                    done,
                    total,
                    &format!("{total} read"),
                );
            }
            Event::Encoded { done, total, found } => {
                let result = format!("{total} seen, {found} of them before");
                self.count(Phase::Encoding, "Encoding images", done, total, &result);
            }
            Event::Scored { done, total } => {
                self.count(
                    Phase::Scoring,
                    "Scoring images",
                    done,
                    total,
                    &format!("{total} seen"),
                );
            }
            Event::Discarded { path, reason } => {
                self.output
                    .warn(format_args!("{}: {reason}; it is made again", shown(&path)));
            }
            Event::StageStarted {
                stage,
                steps,
                from,
                parameters,
                ..
            } => {
                self.phase = None;
                progress.start(&self.title(stage), steps, from, NEVER);
                self.output.detail(format_args!(
                    "stage {stage}: {parameters} numbers to learn, {from} of {steps} steps done"
                ));
            }
            Event::Step {
                step,
                epoch,
                epochs,
                losses,
                learning_rate,
                ..
            } => {
                let message = format!(
                    "epoch {epoch}/{epochs}  loss {:.4}  lr {learning_rate:.1e}",
                    losses.total
                );
                progress.advance(step, &message);
            }
            Event::EpochEnded {
                stage,
                epoch,
                epochs,
                mean_loss,
            } => {
                self.output.record(
                    "epoch",
                    json!({ "stage": stage, "epoch": epoch, "epochs": epochs, "mean_loss": mean_loss }),
                )?;
                progress.milestone(&format!(
                    "{}  epoch {epoch}/{epochs}  loss {mean_loss:.4}",
                    self.title(stage)
                ));
                if epoch == epochs {
                    progress.finish(&format!("{epochs}/{epochs} epochs  loss {mean_loss:.4}"));
                }
            }
            Event::Saved { path } => self.output.detail(format_args!("saved {}", shown(&path))),
            Event::CategoryStarted {
                category,
                number,
                of,
            } => {
                self.output
                    .detail(format_args!("category {category} ({number} of {of})"));
            }
            Event::Failed { id, reason } => {
                self.output
                    .record("failure", json!({ "id": id, "message": reason }))?;
                self.output.warn(format_args!("{id}: {reason}"));
            }
            _ => {} // kinds of a later version
        }
        Ok(())
    }

    /// One more item of a phase that counts files.
    fn count(&mut self, phase: Phase, name: &str, done: usize, total: usize, result: &str) {
        let progress = self.output.progress();
        if self.phase != Some(phase) {
            self.phase = Some(phase);
            progress.start(name, total, 0, EVERY_HUNDRED);
        }
        progress.advance(done, "");
        if done == total {
            progress.finish(result);
            self.phase = None;
        }
    }

    fn title(&self, stage: Stage) -> String {
        match (stage, self.stages) {
            (Stage::One, Stages::Both) => "Stage 1 of 2  text",
            (Stage::One, _) => "Stage one  text",
            (Stage::Two, Stages::Both) => "Stage 2 of 2  vision",
            (Stage::Two, _) => "Stage two  vision",
        }
        .to_owned()
    }
}
