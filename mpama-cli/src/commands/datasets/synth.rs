//! `mpama datasets synth`: datasets of drawn images, for trials where there are no photographs.

use std::ops::ControlFlow;
use std::path::Path;

use mpama_datasets::synth::{
    CATEGORIES, Category, Kind, SynthError, SynthOptions, Written, write_mvtec,
};
use serde_json::json;

use crate::cli::Synth;
use crate::commands::Outcome;
use crate::interrupt;
use crate::output::{LITERAL, Output, shown};
use crate::problem::Mistake;
use crate::progress::EVERY_HUNDRED;

/// Draws a dataset, or lists what can be drawn.
pub(super) fn run(args: &Synth, output: &Output) -> anyhow::Result<Outcome> {
    if args.list {
        return list(output);
    }
    let Some(out) = &args.out else {
        return Err(Mistake::Missing {
            what: "output",
            flag: "--out",
            variable: None,
        }
        .into());
    };
    let options = SynthOptions {
        categories: chosen(&args.categories)?,
        good: args.good,
        defective: args.defective,
        train: args.train,
        size: args.size,
        seed: args.seed,
    };
    interrupt::listen(output.talks())?;
    let Some(written) = draw(out, &options, "Drawing images", output)? else {
        return Ok(Outcome::Interrupted);
    };
    let names: Vec<&str> = options.categories.iter().map(|c| c.name).collect();
    output.record(
        "synth",
        json!({
            "path": shown(out), "drawn": written.drawn, "found": written.found,
            "categories": names, "good": args.good, "defective": args.defective,
            "train": args.train, "size": args.size, "seed": args.seed,
        }),
    )?;
    output.line(shown(out))?;
    output.note(format_args!(
        "Next: {LITERAL}mpama train --data {} --clip CLIP --out RUN{LITERAL:#}",
        shown(out)
    ));
    Ok(Outcome::Done)
}

/// Draws into the folder `out` with progress called `title`; `None` if the user stopped it.
pub(crate) fn draw(
    out: &Path,
    options: &SynthOptions,
    title: &str,
    output: &Output,
) -> anyhow::Result<Option<Written>> {
    let progress = output.progress();
    let each = options.good + options.defective + options.train;
    let total = options.categories.len() * each;
    progress.start(title, total, 0, EVERY_HUNDRED);
    let drawing = write_mvtec(out, options, |at| {
        progress.advance(at.done, "");
        match interrupt::requested() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    let written = match drawing {
        Err(SynthError::Stopped { done, total }) => {
            progress.clear();
            output.record(
                "interrupted",
                json!({ "path": shown(out), "done": done, "total": total }),
            )?;
            output.note(format_args!(
                "Stopped after {done} of {total} images; repeat the command to go on"
            ));
            return Ok(None);
        }
        other => other?,
    };
    progress.finish(&format!(
        "{} drawn, {} there before",
        written.drawn, written.found
    ));
    Ok(Some(written))
}

/// The categories of these names, sorted, each once; all there are if none is named.
fn chosen(names: &[String]) -> Result<Vec<&'static Category>, Mistake> {
    let mut chosen = names
        .iter()
        .map(|name| Category::named(name).ok_or_else(|| unknown(name)))
        .collect::<Result<Vec<_>, _>>()?;
    if chosen.is_empty() {
        chosen.extend(CATEGORIES.iter());
    }
    chosen.sort_unstable_by_key(|category| category.name);
    chosen.dedup();
    Ok(chosen)
}

fn unknown(name: &str) -> Mistake {
    let nearest = CATEGORIES
        .iter()
        .map(|category| (strsim::jaro_winkler(name, category.name), category.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8)
        .map(|(_, name)| name);
    Mistake::UnknownCategory {
        name: shown(Path::new(name)),
        nearest,
    }
}

/// Shows what can be drawn.
fn list(output: &Output) -> anyhow::Result<Outcome> {
    let mut all: Vec<&Category> = CATEGORIES.iter().collect();
    all.sort_unstable_by_key(|category| category.name);
    let width = all.iter().map(|category| category.name.len()).max();
    let width = width.unwrap_or(0);
    for category in &all {
        let kind = match category.kind {
            Kind::Surface => "surface",
            Kind::Object => "object",
        };
        let defects: Vec<&str> = category.defects.iter().map(|d| d.name()).collect();
        output.line(format_args!(
            "{:<width$}  {kind:<7}  {}",
            category.name,
            defects.join(" ")
        ))?;
        output.record(
            "category",
            json!({ "name": category.name, "kind": kind, "defects": defects }),
        )?;
    }
    output.note(format_args!("{} categories", all.len()));
    Ok(Outcome::Done)
}
