//! `mpama cache`: what was fetched from the Hub, and making room.

use std::fs;
use std::time::SystemTime;

use serde_json::json;

use super::Outcome;
use crate::cli::{Cache, Global};
use crate::hub::{connect, size};
use crate::kept;
use crate::output::{Output, count, shown};
use crate::problem::Mistake;

/// Lists or removes.
pub(crate) fn run(args: &Cache, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let hub = connect(global, output)?;
    let cache = hub.cache();
    match args {
        Cache::List => {
            let models = cache.models()?;
            for model in &models {
                let days = model
                    .last_used
                    .and_then(|used| SystemTime::now().duration_since(used).ok());
                let days = days.map(|time| time.as_secs() / 86_400);
                let ago = days.map_or_else(String::new, |days| {
                    format!("{} ago", count(days as usize, "day"))
                });
                output.line(format_args!(
                    "{:>9}  {:<50} {ago}",
                    size(model.bytes),
                    model.id
                ))?;
                output.record(
                    "cached",
                    json!({
                        "id": model.id, "bytes": model.bytes, "unused": model.unused,
                        "commits": model.commits, "folder": shown(&model.folder), "days": days,
                    }),
                )?;
            }
            let bytes: u64 = models.iter().map(|model| model.bytes).sum();
            let unused: u64 = models.iter().map(|model| model.unused).sum();
            output.note(format_args!(
                "{} in {}, {} in all{}",
                count(models.len(), "model"),
                shown(cache.root()),
                size(bytes),
                match unused {
                    0 => String::new(),
                    unused => format!("; {} of it is of no use: mpama cache prune", size(unused)),
                }
            ));
            let kept = kept::files()?;
            if let (false, Some(folder)) = (kept.is_empty(), kept::folder()) {
                let bytes = kept.iter().map(|(_, bytes)| bytes).sum();
                output.record(
                    "packed",
                    json!({ "folder": shown(&folder), "files": kept.len(), "bytes": bytes }),
                )?;
                output.note(format_args!(
                    "{} of weights laid out for this processor in {}, {}: mpama cache prune",
                    count(kept.len(), "file"),
                    shown(&folder),
                    size(bytes),
                ));
            }
        }
        Cache::Remove { ids } => {
            for id in ids {
                let bytes = cache
                    .remove(id)?
                    .ok_or_else(|| Mistake::NotCached { id: id.clone() })?;
                output.record("removed", json!({ "id": id, "bytes": bytes }))?;
                output.note(format_args!("Removed {id}: {}", size(bytes)));
            }
        }
        Cache::Prune => {
            let mut bytes = 0;
            for model in cache.models()? {
                bytes += cache.remove_unused(&model)?;
            }
            for (file, size) in kept::files()? {
                fs::remove_file(&file).map_err(|error| Mistake::file("remove", &file, error))?;
                bytes += size;
            }
            output.record("pruned", json!({ "bytes": bytes }))?;
            output.note(format_args!("Removed {}", size(bytes)));
        }
    }
    Ok(Outcome::Done)
}
