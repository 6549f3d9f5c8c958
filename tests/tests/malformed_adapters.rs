//! Adapters as a stranger may send them: an error that names the file for each, no panic, and no more
//! memory than a good one takes.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use mpama_core::adapter::{CONFIG_FILE, SCHEMA_VERSION, WEIGHTS_FILE};
use mpama_core::{Adapter, AdapterConfig, BaseModel, ModelConfig, TextVectors};
use mpama_tests::scattered;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The system's allocator, and the largest request it had.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Far more than reading any of these files takes, far less than what they claim.
const PLENTY: usize = 16 << 20;

#[track_caller]
fn no_large_allocation() {
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < PLENTY, "{largest} bytes were asked for at once");
}

/// A good adapter for a joint width of 8 and a tower of 6.
fn good() -> Adapter {
    let mut model = ModelConfig::default();
    model.experts.learnable = 2;
    let weights = ["experts.1.weight", "experts.2.weight"].map(|name| (name, [8, 6]));
    let weights = weights.into_iter().chain([("router.weight", [4, 6])]);
    Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: "tiny".into(),
                revision: None,
                fingerprint: "ab".repeat(32),
            },
            model,
            training: None,
            imported: None,
            threshold: None,
        },
        text: TextVectors {
            global: scattered(&[2, 8], 1),
            local: scattered(&[4, 2, 8], 2),
        },
        prompts: BTreeMap::from([("prompt.deep.0".into(), scattered(&[4, 5], 3))]),
        experts: Some(
            weights
                .map(|(name, shape)| (name.to_owned(), scattered(&shape, 4)))
                .collect(),
        ),
    }
}

/// The good one, saved.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    good().save(&folder.path().join("adapter")).unwrap();
    folder
}

#[track_caller]
fn refused(folder: &Path, file: &str, words: &str) {
    let message = match Adapter::load(folder, &Device::Cpu) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("loaded, where an error about {words} is due"),
    };
    assert!(message.contains(words), "{words} is not in: {message}");
    assert!(
        message.contains(file) || message.starts_with("setting"),
        "{message}"
    );
}

#[test]
fn settings_out_of_reason_are_refused() {
    let home = folder();
    let folder = home.path().join("adapter");
    let path = folder.join(CONFIG_FILE);
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let many: Vec<usize> = (1..10_000).collect();
    for (pointer, value, words) in [
        ("/schema-version", json!(99), "schema version 99"),
        ("/schema-version", json!(-1), "schema-version"),
        ("/schema-version", json!("1"), "schema-version"),
        (
            "/model/image-size",
            json!(1_000_000_000_000u64),
            "image-size",
        ),
        ("/model/image-size", json!([0, 518]), "image-size"),
        ("/model/temperature", json!(0), "temperature"),
        ("/model/temperature", json!("hot"), "hot"),
        ("/model/prompt/length", json!(u64::MAX), "prompt.length"),
        ("/model/perception/levels", json!([]), "levels"),
        ("/model/perception/levels", json!([1u64 << 60]), "levels"),
        ("/model/perception/levels", json!(many), "levels"),
        ("/model/experts/learnable", json!(u64::MAX), "learnable"),
        ("/model/score/sigma", json!(1e300), "sigma"),
        ("/model/score/map-weight", json!(2), "map-weight"),
        ("/base-model/fingerprint", json!(null), "null"),
        ("/base-model", json!({}), "missing field"),
        ("/model", json!({"depth": 3}), "depth"),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        fs::write(&path, changed.to_string()).unwrap();
        refused(&folder, CONFIG_FILE, words);
    }
    // What only the tensors contradict, or nothing but sense.
    for (key, value, words) in [
        ("/model/experts/learnable", json!(7), "`router.weight`"),
        (
            "/threshold",
            json!({"value": 7, "origin": "invented"}),
            "threshold 7",
        ),
    ] {
        let mut changed = whole.clone();
        changed["threshold"] = json!(null);
        *changed.pointer_mut(key).unwrap() = value;
        fs::write(&path, changed.to_string()).unwrap();
        refused(&folder, WEIGHTS_FILE, words);
    }
    let deep = "[".repeat(500_000);
    let long = " ".repeat(2 << 20);
    for (text, words) in [
        ("", "EOF"),
        ("[]", "schema-version"),
        ("\u{0}", "expected value"),
        (deep.as_str(), "recursion"),
        (long.as_str(), "at most"),
    ] {
        fs::write(&path, text).unwrap();
        refused(&folder, CONFIG_FILE, words);
    }
    fs::write(&path, b"\xff\xfe").unwrap();
    refused(&folder, CONFIG_FILE, "utf-8");
    no_large_allocation();
}

/// Tensors of the good adapter after a change.
fn changed(change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> Vec<u8> {
    let good = good();
    let mut tensors = good.prompts;
    tensors.extend(good.experts.unwrap());
    tensors.insert("text.global".into(), good.text.global);
    tensors.insert("text.local".into(), good.text.local);
    change(&mut tensors);
    safetensors::serialize(&tensors, None).unwrap()
}

fn put(name: &str, tensor: Tensor) -> Vec<u8> {
    changed(|tensors| drop(tensors.insert(name.to_owned(), tensor)))
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let home = folder();
    let folder = home.path().join("adapter");
    let path = folder.join(WEIGHTS_FILE);
    let whole = changed(|_| {});
    fs::write(&path, &whole).unwrap();
    Adapter::load(&folder, &Device::Cpu).unwrap();

    for name in [
        "text.global",
        "text.local",
        "router.weight",
        "experts.2.weight",
    ] {
        fs::write(&path, changed(|tensors| drop(tensors.remove(name)))).unwrap();
        refused(&folder, WEIGHTS_FILE, &format!("`{name}` is missing"));
        fs::write(&path, put(name, scattered(&[2, 3, 4], 5))).unwrap();
        refused(&folder, WEIGHTS_FILE, &format!("`{name}` has shape"));
        fs::write(&path, put(name, scattered(&[0, 8], 5))).unwrap();
        refused(&folder, WEIGHTS_FILE, &format!("`{name}` has shape"));
        let half = scattered(&[2, 8], 1).to_dtype(DType::F16).unwrap();
        fs::write(&path, put(name, half)).unwrap();
        refused(&folder, WEIGHTS_FILE, &format!("`{name}`: expected f32"));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bad = Tensor::new(&[[0.0, value], [1.0, 0.0]], &Device::Cpu).unwrap();
            fs::write(&path, put(name, bad)).unwrap();
            refused(&folder, WEIGHTS_FILE, &format!("`{name}` holds"));
        }
    }
    for name in ["experts.3.weight", "experts.one", "prompt", "../../passwd"] {
        fs::write(&path, put(name, scattered(&[8, 6], 6))).unwrap();
        refused(&folder, WEIGHTS_FILE, "tensor");
    }
    no_large_allocation();
}

/// A file with this header and `data` bytes behind it.
fn headed(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn headers_that_claim_too_much_are_refused() {
    let home = folder();
    let folder = home.path().join("adapter");
    let path = folder.join(WEIGHTS_FILE);
    let tensor = |shape: &str, offsets: &str| {
        headed(
            &format!(
                r#"{{"text.global":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#
            ),
            64,
        )
    };
    let most = u64::MAX;
    for bytes in [
        Vec::new(),
        vec![0xff; 7],
        most.to_le_bytes().to_vec(),
        [&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(),
        headed("{", 0),
        headed("{}", 64),
        tensor("[2,8]", "[0,18446744073709551615]"),
        tensor("[1099511627776,1099511627776]", "[0,64]"),
        tensor("[1099511627776]", "[0,4398046511104]"),
        tensor("[2,8]", "[64,0]"),
        tensor("[2,8]", "[32,96]"),
        tensor("[-2,8]", "[0,64]"),
        tensor("[2,8]", "[0,63]"),
    ] {
        fs::write(&path, bytes).unwrap();
        refused(&folder, WEIGHTS_FILE, "");
    }
    // A file with a hole: two gigabytes that take no space.
    let file = fs::File::create(&path).unwrap();
    file.set_len(2 << 30).unwrap();
    refused(&folder, WEIGHTS_FILE, "at most");
    no_large_allocation();
}

#[test]
fn any_byte_of_a_header_may_be_wrong() {
    let home = folder();
    let folder = home.path().join("adapter");
    let weights = fs::read(folder.join(WEIGHTS_FILE)).unwrap();
    let json = fs::read_to_string(folder.join(CONFIG_FILE)).unwrap();
    let length = u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
    let parse = |json: &str, weights: &[u8]| {
        Adapter::parse(json, weights, Path::new("memory"), &Device::Cpu).is_ok()
    };
    let mut loaded = 0;
    for at in 0..8 + length {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = weights.clone();
            bytes[at] ^= flip;
            loaded += usize::from(parse(&json, &bytes));
        }
    }
    for keep in 0..weights.len() {
        assert!(!parse(&json, &weights[..keep]), "cut to {keep} bytes");
    }
    for at in (0..json.len()).filter(|at| json.is_char_boundary(*at)) {
        assert!(!parse(&json[..at], &weights) || json[at..].trim().is_empty());
        let mut bytes = json.clone().into_bytes();
        bytes[at] = b'9';
        loaded += usize::from(parse(&String::from_utf8(bytes).unwrap(), &weights));
    }
    // Names of metadata and values of settings may change and still be an adapter.
    assert!(loaded < 4 * length, "{loaded} of the changed loaded");
    no_large_allocation();
}
