//! `mpama datasets`: what there is, whether it is in order, lists of it, and drawn ones.

mod check;
mod findings;
mod list;
mod prepare;
mod synth;

use super::Outcome;
use crate::cli::Datasets;
use crate::output::Output;

pub(super) use synth::draw;

/// Does the sub-command.
pub(crate) fn run(args: &Datasets, output: &Output) -> anyhow::Result<Outcome> {
    match args {
        Datasets::List => list::run(output),
        Datasets::Check(args) => check::run(args, output),
        Datasets::Prepare(args) => prepare::run(args, output),
        Datasets::Synth(args) => synth::run(args, output),
    }
}
