//! HeadCT as Kaggle packs it: numbered images, and a table that says which show a haemorrhage.

use std::collections::BTreeMap;
use std::fs;

use super::{Place, Reader, Shape};
use crate::index::{File, Index, Kind};
use crate::listing::{Listing, stem};
use crate::{Error, Label, Reason, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "head-ct",
    words: "`labels.csv` with columns `id` and `hemorrhage`, and images `head_ct/NNN.png`",
    divided: false,
    reader: Reader::Folder { recognises, read },
};

const TABLE: &str = "labels.csv";
const DEFECT: &str = "hemorrhage";
const FOLDER: &str = "head_ct";

fn recognises(root: &Listing) -> Result<bool> {
    let Ok(text) = fs::read_to_string(root.path.join(TABLE)) else {
        return Ok(false);
    };
    let heading = text.lines().next().unwrap_or_default();
    let columns: Vec<&str> = heading.split(',').map(str::trim).collect();
    Ok(columns.len() == 2
        && columns[0].eq_ignore_ascii_case("id")
        && columns[1].eq_ignore_ascii_case(DEFECT))
}

fn read(place: Place<'_>) -> Result<Option<Index>> {
    let mut listing = place.listing;
    let table = listing.path.join(TABLE);
    if !table.is_file() {
        return Ok(None);
    }
    let mut labels = labels(&table)?;
    let mut index = Index::default();
    let mut images: Vec<File> = Vec::new();
    let mut of_images = listing.path.clone();
    // `head_ct/`, often `head_ct/head_ct/`, or the images beside the table
    loop {
        let folder = listing.folders.iter().position(|f| f.name == FOLDER);
        let folder = folder.map(|at| listing.folders.remove(at));
        for image in std::mem::take(&mut listing.images) {
            images.extend(index.file(image)?);
        }
        index.add_strays(listing);
        match folder {
            Some(folder) => listing = Listing::of(&folder.path)?,
            None => break,
        }
        of_images.clone_from(&listing.path);
    }
    let mut by_number = BTreeMap::<u64, Vec<File>>::new();
    for image in images {
        match stem(&image.name).parse() {
            Ok(number) => by_number.entry(number).or_default().push(image),
            Err(_) => index.list([image.path], Reason::UnknownLabel),
        }
    }
    for (number, images) in by_number {
        let Some(label) = labels.remove(&number) else {
            index.list(images.into_iter().map(|i| i.path), Reason::UnknownLabel);
            continue;
        };
        let kind = Kind {
            category: place.name,
            defect: DEFECT,
            label,
        };
        index.add_images(place.root, images, kind);
    }
    let missing = labels.into_keys();
    index.list(
        missing.map(|number| of_images.join(format!("{number:03}.png"))),
        Reason::MissingFile,
    );
    Ok(Some(index))
}

/// What the table says of each number.
fn labels(table: &std::path::Path) -> Result<BTreeMap<u64, Label>> {
    let text = fs::read_to_string(table).map_err(|source| Error::Read {
        path: table.to_path_buf(),
        source,
    })?;
    let mut labels = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        if line.trim().is_empty() {
            continue;
        }
        let parsed = line
            .split_once(',')
            .and_then(|(id, label)| Some((id.trim().parse().ok()?, Label::from_word(label)?)));
        let wrong = |reason: &str| Error::List {
            file: table.to_path_buf(),
            line: Some(number as u64 + 1),
            reason: format!("`{line}` {reason}"),
        };
        let (id, label) = parsed.ok_or_else(|| wrong("is no number with 0 or 1"))?;
        if labels.insert(id, label).is_some() {
            return Err(wrong("is a second line of its number"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Layout};

    #[test]
    fn images_go_by_their_number() {
        for folder in ["", "head_ct/", "head_ct/head_ct/"] {
            let files = ["000.png", "001.png", "010.png", "x.png", "007.png"];
            let files = files.map(|file| format!("{folder}{file}"));
            let root = tree(&files.each_ref().map(String::as_str));
            write(
                root.path(),
                "labels.csv",
                "id, hemorrhage\n0,1\n1,0\n10,1\n11,0\n",
            );
            let dataset = Dataset::open(root.path(), None).unwrap();
            assert_eq!(dataset.layout, Layout::HeadCt);
            let expected = ["000.png hemorrhage", "001.png good", "010.png hemorrhage"];
            assert_eq!(
                lines(&dataset),
                expected.map(|line| format!("{folder}{line}"))
            );
            let expected = [
                format!("UnknownLabel {folder}007.png"),
                format!("MissingFile {folder}011.png"),
                format!("UnknownLabel {folder}x.png"),
            ];
            assert_eq!(orphans(&dataset), expected);
        }
    }

    #[test]
    fn a_line_that_says_nothing_is_named() {
        let root = tree(&["000.png"]);
        for (line, reason) in [
            ("0,perhaps", "line 2: `0,perhaps` is no number with 0 or 1"),
            ("0,1\n0,0", "line 3: `0,0` is a second line of its number"),
        ] {
            write(
                root.path(),
                "labels.csv",
                &format!("id,hemorrhage\n{line}\n"),
            );
            let error = Dataset::open(root.path(), None).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
