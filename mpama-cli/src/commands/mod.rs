//! One file per command: gather inputs, call a crate, show the answer.

mod account;
mod bench;
mod cache;
mod completions;
mod config;
mod datasets;
mod demo;
mod eval;
mod experiment;
mod export;
mod import;
mod info;
mod plan;
mod predict;
pub(crate) mod pull;
mod push;
mod train;
mod watch;

use crate::cli::{Cli, Command};
use crate::output::Output;

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done.
    Done,
    /// Done, and the answer is no.
    No,
    /// Stopped by the user, with its state saved.
    Interrupted,
}

/// Does what was asked.
pub(crate) fn run(cli: &Cli, output: &Output) -> anyhow::Result<Outcome> {
    if let Some(name) = std::env::var_os("MPAMA_KERNELS") {
        mpama_core::use_registers(&name.to_string_lossy())?;
    }
    match &cli.command {
        Command::Demo(args) => demo::run(args, &cli.global, output),
        Command::Predict(args) => predict::run(args, &cli.global, output),
        Command::Train(args) => train::run(args, &cli.global, output),
        Command::Eval(args) => eval::run(args, &cli.global, output),
        Command::Pull(args) => pull::run(args, &cli.global, output),
        Command::Push(args) => push::run(args, &cli.global, output),
        Command::Cache(args) => cache::run(args, &cli.global, output),
        Command::Login => account::login(&cli.global, output),
        Command::Logout => account::logout(&cli.global, output),
        Command::Whoami => account::whoami(&cli.global, output),
        Command::Experiment(args) => experiment::run(args, &cli.global, output),
        Command::Datasets(args) => datasets::run(args, output),
        Command::Import(args) => import::run(args, &cli.global, output),
        Command::Export(args) => export::run(args, &cli.global, output),
        Command::Info(args) => info::run(args, &cli.global, output),
        Command::Bench(args) => bench::run(args, &cli.global, output),
        Command::Config(args) => config::run(args, output),
        Command::Completions(args) => completions::run(args),
    }
}
