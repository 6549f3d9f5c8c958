//! `mpama import`: adapters from the files of other projects.

use mpama_core::BaseModel;
use mpama_core::clip::Checkpoint;
use mpama_core::import::AnomalyClip;
use serde_json::json;

use super::Outcome;
use crate::cli::{FromAnomalyClip, Global, Import};
use crate::model::backbone;
use crate::output::{LITERAL, Output, shown};
use crate::problem::Mistake;

/// Of the words' embeddings, in parts of the largest: more than rounding to half precision makes.
const SAME_WORDS: f32 = 2e-3;

/// Makes the adapter.
pub(crate) fn run(args: &Import, global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    match args {
        Import::Anomalyclip(args) => anomaly_clip(args, global, output),
    }
}

fn anomaly_clip(
    args: &FromAnomalyClip,
    global: &Global,
    output: &Output,
) -> anyhow::Result<Outcome> {
    let clip = backbone(args.clip.as_deref(), global, output)?;
    if args.out.symlink_metadata().is_ok() {
        return Err(Mistake::Exists {
            path: args.out.clone(),
        }
        .into());
    }
    let prompts = AnomalyClip::read(&args.file)?;
    let checkpoint = Checkpoint::open(&clip.folder)?;
    prompts.check_words(&checkpoint.tokenizer()?)?;
    let device = global.device.open()?;
    let text = checkpoint.text(&device)?;
    let distance = prompts.distance(&text)?;
    if distance > SAME_WORDS {
        output.warn(format_args!(
            "the words in {} have other embeddings than in {} (by {distance:.2} of the largest): its prompts \
             were learned with another CLIP, and on this one their scores mean little",
            shown(&args.file),
            clip
        ));
    }
    let config = checkpoint.config();
    let options = prompts
        .model(config)
        .vision
        .options(config.vision.blocks.layers);
    let base = BaseModel {
        id: clip.name.clone(),
        revision: clip.revision.clone(),
        fingerprint: checkpoint
            .vision(&options, &device)?
            .fingerprint()
            .to_owned(),
    };
    let adapter = prompts.adapter(base, config, &text)?;
    adapter.save(&args.out)?;

    let out = shown(&args.out);
    output.success(format_args!(
        "Imported {} tokens per prompt and {} deep prompts",
        prompts.length(),
        prompts.deep()
    ));
    output.line(&out)?;
    output.record(
        "import",
        json!({
            "adapter": out, "imported": adapter.config.imported, "word_distance": distance,
            "tokens": prompts.length(), "deep_prompts": prompts.deep(),
        }),
    )?;
    output.note(format_args!(
        "Next: {LITERAL}mpama predict IMAGES --adapter {out} --clip {clip} --maps maps{LITERAL:#}"
    ));
    Ok(Outcome::Done)
}
