//! A measurement for people.

use super::report::{Report, Stage, Work};
use crate::output::Output;

/// What the steps are called.
const WORDS: [(&str, &str); 7] = [
    ("decode", "decode"),
    ("resize", "resize"),
    ("tower", "image tower"),
    ("maps", "score and map"),
    ("smooth", "smooth, enlarge"),
    ("write", "write PNG"),
    ("all", "all of it"),
];

/// Prints machine, work, steps and what they come to.
pub(super) fn show(report: &Report, output: &Output) -> anyhow::Result<()> {
    let Report {
        machine,
        subject,
        work,
        tower,
        peak,
        ..
    } = report;
    output.line(format_args!(
        "{}: {} cores, {} threads; kernels: {}",
        machine.cpu, machine.cores, machine.threads, machine.kernels
    ))?;
    output.line(format_args!(
        "{} ({}), {}: {}\n",
        subject.backbone,
        origin(&subject.weights),
        subject.dtype,
        shape(work)
    ))?;
    let heading = match &report.compared {
        Some(other) => format!(
            "      there    ratio   ({}, {})",
            other.against, other.dtype
        ),
        None => String::new(),
    };
    output.line(format_args!(
        "{:16} {:>10} {:>10} {:>8}{heading}",
        "ms per image", "best", "median", "spread"
    ))?;
    for stage in &report.stages {
        output.line(row(stage, report))?;
    }
    output.line(format_args!(
        "\nImage tower: {:.1} GFLOP per image, {:.1} GFLOP/s (best {:.1}): {:.0} % of the peak of f32",
        tower.gflop,
        tower.gflop_per_second,
        tower.best_gflop_per_second,
        100.0 * tower.share_of_peak
    ))?;
    output.line(format_args!(
        "In registers: {:.1} GFLOP/s of f32 on one thread, {:.1} on {}",
        peak.one_thread / 1e9,
        peak.all_threads / 1e9,
        peak.threads
    ))?;
    let loaded = match report.load_ms {
        Some(ms) => format!("Model loaded in {ms:.0} ms"),
        None => "Weights made in memory".to_owned(),
    };
    let memory = match report.peak_memory {
        Some(bytes) => format!("; at most {:.0} MB of memory", bytes as f64 / 1e6),
        None => String::new(),
    };
    output.line(loaded + &memory)
}

fn origin(weights: &str) -> &str {
    match weights {
        "demo" => "the demo's, tiny: give a real one with --clip, or a real one's --shape",
        "random" => "random weights",
        _ => "from its files",
    }
}

fn shape(work: &Work) -> String {
    let [height, width] = work.input;
    let [photo_height, photo_width] = work.photo;
    let second = match work.vv_depth {
        0 => String::new(),
        blocks => format!(" and V-V attention in the last {blocks}"),
    };
    format!(
        "{} blocks of width {}{second}, {} on perceptions {:?}; {width}x{height} px, batch {}, \
         photograph of {photo_width}x{photo_height}",
        work.layers, work.width, work.method, work.perceptions, work.batch
    )
}

fn row(stage: &Stage, report: &Report) -> String {
    let words = WORDS.iter().find(|(name, _)| *name == stage.stage);
    let words = words.map_or(stage.stage.as_str(), |(_, words)| words);
    let row = format!(
        "{words:16} {:10.2} {:10.2} {:6.0} %",
        stage.best_ms,
        stage.median_ms,
        100.0 * stage.spread
    );
    let compared = report.compared.iter().flat_map(|c| &c.stages);
    let ratio = compared.into_iter().find(|r| r.stage == stage.stage);
    match ratio {
        Some(other) => {
            let ratio = other.ratio.map_or("n/a".to_owned(), |r| format!("{r:.2}"));
            let noise = if other.clear {
                ""
            } else {
                "  within the spread"
            };
            format!("{row} {:10.2} {ratio:>8}{noise}", other.other_median_ms)
        }
        None => row,
    }
}
