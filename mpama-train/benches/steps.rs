//! What one step of each stage costs: ViT-L/14@336's sizes at 518 pixels with random weights, 8 images whose
//! features are in memory. `just bench steps`, or `cargo bench -p mpama-train --bench steps`.
//!
//! Arguments: `one` or `two` for one of the stages, `--images N`, `--rounds N`. The best and the median of the
//! rounds are printed, and the parts of a step; with `--every` each round, for `tests/peer/steps.py`. From the
//! medians follows what training on VisA's test set takes; with `--tower S`, what one image through the vision tower
//! takes (`mpama bench --shape vit-l-14-336`), also what it would without features that are kept.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use candle_core::{Device, Tensor};
use mpama_core::clip::{
    BlocksConfig, ClipConfig, ClipTokenizer, TextConfig, TextTower, VisionConfig,
};
use mpama_core::nn::activation::Activation;
use mpama_core::{FeatureBatch, ModelConfig, Objective, StageOne, StageTwo, TextVectors};
use mpama_train::{Adam, Stage, TrainConfig};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Patches along a side of 518 pixels.
const GRID: usize = 37;
const SIDE: usize = 518;
/// Images of VisA's test set, on which the paper trains; and how often it goes through them in each stage.
const IMAGES: usize = 2162;
const EPOCHS: [f64; 2] = [30.0, 10.0];
/// A graph is released as deep as it is.
const STACK: usize = 256 << 20;

struct Options {
    stages: Vec<Stage>,
    images: usize,
    rounds: usize,
    every: bool,
    tower: Option<f64>,
}

fn main() {
    let work = || run(&options());
    let thread = std::thread::Builder::new().stack_size(STACK);
    thread.spawn(work).unwrap().join().unwrap();
}

fn run(options: &Options) {
    let clip = sizes();
    let config = TrainConfig::default();
    let batches: Vec<FeatureBatch> = (0..2).map(|i| batch(&clip, options.images, i)).collect();
    let projection = random("projection", &[clip.projection, clip.vision.blocks.width]);
    println!(
        "{} threads, batches of {}",
        rayon::current_num_threads(),
        options.images
    );
    let (mut reading, mut learning) = (0.0, 0.0);
    for stage in &options.stages {
        let model = &config.model;
        let objective: Box<dyn Objective> = match stage {
            Stage::One => Box::new(stage_one(&clip, model, &projection)),
            Stage::Two => {
                let pairs = |shape: &[usize]| random("text vectors", shape);
                let text = TextVectors {
                    global: pairs(&[2, clip.projection]),
                    local: pairs(&[model.perception.levels.len(), 2, clip.projection]),
                };
                Box::new(StageTwo::new(model, text, &projection, 111).unwrap())
            }
        };
        let plan = config.plan(*stage);
        let mut adam = Adam::new(objective.vars(), plan.adam, |name| plan.rate_of(name)).unwrap();
        let mut parts = [const { Vec::new() }; 4];
        let mut before = 0.0;
        for round in 0..batches.len() + options.rounds {
            if round == batches.len() {
                before = worked(); // what is computed once per image is there
            }
            let batch = &batches[round % batches.len()];
            let started = Instant::now();
            let losses = objective.loss(batch).unwrap();
            let forward = started.elapsed();
            let gradients = losses.total.backward().unwrap();
            let backward = started.elapsed();
            adam.step(&gradients).unwrap();
            drop((losses, gradients));
            let all = started.elapsed();
            if round >= batches.len() {
                let taken = [all, forward, backward - forward, all - backward];
                if options.every {
                    println!("round {stage} {:.4} s", all.as_secs_f64());
                }
                for (part, taken) in parts.iter_mut().zip(taken) {
                    part.push(taken.as_secs_f64());
                }
            }
        }
        for (part, seconds) in ["step", "forward", "backward", "update"]
            .iter()
            .zip(&mut parts)
        {
            seconds.sort_by(f64::total_cmp);
            let (best, median) = (seconds[0], seconds[seconds.len() / 2]);
            println!("stage {stage} {part:<9} best {best:.3} s  median {median:.3} s");
        }
        let worked = (worked() - before) / (options.rounds * rayon::current_num_threads()) as f64;
        println!("stage {stage} of processors {worked:.3} s on each");
        let epochs = EPOCHS[usize::from(matches!(stage, Stage::Two))];
        let epoch = IMAGES.div_ceil(options.images) as f64 * parts[0][options.rounds / 2];
        println!(
            "stage {stage} of {IMAGES} images: {epoch:.0} s an epoch, {epochs} epochs {:.0} s",
            epochs * epoch
        );
        learning += epochs * epoch;
        reading += epochs * IMAGES as f64 * options.tower.unwrap_or_default();
    }
    if let Some(tower) = options.tower {
        let once = tower * IMAGES as f64;
        println!(
            "through the vision tower once: {once:.0} s, so {:.0} s in all",
            once + learning
        );
        println!(
            "through it in every epoch: {reading:.0} s, so {:.0} s in all",
            reading + learning
        );
    }
}

/// ViT-L/14@336's towers.
fn sizes() -> ClipConfig {
    let blocks = |width, layers, heads| BlocksConfig {
        width,
        mlp_width: 4 * width,
        layers,
        heads,
        activation: Activation::QuickGelu,
        layer_norm_eps: 1e-5,
    };
    ClipConfig {
        vision: VisionConfig {
            blocks: blocks(1024, 24, 16),
            image_size: 336,
            patch_size: 14,
        },
        text: TextConfig {
            blocks: blocks(768, 12, 12),
            vocabulary: 554, // the tokenizer's below; the embedding of words is a table, not a product
            context: 77,
        },
        projection: 768,
    }
}

fn stage_one(clip: &ClipConfig, model: &ModelConfig, projection: &Tensor) -> StageOne {
    let tensors: BTreeMap<String, Tensor> = clip
        .tensors()
        .into_iter()
        .filter(|(name, _)| name.starts_with("text"))
        .map(|(name, shape)| {
            let tensor = match name.ends_with("norm.weight")
                || name.contains("norm1.weight")
                || name.contains("norm2.weight")
            {
                true => Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu).unwrap(),
                false => random(&name, &shape),
            };
            (name, tensor)
        })
        .collect();
    let text = TextTower::from_tensors(clip, &tensors).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny_clip");
    let tokenizer = ClipTokenizer::open(&fixtures, clip.text.context).unwrap();
    StageOne::new(model, text, &tokenizer, projection, 111, &Device::Cpu).unwrap()
}

/// Features without meaning; every second image is anomalous, in a disc.
fn batch(clip: &ClipConfig, images: usize, number: usize) -> FeatureBatch {
    let width = clip.vision.blocks.width;
    let labels: Vec<f32> = (0..images).map(|image| (image % 2) as f32).collect();
    let disc = |i: usize| {
        let of = |x: usize| (x as f32 / SIDE as f32 - 0.5).powi(2);
        f32::from(of(i % SIDE) + of(i / SIDE) < 0.02)
    };
    let masks = labels
        .iter()
        .flat_map(|label| (0..SIDE * SIDE).map(move |i| label * disc(i)));
    let masks = Tensor::from_iter(masks, &Device::Cpu).unwrap();
    FeatureBatch {
        images: (images * number..images * (number + 1)).collect(),
        patches: random(&format!("patches {number}"), &[images, GRID * GRID, width]),
        class: random(&format!("class {number}"), &[images, width]),
        grid: (GRID, GRID),
        masks: masks.reshape((images, SIDE, SIDE)).unwrap(),
        labels: Tensor::from_vec(labels, images, &Device::Cpu).unwrap(),
    }
}

/// Numbers of deviation `1/√columns` that belong to `name`.
fn random(name: &str, shape: &[usize]) -> Tensor {
    let mut dice = ChaCha8Rng::from_seed(*blake3::hash(name.as_bytes()).as_bytes());
    let bound = (3.0 / *shape.last().unwrap() as f32).sqrt();
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| dice.random_range(-bound..bound))
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn options() -> Options {
    let mut options = Options {
        stages: vec![Stage::One, Stage::Two],
        images: 8,
        rounds: 8,
        every: false,
        tower: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            words
                .next()
                .and_then(|word| word.parse::<f64>().ok())
                .expect("a number")
        };
        match word.as_str() {
            "one" => options.stages = vec![Stage::One],
            "two" => options.stages = vec![Stage::Two],
            "--images" => options.images = number() as usize,
            "--rounds" => options.rounds = number() as usize,
            "--tower" => options.tower = Some(number()),
            "--every" => options.every = true,
            _ => {} // cargo's own, such as --bench
        }
    }
    options
}

/// Seconds of processor time that this process has taken, 0 where the system does not tell.
fn worked() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return 0.0;
    };
    // what follows the name in brackets: user and system time are fields 14 and 15, in hundredths
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks = ticks.filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
