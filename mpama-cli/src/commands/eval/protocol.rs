//! Zero-shot means: measured on what was not learned from.

use mpama_core::AdapterConfig;
use mpama_datasets::Dataset;

use crate::output::{Output, count, shown};
use crate::problem::Mistake;

/// Refuses a dataset that the adapter was trained on, unless that is allowed. An adapter knows its
/// training data by the hash of the index and by the name of the folder.
pub(super) fn check(
    config: &AdapterConfig,
    datasets: &[Dataset],
    allowed: bool,
) -> Result<(), Mistake> {
    let (Some(training), false) = (&config.training, allowed) else {
        return Ok(());
    };
    for dataset in datasets {
        let same = training.index_hash == dataset.index_hash();
        if same || training.dataset == dataset.name {
            return Err(Mistake::TrainingData {
                dataset: dataset.name.clone(),
                same,
            });
        }
    }
    Ok(())
}

/// Says what was learned from and what is measured on.
pub(super) fn tell(config: &AdapterConfig, datasets: &[Dataset], output: &Output) {
    let name = |name: &str| shown(name.as_ref());
    let tested: Vec<String> = datasets.iter().map(|dataset| name(&dataset.name)).collect();
    let tested = tested.join(", ");
    match &config.training {
        Some(training) => output.note(format_args!(
            "Trained on {} ({}, seed {}), measured on {tested}",
            name(&training.dataset),
            count(training.images, "image"),
            training.seed
        )),
        None => output.note(format_args!(
            "Measured on {tested}; what the adapter was trained on is not recorded"
        )),
    }
}
