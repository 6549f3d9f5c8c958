//! An evaluation that was stopped goes on where it was: categories that are done are kept beside what
//! `--report` or `--save` write, and are removed at its end.

use std::fs;
use std::path::{Path, PathBuf};

use mpama_datasets::Dataset;
use mpama_train::eval::{EvalConfig, EvalState, SavedMaps};

use crate::cli::Eval;
use crate::output::{Output, shown};
use crate::problem::Mistake;

/// The folder for what is done, beside the report.
const FOLDER: &str = "eval-state";

pub(super) struct Resume {
    /// Where to keep what is done; `None` if nothing is written anyway.
    folder: Option<PathBuf>,
    /// What says which adapter it is.
    adapter: Vec<u8>,
    maps: String,
    begun: Vec<EvalState>,
}

impl Resume {
    /// Will keep what is done for the adapter in that folder, or for the demo's.
    pub(super) fn new(args: &Eval, adapter: Option<&Path>) -> Result<Self, Mistake> {
        let of_save = || {
            let parent = args.save.as_ref()?.parent()?;
            Some(match parent.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => parent.to_owned(),
            })
        };
        let mut bytes = Vec::new();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            if let Some(folder) = adapter {
                let file = folder.join(name);
                let read = fs::read(&file).map_err(|error| Mistake::file("read", &file, error))?;
                bytes.extend(read);
            }
        }
        Ok(Self {
            folder: args
                .report
                .clone()
                .or_else(of_save)
                .map(|folder| folder.join(FOLDER)),
            adapter: bytes,
            maps: format!("{:?} {}", args.save_maps, args.dtype),
            begun: Vec::new(),
        })
    }

    /// What is done of a dataset.
    pub(super) fn begin(
        &mut self,
        dataset: &Dataset,
        config: &EvalConfig,
        maps: Option<&SavedMaps>,
        output: &Output,
    ) -> anyhow::Result<Option<&EvalState>> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let (number, config) = (self.begun.len().to_string(), format!("{config:?}"));
        let hash = dataset.index_hash();
        let what = [
            env!("CARGO_PKG_VERSION"),
            &number,
            &dataset.name,
            &hash,
            &config,
            &self.maps,
        ];
        let mut what = what.map(str::as_bytes).to_vec();
        what.push(&self.adapter);
        let state = EvalState::open(folder, &what)?;
        if let Some(maps) = maps {
            for (category, samples) in dataset.by_category() {
                if !samples.iter().all(|sample| maps.holds(sample)) {
                    state.forget(category)?;
                }
            }
        }
        match state.count()? {
            0 => {}
            done => output.note(format_args!(
                "Going on with {}: {done} of {} done",
                shown(dataset.name.as_ref()),
                categories(dataset.by_category().len())
            )),
        }
        self.begun.push(state);
        Ok(self.begun.last())
    }

    /// Says what becomes of an evaluation that was stopped.
    pub(super) fn stopped(&self, output: &Output) -> anyhow::Result<()> {
        let done: usize = self
            .begun
            .iter()
            .map(EvalState::count)
            .sum::<Result<_, _>>()?;
        match (&self.folder, done) {
            (None, _) => output.note(
                "Stopped: a dataset that is not done has no figures, and nothing is kept without \
                 --report or --save",
            ),
            (Some(_), 0) => output.note("Stopped before the first category was done"),
            (Some(_), done) => output.note(format_args!(
                "Stopped: {} done and kept; repeat the command to go on",
                categories(done)
            )),
        }
        Ok(())
    }

    /// Removes what was kept: everything is written.
    pub(super) fn end(self) -> anyhow::Result<()> {
        for state in self.begun {
            state.remove()?;
        }
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir(folder); // that of another evaluation may be in it
        }
        Ok(())
    }
}

fn categories(number: usize) -> String {
    match number {
        1 => "1 category".to_owned(),
        several => format!("{several} categories"),
    }
}
