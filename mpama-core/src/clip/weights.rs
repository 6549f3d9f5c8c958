//! A checkpoint's weights on disk: safetensors or a PyTorch pickle, in one file or sharded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::safetensors::MmapedSafetensors;
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use rayon::prelude::*;
use serde::Deserialize;

use super::error::{ClipError, Result};
use super::smooth::smooth;
use crate::kernels::packed::Packed;
use crate::kernels::precision::Precision;
use crate::nn::linear::Linear;
use crate::torch::TorchFile;

/// The files that could hold the weights, in order of preference.
const CANDIDATES: [(&str, Format, Layout); 4] = [
    ("model.safetensors", Format::Safetensors, Layout::Whole),
    (
        "model.safetensors.index.json",
        Format::Safetensors,
        Layout::Sharded,
    ),
    ("pytorch_model.bin", Format::Pickle, Layout::Whole),
    (
        "pytorch_model.bin.index.json",
        Format::Pickle,
        Layout::Sharded,
    ),
];

#[derive(Debug, Clone, Copy)]
enum Format {
    Safetensors,
    Pickle,
}

#[derive(Clone, Copy)]
enum Layout {
    Whole,
    Sharded,
}

/// A tensor that a tower needs.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
}

impl Wanted {
    pub(super) fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
        }
    }
}

/// Where the weights lie. Nothing is open or mapped between two readings.
#[derive(Debug, Clone)]
pub(super) struct Source {
    format: Format,
    /// The weights file, or the index.
    path: PathBuf,
    /// The shard of each tensor; `None` if `path` holds them all.
    shards: Option<BTreeMap<String, PathBuf>>,
}

impl Source {
    /// Finds the weights of a folder.
    pub(super) fn find(folder: &Path) -> Result<Self> {
        let found = CANDIDATES
            .iter()
            .find(|(name, ..)| folder.join(name).is_file());
        let Some(&(name, format, layout)) = found else {
            let wanted = CANDIDATES.iter().map(|(name, ..)| *name).collect();
            return Err(ClipError::MissingFile {
                folder: folder.to_owned(),
                wanted,
            });
        };
        let path = folder.join(name);
        let shards = match layout {
            Layout::Whole => None,
            Layout::Sharded => Some(read_index(&path, folder)?),
        };
        Ok(Self {
            format,
            path,
            shards,
        })
    }

    /// Reads the wanted tensors, as f32 on the CPU, each checked for its shape and for values that
    /// are not finite. Files are closed and unmapped on return.
    pub(super) fn read(&self, wanted: &[Wanted]) -> Result<Weights> {
        let mut by_file: BTreeMap<&Path, Vec<&Wanted>> = BTreeMap::new();
        for tensor in wanted {
            let file = match &self.shards {
                None => &self.path,
                Some(shards) => shards
                    .get(&tensor.name)
                    .ok_or_else(|| missing(&self.path, tensor))?,
            };
            by_file.entry(file).or_default().push(tensor);
        }
        let mut tensors = BTreeMap::new();
        for (path, wanted) in by_file {
            let file = File::open(path, self.format)?;
            let read: Vec<_> = wanted
                .par_iter()
                .map(|tensor| file.read(path, tensor))
                .collect();
            for (wanted, tensor) in wanted.iter().zip(read) {
                tensors.insert(wanted.name.clone(), tensor?);
            }
        }
        Ok(Weights::new(tensors))
    }

    /// The files that hold the weights.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let shards = self.shards.iter().flat_map(BTreeMap::values);
        let shards: BTreeSet<&Path> = shards.map(PathBuf::as_path).collect();
        shards.into_iter().chain([&*self.path])
    }
}

/// The tensors of one tower, by name: f32, contiguous, on the CPU.
pub(super) struct Weights {
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// Affine maps that are laid out already, by the name that their weight and bias begin with.
    pub(super) packed: BTreeMap<String, Arc<Packed>>,
    /// What [`Weights::fingerprint`] was of them all as tensors.
    pub(super) fingerprint: Option<String>,
}

impl Weights {
    /// The wanted among `tensors`, which may hold more. They are shared, not copied: a variable stays
    /// one.
    pub(super) fn select(wanted: &[Wanted], tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let path = || PathBuf::from("tensors in memory");
        let select = |wanted: &Wanted| -> Result<(String, Tensor)> {
            let (name, expected) = (wanted.name.clone(), wanted.shape.clone());
            let tensor = tensors.get(&name).ok_or_else(|| missing(&path(), wanted))?;
            if tensor.dims() != expected {
                let found = tensor.dims().to_vec();
                return Err(ClipError::TensorShape {
                    path: path(),
                    name,
                    expected,
                    found,
                });
            }
            if tensor.dtype() != DType::F32 {
                let found = tensor.dtype().as_str().to_owned();
                return Err(ClipError::TensorType {
                    path: path(),
                    name,
                    found,
                });
            }
            Ok((name, tensor.clone()))
        };
        let tensors = wanted.iter().map(select).collect::<Result<_>>()?;
        Ok(Self::new(tensors))
    }

    pub(super) fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self {
            tensors,
            packed: BTreeMap::new(),
            fingerprint: None,
        }
    }

    /// Lays out all affine maps, and lets go of their tensors one by one.
    pub(super) fn pack(&mut self, precision: Precision) -> Result<()> {
        self.fingerprint = Some(self.fingerprint()?);
        if precision == Precision::Int8 {
            smooth(self)?;
        }
        let names: Vec<String> = self.tensors.keys().cloned().collect();
        for name in names {
            let Some(prefix) = name.strip_suffix(".bias") else {
                continue;
            };
            let weight_name = format!("{prefix}.weight");
            if let Some(weight) = self.tensors.remove(&weight_name) {
                if weight.rank() != 2 {
                    self.tensors.insert(weight_name, weight);
                    continue;
                }
                let bias = self.tensors.remove(&name);
                let packed = Packed::new(&weight, bias.as_ref(), precision_of(prefix, precision))?;
                self.packed.insert(prefix.to_owned(), Arc::new(packed));
            }
        }
        Ok(())
    }

    /// Moves an affine map that was asked for to the device it will be used on.
    pub(super) fn linear(&mut self, prefix: &str, device: &Device) -> Result<Linear> {
        if let Some(packed) = self.packed.remove(prefix) {
            return Ok(Linear::from_packed(packed));
        }
        let weight = self.take(&format!("{prefix}.weight"), device)?;
        let bias = self.take(&format!("{prefix}.bias"), device)?;
        Ok(Linear::new(weight, Some(bias)))
    }

    /// Moves a tensor that was asked for to the device it will be used on.
    pub(super) fn take(&mut self, name: &str, device: &Device) -> Result<Tensor> {
        let tensor = self.tensors.remove(name);
        let tensor = tensor.ok_or_else(|| candle_core::Error::CannotFindTensor {
            path: name.to_owned(),
        })?;
        Ok(tensor.to_device(device)?)
    }

    /// BLAKE3, in hexadecimal, of names, shapes and values in order of name. It does not depend on
    /// the file format, on sharding, or on the type that the values were stored in.
    pub(super) fn fingerprint(&self) -> Result<String> {
        if let Some(known) = &self.fingerprint {
            return Ok(known.clone());
        }
        // One digest per tensor, so that they are computed side by side; then one of them all.
        let digests: Vec<_> = self
            .tensors
            .par_iter()
            .map(|(name, tensor)| digest(name, tensor))
            .collect();
        let mut whole = blake3::Hasher::new();
        for digest in digests {
            whole.update(digest?.as_bytes());
        }
        Ok(whole.finalize().to_hex().to_string())
    }
}

/// What the affine map of this name is computed in.
pub(super) fn precision_of(name: &str, precision: Precision) -> Precision {
    // values too: where attention is V-V they are the scores
    let scored = ["q_proj", "k_proj", "v_proj"];
    match scored.iter().any(|end| name.ends_with(end)) {
        true => precision.of_scores(),
        false => precision,
    }
}

fn digest(name: &str, tensor: &Tensor) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    for number in [name.len(), tensor.rank()].iter().chain(tensor.dims()) {
        hasher.update(&(*number as u64).to_le_bytes());
    }
    hasher.update(name.as_bytes());
    with_values(tensor, |values| {
        let mut bytes = Vec::with_capacity(1 << 16);
        for chunk in values.chunks(1 << 14) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            hasher.update(&bytes);
        }
    })?;
    Ok(hasher.finalize())
}

/// The Hub's index of a sharded checkpoint.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

fn read_index(path: &Path, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, error))?;
    let index: Index = serde_json::from_slice(&bytes).map_err(|error| unreadable(path, error))?;
    let place = |(name, file): (String, String)| {
        // An index comes from strangers: it may name its neighbours, not any file of the machine.
        let plain = Path::new(&file)
            .file_name()
            .is_some_and(|name| name == file.as_str());
        match plain {
            true => Ok((name, folder.join(file))),
            false => Err(unreadable(
                path,
                format!("shard {file:?} is not a plain file name"),
            )),
        }
    };
    index.weight_map.into_iter().map(place).collect()
}

/// An open weights file.
enum File {
    Safetensors(MmapedSafetensors),
    Pickle(TorchFile),
}

impl File {
    fn open(path: &Path, format: Format) -> Result<Self> {
        match format {
            // SAFETY: the map lives only while a tower is loaded, and every value is copied out of
            // it and checked. Whoever truncates the file in that moment stops the process.
            Format::Safetensors => unsafe { MmapedSafetensors::new(path) }
                .map(Self::Safetensors)
                .map_err(|error| unreadable(path, innermost(&error))),
            Format::Pickle => TorchFile::open(path)
                .map(Self::Pickle)
                .map_err(|error| unreadable(path, error)),
        }
    }

    /// Shape and type of a tensor, if the file has it.
    fn describe(&self, name: &str) -> Option<(Vec<usize>, Result<DType, String>)> {
        match self {
            Self::Safetensors(file) => {
                let view = file.get(name).ok()?;
                let dtype =
                    DType::try_from(view.dtype()).map_err(|_| format!("{:?}", view.dtype()));
                Some((view.shape().to_vec(), dtype))
            }
            Self::Pickle(file) => {
                let found = file.describe(name)?;
                Some((found.shape.clone(), found.dtype.clone()))
            }
        }
    }

    fn read(&self, path: &Path, wanted: &Wanted) -> Result<Tensor> {
        let name = &wanted.name;
        let (shape, dtype) = self.describe(name).ok_or_else(|| missing(path, wanted))?;
        if shape != wanted.shape {
            let (path, name, expected) = (path.to_owned(), name.clone(), wanted.shape.clone());
            return Err(ClipError::TensorShape {
                path,
                name,
                expected,
                found: shape,
            });
        }
        let is_float =
            |dtype: &DType| matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::F64);
        if !dtype.as_ref().is_ok_and(is_float) {
            let found = dtype.map_or_else(|name| name, |dtype| dtype.as_str().to_owned());
            return Err(ClipError::TensorType {
                path: path.to_owned(),
                name: name.clone(),
                found,
            });
        }
        let damaged = |reason: String| unreadable(path, format!("tensor `{name}`: {reason}"));
        let tensor = match self {
            Self::Safetensors(file) => {
                let tensor = file.load(name, &Device::Cpu);
                tensor.map_err(|error| damaged(innermost(&error)))?
            }
            Self::Pickle(file) => file.read(name).map_err(|error| unreadable(path, error))?,
        };
        let tensor = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.contiguous())
            .map_err(|error| damaged(innermost(&error)))?;
        let bad = with_values(&tensor, |values| {
            // without a way out of the loop it is one over wide registers
            let finite = |some: &[f32]| some.iter().fold(true, |all, x| all & x.is_finite());
            let some = values
                .par_chunks(SOME)
                .position_first(|some| !finite(some))?;
            let rest = &values[some * SOME..];
            let place = rest.iter().position(|value| !value.is_finite())?;
            Some((some * SOME + place, rest[place]))
        })?;
        match bad {
            None => Ok(tensor),
            Some((position, value)) => Err(ClipError::NotFinite {
                path: path.to_owned(),
                name: name.clone(),
                position,
                value,
            }),
        }
    }
}

/// Values that are looked at together.
const SOME: usize = 4096;

/// Runs `f` on the values of a contiguous f32 tensor on the CPU, without a copy.
fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => Err(candle_core::Error::Msg("expected contiguous f32 on the CPU".to_owned()).into()),
    }
}

/// The error below the paths and backtraces that Candle wraps around it: the path is named by ours.
fn innermost(error: &candle_core::Error) -> String {
    use candle_core::Error as E;
    match error {
        E::WithBacktrace { inner, .. } | E::WithPath { inner, .. } | E::Context { inner, .. } => {
            innermost(inner)
        }
        error => error.to_string(),
    }
}

fn missing(path: &Path, wanted: &Wanted) -> ClipError {
    let (name, expected) = (wanted.name.clone(), wanted.shape.clone());
    ClipError::MissingTensor {
        path: path.to_owned(),
        name,
        expected,
    }
}

fn unreadable(path: &Path, reason: impl std::fmt::Display) -> ClipError {
    ClipError::Unreadable {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}
