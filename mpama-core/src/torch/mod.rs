//! PyTorch's files of weights: a zip with a pickle that describes tensors, and their bytes.
//!
//! Nothing in them is executed. Sizes are checked against the file before anything is allocated, and
//! entries have to be stored as they are, as PyTorch writes them, so that none can unpack to more.

mod pickle;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use zip::{CompressionMethod, ZipArchive};

use pickle::{Id, Pickle, Value};

/// A pickle that describes weights is far smaller.
const MAX_PICKLE_BYTES: u64 = 16 << 20;
/// More dimensions than a weight has.
const MAX_RANK: usize = 8;
/// Longer than the name of any tensor.
const MAX_NAME_BYTES: usize = 512;

/// Why a file is no PyTorch checkpoint, or a tensor cannot be had from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TorchError {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is something else, or cut short.
    #[error("not a PyTorch checkpoint (a zip), or cut short: {0}")]
    NotZip(zip::result::ZipError),
    /// The zip holds no pickle.
    #[error("a zip, but no PyTorch checkpoint: no data.pkl in it")]
    NoPickle,
    /// An entry that PyTorch did not write.
    #[error("entry `{0}` is packed, which PyTorch never does")]
    Packed(String),
    /// The description of the tensors.
    #[error("data.pkl: {0}")]
    Pickle(String),
    /// A description that contradicts the bytes.
    #[error("tensor `{name}`: {reason}")]
    Tensor { name: String, reason: String },
}

/// A checkpoint's tensors by name. The file is open only while one is read.
#[derive(Debug)]
pub(crate) struct TorchFile {
    path: PathBuf,
    tensors: BTreeMap<String, Described>,
}

/// What the file says of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Described {
    /// Its shape.
    pub(crate) shape: Vec<usize>,
    /// Its type, or the name of one that is not known here.
    pub(crate) dtype: Result<DType, String>,
    /// Elements from one index to the next, per dimension.
    strides: Vec<usize>,
    /// First element, in its storage.
    offset: usize,
    /// Name of the storage's entry in the zip.
    storage: String,
    /// Where that entry's bytes begin and how many they are.
    place: Option<(u64, u64)>,
}

impl TorchFile {
    /// Reads what the file says of its tensors, and none of them. Those of a dict within the dict are
    /// named `OUTER.INNER`.
    pub(crate) fn open(path: &Path) -> Result<Self, TorchError> {
        let mut zip =
            ZipArchive::new(BufReader::new(File::open(path)?)).map_err(TorchError::NotZip)?;
        let mut places = BTreeMap::new();
        let mut packed = None;
        for i in 0..zip.len() {
            let entry = zip.by_index(i).map_err(TorchError::NotZip)?;
            let name = entry.name().map_err(TorchError::NotZip)?.into_owned();
            if entry.compression() != CompressionMethod::Stored {
                packed = Some(name);
                continue;
            }
            if let Some(start) = entry.data_start() {
                places.insert(name, (start, entry.size()));
            }
        }
        if let Some(name) = packed {
            return Err(TorchError::Packed(name));
        }
        // The outermost, as in `archive/data.pkl`.
        let pickles = places
            .keys()
            .filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        let name = pickles.min_by_key(|name| name.len());
        let name = name.ok_or(TorchError::NoPickle)?.clone();
        let (start, size) = places[&name];
        if size > MAX_PICKLE_BYTES {
            let reason = format!("{size} bytes, at most {MAX_PICKLE_BYTES} expected");
            return Err(TorchError::Pickle(reason));
        }
        let pickle = Pickle::parse(&read_at(path, start, size)?)?;
        let folder = name.trim_end_matches("data.pkl");
        let mut tensors = BTreeMap::new();
        for (name, mut described) in named(&pickle) {
            described.storage = format!("{folder}data/{}", described.storage);
            described.place = places.get(&described.storage).copied();
            tensors.insert(name, described);
        }
        let path = path.to_owned();
        Ok(Self { path, tensors })
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// What the file says of a tensor, if it has it.
    pub(crate) fn describe(&self, name: &str) -> Option<&Described> {
        self.tensors.get(name)
    }

    /// Reads a tensor, in its own type, on the CPU, contiguous.
    pub(crate) fn read(&self, name: &str) -> Result<Tensor, TorchError> {
        let wrong = |reason: String| TorchError::Tensor {
            name: name.to_owned(),
            reason,
        };
        let described = self
            .describe(name)
            .ok_or_else(|| wrong("not in the file".into()))?;
        let dtype = described.dtype.clone().map_err(&wrong)?;
        let Some((start, available)) = described.place else {
            return Err(wrong(format!("no entry `{}`", described.storage)));
        };
        let (first, bytes) = described
            .extent(dtype.size_in_bytes() as u64)
            .filter(|(first, bytes)| {
                first
                    .checked_add(*bytes)
                    .is_some_and(|end| end <= available)
            })
            .ok_or_else(|| {
                wrong(format!(
                    "reaches beyond the {available} bytes of its storage"
                ))
            })?;
        let bytes = read_at(&self.path, start.saturating_add(first), bytes)?;
        let bytes = described.gather(bytes, dtype.size_in_bytes());
        Tensor::from_raw_buffer(&bytes, dtype, &described.shape, &Device::Cpu)
            .map_err(|error| wrong(error.to_string()))
    }
}

impl Described {
    /// Position and number of the bytes that hold the tensor, each element `size` bytes; `None` if they
    /// are more than numbers can say, or if elements share bytes.
    fn extent(&self, size: u64) -> Option<(u64, u64)> {
        let mut last = 0u64;
        let mut count = 1u64;
        for (&side, &stride) in self.shape.iter().zip(&self.strides) {
            count = count.checked_mul(side as u64)?;
            let steps = (side as u64).saturating_sub(1);
            last = last.checked_add(steps.checked_mul(stride as u64)?)?;
        }
        let first = (self.offset as u64).checked_mul(size)?;
        if count == 0 {
            return Some((first, 0));
        }
        let spanned = last.checked_add(1)?;
        // A tensor of more elements than it spans repeats some: no weights, but memory without end.
        (count <= spanned).then_some(())?;
        Some((first, spanned.checked_mul(size)?))
    }

    /// The elements in row-major order, from the bytes they lie in.
    fn gather(&self, bytes: Vec<u8>, size: usize) -> Vec<u8> {
        let mut dense = 1;
        let contiguous = self
            .shape
            .iter()
            .zip(&self.strides)
            .rev()
            .all(|(side, stride)| {
                let fits = *side == 1 || *stride == dense;
                dense *= side;
                fits
            });
        if contiguous || bytes.is_empty() {
            return bytes;
        }
        let count: usize = self.shape.iter().product();
        let mut gathered = Vec::with_capacity(count * size);
        for i in 0..count {
            let (mut rest, mut at) = (i, 0);
            for (side, stride) in self.shape.iter().zip(&self.strides).rev() {
                at += rest % side * stride;
                rest /= side;
            }
            gathered.extend_from_slice(&bytes[at * size..][..size]);
        }
        gathered
    }
}

fn read_at(path: &Path, start: u64, count: u64) -> Result<Vec<u8>, TorchError> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if start.checked_add(count).is_none_or(|end| end > size) {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = vec![0; count as usize];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The tensors of the outermost dict and of the dicts in it. Each dict is gone through once, however
/// often it is named.
fn named(pickle: &Pickle) -> Vec<(String, Described)> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([pickle.root]);
    for &(key, value) in pickle.dict(pickle.root).unwrap_or_default() {
        let Some(outer) = short_text(pickle, key) else {
            continue;
        };
        if let Some(described) = tensor(pickle, value) {
            found.push((outer.to_owned(), described));
        } else if seen.insert(value) {
            let inner = pickle.dict(value).unwrap_or_default().iter();
            found.extend(inner.filter_map(|(key, value)| {
                let name = format!("{outer}.{}", short_text(pickle, *key)?);
                Some((name, tensor(pickle, *value)?))
            }));
        }
    }
    found
}

fn short_text(pickle: &Pickle, id: Id) -> Option<&str> {
    pickle.text(id).filter(|text| text.len() <= MAX_NAME_BYTES)
}

/// What a value says of a tensor, if it is one.
fn tensor(pickle: &Pickle, mut id: Id) -> Option<Described> {
    // A parameter is a tensor in a wrapper or two.
    for _ in 0..2 {
        match pickle.call(id)? {
            ("torch._utils._rebuild_parameter", arguments) => id = *arguments.first()?,
            _ => break,
        }
    }
    let ("torch._utils._rebuild_tensor_v2", arguments) = pickle.call(id)? else {
        return None;
    };
    let [storage, offset, shape, strides, ..] = *arguments else {
        return None;
    };
    let Value::Storage(storage) = *pickle.get(storage) else {
        return None;
    };
    let [_, kind, key, ..] = *pickle.sequence(storage)? else {
        return None;
    };
    let rank = pickle.sequence(shape)?.len();
    if rank > MAX_RANK || pickle.sequence(strides)?.len() != rank {
        return None;
    }
    Some(Described {
        shape: pickle.counts(shape)?,
        dtype: dtype(pickle.name(kind)?),
        strides: pickle.counts(strides)?,
        offset: pickle.count(offset)?,
        storage: short_text(pickle, key)?.to_owned(),
        place: None,
    })
}

fn dtype(storage: &str) -> Result<DType, String> {
    Ok(match storage {
        "torch.FloatStorage" => DType::F32,
        "torch.DoubleStorage" => DType::F64,
        "torch.HalfStorage" => DType::F16,
        "torch.BFloat16Storage" => DType::BF16,
        "torch.ByteStorage" => DType::U8,
        "torch.IntStorage" => DType::I32,
        "torch.LongStorage" => DType::I64,
        other => return Err(other.chars().take(MAX_NAME_BYTES).collect()),
    })
}
