//! VisA as published: a table says what is normal, what is anomalous and what belongs to which split.

use std::collections::BTreeSet;
use std::path::Path;

use super::csv::read_table;
use super::{Place, Reader, Shape};
use crate::index::Index;
use crate::listing::Listing;
use crate::{Reason, Result};

pub(super) const SHAPE: Shape = Shape {
    name: "visa",
    words: "`split_csv/1cls.csv` and `<category>/Data/{Images,Masks}/`",
    divided: true,
    reader: Reader::Folder { recognises, read },
};

/// The split that the field uses.
const TABLE: &str = "split_csv/1cls.csv";

/// By the table, or by the folders, so that a lost table is missed by name.
fn recognises(root: &Listing) -> Result<bool> {
    if root.path.join(TABLE).is_file() {
        return Ok(true);
    }
    Ok(root
        .folders
        .iter()
        .any(|folder| folder.path.join("Data/Images").is_dir()))
}

fn read(place: Place<'_>) -> Result<Option<Index>> {
    if !recognises(&place.listing)? {
        return Ok(None);
    }
    let table = place.root.join(TABLE);
    let rows = read_table(&table, place.root, place.name, place.split)?;
    let (mut index, named) = (rows.index, rows.named);
    // in the folders of which the table names a file, it names every file
    let folders: BTreeSet<&Path> = named.iter().filter_map(|path| path.parent()).collect();
    for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
        let images = Listing::of(folder)?.images.into_iter();
        let unlisted = images.filter(|image| !named.contains(&image.path));
        index.list(unlisted.map(|image| image.path), Reason::Unlisted);
    }
    Ok(Some(index))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::fake::{lines, orphans, tree, write};
    use crate::{Dataset, Error, Layout, Split};

    const TABLE: &str = "object,split,label,image,mask\n\
        candle,train,normal,candle/Data/Images/Normal/0001.JPG,\n\
        candle,test,normal,candle/Data/Images/Normal/0000.JPG,\n\
        candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png\n\
        pcb1,test,anomaly,pcb1/Data/Images/Anomaly/000.JPG,pcb1/Data/Masks/Anomaly/000.png\n";

    #[test]
    fn the_table_decides() {
        let root = tree(&[
            "candle/Data/Images/Normal/0000.JPG",
            "candle/Data/Images/Normal/0001.JPG",
            "candle/Data/Images/Normal/0002.JPG",
            "candle/Data/Images/Anomaly/000.JPG",
            "candle/Data/Masks/Anomaly/000.png",
            "candle/image_anno.csv",
            "pcb1/Data/Images/Anomaly/000.JPG",
            "LICENSE-DATASET",
        ]);
        write(root.path(), "split_csv/1cls.csv", TABLE);
        let dataset = Dataset::open(root.path(), None).unwrap();
        assert_eq!(dataset.layout, Layout::Visa);
        let expected = [
            "candle/Data/Images/Anomaly/000.JPG anomaly candle/Data/Masks/Anomaly/000.png",
            "candle/Data/Images/Normal/0000.JPG good",
            "pcb1/Data/Images/Anomaly/000.JPG anomaly",
        ];
        assert_eq!(lines(&dataset), expected);
        assert_eq!(dataset.categories(), ["candle", "pcb1"]);
        let expected = [
            "Unlisted candle/Data/Images/Normal/0002.JPG",
            "ImageWithoutMask pcb1/Data/Images/Anomaly/000.JPG",
            "MissingFile pcb1/Data/Masks/Anomaly/000.png",
        ];
        assert_eq!(orphans(&dataset), expected);
        let train = Dataset::open_split(root.path(), None, Split::Train).unwrap();
        assert_eq!(lines(&train), ["candle/Data/Images/Normal/0001.JPG good"]);
    }

    #[test]
    fn a_lost_table_is_missed_by_name() {
        let root = tree(&["candle/Data/Images/Normal/0000.JPG"]);
        let error = Dataset::open(root.path(), None).unwrap_err();
        assert!(
            matches!(&error, Error::Read { path, .. } if path.ends_with("split_csv/1cls.csv")),
            "{error}"
        );
    }
}
