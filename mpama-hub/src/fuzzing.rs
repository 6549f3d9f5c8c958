//! What the fuzz targets reach: answers of the Hub from their bytes on, as if a connection had brought them.

use hf_hub::repository::{CommitInfo, ModelInfo, RepoTreeEntry};

use crate::id::ModelId;
use crate::listing::{self, Kind};
use crate::push;
use crate::remote::Found;

/// The names of what would be fetched of a model that `json` lists; `None` if it is refused.
pub fn listing(id: &ModelId, json: &[u8]) -> Option<Vec<String>> {
    let entries: Vec<RepoTreeEntry> = serde_json::from_slice(json).ok()?;
    let listed = listing::read(id, entries).ok()?;
    let names: Vec<&str> = listed.iter().map(|file| file.name.as_str()).collect();
    let needed = Kind::of(names.iter().copied()).needs(&names).ok()?;
    Some(needed.into_iter().map(str::to_owned).collect())
}

/// The id and the commit of a model that `json` describes; `None` if it is refused.
pub fn model(id: &ModelId, json: &[u8]) -> Option<(ModelId, String)> {
    let info: ModelInfo = serde_json::from_slice(json).ok()?;
    let found = Found::read(id, info).ok()?;
    Some((found.id, found.commit))
}

/// The commit that `json` says was made; `None` if it is refused.
pub fn commit(json: &[u8]) -> Option<String> {
    let made: CommitInfo = serde_json::from_slice(json).ok()?;
    push::commit_of(made)
}
