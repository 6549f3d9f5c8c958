//! What to do about an error. Libraries say what is wrong, and only that; all advice is here, one
//! match over each crate's errors.

use std::io;

use mpama_core::clip::ClipError;
use mpama_core::preprocess::ImageError;
use mpama_datasets::synth::{LARGEST, SMALLEST, SynthError};
use mpama_train::eval::MetricError;

use super::{Mistake, hub};
use crate::output::shown;

/// The files that make a folder a backbone.
const BACKBONE_FILES: &str =
    "config.json, model.safetensors (or pytorch_model.bin) and tokenizer.json";

/// What to do about `error`: the first of its causes that we know decides.
pub(super) fn hint(error: &anyhow::Error) -> Option<String> {
    error
        .chain()
        .find_map(|cause| {
            if let Some(mistake) = cause.downcast_ref::<Mistake>() {
                Some(of_mistake(mistake))
            } else if let Some(train) = cause.downcast_ref::<mpama_train::Error>() {
                of_train(train)
            } else if let Some(core) = cause.downcast_ref::<mpama_core::Error>() {
                of_core(core)
            } else if let Some(data) = cause.downcast_ref::<mpama_datasets::Error>() {
                Some(of_data(data))
            } else if let Some(synth) = cause.downcast_ref::<SynthError>() {
                Some(of_synth(synth))
            } else if let Some(error) = cause.downcast_ref::<mpama_hub::Error>() {
                Some(hub::hint(error))
            } else if let Some(clip) = cause.downcast_ref::<ClipError>() {
                Some(of_clip(clip))
            } else {
                cause.downcast_ref::<ImageError>().map(of_image)
            }
        })
        .filter(|hint| !hint.is_empty())
}

fn of_mistake(mistake: &Mistake) -> String {
    match mistake {
        Mistake::Missing {
            what,
            flag,
            variable: None,
        } => {
            format!("give the {what} folder with `{flag} DIR`")
        }
        Mistake::Missing {
            what,
            flag,
            variable: Some(variable),
        } => {
            format!(
                "give it with `{flag}`, or set {variable}: a model id of the Hub, or a folder that holds {}",
                files_of(what)
            )
        }
        Mistake::NoFolder { what, .. } => format!(
            "check the path: the {what} folder holds {}. An id of the Hub is `owner/name`",
            files_of(what)
        ),
        Mistake::UnknownKey {
            nearest: Some(nearest),
            ..
        } => {
            format!("did you mean `{nearest}`? `mpama config init -` prints every key")
        }
        Mistake::UnknownKey { nearest: None, .. } => {
            "`mpama config init -` prints every key".into()
        }
        Mistake::BadValue { .. } => {
            "`mpama config init -` prints every key, what it takes and its default".into()
        }
        Mistake::ConfigFile { .. } => "`mpama config init FILE` writes a file that reads".into(),
        Mistake::NoImages { .. } => {
            "png, jpg, bmp, tif and webp files are looked for, in sub-folders too".into()
        }
        Mistake::Pattern { .. } => {
            "in a pattern `*` stands for any text, `?` for one character, `[abc]` for one of \
             these, `**` for any folders"
                .into()
        }
        Mistake::NoThreshold => "give one with `--threshold T`, between 0 and 1".into(),
        Mistake::SomeFailed { .. } => {
            "the other results stand; mend what each line names and repeat the command for these \
             images"
                .into()
        }
        Mistake::NotJsonl { .. } => "give another name with `--out FILE`".into(),
        Mistake::TrainingData { same, .. } => {
            let other = if *same {
                ""
            } else {
                ", or rename the folder if it is another"
            };
            format!(
                "figures on what it has seen say nothing about what it has not: measure on another \
                 dataset{other}; `--allow-training-data` measures all the same"
            )
        }
        Mistake::OneAdapter { .. } => "leave it out, or repeat the command for each adapter".into(),
        Mistake::Exists { .. } => "choose another name, or move the file away".into(),
        Mistake::UnknownCategory {
            nearest: Some(nearest),
            ..
        } => {
            format!("did you mean `{nearest}`? {CATEGORIES_LISTED}")
        }
        Mistake::UnknownCategory { nearest: None, .. } => CATEGORIES_LISTED.into(),
        Mistake::NoReport { .. } => {
            "give the report.json of an earlier `mpama eval --report` or `--save`".into()
        }
        Mistake::NotComparable { .. } => {
            "compare reports on the same images at the same size: measure both adapters with the same \
             `--data`"
                .into()
        }
        Mistake::NoBenchmark { .. } => {
            "give a file with what an earlier `mpama bench --json` printed".into()
        }
        Mistake::OtherWork { .. } => {
            "measure both with the same shape of backbone, `--size`, `--batch` and `--image`".into()
        }
        Mistake::Plan { .. } => "configs/experiments has plans that read".into(),
        Mistake::UnknownDataset { known, .. } => {
            format!("its datasets are {}: give one as NAME=DIR", known.join(", "))
        }
        Mistake::UnknownVariant { known, .. } => {
            format!("its variants are `{}`", known.join("`, `"))
        }
        Mistake::NothingToRun { absent } => format!(
            "give a dataset to train on and one to test on with `--data NAME=DIR`; missing are {}",
            absent.join(", ")
        ),
        Mistake::Unrecognised { .. } => "a dataset is a folder in one of these shapes".into(),
        Mistake::NoFile { .. } => "check the path".into(),
        Mistake::NotFinite { .. } => DAMAGED_WEIGHTS.into(),
        Mistake::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            DISK_FULL.into()
        }
        Mistake::File {
            action: "write" | "create",
            ..
        } => "check that the folder exists and that you may write there".into(),
        Mistake::File { .. } => "check the path, and that you may read it".into(),
        other => hub::of_mistake(other).unwrap_or_default().into(),
    }
}

const DAMAGED_WEIGHTS: &str =
    "the weights are damaged: download the backbone again, or train the adapter again";
const DISK_FULL: &str = "free some space and repeat the command";

const CATEGORIES_LISTED: &str = "`mpama datasets synth --list` shows what can be drawn";

fn files_of(what: &str) -> &'static str {
    match what {
        "adapter" => "adapter_config.json and adapter_model.safetensors",
        "backbone" => BACKBONE_FILES,
        _ => "images",
    }
}

fn of_train(error: &mpama_train::Error) -> Option<String> {
    use mpama_train::Error;
    Some(match error {
        Error::DiskFull { .. } => {
            "free some space, then continue with `--resume`: nothing half-written was left".into()
        }
        Error::Io { .. } => "check the path and your rights there".into(),
        Error::Busy { .. } => {
            "wait for the other `mpama` to end, or use another folder".into()
        }
        Error::Setting { key, .. } => {
            format!("change it with `--set {key}=VALUE`: docs/config.md says what it does")
        }
        Error::Toml { .. } => "`mpama config init FILE` writes a file that reads".into(),
        Error::BadFiles { .. } => {
            "repair or remove these files, then repeat the command: nothing was trained yet".into()
        }
        Error::NoMask { .. } => {
            "add the masks, or move these images out of the dataset: `mpama info DATA` shows how \
             files are paired"
                .into()
        }
        Error::CacheMismatch { folder, .. } => {
            format!(
                "remove {} to compute the features again, or name another folder with \
                 `--set features.folder=DIR`",
                shown(folder)
            )
        }
        Error::CacheFile { path, .. } => {
            format!(
                "remove {} and repeat the command: it is computed again",
                shown(path)
            )
        }
        Error::FeatureRange { dtype: "f16", .. } => {
            "keep exact features with `--set features.dtype=f32`".into()
        }
        Error::FeatureRange { .. } => {
            "the backbone's weights are damaged: download them again".into()
        }
        Error::RunExists { folder } => {
            format!(
                "continue it with `--resume {}`, or choose another folder with `--out`",
                shown(folder)
            )
        }
        Error::NoRun { folder } => format!("start one with `--out {}`", shown(folder)),
        Error::RunMismatch { .. } => {
            "leave out what you changed to continue the run as it was, or start another with \
             `--out`"
                .into()
        }
        Error::RunFile { .. } => {
            "the run folder is damaged: start again with another `--out`; its features can be \
             kept with `--set features.folder=RUN/features`"
                .into()
        }
        Error::NoStageOne { .. } => {
            "train both stages with `--stage both`, or continue a run that has stage one with \
             `--resume RUN --stage two`"
                .into()
        }
        Error::Score {
            source: MetricError::Spill { .. },
            ..
        } => {
            "free some space there, or set TMPDIR to a folder with room (4 bytes a pixel), and repeat \
             the command"
                .into()
        }
        Error::Score { .. } => DAMAGED_WEIGHTS.into(),
        Error::NonFiniteGradient { .. } | Error::NonFiniteLoss { .. } => {
            "try a smaller learning rate (`--set stage-one.learning-rate=…`); if it was the \
             first step, the backbone's weights may be damaged"
                .into()
        }
        Error::State { .. } => {
            "the checkpoint belongs to another version or is damaged: start again with another \
             `--out`"
                .into()
        }
        Error::NoGradient { .. } | Error::Thread(_) | Error::Tensor(_) => return None,
        Error::Step { source, .. } => return of_train(source),
        Error::Model(error) => return of_core(error),
        Error::Dataset(error) => of_data(error),
        _ => return None, // kinds of a later version
    })
}

fn of_core(error: &mpama_core::Error) -> Option<String> {
    use mpama_core::Error;
    Some(match error {
        Error::Setting { key, .. } => {
            format!("change it with `--set model.{key}=VALUE`: docs/config.md says what it does")
        }
        Error::Backbone { .. } => {
            "give the backbone that the adapter was trained with: `mpama info` on both shows \
             their fingerprints"
                .into()
        }
        Error::Adapter { .. } => {
            "the adapter is damaged or of another version: copy or train it again".into()
        }
        Error::Import { .. } => {
            "give the .pth that AnomalyCLIP's training saved; if it is one, it is damaged: get it again".into()
        }
        Error::Foreign { .. } => {
            "give the CLIP that the prompts were learned with: AnomalyCLIP's are for \
             openai/clip-vit-large-patch14-336"
                .into()
        }
        Error::Words { .. } => {
            "only prompts that end in \"object.\" and \"damaged object.\" can be imported; if these do, \
             the tokenizer is not the one of their CLIP"
                .into()
        }
        Error::Shape { .. } => {
            "the adapter does not fit its own settings: copy or train it again".into()
        }
        Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => DISK_FULL.into(),
        Error::Io { .. } => "check the path and your rights there".into(),
        Error::Registers { .. } => "MPAMA_KERNELS names them; without it the widest are used".into(),
        Error::Precision { .. } => "f32 is exact; int16 is the faster one to try first".into(),
        Error::Device { .. } => {
            "use `--device cpu`, or `--device auto` for the best there is; this needs a build \
             with CUDA and a card"
                .into()
        }
        Error::Clip(error) => of_clip(error),
        Error::Image(error) => of_image(error),
        Error::Tensor(_) => return None,
    })
}

fn of_data(error: &mpama_datasets::Error) -> String {
    use mpama_datasets::Error;
    match error {
        Error::Missing { .. } | Error::Read { .. } => {
            "check the path, and that you may read it".into()
        }
        Error::NoList { .. } | Error::NotAFolder { .. } => {
            "give a folder of images, or a list: .csv, .jsonl or the .json of AnomalyCLIP".into()
        }
        Error::List { .. } => {
            "mend the list there; `mpama datasets prepare` writes one that reads".into()
        }
        Error::NotUtf8 { .. } => "rename the file or folder".into(),
        Error::Empty { .. } | Error::NoImages { .. } => {
            "give the folder that holds the images: png, jpg, bmp, tif or webp".into()
        }
        Error::Unrecognised { .. } | Error::Mismatch { .. } | Error::NoSplit { .. } => {
            "arrange the files in one of these shapes, or name the layout with `--layout`".into()
        }
        Error::Ambiguous { layouts, .. } => format!(
            "say which with `--layout {}`",
            layouts.first().map_or("LAYOUT", |l| l.as_str())
        ),
        Error::MissingLabel { label, .. } => format!(
            "training needs both: put {label} images into the folder of that kind; \
             `mpama info DATA` shows what is found"
        ),
        Error::MissingMasks { .. } => {
            "add the masks, or move these images out of the dataset".into()
        }
        Error::UnknownCategory { .. } => {
            "choose among these with `--set data.categories=[…]`".into()
        }
        Error::UnknownName { .. } => "leave `--layout` out to have it recognised".into(),
    }
}

fn of_synth(error: &SynthError) -> String {
    match error {
        SynthError::Size { .. } => format!("give one with `--size N`, {SMALLEST} to {LARGEST}"),
        SynthError::NotApplicable { .. } | SynthError::UnknownDefect { .. } => {
            CATEGORIES_LISTED.into()
        }
        SynthError::Nothing { .. } => "ask for some with `--good N` or `--defective N`".into(),
        SynthError::NotAFolder { .. } => "choose another folder with `--out DIR`".into(),
        SynthError::Occupied { .. } => {
            "choose another folder with `--out DIR`, or repeat the very options that it was begun \
             with"
                .into()
        }
        SynthError::DiskFull { .. } => {
            "free some space and repeat the command: it goes on where it stopped".into()
        }
        SynthError::Write { .. } => {
            "check that you may write there, then repeat the command: it goes on where it stopped"
                .into()
        }
        SynthError::Stopped { .. } => "repeat the command to go on".into(),
    }
}

fn of_clip(error: &ClipError) -> String {
    match error {
        ClipError::MissingFile { .. } => {
            format!(
                "a backbone folder holds {BACKBONE_FILES}: download the model with any \
                 Hugging Face tool"
            )
        }
        ClipError::Unreadable { .. } | ClipError::NotFinite { .. } => {
            "the file is damaged or cut short: download it again".into()
        }
        ClipError::MissingTensor { .. }
        | ClipError::TensorShape { .. }
        | ClipError::TensorType { .. } => {
            "config.json and weights do not belong together, or the download is incomplete: \
             download the folder again"
                .into()
        }
        ClipError::Config { .. } => {
            "only CLIP models with a ViT run here, such as openai/clip-vit-large-patch14-336".into()
        }
        ClipError::VvDepth { .. } => {
            "set `model.vision.vv-depth` to \"auto\" or to fewer blocks".into()
        }
        ClipError::Precision { .. } => {
            "leave out --dtype, or compute on the processor with --device cpu".into()
        }
        ClipError::Shape { .. } => {
            "set `model.image-size`, or `--size` of `mpama bench`, to a multiple of the backbone's \
             patch: `mpama info CLIP` shows it"
                .into()
        }
        ClipError::Layer { .. }
        | ClipError::Token { .. }
        | ClipError::Tokenize { .. }
        | ClipError::Tensor(_) => String::new(),
    }
}

fn of_image(error: &ImageError) -> String {
    match error {
        ImageError::Missing { .. } | ImageError::Directory { .. } => "check the path".into(),
        ImageError::Mode { .. } | ImageError::Format { .. } => {
            "convert it to an 8-bit PNG or JPEG".into()
        }
        ImageError::Truncated { .. } | ImageError::Damaged { .. } | ImageError::Empty { .. } => {
            "the file is damaged or cut short: get it again from where it came".into()
        }
        ImageError::TooLarge { .. } | ImageError::FileTooLarge { .. } => {
            "make it smaller: the network sees a few hundred pixels".into()
        }
        ImageError::MaskSize { .. } => {
            "a mask has a pixel for every pixel of its image: export it again at that size".into()
        }
        _ => "check that you may read it".into(),
    }
}
