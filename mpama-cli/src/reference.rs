//! `docs/cli.md` and `docs/config.md`, written from the code and compared with what is committed.
//! `MPAMA_UPDATE=1 cargo test -p mpama-cli reference` rewrites them.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::cli::Cli;
use crate::settings::{KEYS, commented, default_of};

fn assert_current(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    if std::env::var_os("MPAMA_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "{file} is not what the code says: run `MPAMA_UPDATE=1 cargo test -p mpama-cli reference`"
    );
}

#[test]
fn cli_reference_is_current() {
    let mut text = String::from(
        "# Command line\n\n<!-- Written from the code: MPAMA_UPDATE=1 cargo test -p mpama-cli \
         reference -->\n\n\
         Data goes to stdout, talk to stderr. With `--json` every answer is one JSON object, or \
         one per line, with a \
         `type` and a version `v`; an error is a record too.\n\n\
         | Exit code | Meaning |\n|---|---|\n\
         | 0 | done; for `predict`, whatever the scores were |\n\
         | 1 | done, and the answer is no: `--exit-code` found an anomaly, `--require` a lower figure, \
         `datasets check` a problem |\n\
         | 2 | could not do it; with many inputs the rest is done and the failures are listed |\n\
         | 130 | interrupted, state saved |\n",
    );
    let mut root = Cli::command();
    root.build();
    text += "\n## Options of every command\n\n";
    root.get_arguments()
        .filter(|arg| arg.is_global_set())
        .for_each(|arg| option(arg, &mut text));
    for command in root.get_subcommands() {
        section(command, "mpama", &mut text);
    }
    assert_current("docs/cli.md", &text);
}

fn section(command: &Command, above: &str, text: &mut String) {
    let name = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        command
            .get_subcommands()
            .for_each(|below| section(below, &name, text));
        return;
    }
    writeln!(text, "\n## `{name}`\n\n{}.\n", command.get_about().unwrap()).unwrap();
    let own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help";
    command
        .get_arguments()
        .filter(own)
        .for_each(|arg| option(arg, text));
}

fn option(arg: &Arg, text: &mut String) {
    let value = match arg.get_value_names() {
        Some(names) if arg.get_action().takes_values() => format!(" {}", names[0]),
        _ => String::new(),
    };
    let name = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        _ => value.trim().to_owned(),
    };
    write!(text, "- `{name}`: {}", arg.get_help().unwrap()).unwrap();
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !words.is_empty() && arg.get_action().takes_values() {
        write!(text, ": {}", words.join(", ")).unwrap();
    }
    if let [default] = arg.get_default_values()
        && arg.get_action().takes_values()
    {
        write!(text, " (default `{}`)", default.to_string_lossy()).unwrap();
    }
    if let Some(variable) = arg.get_env() {
        write!(text, "; environment `{}`", variable.to_string_lossy()).unwrap();
    }
    text.push('\n');
}

#[test]
fn config_reference_is_current() {
    let mut text = String::from(
        "# Settings\n\n<!-- Written from the code: MPAMA_UPDATE=1 cargo test -p mpama-cli \
         reference -->\n\n\
         What `mpama train` can be told, by key. A flag (`--set key=value`) wins over the \
         environment \
         (`MPAMA_STAGE_ONE_EPOCHS` for `stage-one.epochs`), that over a file (`--config`), that \
         over the default. \
         `mpama config init` writes a file with all of them, `mpama config show` says where \
         each value comes from. \
         Relative paths are relative to the working directory.\n\n\
         | Key | Default | What it decides |\n|---|---|---|\n",
    );
    for key in KEYS {
        let default =
            default_of(key.name).map_or_else(|| "absent".to_owned(), |value| format!("`{value}`"));
        writeln!(
            text,
            "| `{}` | {default} | {} |",
            key.name,
            key.about.replace('|', "\\|")
        )
        .unwrap();
    }
    assert_current("docs/config.md", &text);
}

#[test]
fn default_configuration_reference_is_current() {
    assert_current("configs/default.toml", &commented().unwrap());
}
