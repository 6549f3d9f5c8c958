//! CLIP's towers as students: every parameter learns, and pretraining is a run like any other.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{DType, Device, Tensor, Var};
use mpama_core::clip::{Checkpoint, ClipConfig, TextTower, VisionOptions, VisionTower};
use mpama_tests::{assert_close, fixtures, scattered};
use mpama_train::Outcome;
use mpama_train::pretrain::{Phase, PretrainStep, Recipe, Size, pretrain};

fn checkpoint() -> Checkpoint {
    Checkpoint::open(&fixtures().join("tiny_clip")).unwrap()
}

/// The fixture's own weights as variables.
fn variables() -> BTreeMap<String, Var> {
    let path = fixtures().join("tiny_clip/model.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let wanted = checkpoint().config().tensors();
    tensors
        .into_iter()
        .filter(|(name, _)| wanted.contains_key(name))
        .map(|(name, tensor)| {
            let tensor = tensor.to_dtype(candle_core::DType::F32).unwrap();
            (name, Var::from_tensor(&tensor).unwrap())
        })
        .collect()
}

fn shared(variables: &BTreeMap<String, Var>) -> BTreeMap<String, Tensor> {
    let share = |(name, var): (&String, &Var)| (name.clone(), var.as_tensor().clone());
    variables.iter().map(share).collect()
}

fn options() -> VisionOptions {
    VisionOptions {
        class_ln_post: true,
        ..VisionOptions::default()
    }
}

/// Something that depends on all that the towers give.
fn outcome(vision: &VisionTower, text: &TextTower, side: usize) -> Tensor {
    let seen = vision.forward(&scattered(&[2, 3, side, side], 1)).unwrap();
    let tokens = seen.patches.flatten_to(1).unwrap();
    let tokens = Tensor::cat(&[seen.class, tokens], 0).unwrap();
    let seen = tokens.matmul(&vision.projection().t().unwrap()).unwrap();
    let read = text
        .encode_ids(&[vec![552, 3, 60, 553], vec![552, 7, 553]])
        .unwrap();
    let both = seen.matmul(&read.t().unwrap()).unwrap();
    (both * 0.1).unwrap().sqr().unwrap().sum_all().unwrap()
}

#[test]
fn towers_over_variables_give_what_loaded_ones_give() {
    let (variables, checkpoint) = (variables(), checkpoint());
    let (config, tensors) = (checkpoint.config(), shared(&variables));
    let student = VisionTower::from_tensors(config, &options(), &tensors).unwrap();
    let loaded = checkpoint.vision(&options(), &Device::Cpu).unwrap();
    assert_eq!(student.fingerprint(), loaded.fingerprint());
    for side in [56, 42, 70] {
        let pixels = scattered(&[2, 3, side, side], 4);
        let (ours, theirs) = (
            student.forward(&pixels).unwrap(),
            loaded.forward(&pixels).unwrap(),
        );
        assert_close("patches", &ours.patches, &theirs.patches, 1e-5);
        assert_close("class", &ours.class, &theirs.class, 1e-5);
    }
    let ids = [vec![552, 3, 60, 553], vec![552, 7, 553]];
    let ours = TextTower::from_tensors(config, &tensors)
        .unwrap()
        .encode_ids(&ids);
    let theirs = checkpoint.text(&Device::Cpu).unwrap().encode_ids(&ids);
    assert_close("text", &ours.unwrap(), &theirs.unwrap(), 1e-5);
}

/// Away from the native grid, too, where position embeddings are resized.
#[test]
fn every_parameter_of_both_towers_has_the_slope_of_the_loss_as_its_gradient() {
    let variables = variables();
    let config: ClipConfig = checkpoint().config().clone();
    let tensors = shared(&variables);
    let vision = VisionTower::from_tensors(&config, &options(), &tensors).unwrap();
    let text = TextTower::from_tensors(&config, &tensors).unwrap();
    for side in [56, 42] {
        let loss = || f64::from(outcome(&vision, &text, side).to_scalar::<f32>().unwrap());
        let gradients = outcome(&vision, &text, side).backward().unwrap();
        for (name, variable) in &variables {
            let gradient = gradients
                .get(variable)
                .unwrap_or_else(|| panic!("{name}: none"));
            let norm = gradient.sqr().unwrap().sum_all().unwrap().sqrt().unwrap();
            let norm = f64::from(norm.to_scalar::<f32>().unwrap());
            // A constant in all keys changes no softmax.
            if name.ends_with("k_proj.bias") {
                assert!(norm < 1e-3, "{name}: {norm}");
                continue;
            }
            assert!(norm.is_finite() && norm > 0.0, "{name}: {norm}");
            let start = variable.as_tensor().copy().unwrap();
            let step = 2e-3;
            let at = |t: f64| {
                let shift = (gradient * (t / norm)).unwrap();
                variable.set(&(&start + shift).unwrap()).unwrap();
                loss()
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            variable.set(&start).unwrap();
            let allowed = 0.03 * norm + 2e-3;
            assert!((slope - norm).abs() < allowed, "{name}: {slope} vs {norm}");
        }
    }
}

fn small() -> Recipe {
    let phase = |steps, side| Phase {
        steps,
        side,
        pairs: 4,
    };
    Recipe {
        twins: 2,
        phases: vec![phase(4, 16), phase(2, 32)],
        warmup: 2,
        save_every: 1,
        size: Size {
            drawn: 32,
            image: 32,
            patch: 8,
            vision_width: 16,
            vision_layers: 2,
            text_width: 16,
            text_layers: 2,
            heads: 2,
            context: 32,
            joint: 16,
        },
        ..Recipe::default()
    }
}

#[test]
fn a_stopped_run_continues_to_the_same_clip_which_knows_the_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let mut losses = Vec::new();
    let mut note = |step: PretrainStep| losses.push(step);
    let go = AtomicBool::new(false);
    let done = pretrain(&small(), &whole, &go, &mut note).unwrap();
    assert_eq!(done, Outcome::Done(()));
    assert_eq!(losses.len(), 6);

    let stop = AtomicBool::new(false);
    let mut third = |step: PretrainStep| stop.store(step.step == 3, Ordering::Relaxed);
    let stopped = pretrain(&small(), &parts, &stop, &mut third).unwrap();
    assert_eq!(stopped, Outcome::Interrupted);
    assert!(!parts.join("model.safetensors").exists());
    let mut other = small();
    other.seed += 1;
    pretrain(&other, &parts, &go, &mut |_| {}).unwrap_err();
    let mut rest = Vec::new();
    let done = pretrain(&small(), &parts, &go, &mut |step| rest.push(step)).unwrap();
    assert_eq!(done, Outcome::Done(()));
    assert_eq!(rest, losses[3..]);
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let [a, b] = [&whole, &parts].map(|folder| std::fs::read(folder.join(name)).unwrap());
        assert!(a == b, "{name} differs");
    }
    assert!(!parts.join("pretraining.safetensors").exists());

    let clip = Checkpoint::open(&whole).unwrap();
    clip.vision(&options(), &Device::Cpu).unwrap();
    let tokenizer = clip.tokenizer().unwrap();
    for (text, words) in [
        ("object.", 2),
        ("damaged object.", 3),
        ("x x x object.", 5),
        ("A photo of a flawless woven cloth", 7),
        ("a bolt", 4), // in pieces: a category it does not know
    ] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids.len(), words + 2, "{text}");
        clip.text(&Device::Cpu).unwrap().encode_ids(&[ids]).unwrap();
    }
}

/// Makes a CLIP in a folder, to the end.
fn make(recipe: &Recipe, folder: &Path) -> Result<Vec<PretrainStep>, mpama_train::Error> {
    let mut steps = Vec::new();
    let go = AtomicBool::new(false);
    let done = pretrain(recipe, folder, &go, &mut |step| steps.push(step))?;
    assert_eq!(done, Outcome::Done(()));
    Ok(steps)
}

#[test]
fn a_second_round_goes_on_from_the_weights_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let make = |recipe: &Recipe, name: &str| make(recipe, &at(name));
    let from = |name: &str| Recipe {
        from: Some(at(name)),
        ..small()
    };
    let first = make(&small(), "first").unwrap();
    // The same images and captions: only the weights are others.
    let second = make(&from("first"), "second").unwrap();
    assert_eq!(second.len(), first.len());
    assert_ne!(second[0], first[0]);

    let error = make(&from("nowhere"), "third").unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
    std::fs::write(at("second").join("tokenizer.json"), "{}").unwrap();
    let error = make(&from("second"), "third").unwrap_err();
    assert!(error.to_string().contains("vocabulary"), "{error}");
    let mut wider = from("first");
    wider.size.vision_width = 32;
    let error = make(&wider, "third").unwrap_err();
    assert!(error.to_string().contains("of shape"), "{error}");
}

#[test]
fn a_round_at_a_larger_size_has_the_place_of_every_patch_between_those_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let make = |recipe: &Recipe, name: &str| make(recipe, &at(name));
    let larger = |steps| {
        let mut larger = Recipe {
            from: Some(at("first")),
            phases: vec![Phase {
                steps,
                side: 48,
                pairs: 4,
            }],
            ..small()
        };
        larger.size.image = 48;
        larger
    };
    for (recipe, name) in [
        (small(), "first"),
        (larger(0), "untaught"),
        (larger(2), "taught"),
    ] {
        make(&recipe, name).unwrap();
    }

    // A tower away from its own size resizes its positions: this is what the larger one starts as.
    let pixels = scattered(&[2, 3, 48, 48], 1);
    let [first, untaught, taught] = ["first", "untaught", "taught"].map(|name| {
        let clip = Checkpoint::open(&at(name)).unwrap();
        let tower = clip.vision(&options(), &Device::Cpu).unwrap();
        (tower.config().grid(), tower.forward(&pixels).unwrap())
    });
    assert_eq!([first.0, untaught.0, taught.0], [4, 6, 6]);
    // exported in half precision
    assert_close("patches", &untaught.1.patches, &first.1.patches, 2e-3);
    assert_close("class", &untaught.1.class, &first.1.class, 2e-3);
    let moved = (taught.1.class - untaught.1.class).unwrap().abs().unwrap();
    let moved = moved.max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(moved > 1e-3, "{moved}");
}

#[test]
fn a_deeper_tower_sees_at_first_what_the_first_one_sees_and_learns_in_all_its_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let make = |recipe: &Recipe, name: &str| make(recipe, &at(name));
    let deeper = |layers, phases: &[Phase]| {
        let mut deeper = Recipe {
            from: Some(at("first")),
            phases: phases.to_vec(),
            dense_depth: 2,
            ..small()
        };
        deeper.size.vision_layers = layers;
        deeper
    };
    for (recipe, name) in [
        (small(), "first"),
        (deeper(3, &[]), "untaught"),
        (deeper(3, &small().phases), "taught"),
    ] {
        make(&recipe, name).unwrap();
    }
    let tower = |name: &str| {
        let clip = Checkpoint::open(&at(name)).unwrap();
        let tower = clip.vision(&options(), &Device::Cpu).unwrap();
        tower.forward(&scattered(&[2, 3, 32, 32], 1)).unwrap()
    };
    let [first, untaught] = ["first", "untaught"].map(tower);
    assert_close("patches", &untaught.patches, &first.patches, 1e-6);
    assert_close("class", &untaught.class, &first.class, 1e-6);

    let weights = |name: &str| {
        let path = at(name).join("model.safetensors");
        candle_core::safetensors::load(path, &Device::Cpu).unwrap()
    };
    let [before, after] = ["untaught", "taught"].map(weights);
    for (name, before) in before.iter().filter(|(name, _)| name.contains("layers.")) {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
        let moved = (values(before) - values(&after[name]))
            .unwrap()
            .abs()
            .unwrap();
        let moved = moved.max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(moved > 0.0, "{name} learned nothing");
    }

    for layers in [1, 5] {
        let error = make(&deeper(layers, &[]), "another").unwrap_err();
        assert!(error.to_string().contains("has 2 blocks"), "{error}");
    }
}
