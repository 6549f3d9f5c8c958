//! `mpama export`: an adapter for those who work in Python.

use std::fs;

use candle_core::Device;
use mpama_core::Adapter;
use serde_json::json;

use super::Outcome;
use crate::cli::{Export, Global};
use crate::files::{ending, write_whole};
use crate::hub;
use crate::output::{LITERAL, Output, shown};
use crate::problem::Mistake;
use crate::python;

/// Writes the adapter and the script.
pub(crate) fn run(args: &Export, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let Export { adapter: from, out } = args;
    if out.symlink_metadata().is_ok() {
        return Err(Mistake::Exists { path: out.clone() }.into());
    }
    let from = hub::place("adapter", from, global, output)?;
    let adapter = Adapter::load(&from.folder, &Device::Cpu)?;
    if !python::knows(&adapter.config) {
        output.warn(
            "the adapter has other windows or another maximum than the default, which detect.py does not \
             know: its scores will differ",
        );
    }
    // Beside its place first: the folder is whole or not there.
    let part = ending(out, &format!(".{}.part", std::process::id()));
    adapter.save(&part)?;
    let (name, text) = python::SCRIPT;
    write_whole(&part.join(name), text.as_bytes())?;
    fs::rename(&part, out).map_err(|error| Mistake::file("create", out, error))?;

    let place = shown(out);
    output.line(&place)?;
    output.record(
        "export",
        json!({ "folder": place, "method": adapter.method(), "script": shown(&out.join(name)) }),
    )?;
    output.note(format_args!(
        "Next: {LITERAL}pip install torch transformers safetensors pillow{LITERAL:#}\n      \
         {LITERAL}python {} CLIP IMAGES{LITERAL:#}",
        shown(&out.join(name))
    ));
    Ok(Outcome::Done)
}
