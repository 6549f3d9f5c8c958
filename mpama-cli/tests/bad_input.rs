//! Files that are not what they should be: each is a clear error with what to do next, and nothing
//! is left half-written.

#![allow(clippy::unwrap_used)]

mod bench;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bench::{adapter, clip, dataset, photo, run, save, text, trained, training};
use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;

fn predict(input: &Path, clip: &str) -> bench::Ran {
    run([
        "predict",
        &text(input),
        "--clip",
        clip,
        "--adapter",
        &adapter(),
    ])
}

/// A PNG whose second half is missing.
fn truncated(path: &Path) {
    save(path, &photo(3, true));
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

/// The tiny CLIP with other tensors.
fn clip_with(change: impl FnOnce(&mut HashMap<String, Tensor>)) -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(Path::new(&clip()).join(name), folder.path().join(name)).unwrap();
    }
    let weights = Path::new(&clip()).join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(weights, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    folder
}

#[test]
fn bad_files_do_not_stop_the_good_ones() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    save(&at("1.png"), &photo(1, false));
    truncated(&at("2.png"));
    fs::write(at("3.jpg"), "this is a text and no picture\n").unwrap();
    fs::write(at("4.png"), "").unwrap();
    save(&at("5.png"), &photo(5, true));
    fs::write(at("notes.txt"), "not looked at").unwrap();
    let ran = predict(folder.path(), &clip()).refused(&[
        "3 of 5 images failed",
        "2.png",
        "3.jpg",
        "4.png",
        "Skipped 1 file",
    ]);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);

    let arguments = [
        "predict",
        &text(folder.path()),
        "--clip",
        &clip(),
        "--adapter",
        &adapter(),
        "--json",
    ];
    let kinds: Vec<String> = run(arguments)
        .code(2)
        .records()
        .iter()
        .map(|r| r["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        kinds,
        [
            "prediction",
            "failure",
            "failure",
            "failure",
            "prediction",
            "summary",
            "error"
        ]
    );
}

#[test]
fn each_bad_file_is_told_apart() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    truncated(&at("cut.png"));
    predict(&at("cut.png"), &clip()).refused(&["cut.png", "cut short: get it again"]);
    fs::write(at("text.jpg"), "this is a text and no picture\n").unwrap();
    predict(&at("text.jpg"), &clip()).refused(&["text.jpg", "expected a PNG, JPEG", "convert it"]);
    predict(&at("gone.png"), &clip()).refused(&["gone.png", "no such file", "check the path"]);
}

#[test]
fn folders_without_images() {
    let folder = TempDir::new().unwrap();
    predict(folder.path(), &clip()).refused(&["no images in", &text(folder.path())]);
    let out = text(&folder.path().join("run"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    run(training(&empty, &clip(), &["--out", &out])).refused(&["empty"]);
    assert!(
        !folder.path().join("run").exists(),
        "a run folder was made for nothing"
    );
}

#[test]
fn a_dataset_without_good_images() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    fs::remove_dir_all(data.join("plate/test/good")).unwrap();
    let out = folder.path().join("run");
    run(training(&data, &clip(), &["--out", &text(&out)])).refused(&["no normal image"]);
    assert!(!out.join("adapter-mpa").exists() && !out.join("adapter").exists());
}

#[test]
fn a_mask_of_another_size() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let mask = data.join("plate/ground_truth/spot/002_mask.png");
    image::GrayImage::new(33, 17).save(&mask).unwrap();
    let out = folder.path().join("run");
    run(training(&data, &clip(), &["--out", &text(&out)])).refused(&[
        "002_mask.png",
        "33x17",
        "60x48",
    ]);
    assert!(!out.join("adapter-mpa").exists());
}

#[test]
fn a_broken_training_image_is_found_before_the_work() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    truncated(&data.join("plate/test/good/004.png"));
    fs::write(data.join("plate/test/spot/001.png"), "a text").unwrap();
    let out = folder.path().join("run");
    let ran = run(training(&data, &clip(), &["--out", &text(&out)]));
    ran.refused(&["2 unusable training images", "good/004.png", "spot/001.png"]);
    assert!(!out.join("adapter-mpa").exists());
}

#[test]
fn a_checkpoint_without_a_tensor() {
    let name = "vision_model.encoder.layers.1.self_attn.v_proj.weight";
    let broken = clip_with(|tensors| assert!(tensors.remove(name).is_some()));
    let image = trained().join("data/plate/test/good/000.png");
    predict(&image, &text(broken.path())).refused(&[name, "no tensor"]);
    let out = broken.path().join("run");
    run(training(
        &trained().join("data"),
        &text(broken.path()),
        &["--out", &text(&out)],
    ))
    .refused(&[name]);
    assert!(!out.join("adapter-mpa").exists());
}

#[test]
fn a_nan_in_the_weights() {
    let name = "vision_model.encoder.layers.2.mlp.fc1.bias";
    let broken = clip_with(|tensors| {
        let tensor = tensors.get_mut(name).unwrap();
        let mut values: Vec<f32> = tensor.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        values[3] = f32::NAN;
        *tensor = Tensor::new(values, &Device::Cpu).unwrap();
    });
    let image = trained().join("data/plate/test/good/000.png");
    predict(&image, &text(broken.path())).refused(&[name, "NaN"]);
    let out = broken.path().join("run");
    run(training(
        &trained().join("data"),
        &text(broken.path()),
        &["--out", &text(&out)],
    ))
    .refused(&[name]);
}

#[test]
fn an_adapter_of_another_backbone() {
    let other = clip_with(|tensors| {
        let tensor = tensors.get_mut("visual_projection.weight").unwrap();
        *tensor = (&*tensor * 2.0).unwrap();
    });
    let image = trained().join("data/plate/test/good/000.png");
    predict(&image, &text(other.path())).refused(&["belongs to backbone", "fingerprint"]);
}

#[test]
fn a_damaged_adapter() {
    let folder = TempDir::new().unwrap();
    let copy = |to: &str| -> PathBuf {
        let copy = folder.path().join(to);
        fs::create_dir(&copy).unwrap();
        bench::files(Path::new(&adapter()))
            .into_iter()
            .for_each(|(name, bytes)| fs::write(copy.join(name), bytes).unwrap());
        copy
    };
    let image = text(&trained().join("data/plate/test/good/000.png"));
    let with = |adapter: &Path| {
        run([
            "predict",
            &image,
            "--clip",
            &clip(),
            "--adapter",
            &text(adapter),
        ])
    };

    let cut = copy("cut");
    let weights = cut.join("adapter_model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() - 7]).unwrap();
    with(&cut).refused(&["adapter_model.safetensors"]);

    let unknown = copy("unknown");
    let config = unknown.join("adapter_config.json");
    let text =
        fs::read_to_string(&config)
            .unwrap()
            .replacen("\"temperature\"", "\"temperatur\"", 1);
    fs::write(&config, text).unwrap();
    with(&unknown).refused(&["adapter_config.json", "temperatur"]);

    with(&folder.path().join("gone")).refused(&["no adapter folder"]);
}
