//! The demo's backbone and adapter, inside the binary: a tiny CLIP that `mpama-train`'s pretraining recipe made, in
//! the layout of a real one. It is called a demo everywhere; its figures say nothing of a real CLIP.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device};
use mpama_core::Adapter;
use mpama_core::clip::{ClipConfig, Precision, VisionOptions, VisionTower};

use crate::files::write_whole;
use crate::problem::Mistake;

/// What adapters and tables call it.
pub(crate) const BACKBONE: &str = "mpama-demo-clip";

const FILES: [(&str, &[u8]); 3] = [
    (
        "config.json",
        include_bytes!("../assets/demo-clip/config.json"),
    ),
    (
        "model.safetensors",
        include_bytes!("../assets/demo-clip/model.safetensors"),
    ),
    (
        "tokenizer.json",
        include_bytes!("../assets/demo-clip/tokenizer.json"),
    ),
];

const ADAPTER: (&str, &[u8]) = (
    include_str!("../assets/demo-adapter/adapter_config.json"),
    include_bytes!("../assets/demo-adapter/adapter_model.safetensors"),
);

/// The adapter that `mpama demo` trains, with no option.
pub(crate) fn adapter(device: &Device) -> mpama_core::Result<Adapter> {
    Adapter::parse(ADAPTER.0, ADAPTER.1, Path::new("(inside mpama)"), device)
}

/// The backbone's image tower, as this adapter reads it.
pub(crate) fn vision(
    adapter: &Adapter,
    precision: Precision,
    device: &Device,
) -> mpama_core::Result<VisionTower> {
    let [(name, json), (_, weights), _] = FILES;
    let config = ClipConfig::parse(json, Path::new(name))?;
    let tensors = candle_core::safetensors::load_buffer(weights, device)?;
    let tensors = tensors
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?)))
        .collect::<mpama_core::Result<_>>()?;
    let options = VisionOptions {
        precision,
        ..adapter
            .config
            .model
            .vision
            .options(config.vision.blocks.layers)
    };
    Ok(VisionTower::from_tensors(&config, &options, &tensors)?.packed()?)
}

/// The settings with which the demo trains: `mpama train --config` takes them as well.
pub(crate) const SETTINGS: &str = include_str!("../assets/demo.toml");

/// Writes the backbone as a folder that every command takes for `--clip`. Each file is whole or not
/// there; files that are there already are left.
pub(crate) fn write_backbone(folder: &Path) -> Result<(), Mistake> {
    fs::create_dir_all(folder).map_err(|error| Mistake::file("create", folder, error))?;
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if fs::read(&path).is_ok_and(|found| found == bytes) {
            continue;
        }
        write_whole(&path, bytes)?;
    }
    Ok(())
}
