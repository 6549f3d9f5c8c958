//! PyTorch's files: the reader of a `.pth` is the one of a `pytorch_model.bin`.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use mpama_core::import::AnomalyClip;

fuzz_target!(|data: &[u8]| {
    let mut file = tempfile::NamedTempFile::new_in("/dev/shm").expect("a file in memory");
    file.write_all(data).expect("room for it");
    let _ = AnomalyClip::read(file.path());
});
