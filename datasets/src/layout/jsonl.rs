//! Our own index: a JSON object for each image, on a line of its own.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{List, Reader, Shape};
use crate::index::Index;
use crate::rows::{Pairing, Row, Rows};
use crate::{Dataset, Error, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "jsonl",
    words: "a file `*.jsonl` of objects with the keys of `csv`",
    divided: true,
    reader: Reader::List {
        extension: "jsonl",
        read,
    },
};

/// One line.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<Word>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    defect: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<String>,
}

/// A label as people write it: `"anomalous"`, `1` or `true`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(i64),
    Truth(bool),
}

fn read(list: &List<'_>) -> Result<Index> {
    let text = fs::read_to_string(list.file).map_err(|source| Error::Read {
        path: list.file.to_path_buf(),
        source,
    })?;
    let mut rows = Rows::new(list.root, list.name, list.split, Pairing::AsListed);
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let at = |reason: String| Error::List {
            file: list.file.to_path_buf(),
            line: Some(number as u64 + 1),
            reason,
        };
        let line: Line = serde_json::from_str(line).map_err(|error| at(error.to_string()))?;
        rows.add(line.into(), at)?;
    }
    Ok(rows.index)
}

impl From<Line> for Row {
    fn from(line: Line) -> Row {
        Row {
            image: line.image,
            label: line.label.map(|label| match label {
                Word::Text(text) => text,
                Word::Number(number) => number.to_string(),
                Word::Truth(truth) => truth.to_string(),
            }),
            mask: line.mask,
            category: line.category,
            defect: line.defect,
            split: line.split,
        }
    }
}

/// The dataset as lines of an index that lies in `folder`: paths below it are relative to it, all others
/// absolute.
pub(crate) fn to_lines(dataset: &Dataset, folder: &Path) -> Result<String> {
    let absolute = |path: &Path| {
        fs::canonicalize(path).map_err(|source| Error::Read {
            path: path.to_path_buf(),
            source,
        })
    };
    let place = |folder: &Path| match folder.as_os_str().is_empty() {
        true => absolute(Path::new(".")),
        false => absolute(folder),
    };
    let (folder, root) = (place(folder)?, place(dataset.base())?);
    let path = |path: &Path| -> Result<String> {
        let whole = match path.strip_prefix(dataset.base()) {
            Ok(rest) => root.join(rest),
            Err(_) => std::path::absolute(path).map_err(|source| Error::Read {
                path: path.to_path_buf(),
                source,
            })?,
        };
        let text = match whole.strip_prefix(&folder) {
            Ok(rest) => {
                let parts: Option<Vec<&str>> = rest.iter().map(|part| part.to_str()).collect();
                parts.map(|parts| parts.join("/"))
            }
            Err(_) => whole.to_str().map(str::to_owned),
        };
        text.ok_or(Error::NotUtf8(whole))
    };
    let mut text = String::new();
    for sample in &dataset.samples {
        let line = Line {
            image: path(&sample.image)?,
            label: Some(Word::Text(sample.label.to_string())),
            mask: sample.mask.as_deref().map(path).transpose()?,
            category: Some(sample.category.clone()),
            defect: Some(sample.defect.clone()),
            split: None,
        };
        let json = serde_json::to_string(&line).map_err(|error| Error::List {
            file: folder.clone(),
            line: None,
            reason: error.to_string(),
        })?;
        text += &json;
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Layout};

    fn open(text: &str) -> crate::Result<Dataset> {
        let root = tree(&["a/1.png", "a/2.png", "m/2.png"]);
        write(root.path(), "mine.jsonl", text);
        Dataset::open(&root.path().join("mine.jsonl"), None)
    }

    #[test]
    fn labels_are_words_numbers_or_truths() {
        for (normal, anomalous) in [
            ("\"normal\"", "\"anomalous\""),
            ("0", "1"),
            ("false", "true"),
        ] {
            let dataset = open(&format!(
                "{{\"image\": \"a/1.png\", \"label\": {normal}}}\n\n\
                 {{\"image\": \"a/2.png\", \"label\": {anomalous}, \"mask\": \"m/2.png\"}}\n"
            ))
            .unwrap();
            assert_eq!(dataset.layout, Layout::Jsonl);
            assert_eq!(lines(&dataset), ["a/1.png good", "a/2.png anomaly m/2.png"]);
        }
    }

    #[test]
    fn a_line_that_says_something_else_is_named() {
        for (text, reason) in [
            (
                "{\"image\": \"a/1.png\", \"lable\": 0}",
                "line 1: unknown field `lable`",
            ),
            ("\n{\"image\": \"a/1.png\"", "line 2: EOF"),
            ("{\"label\": 0}", "line 1: names no image"),
            (
                "{\"image\": \"a/1.png\", \"label\": 2}",
                "line 1: label `2` is neither",
            ),
        ] {
            let error = open(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn an_index_says_what_its_dataset_says_wherever_it_lies() {
        let root = tree(&[
            "d/good/1 a.png",
            "d/dent/1 a.png",
            "d/masks/dent/1 a.png",
            "other/",
        ]);
        let dataset = Dataset::open(&root.path().join("d"), None).unwrap();
        let same = |a: &Dataset, b: &Dataset| {
            let of = |d: &Dataset| -> Vec<_> {
                let canonical = |p: &std::path::Path| p.canonicalize().unwrap();
                let one = |s: &crate::Sample| {
                    (
                        canonical(&s.image),
                        s.mask.as_deref().map(canonical),
                        (s.label, s.category.clone(), s.defect.clone()),
                        (s.image_bytes, s.mask_bytes),
                    )
                };
                d.samples.iter().map(one).collect()
            };
            assert_eq!(of(a), of(b));
        };
        for (file, relative) in [
            ("d.jsonl", "\"d/good/1 a.png\""),
            ("d/mine.jsonl", "\"good/1 a.png\""),
            ("other/i.jsonl", "d/good/1 a.png\""),
        ] {
            let path = root.path().join(file);
            let text = dataset.to_index(path.parent().unwrap()).unwrap();
            assert!(text.contains(relative), "{text}");
            write(root.path(), file, &text);
            let again = Dataset::open(&path, None).unwrap();
            same(&dataset, &again);
            assert_eq!(orphans(&again), Vec::<String>::new());
        }
    }
}
