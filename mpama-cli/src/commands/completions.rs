//! `mpama completions`.

use std::io::Write;

use clap::CommandFactory;

use super::Outcome;
use crate::cli::{Cli, Completions};

/// Prints the script.
pub(crate) fn run(args: &Completions) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mpama", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Outcome::Done)
}
