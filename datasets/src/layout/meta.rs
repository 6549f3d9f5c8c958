//! `meta.json`, which AnomalyCLIP and its relatives read instead of folders.
//!
//! `{"test": {"bottle": [{"img_path": …, "mask_path": "", "cls_name": …, "specie_name": …, "anomaly": 0}]}}`.
//! The scripts that write it pair masks with images by position, where one stray file shifts every pair,
//! and some write absolute paths of their author's disk. So a mask is believed only if its name is its
//! image's, and a path that leads nowhere is looked for below the file by its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{List, Reader, Shape, is_normal};
use crate::index::Index;
use crate::rows::{Pairing, Row, Rows, locate};
use crate::{Error, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "meta",
    words: "`meta.json` of the AnomalyCLIP family",
    divided: true,
    reader: Reader::List {
        extension: "json",
        read,
    },
};

/// Where a folder has it.
pub(super) fn in_folder(folder: &Path) -> PathBuf {
    folder.join("meta.json")
}

/// One image. Other keys are ignored: the file is not ours.
#[derive(Debug, Deserialize)]
struct Item {
    img_path: String,
    mask_path: Option<String>,
    specie_name: Option<String>,
    anomaly: Anomaly,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Anomaly {
    Number(f64),
    Truth(bool),
}

fn read(list: &List<'_>) -> Result<Index> {
    let bytes = fs::read(list.file).map_err(|source| Error::Read {
        path: list.file.to_path_buf(),
        source,
    })?;
    let wrong = |reason: String| Error::List {
        file: list.file.to_path_buf(),
        line: None,
        reason,
    };
    let splits: BTreeMap<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let split = list.split.as_str();
    let found = splits
        .into_iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(split));
    let (_, classes) = found.ok_or_else(|| wrong(format!("has no key `{split}`")))?;
    let classes: BTreeMap<String, Vec<Item>> =
        serde_json::from_value(classes).map_err(|error| wrong(format!("in `{split}`: {error}")))?;

    let mut rows = Rows::new(list.root, list.name, list.split, Pairing::ByName);
    for (class, items) in classes {
        for item in items {
            let what = item.img_path.clone();
            let row = item.row(&class, list);
            rows.add(row, |reason| {
                wrong(format!("`{what}` of `{class}` {reason}"))
            })?;
        }
    }
    Ok(rows.index)
}

impl Item {
    fn row(self, class: &str, list: &List<'_>) -> Row {
        let anomalous = match self.anomaly {
            Anomaly::Number(number) => number != 0.0,
            Anomaly::Truth(truth) => truth,
        };
        let defect = self.specie_name.filter(|name| !is_normal(name));
        // a folder stands for no mask in AnomalyCLIP's reader
        let mask = self.mask_path.filter(|mask| {
            let folder = list.root.join(mask).is_dir();
            !folder || locate(list.root, mask).is_ok()
        });
        Row {
            image: self.img_path,
            label: Some(anomalous.to_string()),
            mask,
            category: Some(class.to_owned()),
            defect: if anomalous { defect } else { None },
            split: Some(list.split.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Error, Layout, Split};

    fn item(image: &str, mask: &str, specie: &str, anomaly: &str) -> String {
        format!(
            "{{\"img_path\": \"{image}\", \"mask_path\": \"{mask}\", \"cls_name\": \"c\", \
             \"specie_name\": \"{specie}\", \"anomaly\": {anomaly}, \"more\": []}}"
        )
    }

    fn meta(items: &[String]) -> String {
        format!(
            "{{\"Train\": {{}}, \"Test\": {{\"colon\": [{}]}}}}",
            items.join(",")
        )
    }

    const FILES: [&str; 5] = [
        "images/1.png",
        "images/2.png",
        "images/3.png",
        "gt/1.png",
        "gt/2.png",
    ];

    #[test]
    fn a_folder_of_no_other_layout_is_read_by_its_list() {
        let root = tree(&FILES);
        let items = [
            item("images/1.png", "gt/1.png", "dent", "1"),
            item(
                "/remote/author/x/images/2.png",
                "/remote/author/x/gt/2.png",
                "",
                "1.0",
            ),
            item("images/3.png", "", "good", "false"),
        ];
        write(root.path(), "meta.json", &meta(&items));
        let expected = [
            "images/1.png dent gt/1.png",
            "images/2.png anomaly gt/2.png",
            "images/3.png good",
        ];
        for path in [root.path().to_path_buf(), root.path().join("meta.json")] {
            let dataset = Dataset::open(&path, None).unwrap();
            assert_eq!(dataset.layout, Layout::Meta);
            assert_eq!(lines(&dataset), expected);
            assert_eq!(orphans(&dataset), Vec::<String>::new());
            assert_eq!(dataset.categories(), ["colon"]);
            let folder = root.path().file_name().unwrap().to_str().unwrap();
            assert_eq!(dataset.name, folder);
        }
    }

    #[test]
    fn pairs_made_by_position_are_found_out() {
        let root = tree(&FILES);
        let items = [
            item("images/1.png", "gt/2.png", "", "1"),
            item("images/2.png", "gt/1.png", "", "1"),
            item("images/3.png", "gt", "", "1"),
        ];
        write(root.path(), "meta.json", &meta(&items));
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.counts().masks, 0);
        let expected = [
            "MaskOfAnotherName gt/1.png",
            "MaskOfAnotherName gt/2.png",
            "ImageWithoutMask images/1.png",
            "ImageWithoutMask images/2.png",
            "ImageWithoutMask images/3.png",
        ];
        assert_eq!(orphans(&dataset), expected);
    }

    #[test]
    fn folders_are_read_before_a_list_of_them() {
        let root = tree(&["yes/1.png", "no/1.png"]);
        write(root.path(), "meta.json", &meta(&[]));
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!((dataset.layout, dataset.samples.len()), (Layout::YesNo, 2));
        let error = Dataset::open(root.path(), Some(Layout::Meta)).unwrap_err();
        assert!(matches!(error, Error::NoImages { .. }), "{error}");
    }

    #[test]
    fn a_list_that_is_something_else_is_named() {
        let root = tree(&["1.png"]);
        for (text, reason) in [
            ("[]", "meta.json`: invalid type"),
            ("{\"train\": {}}", "meta.json`: has no key `test`"),
            (
                "{\"test\": {\"c\": [{\"img_path\": \"1.png\"}]}}",
                "missing field `anomaly`",
            ),
        ] {
            write(root.path(), "meta.json", text);
            let error = Dataset::open(root.path(), None).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
        let error = Dataset::open_split(root.path(), None, Split::Train).unwrap_err();
        assert!(error.to_string().contains("no key `train`"), "{error}");
    }
}
