//! What was typed becomes what it means: flag over environment over file over default, remembering
//! for every setting where its value came from.

mod keys;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use mpama_train::TrainConfig;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

pub(crate) use keys::KEYS;
#[cfg(test)]
pub(crate) use template::default_of;
pub(crate) use template::{commented, written};

use crate::problem::Mistake;

/// The environment variable that holds a setting is this and the key in capitals, `-` and `.` as
/// `_`.
const ENVIRONMENT: &str = "MPAMA_";

/// One `key=value` of the command line, the key dotted and in kebab case.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    key: String,
    value: Value,
}

/// Where a setting's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag, named.
    Flag(String),
    /// An environment variable, named.
    Environment(String),
    /// A line of a file.
    File(PathBuf, usize),
    /// Nobody said anything.
    Default,
}

/// All settings, and where each came from.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// The settings.
    pub(crate) config: TrainConfig,
    /// The same as a tree, for showing.
    tree: Table,
    /// Origin of every setting that is not a default, by key.
    origins: BTreeMap<String, Origin>,
}

impl Assignment {
    /// What another flag says about a setting.
    pub(crate) fn new(key: &str, value: impl Into<Value>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
        }
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Self::new(key.trim(), typed(value.trim())))
            }
            _ => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

/// A value without its quotes being necessary: what is not TOML is a text.
fn typed(text: &str) -> Value {
    let table = format!("value = {text}").parse::<Table>();
    let value = table
        .ok()
        .filter(|t| t.len() == 1)
        .and_then(|mut t| t.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Brings together all that was said. `flags` are in rising priority; `environment` looks a
/// variable up.
///
/// # Errors
/// For a file that cannot be read, an unknown key or a value of a wrong type: named with its
/// origin.
pub(crate) fn resolve(
    file: Option<&Path>,
    environment: impl Fn(&str) -> Option<String>,
    flags: impl IntoIterator<Item = (String, Assignment)>,
) -> anyhow::Result<Resolved> {
    layered(file, environment, flags)
}

/// [`resolve`] with several files, in rising priority.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn layered<'a>(
    files: impl IntoIterator<Item = &'a Path>,
    environment: impl Fn(&str) -> Option<String>,
    flags: impl IntoIterator<Item = (String, Assignment)>,
) -> anyhow::Result<Resolved> {
    let mut resolved = Resolved::defaults()?;
    for path in files {
        resolved.take_file(path)?;
    }
    for key in KEYS {
        let name = variable(key.name);
        if let Some(text) = environment(&name) {
            resolved.take(key.name, typed(&text), Origin::Environment(name))?;
        }
    }
    for (flag, Assignment { key, value }) in flags {
        resolved.take(&key, value, Origin::Flag(flag))?;
    }
    Ok(resolved)
}

/// The environment variable that holds the setting `key`.
fn variable(key: &str) -> String {
    ENVIRONMENT.to_owned() + &key.to_uppercase().replace(['-', '.'], "_")
}

impl Resolved {
    /// Every setting at its default.
    fn defaults() -> anyhow::Result<Self> {
        let config = TrainConfig::default();
        Ok(Self {
            tree: Table::try_from(&config)?,
            config,
            origins: BTreeMap::new(),
        })
    }

    /// Every known key with its value, `None` if it has none, and its origin; in the order of
    /// [`KEYS`].
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, Option<&Value>, &Origin)> {
        KEYS.iter().map(|key| {
            let origin = self.origins.get(key.name).unwrap_or(&Origin::Default);
            (key.name, leaf(&self.tree, key.name), origin)
        })
    }

    /// Takes every leaf of a TOML file.
    fn take_file(&mut self, path: &Path) -> anyhow::Result<()> {
        let unreadable = |reason: String| Mistake::ConfigFile {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let table = DeTable::parse(&text)
            .map_err(|error| unreadable(error.to_string().trim_end().to_owned()))?;
        let mut leaves = Vec::new();
        collect("", table.get_ref(), &mut leaves);
        for (key, at) in leaves {
            let line = 1 + text[..at].matches('\n').count();
            let whole: Table = toml::from_str(&text)?;
            let Some(value) = leaf(&whole, &key) else {
                continue;
            };
            self.take(&key, value.clone(), Origin::File(path.to_owned(), line))?;
        }
        Ok(())
    }

    /// Sets one key, if it is one and takes such a value.
    fn take(&mut self, key: &str, value: Value, origin: Origin) -> anyhow::Result<()> {
        if !KEYS.iter().any(|known| known.name == key) {
            let nearest = keys::nearest(key).map(str::to_owned);
            return Err(Mistake::UnknownKey {
                key: key.to_owned(),
                origin,
                nearest,
            }
            .into());
        }
        let mut tree = self.tree.clone();
        plant(&mut tree, key, value);
        self.config =
            TrainConfig::deserialize(tree.clone()).map_err(|error| Mistake::BadValue {
                key: key.to_owned(),
                origin: origin.clone(),
                // the rest of the parser's message repeats the key
                reason: error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            })?;
        self.tree = tree;
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }
}

/// Every leaf below `table` with its dotted key and its byte position, in the order of the keys.
fn collect(above: &str, table: &DeTable<'_>, leaves: &mut Vec<(String, usize)>) {
    for (name, value) in table {
        let key = if above.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{above}.{}", name.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(below) if !below.is_empty() => collect(&key, below, leaves),
            // an empty section says nothing, unless there is no such section
            DeValue::Table(_) if keys::is_section(&key) => {}
            _ => leaves.push((key, name.span().start)),
        }
    }
}

/// The value at a dotted key.
fn leaf<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, rest)) => leaf(table.get(section)?.as_table()?, rest),
        None => table.get(key),
    }
}

/// Puts a value at a dotted key, whose sections exist.
fn plant(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((section, rest)) => {
            let below = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                plant(below, rest, value);
            }
        }
        None => {
            table.insert(key.to_owned(), value);
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => f.write_str(name),
            Self::Environment(name) => write!(f, "{name} in the environment"),
            Self::File(path, line) => write!(f, "{}, line {line}", crate::output::shown(path)),
            Self::Default => f.write_str("default"),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
