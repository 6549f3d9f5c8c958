//! The commented TOML that `mpama config init` writes: every setting, its words and its default.

use std::fmt::Write;

use toml::{Table, Value};

use super::{KEYS, leaf};

/// A file that says what the defaults say anyway, ready to be changed.
///
/// # Errors
/// If the defaults cannot be written as TOML.
pub(crate) fn commented() -> anyhow::Result<String> {
    let defaults = Table::try_from(mpama_train::TrainConfig::default())?;
    let mut text = String::from(
        "# Every setting of `mpama train` with its default. What is left out keeps it.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (above, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if above != section {
            write!(text, "\n[{above}]\n")?;
            section = above;
        }
        writeln!(text, "# {}", key.about)?;
        match (leaf(&defaults, key.name), key.example) {
            (Some(value), _) => writeln!(text, "{name} = {}", written(value))?,
            (None, Some(example)) => writeln!(text, "# {name} = {example}")?,
            (None, None) => anyhow::bail!("`{}` has neither a default nor an example", key.name),
        }
    }
    Ok(text)
}

/// The default of a setting, as TOML; `None` if it is absent by default.
#[cfg(test)]
pub(crate) fn default_of(key: &str) -> Option<String> {
    let defaults = Table::try_from(mpama_train::TrainConfig::default()).ok()?;
    leaf(&defaults, key).map(written)
}

/// A value as a person writes it: small numbers in scientific form.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::Float(number) if *number != 0.0 && number.abs() < 1e-2 => format!("{number:e}"),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(written).collect::<Vec<_>>().join(", ")
        ),
        other => other.to_string(),
    }
}
