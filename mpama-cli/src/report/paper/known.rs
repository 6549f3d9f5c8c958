//! Which of the paper's fifteen datasets a report is about.

use std::collections::BTreeSet;

use mpama_datasets::catalog::{CATALOG, Published, plain};
use mpama_train::eval::Report;

/// Told by its set of categories; where there is one only, by a name that category or folder may have
/// together with the number of images.
pub(crate) fn recognise(report: &Report) -> Option<&'static Published> {
    let categories = &report.categories;
    let found: BTreeSet<String> = categories.iter().map(|c| plain(&c.category)).collect();
    CATALOG.iter().find(|known| {
        let names: BTreeSet<String> = known.categories.iter().map(|c| plain(c.name)).collect();
        if known.category_count() > 1 {
            return names == found;
        }
        let named = |name: &String| names.contains(&plain(name)) || known.is_called(name);
        let [only] = &categories[..] else {
            return false;
        };
        (only.normal, only.anomalous) == (known.normal, known.anomalous)
            && (named(&report.dataset) || named(&only.category))
    })
}
