//! The library in one screen: a score and a map for one image.
//!
//! `cargo run --release -p mpama-core --example predict -- CLIP_FOLDER ADAPTER_FOLDER IMAGE`

use std::error::Error;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use mpama_core::clip::Checkpoint;
use mpama_core::preprocess::{Orientation, Picture, network_input};
use mpama_core::{Adapter, Detector};

#[allow(clippy::print_stdout)] // an example, not the library
fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [clip, adapter, image] = paths.as_slice() else {
        return Err("give a CLIP folder, an adapter folder and an image".into());
    };
    let device = Device::Cpu;

    let checkpoint = Checkpoint::open(clip)?;
    let adapter = Adapter::load(adapter, &device)?;
    let layers = checkpoint.config().vision.blocks.layers;
    let vision = checkpoint.vision(&adapter.config.model.vision.options(layers), &device)?;
    let detector = Detector::new(vision, adapter)?;

    let size = detector.config().image_size;
    let picture = Picture::open(image, Orientation::Ignore)?;
    let pixels = network_input(&picture, size.height, size.width);
    let pixels = Tensor::from_vec(pixels, (1, 3, size.height, size.width), &device)?;
    for prediction in detector.predict(&pixels)? {
        let peak = prediction.map.peak();
        println!(
            "{:.3}  highest at {},{} of the map",
            prediction.score, peak.x, peak.y
        );
    }
    Ok(())
}
