//! A CLIP's `tokenizer.json`, and a text through what it describes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mpama_core::clip::ClipTokenizer;

fuzz_target!(|data: &[u8]| {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    std::fs::write(folder.path().join("tokenizer.json"), data).expect("room for it");
    if let Ok(tokenizer) = ClipTokenizer::open(folder.path(), 77) {
        let _ = tokenizer.encode("X X damaged object.");
    }
});
