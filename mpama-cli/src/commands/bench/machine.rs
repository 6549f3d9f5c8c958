//! What is measured on.

use std::fs;

use mpama_core::Registers;
use serde::{Deserialize, Serialize};

/// A machine, as far as it decides on speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// The processor's name, where the system tells; its architecture elsewhere.
    pub(super) cpu: String,
    /// Processors that may be used.
    pub(super) cores: usize,
    /// Threads that kernels run on.
    pub(super) threads: usize,
    /// What kernels compute in.
    pub(super) kernels: Registers,
}

impl Machine {
    pub(super) fn here() -> Self {
        let threads = rayon::current_num_threads();
        Self {
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(threads, usize::from),
            threads,
            kernels: mpama_core::registers(),
        }
    }
}

/// The name that Linux knows the processor by; not on every architecture.
fn cpu() -> Option<String> {
    let all = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = all.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The load of the last minute, if it takes a good part of `threads`: on Linux.
pub(super) fn busy(threads: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    (load > 0.25 * threads as f64).then_some(load)
}
