//! `mpama config`: settings shown, checked and written.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::json;

use super::Outcome;
use crate::cli::{Config, Settings};
use crate::output::{Output, shown};
use crate::problem::Mistake;
use crate::settings::{self, Assignment, Resolved, written};

/// Does the sub-command.
pub(crate) fn run(args: &Config, output: &Output) -> anyhow::Result<Outcome> {
    match args {
        Config::Init { file } => init(file, output)?,
        Config::Show(settings) => show(&resolve(settings, [])?, output)?,
        Config::Check { file } => check(file, output)?,
    }
    Ok(Outcome::Done)
}

/// Settings from all their sources; `flags` are those that have a name of their own.
pub(crate) fn resolve(
    given: &Settings,
    flags: impl IntoIterator<Item = (String, Assignment)>,
) -> anyhow::Result<Resolved> {
    let sets = given
        .set
        .iter()
        .map(|set| ("--set".to_owned(), set.clone()));
    let environment = |name: &str| std::env::var(name).ok();
    settings::resolve(given.config.as_deref(), environment, sets.chain(flags))
}

fn init(file: &Path, output: &Output) -> anyhow::Result<()> {
    let text = settings::commented()?;
    if file == Path::new("-") {
        output.line(text.trim_end())?;
        return output.record("config", json!({ "toml": text }));
    }
    let created = File::create_new(file).and_then(|mut to| to.write_all(text.as_bytes()));
    created.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Mistake::Exists {
            path: file.to_owned(),
        },
        _ => Mistake::file("create", file, error),
    })?;
    output.success(format_args!("Wrote {}", shown(file)));
    output.record("config", json!({ "path": shown(file), "toml": text }))
}

fn show(resolved: &Resolved, output: &Output) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (key, value, origin) in resolved.values() {
        let text = value.map_or_else(|| "absent".to_owned(), written);
        output.line(format_args!("{key:<36} {text:<22} {origin}"))?;
        all.push(json!({ "key": key, "value": value, "origin": origin.to_string() }));
    }
    output.record("settings", json!({ "settings": all }))
}

fn check(file: &Path, output: &Output) -> anyhow::Result<()> {
    let resolved = settings::resolve(Some(file), |_| None, [])?;
    let mut config = resolved.config;
    if config.data.root.as_os_str().is_empty() {
        config.data.root = "given by --data".into(); // a file need not say which data
    }
    config.validate()?;
    output.success(format_args!("{} is sound", shown(file)));
    output.record("check", json!({ "path": shown(file), "sound": true }))
}
