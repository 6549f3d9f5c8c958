//! What the multipliers of this machine can do at most: the measure of every kernel.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use serde::{Deserialize, Serialize};

use super::arch;

/// Multiplications and additions in f32 per second, reached by a loop that touches nothing but registers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// On one thread, with the others idle.
    pub one_thread: f64,
    /// On all threads at once.
    pub all_threads: f64,
    /// How many these are.
    pub threads: usize,
}

/// Seconds of one trial.
const TRIAL: f64 = 0.02;
/// Trials, of which the fastest counts: others may use the machine too.
const TRIALS: usize = 8;
/// Steps of every chain before the clock is looked at.
const STEPS: usize = 1 << 12;

/// Measures the machine, in about half a second.
pub fn throughput() -> Throughput {
    let threads = rayon::current_num_threads();
    Throughput {
        one_thread: best(chains),
        all_threads: best(|rounds| rayon::broadcast(|_| chains(rounds)).into_iter().sum()),
        threads,
    }
}

/// Operations per second of the fastest trial of `work`, which is told how often to go round its loop.
fn best(work: impl Fn(usize) -> f64) -> f64 {
    let timed = |rounds: usize| {
        let started = Instant::now();
        let operations = work(rounds);
        (operations, started.elapsed().as_secs_f64().max(1e-9))
    };
    let (_, seconds) = timed(8); // also wakes the units up
    let rounds = (8.0 * TRIAL / seconds).clamp(1.0, 1e6) as usize;
    (0..TRIALS)
        .map(|_| timed(rounds))
        .map(|(operations, seconds)| operations / seconds)
        .fold(0.0, f64::max)
}

/// Goes `rounds` times round the loop and returns how many operations that were.
fn chains(rounds: usize) -> f64 {
    arch().dispatch(Chains { rounds })
}

struct Chains {
    rounds: usize,
}

impl WithSimd for Chains {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        // the sixteen registers of AVX2 hold twelve chains and their operands; others have twice as many
        match S::F32_LANES {
            8 => run::<S, 12>(simd, self.rounds),
            _ => run::<S, 20>(simd, self.rounds),
        }
    }
}

/// `N` independent chains of x ← x·a + b: enough of them hide how long one step takes.
#[inline(always)]
fn run<S: Simd, const N: usize>(simd: S, rounds: usize) -> f64 {
    // towards b / (1 − a): neither overflow nor denormal numbers
    let [a, b] = [0.5f32, 1.0].map(|value| simd.splat_f32s(black_box(value)));
    let mut x = black_box([simd.splat_f32s(1.5); N]); // to the compiler they differ
    for _ in 0..rounds {
        for _ in 0..STEPS {
            for x in &mut x {
                *x = simd.mul_add_e_f32s(*x, a, b);
            }
        }
        x = black_box(x);
    }
    (2 * rounds * STEPS * N * S::F32_LANES) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_counted() {
        let simd = pulp::Scalar::new();
        assert_eq!(run::<_, 12>(simd, 3), (2 * 3 * STEPS * 12) as f64);
    }

    #[test]
    fn every_machine_multiplies() {
        let found = throughput();
        assert!(found.one_thread > 0.0 && found.all_threads > 0.0);
        assert_eq!(found.threads, rayon::current_num_threads());
    }
}
