//! An adapter's two files: the settings up to the first zero byte, the weights behind it.
#![no_main]

use std::path::Path;

use candle_core::Device;
use libfuzzer_sys::fuzz_target;
use mpama_core::Adapter;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == 0);
    let (json, weights) = data.split_at(end.unwrap_or(data.len()));
    if let Ok(json) = std::str::from_utf8(json) {
        let weights = weights.get(1..).unwrap_or_default();
        let _ = Adapter::parse(json, weights, Path::new("adapter"), &Device::Cpu);
    }
});
