//! Makes the demo's own CLIP:
//!
//! ```console
//! $ cargo run --release -p mpama-train --example pretrain_demo -- first FIRST
//! $ cargo run --release -p mpama-train --example pretrain_demo -- second SECOND FIRST
//! $ cargo run --release -p mpama-train --example pretrain_demo -- third THIRD SECOND
//! ```
//!
//! The second and third round go on from the weights in the folder of the one before.
//!
//! Run it again to continue where it was stopped.
#![allow(clippy::print_stdout)] // an example is a program

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mpama_train::Outcome;
use mpama_train::pretrain::{PretrainStep, Recipe, pretrain};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (out, recipe) = match words[..] {
        ["first", out] => (out, Recipe::default()),
        ["second", out, from] => (out, Recipe::second(from.into())),
        ["third", out, from] => (out, Recipe::third(from.into())),
        _ => return Err("expected first OUT, second OUT FIRST or third OUT SECOND".into()),
    };
    let started = Instant::now();
    let mut first: Option<(usize, Instant)> = None;
    let (mut sums, mut count) = ([0f32; 3], 0);
    let mut progress = |now: PretrainStep| {
        let (from, since) = *first.get_or_insert_with(|| (now.step, Instant::now()));
        for (sum, value) in sums.iter_mut().zip([now.contrastive, now.twins, now.dense]) {
            *sum += value;
        }
        count += 1;
        if !now.step.is_multiple_of(25) && now.step != now.steps {
            return;
        }
        let [contrastive, twins, dense] = sums.map(|sum| sum / count as f32);
        (sums, count) = ([0.0; 3], 0);
        let per_step = since.elapsed().as_secs_f64() / (now.step - from).max(1) as f64;
        println!(
            "step {} of {}: contrastive {contrastive:.3}, twins {twins:.3}, patches {dense:.3}; \
             {:.0} s so far, {per_step:.2} s a step, about {:.0} s left",
            now.step,
            now.steps,
            started.elapsed().as_secs_f64(),
            per_step * (now.steps - now.step) as f64,
        );
    };
    let stop = AtomicBool::new(false);
    match pretrain(&recipe, Path::new(out), &stop, &mut progress)? {
        Outcome::Done(()) => println!("{out}: done in {:.0} s", started.elapsed().as_secs_f64()),
        Outcome::Interrupted => println!("stopped; run it again to continue"),
    }
    Ok(())
}
