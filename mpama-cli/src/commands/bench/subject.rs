//! What is measured: a model, and a photograph to show it.

use std::io::Cursor;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use image::{ImageFormat, RgbImage};
use mpama_core::clip::{Checkpoint, VisionOptions, VisionTower};
use mpama_core::config::ImageSize;
use mpama_core::preprocess::{Orientation, Picture};
use mpama_core::{Detector, ModelConfig};
use mpama_datasets::synth::{CATEGORIES, render};

use super::invented;
use super::report::{Subject as Named, Work};
use crate::cli::{Bench, Global, Shape};
use crate::model::{self, Loaded, backbone};
use crate::output::Output;
use crate::problem::Mistake;

/// Pixels a side of the photograph that is drawn.
const DRAWN: usize = 1024;

/// A model and a photograph.
pub(super) struct Subject {
    pub(super) loaded: Loaded,
    pub(super) named: Named,
    pub(super) work: Work,
    /// Time from its files to a model that predicts; `None` of one that was made.
    pub(super) load: Option<Duration>,
    /// Side of the network's input.
    pub(super) size: ImageSize,
    /// The photograph's file.
    pub(super) photo: Vec<u8>,
    /// What errors call it.
    pub(super) photo_name: String,
}

impl Subject {
    /// Reads or makes what the arguments say.
    ///
    /// # Errors
    /// For a model or photograph that cannot be read.
    pub(super) fn open(args: &Bench, global: &Global, output: &Output) -> anyhow::Result<Self> {
        // before the model: a misspelt name is found at once
        let (photo, photo_name) = photo(args)?;
        let picture = Picture::decode(&photo, &photo_name, Orientation::Ignore)?;
        let started = Instant::now();
        let (loaded, weights) = loaded(args, global, output)?;
        let took = started.elapsed();
        let size = args
            .size
            .map_or(loaded.config.model.image_size, |side| ImageSize {
                height: side,
                width: side,
            });
        let vision = loaded.detector.vision();
        let sizes = vision.config();
        let work = Work {
            layers: sizes.blocks.layers,
            width: sizes.blocks.width,
            mlp_width: sizes.blocks.mlp_width,
            heads: sizes.blocks.heads,
            patch: sizes.patch_size,
            vv_depth: vision.options().vv_depth,
            method: loaded.method.to_owned(),
            perceptions: loaded.config.model.perception.levels.clone(),
            input: [size.height, size.width],
            photo: [picture.height, picture.width],
            batch: args.batch,
            device: model::device_name(&loaded.device),
        };
        Ok(Self {
            named: Named {
                backbone: loaded.config.base_model.id.clone(),
                adapter: loaded.name.clone(),
                weights: weights.to_owned(),
                dtype: vision.options().precision.name().to_owned(),
            },
            load: (weights != RANDOM).then_some(took),
            loaded,
            work,
            size,
            photo,
            photo_name,
        })
    }
}

/// Weights that were made.
const RANDOM: &str = "random";

/// The model, and where its weights come from.
fn loaded(
    args: &Bench,
    global: &Global,
    output: &Output,
) -> anyhow::Result<(Loaded, &'static str)> {
    let Bench { model, shape, .. } = args;
    match (shape, &model.clip, &model.adapter) {
        (Some(shape), ..) => {
            let device = global.device.open()?;
            output.note(format_args!("Making random weights of {}", name(*shape)));
            let tower = invented::tower(*shape, model.dtype, &device)?;
            Ok((joined(tower, &name(*shape))?, RANDOM))
        }
        (None, Some(clip), None) => {
            let device = global.device.open()?;
            let clip = backbone(Some(clip), global, output)?;
            let checkpoint = Checkpoint::open(&clip.folder)?;
            let layers = checkpoint.config().vision.blocks.layers;
            let options = VisionOptions {
                precision: model.dtype,
                ..ModelConfig::default().vision.options(layers)
            };
            let tower = checkpoint.vision(&options, &device)?;
            Ok((joined(tower, &clip.name)?, "file"))
        }
        (None, None, None) => Ok((model::load(model, global, output)?, "demo")),
        (None, ..) => Ok((model::load(model, global, output)?, "file")),
    }
}

/// A tower with a random adapter: only its speed means anything.
fn joined(tower: VisionTower, id: &str) -> anyhow::Result<Loaded> {
    let adapter = invented::adapter(&tower, id)?;
    Ok(Loaded {
        device: tower.projection().device().clone(),
        name: "random".to_owned(),
        method: adapter.method(),
        config: adapter.config.clone(),
        detector: Detector::new(tower, adapter)?,
    })
}

fn name(shape: Shape) -> String {
    let value = shape.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The bytes of the photograph, and its name.
fn photo(args: &Bench) -> anyhow::Result<(Vec<u8>, String)> {
    if let Some(path) = &args.image {
        let bytes = std::fs::read(path).map_err(|error| Mistake::file("read", path, error))?;
        return Ok((bytes, path.display().to_string()));
    }
    let drawn = render(&CATEGORIES[0], 0, DRAWN, None)?;
    let side = u32::try_from(DRAWN)?;
    let picture = RgbImage::from_raw(side, side, drawn.rgb);
    let picture = picture.ok_or_else(|| anyhow::anyhow!("the drawing has another size"))?;
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Jpeg)?;
    Ok((bytes.into_inner(), "(drawn)".to_owned()))
}
