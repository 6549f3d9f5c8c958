//! AnomalyCLIP's prompt checkpoints: the text vectors PyTorch computes from them, and files that are
//! none.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use mpama_core::clip::{Checkpoint, VisionOptions};
use mpama_core::import::AnomalyClip;
use mpama_core::{Adapter, BaseModel, Detector, Error};
use mpama_tests::{assert_close, fixtures, golden};

fn fixture() -> PathBuf {
    fixtures().join("import/anomalyclip.pth")
}

fn tiny() -> Checkpoint {
    Checkpoint::open(&fixtures().join("tiny_clip")).unwrap()
}

fn adapter(prompts: &AnomalyClip, clip: &Checkpoint) -> mpama_core::Result<Adapter> {
    let vision = clip.vision(&VisionOptions::default(), &Device::Cpu)?;
    let base = BaseModel {
        id: "tiny".into(),
        revision: None,
        fingerprint: vision.fingerprint().into(),
    };
    prompts.adapter(base, clip.config(), &clip.text(&Device::Cpu)?)
}

#[test]
fn text_vectors_are_those_of_pytorch() {
    let prompts = AnomalyClip::read(&fixture()).unwrap();
    assert_eq!(
        (prompts.length(), prompts.width(), prompts.deep()),
        (5, 24, 2)
    );
    let clip = tiny();
    prompts.check_words(&clip.tokenizer().unwrap()).unwrap();
    let text = clip.text(&Device::Cpu).unwrap();
    assert_eq!(prompts.distance(&text).unwrap(), 0.0);
    let vectors = prompts.text_vectors(&text).unwrap();
    let theirs = &golden("import/anomalyclip.safetensors")["text"];
    assert_close("text.global", &vectors.global, theirs, 1e-5);
    assert_close("text.local", &vectors.local.get(0).unwrap(), theirs, 1e-5);
}

#[test]
fn the_adapter_says_where_it_comes_from_and_predicts() {
    let clip = tiny();
    let adapter = adapter(&AnomalyClip::read(&fixture()).unwrap(), &clip).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("adapter");
    adapter.save(&place).unwrap();
    let loaded = Adapter::load(&place, &Device::Cpu).unwrap();
    assert_eq!(loaded.config, adapter.config);
    let imported = loaded.config.imported.as_ref().unwrap();
    assert_eq!(
        (imported.format.as_str(), imported.file.as_str()),
        ("anomalyclip", "anomalyclip.pth")
    );
    assert_eq!(
        imported.sha256,
        "e3694226f6962484b53ac05af624d96d4775441df2b5493a8e3d623a1593fb59"
    );
    let model = &loaded.config.model;
    assert!(model.prompt.coupled && model.prompt.deep_half);
    assert_eq!((model.prompt.deep_length, model.score.map_weight), (3, 0.0));
    let options = model.vision.options(clip.config().vision.blocks.layers);
    let vision = clip.vision(&options, &Device::Cpu).unwrap();
    let pixels = mpama_tests::scattered(&[1, 3, 56, 56], 3);
    let detector = Detector::new(vision, loaded).unwrap();
    let prediction = &detector.predict(&pixels).unwrap()[0];
    assert!((0.0..=1.0).contains(&prediction.score));
    assert_eq!(prediction.score, prediction.global);
}

fn refused(path: &Path, words: &[&str]) {
    let message = AnomalyClip::read(path).unwrap_err().to_string();
    for word in words.iter().chain(&[path.to_str().unwrap()]) {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn what_is_no_checkpoint_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompts.pth");
    let whole = fs::read(fixture()).unwrap();
    for (bytes, word) in [
        (&b"not a zip"[..], "not a PyTorch checkpoint"),
        (&[], "not a PyTorch checkpoint"),
        (&whole[..whole.len() / 2], "not a PyTorch checkpoint"),
        (&whole[..whole.len() - 1], "not a PyTorch checkpoint"),
    ] {
        fs::write(&path, bytes).unwrap();
        refused(&path, &[word]);
    }
    // A checkpoint, but of a whole CLIP.
    refused(
        &fixtures().join("clip/micro/pytorch_model.bin"),
        &["prompt_learner", "ctx_pos"],
    );
    // The pickle renames a tensor; the length of the name stays.
    let with = |from: &[u8], to: &[u8]| {
        assert_eq!(from.len(), to.len());
        let mut bytes = whole.clone();
        let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to);
        fs::write(&path, bytes).unwrap();
    };
    with(b"ctx_neg", b"ctx_nag");
    refused(&path, &["no tensor `ctx_neg`"]);
    with(b"compound_prompts_text.0", b"compound_prompts_text.7");
    refused(&path, &["no tensor `compound_prompts_text.0`"]);
    with(b"FloatStorage", b"QuantStorage");
    refused(&path, &["QuantStorage"]);
    // One value becomes NaN: the first learned token of the first tensor there is.
    let value = golden_value();
    with(&value.to_le_bytes(), &f32::NAN.to_le_bytes());
    refused(&path, &["NaN", "position 0"]);
}

/// First value of the first deep prompt.
fn golden_value() -> f32 {
    let clip = tiny();
    let adapter = adapter(&AnomalyClip::read(&fixture()).unwrap(), &clip).unwrap();
    let prompt = adapter.prompts["prompt.deep.0"].flatten_all().unwrap();
    prompt.to_vec1::<f32>().unwrap()[0]
}

#[test]
fn any_byte_may_be_wrong() {
    // Reading ends in an error or in finite numbers, whatever byte of the description is another.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompts.pth");
    let whole = fs::read(fixture()).unwrap();
    let mut read = 0;
    for at in (0..2000).chain(whole.len() - 2500..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] ^= [0xff, 0x01, 0x80][at % 3];
        fs::write(&path, bytes).unwrap();
        read += usize::from(AnomalyClip::read(&path).is_ok());
    }
    assert!((1..4500).contains(&read), "{read}");
}

#[test]
fn another_clip_is_refused_with_both_sizes() {
    let prompts = AnomalyClip::read(&fixture()).unwrap();
    let micro = Checkpoint::open(&fixtures().join("clip/micro")).unwrap();
    let text = micro.text(&Device::Cpu).unwrap();
    let error = prompts.text_vectors(&text).unwrap_err();
    assert!(
        matches!(&error, Error::Foreign { wanted, found, .. }
            if wanted == "width 24" && *found == text.width().to_string()),
        "{error}"
    );
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn real_checkpoints_are_read_and_have_the_words_of_clip() {
    let data = mpama_tests::shared_data();
    let tokenizer = mpama_core::clip::ClipTokenizer::open(&data.join("clip_text"), 77).unwrap();
    for name in ["visa", "mvtec"] {
        let file = format!("prompt_checkpoints/trained_on_{name}_crane.pth");
        let prompts = AnomalyClip::read(&data.join(file)).unwrap();
        assert_eq!(
            (prompts.length(), prompts.width(), prompts.deep()),
            (12, 768, 8)
        );
        prompts.check_words(&tokenizer).unwrap();
        let text = tiny().text(&Device::Cpu).unwrap();
        let message = prompts.text_vectors(&text).unwrap_err().to_string();
        assert!(
            message.contains("width 768") && message.contains("24"),
            "{message}"
        );
    }
}
