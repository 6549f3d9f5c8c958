//! Zero-shot means: measured on what was not learned from.

use mpama_core::AdapterConfig;
use mpama_datasets::Dataset;
use mpama_datasets::catalog::plain;

use crate::output::{Output, count, shown};
use crate::problem::Mistake;

/// Names that say where something lies and not what it is: two folders of one of them are no sign of the
/// same data. Compared without case, signs and digits.
const PLACES: [&str; 20] = [
    "all",
    "auxiliary",
    "benchmark",
    "data",
    "dataset",
    "datasets",
    "eval",
    "folder",
    "images",
    "index",
    "input",
    "list",
    "meta",
    "photos",
    "root",
    "samples",
    "split",
    "test",
    "train",
    "val",
];

/// Refuses a dataset that the adapter was trained on, unless that is allowed. An adapter knows its
/// training data by the hash of the index and by the name of the folder; where that name only says a
/// place, the hash alone decides.
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
        if same || names_the_same(&training.dataset, &dataset.name) {
            return Err(Mistake::TrainingData {
                dataset: dataset.name.clone(),
                same,
            });
        }
    }
    Ok(())
}

/// Whether two names tell of the same dataset.
fn names_the_same(trained: &str, tested: &str) -> bool {
    let says_a_place = |name: &str| {
        let letters: String = plain(name).chars().filter(|c| c.is_alphabetic()).collect();
        letters.is_empty() || PLACES.contains(&letters.as_str())
    };
    plain(trained) == plain(tested) && !says_a_place(tested)
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

#[cfg(test)]
mod tests {
    use super::names_the_same;

    #[test]
    fn a_name_tells_only_if_it_is_of_a_dataset() {
        for (trained, tested) in [
            ("visa", "visa"),
            ("MVTec-AD", "mvtec_ad"),
            ("screws", "screws"),
        ] {
            assert!(names_the_same(trained, tested), "{trained} {tested}");
        }
        for (trained, tested) in [
            ("data", "data"),
            ("Images", "images"),
            ("test-2", "test-2"),
            ("2024", "2024"),
            ("visa", "mvtec"),
        ] {
            assert!(!names_the_same(trained, tested), "{trained} {tested}");
        }
    }
}
