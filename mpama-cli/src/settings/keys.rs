//! Every setting by its dotted key, with the words that explain it. A test compares the list with
//! the configuration itself, so neither can grow without the other.

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Dotted, kebab case.
    pub(crate) name: &'static str,
    /// What it decides, and what else it can be.
    pub(crate) about: &'static str,
    /// For a setting that is absent by default: a value it could have.
    pub(crate) example: Option<&'static str>,
}

const fn key(name: &'static str, about: &'static str) -> Key {
    Key {
        name,
        about,
        example: None,
    }
}

const fn absent(name: &'static str, example: &'static str, about: &'static str) -> Key {
    Key {
        name,
        about,
        example: Some(example),
    }
}

/// All settings; those of a section follow each other.
pub(crate) const KEYS: &[Key] = &[
    key(
        "seed",
        "Seed of the initial parameters and of the order of images; the paper averages 111 to 115.",
    ),
    key(
        "stage",
        "Which stages to run: \"one\" (MPA), \"two\" (MPAMA, on the stage one of the run folder) \
         or \"both\".",
    ),
    key(
        "checkpoint-every",
        "Steps between checkpoints; one is also written at the end of every epoch and on a stop.",
    ),
    key(
        "data.root",
        "Folder of the dataset to learn from, or list of its images; `--data` sets it.",
    ),
    absent(
        "data.layout",
        "\"mvtec\"",
        "How its files are arranged, such as \"visa\" or \"folder\" (`mpama datasets list` names all); \
         recognised if absent.",
    ),
    key("data.categories", "Categories to take; empty means all."),
    absent(
        "data.limit",
        "10",
        "At most this many images of each category, half of them normal; absent means all.",
    ),
    absent(
        "data.mask-threshold",
        "127",
        "Mask values above this are anomalous, 0 to 255; absent means 0, or 127 where masks are JPEG.",
    ),
    key(
        "data.exif-orientation",
        "Turn images as their EXIF orientation says; the field's code does not.",
    ),
    absent(
        "features.folder",
        "\"features\"",
        "Folder of the feature cache, which runs on the same data can share; absent means \
         `features` in the run folder.",
    ),
    key(
        "features.dtype",
        "Number type of cached patch tokens: \"f16\" or \"f32\".",
    ),
    key(
        "features.batch-size",
        "Images per pass through the vision tower, and per file of the cache.",
    ),
    key("stage-one.epochs", "Times every image is seen."),
    key("stage-one.learning-rate", "Learning rate, constant."),
    key("stage-one.batch-size", "Images per step."),
    key("stage-one.betas", "Adam's decay rates."),
    key("stage-one.eps", "Adam's epsilon."),
    key("stage-two.epochs", "Times every image is seen."),
    key(
        "stage-two.learning-rate",
        "Learning rate of the experts, constant.",
    ),
    absent(
        "stage-two.router-learning-rate",
        "1e-6",
        "Learning rate of the router; absent means that of the experts.",
    ),
    key("stage-two.batch-size", "Images per step."),
    key("stage-two.betas", "Adam's decay rates."),
    key("stage-two.eps", "Adam's epsilon."),
    key(
        "model.image-size",
        "Side of the network's input in pixels, or [height, width]: multiples of the backbone's \
         patch.",
    ),
    key(
        "model.temperature",
        "Temperature of every softmax over normal and abnormal.",
    ),
    key(
        "model.vision.vv-depth",
        "Last blocks that feed the V-V attention stream: \"auto\" is 19 of every 24, 0 is plain \
         CLIP.",
    ),
    key(
        "model.vision.class-ln-post",
        "Put the class token through the last layer norm, as CLIP does and AnomalyCLIP does not.",
    ),
    key("model.prompt.length", "Learnable tokens per prompt."),
    key(
        "model.prompt.shared",
        "Leading tokens that all local prompts of a class share.",
    ),
    key(
        "model.prompt.deep-depth",
        "Text blocks that see learned tokens, the first included: \"auto\" is 9 of every 12, 0 \
         or 1 is off.",
    ),
    key(
        "model.prompt.deep-length",
        "Tokens that each deep prompt overwrites.",
    ),
    key(
        "model.prompt.deep-half",
        "Round deep prompts to half precision, as AnomalyCLIP's code does.",
    ),
    key(
        "model.prompt.init-std",
        "Standard deviation of the initial tokens.",
    ),
    key(
        "model.prompt.normal",
        "Words after the learnable tokens of the normal prompt.",
    ),
    key(
        "model.prompt.abnormal",
        "Words after the learnable tokens of the abnormal prompt.",
    ),
    key(
        "model.prompt.full-stop",
        "End the template with a full stop.",
    ),
    key(
        "model.prompt.coupled",
        "One pair of prompts for image and patches, as AnomalyCLIP, instead of own local and \
         global ones.",
    ),
    key(
        "model.bridge.kind",
        "From local prompts to the global one: \"mlp\", \"residual\" or \"off\".",
    ),
    key(
        "model.bridge.gradient",
        "Whether the global loss reaches local prompts: \"allowed\" or \"detached\".",
    ),
    key(
        "model.perception.levels",
        "Sides of the perception windows, in patches.",
    ),
    key(
        "model.perception.even",
        "Windows of even side: centred on patch \"corners\", or \"crop\", or \"valid\".",
    ),
    key(
        "model.perception.border",
        "Windows over the border average the tokens they cover (\"exclude\"), or also zeros \
         (\"include\") or copies (\"replicate\"), or do not exist (\"valid\").",
    ),
    key(
        "model.perception.upsampling",
        "Where a map's samples lie in the image: \"geometry\" (centres of their windows) or \
         \"half-pixel\".",
    ),
    key(
        "model.experts.learnable",
        "Learnable experts beside the frozen one: 3 when trained on VisA, 4 on MVTec AD.",
    ),
    key(
        "model.experts.zero",
        "Whether the zero expert is in the pool.",
    ),
    key("model.experts.top-k", "Experts kept per token."),
    key(
        "model.experts.gates",
        "Scale of the kept gates: \"masked\" or \"renormalised\"; without effect on the result.",
    ),
    absent(
        "model.experts.router-seed",
        "111",
        "Seed of the router's initial weights; absent means the run's seed.",
    ),
    key(
        "model.loss.local",
        "Weight of focal and dice together; AnomalyCLIP uses 4.",
    ),
    key("model.loss.hinge", "Weight of the hinge loss."),
    key("model.loss.margin-normal", "Normal pixels above this cost."),
    key(
        "model.loss.margin-abnormal",
        "Anomalous pixels below this cost.",
    ),
    key("model.loss.focal-gamma", "Exponent of the focal loss."),
    key("model.loss.focal-epsilon", "Smoothing of the focal loss."),
    absent(
        "model.loss.focal-alpha",
        "0.75",
        "Weight of anomalous pixels in the focal loss, the rest for normal ones; absent means \
         none.",
    ),
    key("model.loss.dice-smooth", "Smoothing of the dice loss."),
    key(
        "model.score.map-weight",
        "Weight of the map's maximum in the image score; the global probability has the rest.",
    ),
    key(
        "model.score.maximum",
        "Which map the maximum is taken of: \"upsampled\", \"patch\" or \"smoothed\".",
    ),
    key(
        "model.score.sigma",
        "Standard deviation in pixels of the Gaussian that smooths heatmaps and maps for pixel \
         metrics; 0 is off.",
    ),
];

/// Whether settings lie below `name`.
pub(crate) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| {
        key.name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The key most like `unknown`: by its whole dotted form or by its last part alone. `None` if
/// nothing comes near.
pub(crate) fn nearest(unknown: &str) -> Option<&'static str> {
    let last = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
    let alike = |name: &'static str| {
        strsim::jaro_winkler(unknown, name).max(if unknown.contains('.') {
            0.0
        } else {
            strsim::jaro_winkler(unknown, last(name))
        })
    };
    KEYS.iter()
        .map(|key| (alike(key.name), key.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8)
        .map(|(_, name)| name)
}
