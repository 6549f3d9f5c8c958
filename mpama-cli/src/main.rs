//! `mpama`: finds defects in images of things it has no training images of.
//!
//! The only crate that reads the environment, prints and exits. `cli` says what can be typed,
//! `commands` does it, `output` and `progress` show it, `problem` turns what went wrong into words
//! and a code.

mod cli;
mod commands;
mod embedded;
mod experiment;
mod files;
mod heatmap;
mod hub;
mod interrupt;
mod kept;
mod metric;
mod model;
mod output;
mod problem;
mod progress;
mod python;
#[cfg(test)]
mod reference;
mod report;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum};

use crate::cli::Cli;
use crate::commands::Outcome;
use crate::output::Output;
use crate::problem::Problem;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let command = Cli::command().color(colour(&arguments));
    let parsed = command
        .try_get_matches_from(&arguments)
        .and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => return not_a_command(&error, arguments.len()),
    };
    let output = Output::new(&cli.global);
    let outcome = commands::run(&cli, &output);
    output.progress().clear();
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(interrupt::EXIT_CODE),
        Err(error) => match Problem::of(&error) {
            Some(problem) => {
                output.problem(&problem);
                ExitCode::from(2)
            }
            None => ExitCode::SUCCESS, // the reader of our output has gone: it has seen enough
        },
    }
}

/// What `--color` says, before anything is parsed: mistakes on the command line have colours too.
fn colour(arguments: &[OsString]) -> ColorChoice {
    let after = arguments
        .iter()
        .skip_while(|argument| *argument != "--color")
        .nth(1);
    let joined = || {
        arguments
            .iter()
            .find_map(|argument| argument.to_str()?.strip_prefix("--color="))
    };
    let word = after.and_then(|word| word.to_str()).or_else(joined);
    word.and_then(|word| ColorChoice::from_str(word, false).ok())
        .unwrap_or_default()
}

/// Help, the version, or what is wrong with the arguments. A bare `mpama` is a request for help.
fn not_a_command(error: &clap::Error, arguments: usize) -> ExitCode {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && arguments < 2 {
        let _ = Cli::command().print_help();
        return ExitCode::SUCCESS;
    }
    let _ = error.print(); // a closed pipe is no reason to fail
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
