//! What a model has on the Hub, and which of it is needed.

use hf_hub::repository::RepoTreeEntry;

use crate::cache::{is_hex, is_inside};
use crate::error::{Error, Result};
use crate::id::ModelId;

/// A file of a model at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Its name, with `/` between folders; never leads out of them.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) size: u64,
    /// What its bytes hash to.
    pub(crate) hash: Hash,
}

/// A hash as the Hub keeps it, in lower-case hexadecimal; also the file's name among the blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-1 of git's header and the bytes: small files.
    Git(String),
    /// SHA-256 of the bytes: large files.
    Sha256(String),
}

impl Hash {
    /// The text.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Git(text) | Self::Sha256(text) => text,
        }
    }
}

impl Listed {
    /// Checks an entry of a listing.
    pub(crate) fn new(
        id: &ModelId,
        name: String,
        size: u64,
        oid: String,
        sha256: Option<String>,
    ) -> Result<Self> {
        if !is_inside(&name) {
            return Err(Error::Name {
                id: id.clone(),
                name,
            });
        }
        let hash = match sha256 {
            Some(sha256) if sha256.len() == 64 && is_hex(&sha256) => Hash::Sha256(sha256),
            None if oid.len() == 40 && is_hex(&oid) => Hash::Git(oid),
            found => {
                return Err(Error::Answer {
                    about: format!("{name} of `{id}`"),
                    reason: format!("`{}` is no hash", found.unwrap_or(oid)),
                });
            }
        };
        Ok(Self { name, size, hash })
    }
}

/// The files of a listing, sorted by name.
///
/// # Errors
/// If one of them has a name or a hash that none may have.
pub(crate) fn read(id: &ModelId, entries: Vec<RepoTreeEntry>) -> Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in entries {
        if let RepoTreeEntry::File {
            oid,
            size,
            path,
            lfs,
            ..
        } = entry
        {
            let sha256 = lfs.and_then(|lfs| lfs.sha256);
            files.push(Listed::new(id, path, size, oid, sha256)?);
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// What a model is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A CLIP.
    Backbone,
    /// An adapter of ours.
    Adapter,
}

/// The settings of an adapter.
const ADAPTER_SETTINGS: &str = "adapter_config.json";
/// The parameters of an adapter.
const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";

impl Kind {
    /// What a model with these files is.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        if names.into_iter().any(|name| name == ADAPTER_SETTINGS) {
            Self::Adapter
        } else {
            Self::Backbone
        }
    }

    /// Which of `names` are needed: of a backbone its settings, tokenizer and one form of its weights
    /// (safetensors before PyTorch's, whole before sharded); of an adapter all three of its files.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(crate) fn needs<'a>(
        self,
        names: &[&'a str],
    ) -> std::result::Result<Vec<&'a str>, &'static str> {
        let has = |name: &str| names.iter().copied().find(|found| *found == name);
        let all =
            |wanted: &[&str]| -> Option<Vec<&'a str>> { wanted.iter().map(|n| has(n)).collect() };
        match self {
            Self::Adapter => {
                let mut needed = all(&[ADAPTER_SETTINGS]).ok_or(ADAPTER_SETTINGS)?;
                needed.extend(all(&[ADAPTER_WEIGHTS]).ok_or(ADAPTER_WEIGHTS)?);
                needed.extend(has("README.md"));
                Ok(needed)
            }
            Self::Backbone => {
                let mut needed = all(&["config.json"]).ok_or("config.json")?;
                let tokenizer =
                    all(&["tokenizer.json"]).or_else(|| all(&["vocab.json", "merges.txt"]));
                needed.extend(tokenizer.ok_or("tokenizer.json, nor vocab.json and merges.txt")?);
                let weights = all(&["model.safetensors"])
                    .or_else(|| sharded(names, "model", "safetensors"))
                    .or_else(|| all(&["pytorch_model.bin"]))
                    .or_else(|| sharded(names, "pytorch_model", "bin"));
                needed.extend(weights.ok_or("model.safetensors, nor pytorch_model.bin")?);
                Ok(needed)
            }
        }
    }
}

/// `STEM.ENDING.index.json` and all `STEM-00001-of-00002.ENDING`; `None` unless each shard is there.
fn sharded<'a>(names: &[&'a str], stem: &str, ending: &str) -> Option<Vec<&'a str>> {
    let index = format!("{stem}.{ending}.index.json");
    let index = names.iter().copied().find(|name| **name == index)?;
    let number = |name: &str| -> Option<(usize, usize)> {
        let rest = name.strip_prefix(stem)?.strip_prefix('-')?;
        let rest = rest.strip_suffix(ending)?.strip_suffix('.')?;
        let (number, of) = rest.split_once("-of-")?;
        Some((number.parse().ok()?, of.parse().ok()?))
    };
    let mut shards: Vec<(usize, usize, &str)> = names
        .iter()
        .filter_map(|name| number(name).map(|(number, of)| (number, of, *name)))
        .collect();
    shards.sort_unstable();
    let (_, of, _) = *shards.first()?;
    let numbers = shards.iter().map(|(number, of, _)| (*number, *of));
    numbers.eq((1..=of).map(|number| (number, of))).then(|| {
        std::iter::once(index)
            .chain(shards.iter().map(|shard| shard.2))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn backbone<'a>(names: &[&'a str]) -> std::result::Result<Vec<&'a str>, &'static str> {
        Kind::Backbone.needs(names)
    }

    #[test]
    fn one_form_of_the_weights_is_enough() {
        let all = [
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "merges.txt",
            "model.safetensors",
            "pytorch_model.bin",
            "tf_model.h5",
            "tokenizer.json",
            "vocab.json",
        ];
        let needed = backbone(&all).unwrap();
        assert_eq!(
            needed,
            ["config.json", "tokenizer.json", "model.safetensors"]
        );
        let old = [
            "config.json",
            "merges.txt",
            "pytorch_model.bin",
            "vocab.json",
        ];
        let needed = backbone(&old).unwrap();
        assert_eq!(
            needed,
            [
                "config.json",
                "vocab.json",
                "merges.txt",
                "pytorch_model.bin"
            ]
        );
    }

    #[test]
    fn shards_count_only_if_all_are_there() {
        let two = [
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
        ];
        let needed = backbone(&two).unwrap();
        assert_eq!(
            needed[2..],
            ["model.safetensors.index.json", two[1], two[2]]
        );
        let one = [two[0], two[1], two[3], two[4]];
        assert!(backbone(&one).unwrap_err().contains("model.safetensors"));
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(backbone(&["x"]), Err("config.json"));
        assert!(
            backbone(&["config.json"])
                .unwrap_err()
                .contains("tokenizer")
        );
        let adapter = ["adapter_config.json", "README.md"];
        assert_eq!(Kind::of(adapter), Kind::Adapter);
        assert_eq!(Kind::Adapter.needs(&adapter), Err(ADAPTER_WEIGHTS));
    }

    #[test]
    fn odd_entries_are_refused() {
        let id: ModelId = "me/thing".parse().unwrap();
        let oid = "0123456789abcdef0123456789abcdef01234567".to_owned();
        let listed = |name: &str, oid: &str, sha: Option<&str>| {
            Listed::new(&id, name.into(), 1, oid.into(), sha.map(str::to_owned))
        };
        assert!(listed("a", &oid, None).is_ok());
        assert!(matches!(
            listed("../a", &oid, None),
            Err(Error::Name { .. })
        ));
        assert!(matches!(
            listed("a", "../x", None),
            Err(Error::Answer { .. })
        ));
        assert!(matches!(
            listed("a", &oid, Some("x")),
            Err(Error::Answer { .. })
        ));
    }
}
