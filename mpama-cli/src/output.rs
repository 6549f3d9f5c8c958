//! Data to stdout, talk to stderr, for people or for programs.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;

use crate::cli::Global;
use crate::problem::Problem;
use crate::progress::{Mode, Progress};

/// Version of every JSON record; raised only if a key changes its meaning or goes.
pub(crate) const RECORD_VERSION: u8 = 1;

/// Style of what can be typed or copied: commands, flags, paths.
pub(crate) const LITERAL: Style = AnsiColor::Cyan.on_default();
/// Style of a verdict that something is wrong with an image.
pub(crate) const ALARM: Style = AnsiColor::Red.on_default();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();

/// What every record begins with.
#[derive(Serialize)]
pub(crate) struct Record<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "v")]
    version: u8,
    #[serde(flatten)]
    fields: T,
}

impl<'a, T> Record<'a, T> {
    /// `fields`, which must be an object, as a record of this kind.
    pub(crate) fn new(kind: &'a str, fields: T) -> Self {
        Self {
            kind,
            version: RECORD_VERSION,
            fields,
        }
    }
}

/// Where a command's answers and remarks go; a clone goes to the same place.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    json: bool,
    quiet: u8,
    verbose: u8,
    progress: Arc<Progress>,
}

impl Output {
    /// Set up as the global options say; colour is a setting of the whole process.
    pub(crate) fn new(global: &Global) -> Self {
        match global.color {
            clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
            clap::ColorChoice::Always => anstream::ColorChoice::Always,
            clap::ColorChoice::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        let mode = match (
            global.no_progress || global.quiet > 0,
            io::stderr().is_terminal(),
        ) {
            (true, _) => Mode::Silent,
            (false, true) => Mode::Bars,
            (false, false) => Mode::Lines,
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            progress: Arc::new(Progress::new(mode)),
        }
    }

    /// Whether answers are read by a person.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Whether remarks are made.
    pub(crate) fn talks(&self) -> bool {
        self.quiet == 0
    }

    /// What shows that work goes on.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// One JSON object on a line of stdout, `{"type": kind, "v": 1, …}`; nothing without `--json`.
    ///
    /// # Errors
    /// If stdout cannot be written, or `fields` is not an object.
    pub(crate) fn record(&self, kind: &str, fields: impl Serialize) -> anyhow::Result<()> {
        if !self.json {
            return Ok(());
        }
        self.write_line(&serde_json::to_string(&Record::new(kind, fields))?)
    }

    /// One line of stdout for people; nothing with `--json`.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub(crate) fn line(&self, text: impl Display) -> anyhow::Result<()> {
        if self.json {
            Ok(())
        } else {
            self.write_line(&text)
        }
    }

    fn write_line(&self, text: &dyn Display) -> anyhow::Result<()> {
        Ok(self
            .progress
            .aside(|| writeln!(anstream::stdout().lock(), "{text}"))?)
    }

    /// A remark on stderr.
    pub(crate) fn note(&self, text: impl Display) {
        if self.quiet == 0 {
            self.say(&text);
        }
    }

    /// A remark on stderr for those who asked for more.
    pub(crate) fn detail(&self, text: impl Display) {
        if self.verbose > 0 {
            self.say(&text);
        }
    }

    /// The good end of something, on stderr.
    pub(crate) fn success(&self, text: impl Display) {
        self.note(format_args!("{GOOD}{text}{GOOD:#}"));
    }

    /// Something odd that does not stop the work, on stderr.
    pub(crate) fn warn(&self, text: impl Display) {
        if self.quiet < 2 {
            self.say(&format_args!("{WARNING}warning{WARNING:#}: {text}"));
        }
    }

    /// Why the command failed: on stderr for people and, with `--json`, as a record of stdout too.
    pub(crate) fn problem(&self, problem: &Problem) {
        let _ = self.record("error", problem); // already failing: there is nowhere left to say so
        if self.quiet < 2 {
            self.say(&format_args!("{ERROR}error{ERROR:#}: {}", problem.message));
            if let Some(hint) = &problem.hint {
                self.say(&format_args!("\n{GOOD}hint{GOOD:#}: {hint}"));
            }
        }
    }

    fn say(&self, text: &dyn Display) {
        // with nobody to hear it a remark is lost, and the work goes on
        let _ = self
            .progress
            .aside(|| writeln!(anstream::stderr().lock(), "{text}"));
    }
}

/// A path as it may be shown on a terminal: control characters, which could rewrite the screen, are
/// escaped.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            safe.extend(c.escape_default())
        } else {
            safe.push(c)
        }
    }
    safe
}

/// Keys of our files, which are in kebab case, as records have them.
pub(crate) fn snake_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key.replace('-', "_"), snake_case(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(snake_case).collect(),
        other => other,
    }
}

/// `1 image`, `2 images`.
pub(crate) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_rewrite_the_screen() {
        assert_eq!(
            shown(Path::new("a\u{1b}[2Jb\nc é.png")),
            "a\\u{1b}[2Jb\\nc é.png"
        );
    }
}
