//! What differs between a record and the present, by dotted key.

use std::collections::BTreeSet;
use std::fmt;

use toml::{Table, Value};

/// One setting or fact that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its key, dotted: `stage-two.epochs`.
    pub key: String,
    /// Its recorded value.
    pub recorded: String,
    /// Its value now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` was {}, is {}", self.key, self.recorded, self.now)
    }
}

/// The leaves in which two trees differ, in the order of their keys.
pub(crate) fn compare(recorded: &Table, now: &Table) -> Vec<Difference> {
    let mut found = Vec::new();
    collect("", recorded, now, &mut found);
    found
}

fn collect(above: &str, recorded: &Table, now: &Table, found: &mut Vec<Difference>) {
    let names: BTreeSet<&String> = recorded.keys().chain(now.keys()).collect();
    for name in names {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        match (recorded.get(name), now.get(name)) {
            (Some(Value::Table(was)), Some(Value::Table(is))) => collect(&key, was, is, found),
            (was, is) if was == is => {}
            (was, is) => found.push(Difference {
                key,
                recorded: shown(was),
                now: shown(is),
            }),
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), ToString::to_string)
}
