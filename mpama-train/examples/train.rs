//! Both stages on a folder of images:
//!
//! ```console
//! $ cargo run --release --example train -- CLIP CONFIG.toml RUN
//! ```
//!
//! Run it again to continue where it was stopped.
#![allow(clippy::print_stdout)] // an example is a program

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::Device;
use mpama_core::clip::Checkpoint;
use mpama_train::{Backbone, Control, Event, Outcome, Start, TrainConfig, train};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [clip, config, run] = &arguments[..] else {
        return Err("expected CLIP CONFIG.toml RUN".into());
    };
    let checkpoint = Checkpoint::open(Path::new(clip))?;
    let backbone = Backbone {
        checkpoint: &checkpoint,
        id: clip,
        revision: None,
    };
    let config = TrainConfig::parse(&std::fs::read_to_string(config)?, config)?;
    let start = match Path::new(run).join("config.toml").exists() {
        true => Start::Resume,
        false => Start::Fresh,
    };

    let stop = AtomicBool::new(false); // a signal handler would raise it
    let mut events = |event| match event {
        Event::Encoded { done, total, .. } => println!("{done} of {total} images encoded"),
        Event::EpochEnded {
            stage,
            epoch,
            epochs,
            mean_loss,
        } => println!("stage {stage}: epoch {epoch} of {epochs}, loss {mean_loss:.4}"),
        _ => {}
    };
    let mut control = Control::new(&stop, &mut events);
    let run = Path::new(run);
    match train(&config, &backbone, run, start, &Device::Cpu, &mut control)? {
        Outcome::Done(trained) => println!("adapter in {}", trained.adapter.display()),
        Outcome::Interrupted => println!("stopped; run it again to continue"),
    }
    Ok(())
}
