//! The Hub's answers: a listing, a description or a commit, by the first byte.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use mpama_hub::{ModelId, fuzzing};

fuzz_target!(|data: &[u8]| {
    let Some((kind, json)) = data.split_first() else {
        return;
    };
    let id: ModelId = "me/model".parse().expect("an id");
    match kind % 3 {
        0 => {
            for name in fuzzing::listing(&id, json).unwrap_or_default() {
                let inside = |part| matches!(part, Component::Normal(_));
                assert!(Path::new(&name).components().all(inside), "{name:?}");
            }
        }
        1 => {
            if let Some((found, commit)) = fuzzing::model(&id, json) {
                assert_eq!(found.to_string().parse(), Ok(found));
                assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
        _ => {
            if let Some(commit) = fuzzing::commit(json) {
                assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
    }
});
