//! CLIP's image tower, and both towers on real weights, against PyTorch; `fixtures/recipes/clip.py`
//! made the goldens on a tiny random CLIP.
#![allow(clippy::unwrap_used)]
#![allow(clippy::excessive_precision)] // published figures stay as published

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{D, DType, Device, Tensor};
use mpama_core::clip::{Checkpoint, ClipError, VisionOptions, VisionTower};
use mpama_tests::{assert_close, fixtures, golden};

const TOLERANCE: f64 = 1e-5;

fn tiny() -> Checkpoint {
    Checkpoint::open(&fixtures().join("tiny_clip")).unwrap()
}

fn vision(vv_depth: usize) -> VisionTower {
    tiny()
        .vision(
            &VisionOptions {
                vv_depth,
                ..VisionOptions::default()
            },
            &Device::Cpu,
        )
        .unwrap()
}

fn goldens() -> HashMap<String, Tensor> {
    golden("clip/goldens.safetensors")
}

/// The recipe's image, from integers: `[1, 3, 14·rows, 14·columns]`, shifted for another image.
fn pixels(rows: usize, columns: usize, shift: usize) -> Tensor {
    let (height, width) = (14 * rows, 14 * columns);
    let value = |i: usize| {
        let (c, y, x) = (i / (height * width), i / width % height, i % width);
        ((c * 83 + y * 29 + x * 47 + x * y * 5 + shift) % 251) as f32 / 64.0 - 2.0
    };
    let values: Vec<f32> = (0..3 * height * width).map(value).collect();
    Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu).unwrap()
}

/// A copy of the tiny CLIP whose configuration has one word replaced.
fn reconfigured(from: &str, to: &str) -> (tempfile::TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    let tiny = fixtures().join("tiny_clip");
    let config = std::fs::read_to_string(tiny.join("config.json")).unwrap();
    std::fs::write(folder.path().join("config.json"), config.replace(from, to)).unwrap();
    std::fs::copy(
        tiny.join("model.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    (folder, checkpoint)
}

#[test]
fn patch_tokens_of_both_streams_match_after_every_block() {
    let g = goldens();
    for (stream, vv_depth) in [("ordinary", 0), ("vv4", 4)] {
        let options = VisionOptions {
            vv_depth,
            intermediate: vec![3, 1, 2, 4],
            ..VisionOptions::default()
        };
        let features = tiny()
            .vision(&options, &Device::Cpu)
            .unwrap()
            .forward(&pixels(4, 4, 0))
            .unwrap();
        for (layer, ours) in options.intermediate.iter().zip(&features.intermediate) {
            let name = format!("{stream}.{layer}");
            assert_close(&name, ours, &g[&name], TOLERANCE);
        }
        assert_close(
            stream,
            &features.patches,
            &g[&format!("{stream}.4")],
            TOLERANCE,
        );
    }
}

#[test]
fn an_intermediate_layer_before_the_second_stream_is_of_the_first() {
    let options = VisionOptions {
        vv_depth: 2,
        intermediate: vec![2],
        ..VisionOptions::default()
    };
    let features = tiny()
        .vision(&options, &Device::Cpu)
        .unwrap()
        .forward(&pixels(4, 4, 0))
        .unwrap();
    assert_close(
        "ordinary.2",
        &features.intermediate[0],
        &goldens()["ordinary.2"],
        TOLERANCE,
    );
}

#[test]
fn features_match_at_every_grid() {
    let g = goldens();
    let (dual, plain) = (vision(3), vision(0));
    for (rows, columns) in [(4, 4), (5, 3), (6, 6), (2, 2), (3, 9)] {
        let name = format!("{rows}x{columns}");
        let features = dual.forward(&pixels(rows, columns, 0)).unwrap();
        assert_eq!(features.grid, (rows, columns));
        assert_close(
            &name,
            &features.patches,
            &g[&format!("{name}.vv3")],
            TOLERANCE,
        );
        assert_close(
            &name,
            &features.class,
            &g[&format!("{name}.class")],
            TOLERANCE,
        );
        // A second time, from the cache of resized positions; and plain CLIP has the same class token.
        let again = dual.forward(&pixels(rows, columns, 0)).unwrap();
        assert_close("again", &again.patches, &features.patches, 0.0);
        let class = plain.forward(&pixels(rows, columns, 0)).unwrap().class;
        assert_close(
            "plain class",
            &class,
            &g[&format!("{name}.class")],
            TOLERANCE,
        );
    }
    let patches = plain.forward(&pixels(5, 3, 0)).unwrap().patches;
    assert_close("5x3.plain", &patches, &g["5x3.plain"], TOLERANCE);
}

#[test]
fn the_class_token_projects_to_clips_image_embedding() {
    let g = goldens();
    let options = VisionOptions {
        vv_depth: 3,
        class_ln_post: true,
        ..VisionOptions::default()
    };
    let tower = tiny().vision(&options, &Device::Cpu).unwrap();
    let class = tower.forward(&pixels(4, 4, 0)).unwrap().class;
    assert_close("class_ln_post", &class, &g["class_ln_post"], TOLERANCE);
    let embeds = class.matmul(&tower.projection().t().unwrap()).unwrap();
    assert_close("embeds", &embeds, &g["embeds"], TOLERANCE);
}

#[test]
fn a_batch_equals_its_images_one_by_one() {
    let tower = vision(3);
    let images: Vec<_> = [0, 90, 171].map(|shift| pixels(3, 4, shift)).into();
    let batch = tower.forward(&Tensor::cat(&images, 0).unwrap()).unwrap();
    for (i, image) in images.iter().enumerate() {
        let single = tower.forward(image).unwrap();
        assert_close(
            "class",
            &batch.class.narrow(0, i, 1).unwrap(),
            &single.class,
            1e-6,
        );
        assert_close(
            "patches",
            &batch.patches.narrow(0, i, 1).unwrap(),
            &single.patches,
            1e-6,
        );
    }
}

#[test]
fn other_activations_match() {
    let g = goldens();
    let ids = tiny()
        .tokenizer()
        .unwrap()
        .encode("a photo of the flawless object.")
        .unwrap();
    for name in ["gelu", "gelu_new"] {
        let (_folder, checkpoint) = reconfigured("\"quick_gelu\"", &format!("{name:?}"));
        let options = VisionOptions {
            vv_depth: 3,
            ..VisionOptions::default()
        };
        let features = checkpoint
            .vision(&options, &Device::Cpu)
            .unwrap()
            .forward(&pixels(4, 4, 0))
            .unwrap();
        assert_close(
            name,
            &features.patches,
            &g[&format!("{name}.patches")],
            TOLERANCE,
        );
        let text = checkpoint
            .text(&Device::Cpu)
            .unwrap()
            .encode_ids(std::slice::from_ref(&ids))
            .unwrap();
        assert_close(name, &text, &g[&format!("{name}.text")], TOLERANCE);
    }
}

#[test]
fn what_the_vision_tower_cannot_do_is_an_error() {
    let options = |vv_depth, intermediate| VisionOptions {
        vv_depth,
        class_ln_post: false,
        intermediate,
        ..VisionOptions::default()
    };
    let load = |options| tiny().vision(&options, &Device::Cpu);
    assert!(matches!(
        load(options(5, vec![])),
        Err(ClipError::VvDepth {
            depth: 5,
            layers: 4
        })
    ));
    assert!(matches!(
        load(options(0, vec![2, 5])),
        Err(ClipError::Layer {
            layer: 5,
            layers: 4
        })
    ));
    assert!(matches!(
        load(options(0, vec![0])),
        Err(ClipError::Layer {
            layer: 0,
            layers: 4
        })
    ));
    let tower = vision(3);
    for shape in [
        vec![1, 3, 56, 55],
        vec![1, 3, 13, 14],
        vec![1, 1, 56, 56],
        vec![3, 56, 56],
        vec![0, 3, 14, 14],
    ] {
        let pixels = Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu).unwrap();
        match tower.forward(&pixels) {
            Err(ClipError::Shape {
                what: "pixels",
                found,
                ..
            }) => assert_eq!(found, shape),
            other => panic!("{shape:?}: {other:?}"),
        }
    }
}

/// OpenAI's own figures for ViT-B/32 and the picture of its README.
#[test]
#[ignore = "needs the weights of openai/clip-vit-base-patch32: set MPAMA_TEST_CLIP_B32 to its folder"]
fn vit_b_32_tells_a_diagram_from_a_dog_and_a_cat() {
    let folder =
        PathBuf::from(std::env::var_os("MPAMA_TEST_CLIP_B32").expect("MPAMA_TEST_CLIP_B32"));
    let data = mpama_tests::shared_data().join("clip_reference");
    let diagram = probabilities(
        &folder,
        &square(&data.join("CLIP.png")),
        &["a diagram", "a dog", "a cat"],
    );
    for (ours, theirs) in diagram.iter().zip([0.9927937, 0.00421068, 0.00299572]) {
        assert!((ours - theirs).abs() < 1e-3, "{diagram:?}");
    }
    let photo =
        candle_core::Tensor::read_npy(data.join("expected_preprocessed_image.npy")).unwrap();
    let photo = probabilities(&folder, &photo, &["a photo of a man", "a photo of a woman"]);
    for (ours, theirs) in photo.iter().zip([0.98882091, 0.01117905]) {
        assert!((ours - theirs).abs() < 1e-3, "{photo:?}");
    }
}

/// CLIP's softmax over texts, at its logit scale of 100.
fn probabilities(folder: &Path, pixels: &Tensor, texts: &[&str]) -> Vec<f32> {
    let checkpoint = Checkpoint::open(folder).unwrap();
    let options = VisionOptions {
        class_ln_post: true,
        ..VisionOptions::default()
    };
    let tower = checkpoint.vision(&options, &Device::Cpu).unwrap();
    let class = tower
        .forward(pixels)
        .unwrap()
        .class
        .matmul(&tower.projection().t().unwrap())
        .unwrap();
    let tokenizer = checkpoint.tokenizer().unwrap();
    let ids: Vec<_> = texts
        .iter()
        .map(|text| tokenizer.encode(text).unwrap())
        .collect();
    let texts = checkpoint
        .text(&Device::Cpu)
        .unwrap()
        .encode_ids(&ids)
        .unwrap();
    let unit = |x: Tensor| {
        x.broadcast_div(
            &x.sqr()
                .unwrap()
                .sum_keepdim(D::Minus1)
                .unwrap()
                .sqrt()
                .unwrap(),
        )
        .unwrap()
    };
    let logits = (unit(class).matmul(&unit(texts).t().unwrap()).unwrap() * 100.0).unwrap();
    candle_nn::ops::softmax(&logits, D::Minus1)
        .unwrap()
        .get(0)
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// CLIP's own preprocessing: short side to 224, bicubic, centre crop. Within a grey level of Pillow's.
fn square(path: &Path) -> Tensor {
    let image = image::open(path).unwrap().to_rgb8();
    let short = f64::from(image.width().min(image.height()));
    let side = |long: u32| (f64::from(long) * 224.0 / short) as u32;
    let (width, height) = (side(image.width()), side(image.height()));
    let image = image::imageops::resize(
        &image,
        width,
        height,
        image::imageops::FilterType::CatmullRom,
    );
    let crop = image::imageops::crop_imm(&image, (width - 224) / 2, (height - 224) / 2, 224, 224)
        .to_image();
    let tensor = Tensor::from_vec(crop.into_raw(), (224, 224, 3), &Device::Cpu).unwrap();
    let tensor = (tensor.to_dtype(DType::F32).unwrap() / 255.0).unwrap();
    let mean = Tensor::new(&[0.48145466f32, 0.4578275, 0.40821073], &Device::Cpu).unwrap();
    let std = Tensor::new(&[0.26862954f32, 0.26130258, 0.27577711], &Device::Cpu).unwrap();
    let tensor = tensor
        .broadcast_sub(&mean)
        .unwrap()
        .broadcast_div(&std)
        .unwrap();
    tensor
        .permute((2, 0, 1))
        .unwrap()
        .unsqueeze(0)
        .unwrap()
        .contiguous()
        .unwrap()
}
