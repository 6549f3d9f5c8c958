//! A CLIP's files in every form the Hub has them, and in every form of broken.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use mpama_core::clip::{Checkpoint, ClipError, Result, VisionOptions, VisionTower};
use mpama_tests::{assert_close, fixtures};
use tempfile::TempDir;

type Tensors = HashMap<String, Tensor>;

fn tiny_tensors() -> Tensors {
    let path = fixtures().join("tiny_clip/model.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// A folder with the configuration of a fixture and nothing else.
fn folder_of(fixture: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = fixtures().join(fixture).join("config.json");
    std::fs::copy(config, folder.path().join("config.json")).unwrap();
    folder
}

fn save(tensors: &Tensors, folder: &Path) {
    candle_core::safetensors::save(tensors, folder.join("model.safetensors")).unwrap();
}

fn vision(folder: &Path) -> Result<VisionTower> {
    Checkpoint::open(folder)?.vision(&VisionOptions::default(), &Device::Cpu)
}

/// Loads the tiny vision tower after `change` to its tensors.
fn changed(change: impl FnOnce(&mut Tensors)) -> (TempDir, Result<VisionTower>) {
    let (folder, mut tensors) = (folder_of("tiny_clip"), tiny_tensors());
    change(&mut tensors);
    save(&tensors, folder.path());
    let tower = vision(folder.path());
    (folder, tower)
}

fn to(tensors: &mut Tensors, dtype: DType) {
    for tensor in tensors.values_mut() {
        *tensor = tensor.to_dtype(dtype).unwrap();
    }
}

const NAME: &str = "vision_model.encoder.layers.2.mlp.fc1.weight";

#[test]
fn the_fingerprint_is_of_values_not_of_files() {
    let tiny = vision(&fixtures().join("tiny_clip")).unwrap();
    assert_eq!(tiny.fingerprint().len(), 64);
    let (_folder, wide) = changed(|tensors| to(tensors, DType::F32));
    assert_eq!(wide.unwrap().fingerprint(), tiny.fingerprint());
    // Half of the values: another tower, that works as well.
    let (_folder, narrow) = changed(|tensors| to(tensors, DType::BF16));
    assert_ne!(narrow.unwrap().fingerprint(), tiny.fingerprint());
    let (_folder, one) = changed(|tensors| {
        let weight = &tensors[NAME];
        tensors.insert(NAME.to_owned(), (weight * 1.01).unwrap());
    });
    assert_ne!(one.unwrap().fingerprint(), tiny.fingerprint());
    // The text tower has no part in it.
    let (_folder, other_text) =
        changed(|tensors| tensors.retain(|name, _| !name.starts_with("text_")));
    assert_eq!(other_text.unwrap().fingerprint(), tiny.fingerprint());
}

#[test]
fn a_pickle_is_read_as_safetensors_are() {
    let micro = fixtures().join("clip/micro");
    let folder = folder_of("clip/micro");
    let file = "pytorch_model.bin";
    std::fs::copy(micro.join(file), folder.path().join(file)).unwrap();
    same_towers(folder.path(), &micro);

    // Sharded: an index, and two files that hold more than is asked of each.
    let sharded = folder_of("clip/micro");
    let names =
        candle_core::safetensors::load(micro.join("model.safetensors"), &Device::Cpu).unwrap();
    let shard = |name: &String| {
        if name.starts_with("vision") {
            "one.bin"
        } else {
            "two.bin"
        }
    };
    for file in ["one.bin", "two.bin"] {
        std::fs::copy(micro.join("pytorch_model.bin"), sharded.path().join(file)).unwrap();
    }
    write_index(
        sharded.path(),
        "pytorch_model.bin.index.json",
        names.keys().map(|name| (name, shard(name))),
    );
    same_towers(sharded.path(), &micro);
}

fn same_towers(ours: &Path, theirs: &Path) {
    assert_eq!(
        vision(ours).unwrap().fingerprint(),
        vision(theirs).unwrap().fingerprint()
    );
    let text = |folder: &Path| {
        let tower = Checkpoint::open(folder)
            .unwrap()
            .text(&Device::Cpu)
            .unwrap();
        tower.encode_ids(&[vec![1, 4, 7], vec![2, 7]]).unwrap()
    };
    assert_close("text", &text(ours), &text(theirs), 0.0);
}

fn write_index<'a>(folder: &Path, file: &str, shards: impl Iterator<Item = (&'a String, &'a str)>) {
    let map: HashMap<_, _> = shards.collect();
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    std::fs::write(folder.join(file), index.to_string()).unwrap();
}

#[test]
fn shards_are_read_where_the_index_says() {
    let (folder, tensors) = (folder_of("tiny_clip"), tiny_tensors());
    let mut names: Vec<_> = tensors.keys().collect();
    names.sort();
    let shard = |i: usize| {
        [
            "model-1.safetensors",
            "model-2.safetensors",
            "model-3.safetensors",
        ][i % 3]
    };
    for part in 0..3 {
        let own = names
            .iter()
            .skip(part)
            .step_by(3)
            .map(|name| (name.to_string(), tensors[*name].clone()));
        candle_core::safetensors::save(&own.collect(), folder.path().join(shard(part))).unwrap();
    }
    let file = "model.safetensors.index.json";
    let places = || names.iter().enumerate().map(|(i, name)| (*name, shard(i)));
    write_index(folder.path(), file, places());
    let tiny = fixtures().join("tiny_clip");
    assert_eq!(
        vision(folder.path()).unwrap().fingerprint(),
        vision(&tiny).unwrap().fingerprint()
    );

    write_index(
        folder.path(),
        file,
        places().filter(|(name, _)| *name != NAME),
    );
    let error = vision(folder.path()).unwrap_err();
    assert!(
        matches!(&error, ClipError::MissingTensor { name, .. } if name == NAME),
        "{error}"
    );
    // A shard of the index that is not there, and an index that points out of its folder.
    write_index(
        folder.path(),
        file,
        places().map(|(name, _)| (name, "model-4.safetensors")),
    );
    let error = vision(folder.path()).unwrap_err();
    assert!(
        matches!(&error, ClipError::Unreadable { path, .. } if path.ends_with("model-4.safetensors")),
        "{error}"
    );
    write_index(
        folder.path(),
        file,
        places().map(|(name, _)| (name, "../model.safetensors")),
    );
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("../model.safetensors"),
        "{error}"
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let (_folder, tower) = changed(|tensors| drop(tensors.remove(NAME)));
    match tower.unwrap_err() {
        ClipError::MissingTensor { name, expected, .. } => {
            assert_eq!((name.as_str(), expected), (NAME, vec![64, 32]))
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let (_folder, tower) = changed(|tensors| {
        let transposed = tensors[NAME].t().unwrap().contiguous().unwrap();
        tensors.insert(NAME.to_owned(), transposed);
    });
    match tower.unwrap_err() {
        ClipError::TensorShape {
            name,
            expected,
            found,
            ..
        } => {
            assert_eq!(
                (name.as_str(), expected, found),
                (NAME, vec![64, 32], vec![32, 64])
            );
        }
        error => panic!("{error}"),
    }
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    for bad in [f32::NAN, f32::INFINITY] {
        let (_folder, tower) = changed(|tensors| {
            to(tensors, DType::F32);
            let mut values: Vec<f32> = tensors[NAME].flatten_all().unwrap().to_vec1().unwrap();
            values[77] = bad;
            tensors.insert(
                NAME.to_owned(),
                Tensor::from_vec(values, (64, 32), &Device::Cpu).unwrap(),
            );
        });
        match tower.unwrap_err() {
            ClipError::NotFinite {
                name,
                position,
                value,
                ..
            } => {
                assert_eq!(
                    (name.as_str(), position, value.is_nan()),
                    (NAME, 77, bad.is_nan())
                );
            }
            error => panic!("{error}"),
        }
    }
}

#[test]
fn a_tensor_of_integers_is_named() {
    let (_folder, tower) = changed(|tensors| {
        let integers = tensors[NAME].to_dtype(DType::I64).unwrap();
        tensors.insert(NAME.to_owned(), integers);
    });
    let error = tower.unwrap_err();
    assert!(
        matches!(&error, ClipError::TensorType { name, .. } if name == NAME),
        "{error}"
    );
}

#[test]
fn truncated_files_are_named_at_any_length() {
    for (fixture, file) in [
        ("tiny_clip", "model.safetensors"),
        ("clip/micro", "pytorch_model.bin"),
    ] {
        let whole = std::fs::read(fixtures().join(fixture).join(file)).unwrap();
        for keep in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
            let folder = folder_of(fixture);
            std::fs::write(folder.path().join(file), &whole[..keep]).unwrap();
            match vision(folder.path()) {
                Err(ClipError::Unreadable { path, .. }) => assert!(path.ends_with(file)),
                other => panic!("{file} cut to {keep} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn what_a_folder_lacks_is_listed() {
    let wanted = |result: Result<Checkpoint>| match result.unwrap_err() {
        ClipError::MissingFile { wanted, .. } => wanted,
        error => panic!("{error}"),
    };
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(wanted(Checkpoint::open(empty.path())), ["config.json"]);
    let bare = folder_of("tiny_clip");
    let found = wanted(Checkpoint::open(bare.path()));
    assert_eq!(
        (found.len(), found[0], found[2]),
        (4, "model.safetensors", "pytorch_model.bin")
    );
    save(&tiny_tensors(), bare.path());
    match Checkpoint::open(bare.path())
        .unwrap()
        .tokenizer()
        .unwrap_err()
    {
        ClipError::MissingFile { wanted, .. } => assert_eq!(wanted[0], "tokenizer.json"),
        error => panic!("{error}"),
    }
}
