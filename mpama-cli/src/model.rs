//! A backbone and an adapter from their folders.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, DeviceLocation};
use mpama_core::clip::Checkpoint;
use mpama_core::{Adapter, AdapterConfig, Detector};

use crate::cli::{Global, Model};
use crate::embedded;
use crate::output::{LITERAL, Output, shown};
use crate::problem::Mistake;
use crate::progress::duration;

/// A detector, and what is worth saying about it.
pub(crate) struct Loaded {
    pub(crate) detector: Detector,
    /// The adapter's folder as it was given.
    pub(crate) name: String,
    /// `MPA` or `MPAMA`.
    pub(crate) method: &'static str,
    pub(crate) config: AdapterConfig,
    pub(crate) device: Device,
}

/// Opens backbone and adapter and joins them; those of the demo if neither is given.
pub(crate) fn load(model: &Model, global: &Global, output: &Output) -> anyhow::Result<Loaded> {
    let started = Instant::now();
    if model.clip.is_none() && model.adapter.is_none() {
        return embedded(global, output);
    }
    let clip = clip_folder(model.clip.as_deref())?;
    let adapter = folder(
        "adapter",
        "--adapter",
        "MPAMA_ADAPTER",
        model.adapter.as_deref(),
    )?;
    let device = global.device.open()?;
    let adapter_name = shown(adapter);
    let adapter = Adapter::load(adapter, &device)?;
    let (method, config) = (adapter.method(), adapter.config.clone());
    let checkpoint = Checkpoint::open(clip)?;
    let options = config
        .model
        .vision
        .options(checkpoint.config().vision.blocks.layers);
    let vision = checkpoint.vision(&options, &device)?;
    let detector = Detector::new(vision, adapter)?;
    output.note(format_args!(
        "Loaded {adapter_name} for {} at {} px on {} in {}",
        name_of(clip),
        config.model.image_size.height,
        device_name(&device),
        duration(started.elapsed())
    ));
    Ok(Loaded {
        detector,
        name: adapter_name,
        method,
        config,
        device,
    })
}

/// The demo's backbone and adapter.
fn embedded(global: &Global, output: &Output) -> anyhow::Result<Loaded> {
    let device = global.device.open()?;
    let adapter = embedded::adapter(&device)?;
    let (method, config) = (adapter.method(), adapter.config.clone());
    let vision = embedded::vision(&adapter, &device)?;
    output.note(format_args!(
        "No --clip and no --adapter: using the demo's, tiny and trained on drawings. For real work, \
         download a CLIP and train: {LITERAL}mpama train --help{LITERAL:#}"
    ));
    Ok(Loaded {
        detector: Detector::new(vision, adapter)?,
        name: embedded::BACKBONE.to_owned(),
        method,
        config,
        device,
    })
}

/// The folder given with `--clip`.
pub(crate) fn clip_folder(given: Option<&Path>) -> Result<&Path, Mistake> {
    folder("backbone", "--clip", "MPAMA_CLIP", given)
}

fn folder<'a>(
    what: &'static str,
    flag: &'static str,
    variable: &'static str,
    given: Option<&'a Path>,
) -> Result<&'a Path, Mistake> {
    let path = given.ok_or(Mistake::Missing {
        what,
        flag,
        variable: Some(variable),
    })?;
    if path.is_dir() {
        Ok(path)
    } else {
        Err(Mistake::NoFolder {
            what,
            path: PathBuf::from(path),
        })
    }
}

/// A folder's own name, even of `.` or of a path that ends with `..`.
pub(crate) fn name_of(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    whole
        .file_name()
        .map_or_else(|| shown(folder), |name| shown(Path::new(name)))
}

/// The name of an open device, as `--device` would take it.
pub(crate) fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}
