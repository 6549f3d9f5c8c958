//! A table of images, a line each.

use std::fs;
use std::path::Path;

use super::{List, Reader, Shape, Split};
use crate::index::Index;
use crate::rows::{Pairing, Row, Rows};
use crate::{Error, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "csv",
    words: "a file `*.csv` with columns `image`, `label`, `mask`, `category`, `defect`, `split`",
    divided: true,
    reader: Reader::List {
        extension: "csv",
        read,
    },
};

fn read(list: &List<'_>) -> Result<Index> {
    Ok(read_table(list.file, list.root, list.name, list.split)?.index)
}

/// Reads the table `file`, whose paths are relative to `root`. Columns may stand in any order and be
/// parted by commas, semicolons or tabs; `object` (VisA) means `category`.
pub(super) fn read_table<'a>(
    file: &Path,
    root: &'a Path,
    name: &'a str,
    split: Split,
) -> Result<Rows<'a>> {
    let bytes = fs::read(file).map_err(|source| Error::Read {
        path: file.to_path_buf(),
        source,
    })?;
    let at = |line: u64, reason: String| Error::List {
        file: file.to_path_buf(),
        line: Some(line),
        reason,
    };
    let wrong = |error: ::csv::Error| {
        let line = error.position().map_or(1, |position| position.line());
        at(line, error.to_string())
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(delimiter(&bytes))
        .trim(::csv::Trim::All)
        .from_reader(&bytes[..]);
    let mut columns = Vec::new();
    for heading in reader.headers().map_err(wrong)? {
        let column = Column::named(heading).ok_or_else(|| {
            let known = "image, label, mask, category, defect, split";
            at(1, format!("column `{heading}` is none of {known}"))
        })?;
        columns.push(column);
    }
    if !columns.contains(&Column::Image) {
        return Err(at(1, "there is no column `image`".to_owned()));
    }
    let mut rows = Rows::new(root, name, split, Pairing::AsListed);
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let mut row = Row::default();
        for (column, field) in columns.iter().zip(&record) {
            let field = field.to_owned();
            match column {
                Column::Image => row.image = field,
                Column::Label => row.label = Some(field),
                Column::Mask => row.mask = Some(field),
                Column::Category => row.category = Some(field),
                Column::Defect => row.defect = Some(field),
                Column::Split => row.split = Some(field),
            }
        }
        let line = record.position().map_or(0, |position| position.line());
        rows.add(row, |reason| at(line, reason))?;
    }
    Ok(rows)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Image,
    Label,
    Mask,
    Category,
    Defect,
    Split,
}

impl Column {
    fn named(name: &str) -> Option<Column> {
        Some(match name.to_ascii_lowercase().as_str() {
            "image" => Column::Image,
            "label" => Column::Label,
            "mask" => Column::Mask,
            "category" | "object" => Column::Category,
            "defect" => Column::Defect,
            "split" => Column::Split,
            _ => return None,
        })
    }
}

/// What parts the headings: a comma, unless there are more semicolons or tabs.
fn delimiter(bytes: &[u8]) -> u8 {
    let end = bytes.iter().position(|b| *b == b'\n');
    let heading = &bytes[..end.unwrap_or(bytes.len())];
    let count = |d: u8| heading.iter().filter(|b| **b == d).count();
    let [comma, semicolon, tab] = [b',', b';', b'\t'].map(count);
    match () {
        () if semicolon > comma && semicolon >= tab => b';',
        () if tab > comma => b'\t',
        () => b',',
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Layout, Split};

    fn open(table: &str) -> crate::Result<Dataset> {
        let root = tree(&["a/1.png", "a/2.JPG", "m/2.png", "a b, c/3.png"]);
        write(root.path(), "parts.csv", table);
        Dataset::open(&root.path().join("parts.csv"), None)
    }

    #[test]
    fn reads_columns_in_any_order_and_of_any_separator() {
        for (comma, bom) in [(",", ""), (";", "\u{feff}"), ("\t", "")] {
            let table = [
                "Label,mask,IMAGE,category,defect",
                "0,,a/1.png,nut,",
                "anomalous,m/2.png,a/2.JPG,nut,dent",
            ]
            .join("\n")
            .replace(',', comma);
            let dataset = open(&format!("{bom}{table}\n")).unwrap();
            assert_eq!(
                (dataset.layout, dataset.name.as_str()),
                (Layout::Csv, "parts")
            );
            assert_eq!(lines(&dataset), ["a/1.png good", "a/2.JPG dent m/2.png"]);
            assert_eq!(dataset.categories(), ["nut"]);
            assert!(dataset.orphans.is_empty());
        }
    }

    #[test]
    fn what_is_not_said_has_a_default_or_is_refused() {
        let dataset = open("image,defect\na/1.png,good\n\"a b, c/3.png\",crack\n").unwrap();
        assert_eq!(lines(&dataset), ["a b, c/3.png crack", "a/1.png good"]);
        assert_eq!(dataset.categories(), ["parts"]);

        for (table, reason) in [
            ("image\na/1.png\n", "line 2: has neither label nor defect"),
            ("label\n0\n", "line 1: there is no column `image`"),
            (
                "image,lable\na/1.png,0\n",
                "line 1: column `lable` is none of",
            ),
            (
                "image,label\na/1.png,maybe\n",
                "line 2: label `maybe` is neither",
            ),
            (
                "image,label\na/1.png,0\n./a/1.png,1\n",
                "line 3: names `a/1.png` a second time",
            ),
            (
                "image,label,defect\na/1.png,0,dent\n",
                "line 2: is normal, and its defect is `dent`",
            ),
            ("image,label\n,0\n", "line 2: names no image"),
            ("image,label\na/1.png,0,x\n", "line 2: "),
            (
                "image,label,split\na/1.png,0,val\n",
                "line 2: split `val` is neither",
            ),
        ] {
            let error = open(table).unwrap_err().to_string();
            assert!(error.contains("parts.csv`, "), "{error}");
            assert!(error.contains(reason), "{error:?} {reason:?}");
        }
    }

    #[test]
    fn files_that_are_not_there_are_listed() {
        let dataset = open(
            "image,label,mask\na/1.png,1,m/1.png\na/9.png,1,\na/2.JPG,no,m/2.png\nparts.csv,0,\n",
        )
        .unwrap();
        assert_eq!(lines(&dataset), ["a/1.png anomaly", "a/2.JPG good"]);
        let expected = [
            "ImageWithoutMask a/1.png",
            "MissingFile a/9.png",
            "MissingFile m/1.png",
            "MaskOfNormal m/2.png",
            "NotAnImage parts.csv",
        ];
        assert_eq!(orphans(&dataset), expected);
    }

    #[test]
    fn a_table_may_be_divided() {
        let root = tree(&["1.png", "2.png"]);
        write(
            root.path(),
            "t.csv",
            "image,label,split\n1.png,0,train\n2.png,1,Test\n",
        );
        let file = root.path().join("t.csv");
        let of = |split| lines(&Dataset::open_split(&file, None, split).unwrap());
        assert_eq!(of(Split::Test), ["2.png anomaly"]);
        assert_eq!(of(Split::Train), ["1.png good"]);
    }
}
