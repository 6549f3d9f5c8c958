//! A CLIP's `config.json`.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use mpama_core::clip::ClipConfig;

fuzz_target!(|data: &[u8]| {
    let _ = ClipConfig::parse(data, Path::new("config.json"));
});
