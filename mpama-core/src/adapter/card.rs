//! The model card: what the adapter's own files say, for people and for the Hub.

use super::Adapter;

/// `README.md` of the adapter's folder, from facts alone.
pub(super) fn model_card(adapter: &Adapter) -> String {
    let config = &adapter.config;
    let base = &config.base_model;
    let mut card = format!(
        "---\nbase_model: {id}\nbase_model_relation: adapter\nlibrary_name: mpama\n\
         pipeline_tag: zero-shot-image-classification\ntags:\n- anomaly-detection\n- zero-shot\n---\n\n\
         # {method} adapter for {id}\n\n\
         Finds defects in images of things it has no training images of, with \
         `mpama` and a frozen CLIP.\n\n\
         - Backbone: `{id}`, vision tower `{fingerprint}`\n\
         - Image size: {height}×{width} pixels; perceptions {levels:?}\n",
        id = base.id,
        method = adapter.method(),
        fingerprint = base.fingerprint,
        height = config.model.image_size.height,
        width = config.model.image_size.width,
        levels = config.model.perception.levels,
    );
    if let Some(training) = &config.training {
        card.push_str(&format!(
            "- Trained on: {} ({} images per epoch, {} + {} epochs, seed {}, index `{}`)\n",
            training.dataset,
            training.images,
            training.epochs[0],
            training.epochs[1],
            training.seed,
            training.index_hash,
        ));
    }
    if let Some(imported) = &config.imported {
        card.push_str(&format!(
            "- Imported from: `{}` ({}, SHA-256 `{}`)\n",
            imported.file, imported.format, imported.sha256
        ));
    }
    match &config.threshold {
        Some(threshold) => {
            card.push_str(&format!(
                "- Threshold: {} ({})\n",
                threshold.value, threshold.origin
            ));
        }
        None => card.push_str("- Threshold: none chosen\n"),
    }
    card.push_str(
        "\n```console\n$ mpama predict photo.png --clip CLIP --adapter THIS_FOLDER\n```\n",
    );
    card
}
