//! A backbone and an adapter from their folders.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, DeviceLocation};
use mpama_core::clip::{Checkpoint, Precision, VisionOptions};
use mpama_core::{Adapter, AdapterConfig, Detector};

use crate::cli::{Global, Model};
use crate::commands::pull::backbone_id;
use crate::embedded;
use crate::hub::{self, Place};
use crate::kept;
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
        return embedded(model.dtype, global, output);
    }
    let given = model.adapter.as_deref().ok_or(Mistake::Missing {
        what: "adapter",
        flag: "--adapter",
        variable: Some("MPAMA_ADAPTER"),
    })?;
    let place = hub::place("adapter", given, global, output)?;
    let device = global.device.open()?;
    let adapter_name = place.to_string();
    let adapter = Adapter::load(&place.folder, &device)?;
    let named = backbone_id(&adapter.config).map(|id| PathBuf::from(id.to_string()));
    // An adapter from elsewhere may have been trained on a folder; then one has to be given.
    let clip = model.clip.as_deref().or(named.as_deref());
    let clip = backbone(clip, global, output)?;
    let (method, config) = (adapter.method(), adapter.config.clone());
    let checkpoint = kept::keep(Checkpoint::open(&clip.folder)?);
    let layers = checkpoint.config().vision.blocks.layers;
    let options = VisionOptions {
        precision: model.dtype,
        ..config.model.vision.options(layers)
    };
    let vision = checkpoint.vision(&options, &device)?;
    let detector = Detector::new(vision, adapter)?;
    output.note(format_args!(
        "Loaded {adapter_name} for {} at {} px on {} in {}",
        clip.name,
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
fn embedded(dtype: Precision, global: &Global, output: &Output) -> anyhow::Result<Loaded> {
    let device = global.device.open()?;
    let adapter = embedded::adapter(&device)?;
    let (method, config) = (adapter.method(), adapter.config.clone());
    let vision = embedded::vision(&adapter, dtype, &device)?;
    output.note(format_args!(
        "No --clip and no --adapter: using the demo's, tiny and trained on drawings. For real work, \
         train on a real CLIP (`mpama pull --list`): {LITERAL}mpama train --help{LITERAL:#}"
    ));
    Ok(Loaded {
        detector: Detector::new(vision, adapter)?,
        name: embedded::BACKBONE.to_owned(),
        method,
        config,
        device,
    })
}

/// The backbone given with `--clip`.
pub(crate) fn backbone(
    given: Option<&Path>,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Place> {
    let given = given.ok_or(Mistake::Missing {
        what: "backbone",
        flag: "--clip",
        variable: Some("MPAMA_CLIP"),
    })?;
    hub::place("backbone", given, global, output)
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
