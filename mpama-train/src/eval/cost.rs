//! What predicting costs (table 7 of the paper).

use serde::{Deserialize, Serialize};

/// Time and memory of the model, without reading files and without metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Images per pass through the model. The paper's table has 1.
    pub batch_size: usize,
    /// Images measured.
    pub images: usize,
    /// Time in the model for one image, in seconds.
    pub seconds_per_image: f64,
    /// The same the other way round.
    pub images_per_second: f64,
    /// The most memory that this process has held, in bytes, where the system tells. Memory of a GPU is
    /// not in it.
    pub peak_memory: Option<u64>,
}

impl Cost {
    /// `None` if no image went through the model.
    pub(super) fn of(batch_size: usize, images: usize, seconds: f64) -> Option<Self> {
        (images > 0 && seconds > 0.0).then(|| Self {
            batch_size,
            images,
            seconds_per_image: seconds / images as f64,
            images_per_second: images as f64 / seconds,
            peak_memory: peak_memory(),
        })
    }
}

/// The most memory that this process has held, in bytes: the high-water mark that Linux keeps. `None` elsewhere.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}
