//! A run small enough for a test: a drawn dataset, the tiny CLIP, few epochs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use candle_core::Device;
use image::{GrayImage, Luma, Rgb, RgbImage};
use mpama_core::clip::Checkpoint;
use mpama_core::config::ImageSize;
use mpama_tests::fixtures;
use mpama_train::{Backbone, Control, Event, Outcome, Start, TrainConfig, Trained, train};

/// Side of the drawn images, in pixels.
const DRAWN: u32 = 48;

/// Draws a dataset in MVTec's layout: per category `normal` even textures, and `anomalous` ones with
/// a bright square, each with its mask.
pub(crate) fn draw(root: &Path, categories: &[&str], normal: usize, anomalous: usize) {
    for (kind, category) in categories.iter().enumerate() {
        for i in 0..normal + anomalous {
            let defect = (i >= normal).then(|| (8 + 5 * (i as u32 % 5), 6 + 7 * (i as u32 % 4)));
            let folder = if defect.is_some() { "spot" } else { "good" };
            let inside = |x: u32, y: u32| {
                defect.is_some_and(|(left, top)| {
                    (left..left + 14).contains(&x) && (top..top + 14).contains(&y)
                })
            };
            let picture = RgbImage::from_fn(DRAWN, DRAWN, |x, y| {
                let wave = (x * (2 + kind as u32) + y * 3 + i as u32 * 11) % 40;
                let value = if inside(x, y) { 250 } else { 60 + wave as u8 };
                Rgb([value, value / 2 + 30, 120 - wave as u8])
            });
            save(
                &root.join(category).join("test").join(folder),
                &format!("{i:03}.png"),
                |path| picture.save(path),
            );
            if defect.is_some() {
                let mask =
                    GrayImage::from_fn(DRAWN, DRAWN, |x, y| Luma([255 * u8::from(inside(x, y))]));
                let folder = root.join(category).join("ground_truth").join(folder);
                save(&folder, &format!("{i:03}_mask.png"), |path| mask.save(path));
            }
        }
    }
}

fn save(folder: &Path, name: &str, write: impl FnOnce(PathBuf) -> image::ImageResult<()>) {
    fs::create_dir_all(folder).unwrap();
    write(folder.join(name)).unwrap();
}

/// Two epochs of each stage over the dataset at `root`, five patches a side.
pub(crate) fn config(root: &Path) -> TrainConfig {
    let mut config = TrainConfig::default();
    config.data.root = root.to_owned();
    config.features.batch_size = 4;
    config.checkpoint_every = 2;
    config.stage_one.epochs = 2;
    config.stage_one.batch_size = 4;
    config.stage_two.epochs = 2;
    config.stage_two.batch_size = 4;
    config.stage_two.learning_rate = 1e-3;
    config.model.image_size = ImageSize {
        height: 70,
        width: 70,
    };
    config.model.perception.levels = vec![1, 2];
    config.model.experts.learnable = 2;
    config
}

/// Trains with the tiny CLIP; `watch` sees every event and may raise the stop flag.
pub(crate) fn run(
    config: &TrainConfig,
    folder: &Path,
    start: Start,
    mut watch: impl FnMut(&Event, &AtomicBool) + Send,
) -> mpama_train::Result<Outcome<Trained>> {
    let clip = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let backbone = Backbone {
        checkpoint: &clip,
        id: "tiny-clip",
        revision: None,
    };
    let stop = AtomicBool::new(false);
    let mut events = |event: Event| watch(&event, &stop);
    train(
        config,
        &backbone,
        folder,
        start,
        &Device::Cpu,
        &mut Control::new(&stop, &mut events),
    )
}

/// A folder's files with their bytes, by name.
pub(crate) fn bytes(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .filter(|(name, _)| !name.starts_with('.'))
        .collect();
    files.sort();
    files
}
