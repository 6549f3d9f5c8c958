//! What went wrong, in words for whoever has to put it right: the message is the library's, what to do
//! next is said here.

use std::io;
use std::path::{Path, PathBuf};

use mpama_core::clip::ClipError;
use mpama_core::preprocess::ImageError;
use serde::Serialize;

use crate::output::shown;
use crate::settings::Origin;

/// What a user did that cannot be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Mistake {
    /// Something that has no default was not given.
    #[error("no {what} given")]
    Missing {
        what: &'static str,
        flag: &'static str,
        variable: Option<&'static str>,
    },
    /// A folder that is not there.
    #[error("there is no {what} folder `{}`", shown(path))]
    NoFolder { what: &'static str, path: PathBuf },
    /// A key that is not a setting.
    #[error("unknown key `{key}` in {origin}")]
    UnknownKey {
        key: String,
        origin: Origin,
        nearest: Option<String>,
    },
    /// A setting that takes no such value.
    #[error("`{key}` in {origin}: {reason}")]
    BadValue {
        key: String,
        origin: Origin,
        reason: String,
    },
    /// A file of settings that cannot be read.
    #[error("{}: {reason}", shown(path))]
    ConfigFile { path: PathBuf, reason: String },
    /// No input is an image.
    #[error("no images in {}", inputs.join(", "))]
    NoImages { inputs: Vec<String> },
    /// A pattern that is malformed.
    #[error("pattern `{pattern}`: {reason}")]
    Pattern { pattern: String, reason: String },
    /// A verdict was asked for, and nothing says from which score on an image is anomalous.
    #[error("the adapter has no threshold, so no image can be called anomalous")]
    NoThreshold,
    /// Some files failed; the others were done.
    #[error("{failed} of {all} failed:{list}")]
    SomeFailed {
        failed: usize,
        all: String,
        list: String,
    },
    /// A file that would be overwritten.
    #[error("`{}` is there already", shown(path))]
    Exists { path: PathBuf },
    /// A thing that `info` does not know.
    #[error("`{}` is no adapter, backbone, run, dataset or image", shown(path))]
    Unrecognised { path: PathBuf },
    /// A path that leads nowhere.
    #[error("there is no `{}`", shown(path))]
    NoFile { path: PathBuf },
    /// A score that is not a number.
    #[error("{what} is {value}")]
    NotFinite { what: &'static str, value: f32 },
    /// A file or folder that could not be read or written.
    #[error("cannot {action} `{}`: {source}", shown(path))]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl Mistake {
    /// A failed file operation.
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// What, where and why.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// The words for `error`; `None` if it only says that the reader of stdout has gone.
    pub(crate) fn of(error: &anyhow::Error) -> Option<Self> {
        let gone = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref::<io::Error>().is_some_and(gone) {
            return None;
        }
        Some(Self {
            message: chain(error),
            hint: hint(error),
        })
    }
}

/// The error and its causes on one line, without the causes that their effect already spells out.
fn chain(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// The files that make a folder a backbone.
const BACKBONE_FILES: &str =
    "config.json, model.safetensors (or pytorch_model.bin) and tokenizer.json";

/// What to do about `error`: the first of its causes that we know decides.
fn hint(error: &anyhow::Error) -> Option<String> {
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
        Mistake::Missing { what, flag, variable: None } => format!("give the {what} folder with `{flag} DIR`"),
        Mistake::Missing { what, flag, variable: Some(variable) } => {
            format!("give the {what} folder with `{flag} DIR`, or set {variable}; it holds {}", files_of(what))
        }
        Mistake::NoFolder { what, path } => match as_id(path) {
            Some(id) => no_ids_yet(&id, files_of(what)),
            None => format!("check the path: the {what} folder holds {}", files_of(what)),
        },
        Mistake::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`? `mpama config init -` prints every key"),
        Mistake::UnknownKey { nearest: None, .. } => "`mpama config init -` prints every key".to_owned(),
        Mistake::BadValue { .. } => "`mpama config init -` prints every key, what it takes and its default".to_owned(),
        Mistake::ConfigFile { .. } => "`mpama config init FILE` writes a file that reads".to_owned(),
        Mistake::NoImages { .. } => "png, jpg, bmp, tif and webp files are looked for, in sub-folders too".to_owned(),
        Mistake::Pattern { .. } => "in a pattern `*` stands for any text, `?` for one character, `[abc]` for one of these, `**` for any folders".to_owned(),
        Mistake::NoThreshold => "give one with `--threshold T`, between 0 and 1".to_owned(),
        Mistake::SomeFailed { .. } => "the other results stand; repair or remove these files and repeat the command for them".to_owned(),
        Mistake::Exists { .. } => "choose another name, or move the file away".to_owned(),
        Mistake::Unrecognised { .. } => "a dataset is a folder in one of these shapes".to_owned(),
        Mistake::NoFile { path } => match as_id(path) {
            Some(id) => no_ids_yet(&id, "a folder"),
            None => "check the path".to_owned(),
        },
        Mistake::NotFinite { .. } => "the weights of the backbone or of the adapter are damaged: `mpama info` describes them; download or train again".to_owned(),
        Mistake::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => DISK_FULL.to_owned(),
        Mistake::File { action: "write" | "create", .. } => "check that the folder exists and that you may write there".to_owned(),
        Mistake::File { .. } => "check the path, and that you may read it".to_owned(),
    }
}

/// The model id that a path may have been meant as.
fn as_id(path: &Path) -> Option<mpama_hub::ModelId> {
    path.to_str()?.parse().ok()
}

fn no_ids_yet(id: &mpama_hub::ModelId, files: &str) -> String {
    format!(
        "check the path. If `{id}` is a model id of the Hugging Face Hub: ids come with a later version; for now \
         download the model with any Hugging Face tool and give the folder that holds {files}"
    )
}

const DISK_FULL: &str = "free some space and repeat the command";

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
        Error::DiskFull { .. } => "free some space, then continue with `--resume`: nothing half-written was left".to_owned(),
        Error::Io { .. } => "check the path and your rights there".to_owned(),
        Error::Busy { .. } => "wait for the other `mpama train` to end, or use another folder".to_owned(),
        Error::Setting { key, .. } => format!("change it with `--set {key}=VALUE` or in the file of settings; docs/config.md says what it does"),
        Error::Toml { .. } => "`mpama config init FILE` writes a file that reads".to_owned(),
        Error::BadFiles { .. } => "repair or remove these files, then repeat the command: nothing was trained yet".to_owned(),
        Error::NoMask { .. } => "add the masks, or move these images out of the dataset: `mpama info DATA` shows how files are paired".to_owned(),
        Error::CacheMismatch { folder, .. } => format!("remove {} to compute the features again, or name another folder with `--set features.folder=DIR`", shown(folder)),
        Error::CacheFile { path, .. } => format!("remove {} and repeat the command: it is computed again", shown(path)),
        Error::FeatureRange { dtype: "f16", .. } => "keep exact features with `--set features.dtype=f32`".to_owned(),
        Error::FeatureRange { .. } => "the backbone's weights are damaged: download them again".to_owned(),
        Error::RunExists { folder } => format!("continue it with `--resume {}`, or choose another folder with `--out`", shown(folder)),
        Error::NoRun { folder } => format!("start one with `--out {}`", shown(folder)),
        Error::RunMismatch { .. } => "leave out what you changed to continue the run as it was, or start another with `--out`".to_owned(),
        Error::RunFile { .. } => "the run folder is damaged: start again with another `--out`; its features can be kept with `--set features.folder=RUN/features`".to_owned(),
        Error::NoStageOne { .. } => "train both stages with `--stage both`, or continue a run that has stage one with `--resume RUN --stage two`".to_owned(),
        Error::NonFiniteGradient { .. } | Error::NonFiniteLoss { .. } => "try a smaller learning rate (`--set stage-one.learning-rate=…`); if it was the first step, the backbone's weights may be damaged".to_owned(),
        Error::State { .. } => "the checkpoint belongs to another version or is damaged: start again with another `--out`".to_owned(),
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
        Error::Setting { key, .. } => format!("change it with `--set model.{key}=VALUE` or in the file of settings; docs/config.md says what it does"),
        Error::Backbone { .. } => "give the backbone that the adapter was trained with: `mpama info` on both shows their fingerprints".to_owned(),
        Error::Adapter { .. } => "the adapter is damaged or of another version: copy or train it again".to_owned(),
        Error::Shape { .. } => "the adapter does not fit its own settings: copy or train it again".to_owned(),
        Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => DISK_FULL.to_owned(),
        Error::Io { .. } => "check the path and your rights there".to_owned(),
        Error::Device { .. } => "use `--device cpu`, or `--device auto` for the best there is; this needs a build with CUDA and a card".to_owned(),
        Error::Clip(error) => of_clip(error),
        Error::Image(error) => of_image(error),
        Error::Tensor(_) => return None,
    })
}

fn of_data(error: &mpama_datasets::Error) -> String {
    use mpama_datasets::Error;
    match error {
        Error::Missing { .. } | Error::NotAFolder { .. } | Error::Read { .. } => {
            "check the path, and that you may read it".to_owned()
        }
        Error::Empty { .. } | Error::NoImages { .. } => {
            "give the folder that holds the images: png, jpg, bmp, tif or webp".to_owned()
        }
        Error::Unrecognised { .. } | Error::Mismatch { .. } | Error::NoSplit { .. } => {
            "arrange the files in one of these shapes, or name the layout with `--layout`"
                .to_owned()
        }
        Error::Ambiguous { layouts, .. } => format!(
            "say which with `--layout {}`",
            layouts.first().map_or("LAYOUT", |l| l.as_str())
        ),
        Error::MissingLabel { label, .. } => format!(
            "training needs both: put {label} images into the folder of that kind (`mpama info DATA` shows what is found)"
        ),
        Error::MissingMasks { .. } => {
            "add the masks, or move these images out of the dataset".to_owned()
        }
        Error::UnknownCategory { .. } => {
            "choose among these with `--set data.categories=[…]`".to_owned()
        }
        Error::UnknownName { .. } => "leave `--layout` out to have it recognised".to_owned(),
    }
}

fn of_clip(error: &ClipError) -> String {
    match error {
        ClipError::MissingFile { .. } => format!("a backbone folder holds {BACKBONE_FILES}: download the model with any Hugging Face tool"),
        ClipError::Unreadable { .. } | ClipError::NotFinite { .. } => "the file is damaged or cut short: download it again".to_owned(),
        ClipError::MissingTensor { .. } | ClipError::TensorShape { .. } | ClipError::TensorType { .. } => "config.json and weights do not belong together, or the download is incomplete: download the folder again".to_owned(),
        ClipError::Config { .. } => "only CLIP models with a ViT run here, such as openai/clip-vit-large-patch14-336".to_owned(),
        ClipError::VvDepth { .. } => "set `model.vision.vv-depth` to \"auto\" or to fewer blocks".to_owned(),
        ClipError::Shape { .. } => "set `model.image-size` to a multiple of the backbone's patch: `mpama info CLIP` shows it".to_owned(),
        ClipError::Layer { .. } | ClipError::Token { .. } | ClipError::Tokenize { .. } | ClipError::Tensor(_) => String::new(),
    }
}

fn of_image(error: &ImageError) -> String {
    match error {
        ImageError::Missing { .. } | ImageError::Directory { .. } => "check the path".to_owned(),
        ImageError::Mode { .. } | ImageError::Format { .. } => {
            "convert it to an 8-bit PNG or JPEG".to_owned()
        }
        ImageError::Truncated { .. } | ImageError::Damaged { .. } | ImageError::Empty { .. } => {
            "the file is damaged or cut short: get it again from where it came".to_owned()
        }
        ImageError::TooLarge { .. } | ImageError::FileTooLarge { .. } => {
            "make it smaller: the network sees a few hundred pixels".to_owned()
        }
        ImageError::MaskSize { .. } => {
            "a mask has a pixel for every pixel of its image: export it again at that size"
                .to_owned()
        }
        _ => "check that you may read it".to_owned(),
    }
}
