//! The demo backbone, inside the binary: a tiny CLIP that `mpama-train`'s pretraining recipe made, in
//! the layout of a real one. It is called a demo everywhere; its figures say nothing of a real CLIP.

use std::fs;
use std::path::Path;

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
