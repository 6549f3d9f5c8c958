//! `mpama pull`: models from the Hub into the cache.

use mpama_core::AdapterConfig;
use mpama_hub::{Hub, KNOWN, Kind, ModelId, Pulled};
use serde_json::json;

use super::Outcome;
use crate::cli::{Global, Pull};
use crate::hub::{connect, pull, size};
use crate::interrupt;
use crate::output::{LITERAL, Output, shown};

/// Pulls each, and with an adapter the backbone it belongs to.
pub(crate) fn run(args: &Pull, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    if args.list {
        return list(output);
    }
    let hub = connect(global, output)?;
    interrupt::listen(output.talks())?;
    let mut ids = args.ids.clone();
    let mut number = 0;
    while let Some(id) = ids.get(number).cloned() {
        number += 1;
        let Some(pulled) = pull(&hub, &id, args.force, output)? else {
            output.note("Stopped; repeat the command to go on");
            output.record("interrupted", json!({ "id": id }))?;
            return Ok(Outcome::Interrupted);
        };
        show(&hub, &id, &pulled, output)?;
        if pulled.kind == Kind::Adapter {
            ids.extend(backbone_of(&pulled)?.filter(|backbone| !ids.contains(backbone)));
        }
    }
    Ok(Outcome::Done)
}

/// The id of the backbone that an adapter belongs to, if it is on the Hub.
fn backbone_of(adapter: &Pulled) -> anyhow::Result<Option<ModelId>> {
    Ok(backbone_id(&AdapterConfig::read(&adapter.folder)?))
}

/// The id of the backbone that an adapter names, with its revision, if it can be one.
pub(crate) fn backbone_id(config: &AdapterConfig) -> Option<ModelId> {
    let base = &config.base_model;
    let revision = base.revision.as_ref();
    let text = revision.map_or_else(|| base.id.clone(), |at| format!("{}@{at}", base.id));
    text.parse().ok()
}

fn show(hub: &Hub, id: &ModelId, pulled: &Pulled, output: &Output) -> anyhow::Result<()> {
    let fetched = |file: &&mpama_hub::PulledFile| file.fetched;
    let bytes: u64 = pulled
        .files
        .iter()
        .filter(fetched)
        .map(|file| file.size)
        .sum();
    let files = pulled.files.iter();
    let files: Vec<_> = files
        .map(|file| json!({ "name": file.name, "bytes": file.size, "fetched": file.fetched }))
        .collect();
    output.line(shown(&pulled.folder))?;
    output.record(
        "pulled",
        json!({
            "id": id, "commit": pulled.commit, "folder": shown(&pulled.folder), "files": files,
            "kind": match pulled.kind { Kind::Backbone => "backbone", Kind::Adapter => "adapter" },
            "offline": hub.settings().offline,
        }),
    )?;
    output.note(match bytes {
        0 => format!("{id} is complete at {}", pulled.commit),
        bytes => format!("{id} at {}: {} fetched", pulled.commit, size(bytes)),
    });
    Ok(())
}

fn list(output: &Output) -> anyhow::Result<Outcome> {
    for known in KNOWN {
        let id = format!("{}@{}", known.id, known.revision);
        output.line(format_args!(
            "{:<12} {:>3} px  {LITERAL}{id}{LITERAL:#}",
            known.name, known.pixels
        ))?;
        output.record(
            "backbone",
            json!({ "id": known.id, "revision": known.revision, "name": known.name, "pixels": known.pixels }),
        )?;
    }
    output.note("Any other CLIP in the Hugging Face layout works as well");
    Ok(Outcome::Done)
}
