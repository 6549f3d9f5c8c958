//! That work goes on: bars on a terminal, plain lines elsewhere, nothing when told to be quiet.
//! Every phase leaves one permanent line.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Where there are no bars: a line for this many items of a phase.
pub(crate) const EVERY_HUNDRED: usize = 100;
/// Where there are no bars: no lines but milestones.
pub(crate) const NEVER: usize = usize::MAX;

/// How a bar of items looks.
const ITEMS: &str = "{prefix:<22} {bar:20.cyan} {pos}/{len}  {msg}  eta {eta}";
/// How a bar of bytes looks.
const BYTES: &str = "{prefix} {bar:20.cyan} {decimal_bytes}/{decimal_total_bytes}  \
     {decimal_bytes_per_sec}  {msg}  eta {eta}";

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A moving bar with the time left.
    Bars,
    /// A line now and then.
    Lines,
    /// Not at all.
    Silent,
}

/// The progress of one thing at a time; may be told from any thread.
#[derive(Debug)]
pub(crate) struct Progress {
    mode: Mode,
    phase: Mutex<Option<Phase>>,
}

#[derive(Debug)]
struct Phase {
    name: String,
    total: usize,
    line_every: usize,
    next_line: usize,
    started: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Nothing is under way.
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            phase: Mutex::new(None),
        }
    }

    /// A phase of `total` items begins, of which `before` are done already; where there are no bars
    /// `line_every` items make a line. A phase that was under way is dropped without a line.
    pub(crate) fn start(&self, name: &str, total: usize, before: usize, line_every: usize) {
        self.begin(name, total, before, line_every, ITEMS);
    }

    /// As [`Progress::start`], of bytes: their speed is shown too.
    pub(crate) fn start_bytes(&self, name: &str, total: u64, before: u64, line_every: usize) {
        self.begin(name, total as usize, before as usize, line_every, BYTES);
    }

    fn begin(&self, name: &str, total: usize, before: usize, line_every: usize, look: &str) {
        self.clear();
        let bar = match self.mode {
            Mode::Bars => ProgressBar::new(total as u64).with_position(before as u64),
            Mode::Lines | Mode::Silent => ProgressBar::hidden(),
        };
        if let Ok(style) = ProgressStyle::with_template(look) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        bar.set_prefix(name.to_owned());
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(250));
        let phase = Phase {
            name: name.to_owned(),
            total,
            line_every,
            next_line: before.saturating_add(line_every),
            started: Instant::now(),
            bar,
        };
        *self.phase() = Some(phase);
    }

    /// `done` items of the phase are done; `message` says how it looks.
    pub(crate) fn advance(&self, done: usize, message: &str) {
        let mut guard = self.phase();
        let Some(phase) = guard.as_mut() else { return };
        phase.bar.set_position(done as u64);
        phase.bar.set_message(message.to_owned());
        if self.mode == Mode::Lines && done >= phase.next_line && done < phase.total {
            phase.next_line = done.saturating_add(phase.line_every);
            let line = [&phase.name, &format!("{done}/{}", phase.total), message].join("  ");
            say(line.trim_end());
        }
    }

    /// A plain line where there are no bars: for milestones that a bar shows by itself.
    pub(crate) fn milestone(&self, line: &str) {
        if self.mode == Mode::Lines {
            say(line);
        }
    }

    /// The phase is over: its permanent line is its name, `result` and the time it took.
    pub(crate) fn finish(&self, result: &str) {
        let Some(phase) = self.phase().take() else {
            return;
        };
        phase.bar.finish_and_clear();
        if self.mode != Mode::Silent {
            say(&format!(
                "{:<22} {result}   {}",
                phase.name,
                duration(phase.started.elapsed())
            ));
        }
    }

    /// Takes away what moves, if anything does.
    pub(crate) fn clear(&self) {
        if let Some(phase) = self.phase().take() {
            phase.bar.finish_and_clear();
        }
    }

    /// Does `write` while no bar is in the way.
    pub(crate) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let bar = self.phase().as_ref().map(|phase| phase.bar.clone());
        match bar {
            Some(bar) if self.mode == Mode::Bars => bar.suspend(write),
            _ => write(),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Option<Phase>> {
        // a panic elsewhere leaves at worst a stale bar
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}"); // nobody listens: the work goes on
}

/// A time as people say it: `0.4s`, `12s`, `3m12s`, `2h05m`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well_at_every_length() {
        let shown = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        assert_eq!(
            [0.04, 9.9, 12.3, 59.9, 60.0, 192.0, 3600.0, 7500.0].map(shown),
            [
                "0.0s", "9.9s", "12s", "59s", "1m00s", "3m12s", "1h00m", "2h05m"
            ]
        );
    }
}
