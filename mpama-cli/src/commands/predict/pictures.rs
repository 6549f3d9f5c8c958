//! Heatmaps and overlays on disk.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use mpama_core::AnomalyMap;

use crate::files::{ending, write_whole};
use crate::heatmap;
use crate::problem::Mistake;

/// What was written for one image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands) struct Files {
    pub(super) map: Option<PathBuf>,
    pub(super) overlay: Option<PathBuf>,
}

/// Writes `NAME.map.png` and, given the photo, `NAME.overlay.png`; `map` has the photo's size.
pub(super) fn write(name: &Path, map: &AnomalyMap, photo: Option<&[u8]>) -> anyhow::Result<Files> {
    if let Some(folder) = name.parent() {
        fs::create_dir_all(folder).map_err(|error| Mistake::file("create", folder, error))?;
    }
    let (width, height) = (u32::try_from(map.width)?, u32::try_from(map.height)?);
    let save = |end: &str, picture: &RgbImage| {
        let path = ending(name, end);
        write_png(&path, picture).map(|()| path)
    };
    let map_file = save(".map.png", &heatmap::heatmap(&map.values, width, height))?;
    let overlay = photo
        .map(|photo| {
            save(
                ".overlay.png",
                &heatmap::overlay(&map.values, photo, width, height),
            )
        })
        .transpose()?;
    Ok(Files {
        map: Some(map_file),
        overlay,
    })
}

/// A PNG that is whole or not there.
pub(in crate::commands) fn write_png(path: &Path, picture: &RgbImage) -> anyhow::Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(write_whole(path, &bytes.into_inner())?)
}
