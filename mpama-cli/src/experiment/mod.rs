//! Experiments: a plan names trainings and variants of their settings; every variant is trained with every
//! seed, measured, and tabulated beside the figures of the paper.
//!
//! `plan` is the file, `schedule` what has to be run for it and where, `work` how much of that is left,
//! `results` the figures as a table. `commands::experiment` does the running.

mod plan;
mod results;
mod schedule;
mod work;

pub(crate) use plan::Plan;
pub(crate) use results::Table;
pub(crate) use schedule::{Given, Measurement, Run, Schedule};
pub(crate) use work::{Before, Speed, Work, cache_bytes};
