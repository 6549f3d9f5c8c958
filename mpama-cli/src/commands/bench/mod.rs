//! `mpama bench`: how fast this machine predicts, step by step, beside what its processor can do.

mod compare;
mod invented;
mod machine;
mod measure;
mod report;
mod show;
mod subject;

use self::compare::Baseline;
use self::machine::Machine;
use self::subject::Subject;
use super::Outcome;
use crate::cli::{Bench, Global};
use crate::interrupt;
use crate::output::Output;

/// Measures, and compares with an earlier measurement if one is given.
pub(crate) fn run(args: &Bench, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    interrupt::listen(output.talks())?;
    let baseline = args.compare.as_deref().map(Baseline::open).transpose()?;
    let machine = Machine::here();
    if let Some(load) = machine::busy(machine.threads) {
        output.warn(format_args!(
            "something else is at work here (load {load:.1}): times will be longer than they need be"
        ));
    }
    let subject = Subject::open(args, global, output)?;
    if let Some(baseline) = &baseline {
        baseline.fits(&machine, &subject.work, output)?;
    }
    let Some(mut report) = measure::rounds(&subject, machine, args.rounds, output)? else {
        return Ok(Outcome::Interrupted);
    };
    report.compared = baseline.map(|baseline| baseline.compare(&report));
    show::show(&report, output)?;
    output.record("bench", &report)?;
    Ok(Outcome::Done)
}
