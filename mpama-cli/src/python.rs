//! An adapter for those who work in Python: a script that scores images with it.

use mpama_core::AdapterConfig;
use mpama_core::config::{Border, EvenWindows, Maximum, Upsampling};

/// Its name, and the one source of it: what is written and published is what was compared with our own scores.
pub(crate) const SCRIPT: (&str, &str) = ("detect.py", include_str!("../assets/export/detect.py"));

/// Whether the script knows all that the settings ask for.
pub(crate) fn knows(config: &AdapterConfig) -> bool {
    let (perception, score) = (&config.model.perception, &config.model.score);
    perception.border == Border::default()
        && perception.even == EvenWindows::default()
        && perception.upsampling == Upsampling::default()
        && score.maximum == Maximum::default()
}
