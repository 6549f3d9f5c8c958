//! Writing and reading the adapter's folder.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::{Adapter, AdapterConfig, SCHEMA_VERSION, card, check};
use crate::error::{Error, Result};
use crate::prompt::TextVectors;

/// The weights' file name, as other adapters on the Hub call it.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
/// The settings' file name.
pub const CONFIG_FILE: &str = "adapter_config.json";
const CARD_FILE: &str = "README.md";

/// Larger than any adapter's settings by far: a limit before anything is read.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The same for its weights: those of ViT-L/14 take some thirty megabytes.
const MAX_WEIGHTS_BYTES: u64 = 1 << 30;

impl AdapterConfig {
    /// Reads the settings alone, without the parameters.
    ///
    /// # Errors
    /// As [`Adapter::load`].
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG_FILE);
        parse_config(&read_text(&path)?, &path)
    }
}

impl Adapter {
    /// Writes the folder, replacing an adapter that is there. A temporary sibling is filled first
    /// and then renamed, so that a failure leaves the old one or none. Same adapter, same bytes.
    ///
    /// # Errors
    /// [`Error::Io`] names the file that could not be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { path, source }
        };
        if let Some(parent) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        let fresh = sibling(folder, "new");
        let old = sibling(folder, "old");
        for leftover in [&fresh, &old] {
            if leftover.exists() {
                fs::remove_dir_all(leftover).map_err(io(leftover))?;
            }
        }
        let written = self.write_into(&fresh);
        if written.is_err() {
            // Best effort: the error that matters is the first one.
            let _ = fs::remove_dir_all(&fresh);
        }
        written?;
        if folder.exists() {
            fs::rename(folder, &old).map_err(io(folder))?;
        }
        fs::rename(&fresh, folder).map_err(io(folder))?;
        if old.exists() {
            fs::remove_dir_all(&old).map_err(io(&old))?;
        }
        Ok(())
    }

    fn write_into(&self, folder: &Path) -> Result<()> {
        let write = |path: PathBuf, bytes: &[u8]| {
            fs::write(&path, bytes).map_err(|source| Error::Io { path, source })
        };
        fs::create_dir_all(folder).map_err(|source| Error::Io {
            path: folder.to_path_buf(),
            source,
        })?;
        let mut tensors: BTreeMap<&str, &Tensor> = BTreeMap::new();
        tensors.insert("text.global", &self.text.global);
        tensors.insert("text.local", &self.text.local);
        let parameters = self.prompts.iter().chain(self.experts.iter().flatten());
        tensors.extend(parameters.map(|(name, tensor)| (name.as_str(), tensor)));
        let path = folder.join(WEIGHTS_FILE);
        // One key only: the order of several would differ from run to run.
        let metadata = HashMap::from([("format".to_string(), "mpama".to_string())]);
        let bytes = safetensors::serialize(tensors, Some(metadata))
            .map_err(|error| Error::adapter(&path, error))?;
        write(path, &bytes)?;
        let path = folder.join(CONFIG_FILE);
        let json = serde_json::to_string_pretty(&self.config)
            .map_err(|error| Error::adapter(&path, error))?;
        write(path, format!("{json}\n").as_bytes())?;
        write(folder.join(CARD_FILE), card::model_card(self).as_bytes())
    }

    /// Reads a folder that [`Adapter::save`] wrote. Nothing is executed; every tensor is checked to be
    /// finite f32 and of the shape that the settings ask for.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Adapter`] names the file and what is wrong with it.
    pub fn load(folder: &Path, device: &Device) -> Result<Adapter> {
        let json = read_text(&folder.join(CONFIG_FILE))?;
        let weights = read_limited(&folder.join(WEIGHTS_FILE), MAX_WEIGHTS_BYTES)?;
        Adapter::parse(&json, &weights, folder, device)
    }

    /// As [`Adapter::load`], of the two files' contents; errors name them as if they were in `folder`.
    ///
    /// # Errors
    /// [`Error::Adapter`] or [`Error::Setting`].
    pub fn parse(json: &str, weights: &[u8], folder: &Path, device: &Device) -> Result<Adapter> {
        let config = parse_config(json, &folder.join(CONFIG_FILE))?;
        let path = folder.join(WEIGHTS_FILE);
        let tensors = candle_core::safetensors::load_buffer(weights, device)
            .map_err(|error| Error::adapter(&path, error))?;
        let mut tensors: BTreeMap<String, Tensor> = tensors.into_iter().collect();
        for (name, tensor) in &tensors {
            if tensor.dtype() != DType::F32 {
                let problem = format!("`{name}`: expected f32, found {:?}", tensor.dtype());
                return Err(Error::adapter(&path, problem));
            }
            // A sum is finite unless an element is not; parameters are far from overflowing it.
            let sum: f32 = tensor.abs()?.sum_all()?.to_scalar()?;
            if !sum.is_finite() {
                return Err(Error::adapter(
                    &path,
                    format!("`{name}` holds NaN or infinity"),
                ));
            }
        }
        let mut take = |name: &str| {
            tensors
                .remove(name)
                .ok_or_else(|| Error::adapter(&path, format!("`{name}` is missing")))
        };
        let text = TextVectors {
            global: take("text.global")?,
            local: take("text.local")?,
        };
        let (experts, prompts): (BTreeMap<_, _>, BTreeMap<_, _>) = tensors
            .into_iter()
            .partition(|(name, _)| name.starts_with("experts.") || name.starts_with("router."));
        let experts = (!experts.is_empty()).then_some(experts);
        let adapter = Adapter {
            config,
            text,
            prompts,
            experts,
        };
        match check::problem(&adapter) {
            None => Ok(adapter),
            Some(problem) => Err(Error::adapter(path, problem)),
        }
    }
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_limited(path, MAX_CONFIG_BYTES)?)
        .map_err(|error| Error::adapter(path, error))
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let io = |source| Error::Io {
        path: path.to_path_buf(),
        source,
    };
    let size = fs::metadata(path).map_err(io)?.len();
    if size > limit {
        return Err(Error::adapter(
            path,
            format!("{size} bytes, at most {limit} expected"),
        ));
    }
    fs::read(path).map_err(io)
}

fn parse_config(text: &str, path: &Path) -> Result<AdapterConfig> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Error::adapter(path, error))?;
    // Before the strict reading: a newer schema has keys that this build does not know.
    match value
        .get("schema-version")
        .and_then(serde_json::Value::as_u64)
    {
        Some(version) if version == u64::from(SCHEMA_VERSION) => {}
        Some(version) => {
            let problem = format!("schema version {version}, this build reads {SCHEMA_VERSION}");
            return Err(Error::adapter(path, problem));
        }
        None => {
            return Err(Error::adapter(
                path,
                "not an adapter of mpama: no `schema-version`",
            ));
        }
    }
    let config: AdapterConfig =
        serde_json::from_value(value).map_err(|error| Error::adapter(path, error))?;
    config.model.validate()?;
    Ok(config)
}

fn sibling(folder: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(folder.file_name().unwrap_or_default());
    name.push(format!(".{suffix}"));
    folder.with_file_name(name)
}

#[cfg(test)]
mod tests;
