//! One image of the gallery: the photo, the heatmap and, if there are experts, their map side by side, the true
//! defect outlined on all.

use std::fmt::Write;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use mpama_core::config::ExpertsConfig;
use mpama_core::preprocess::{ImageError, Mask, Orientation, Picture};
use mpama_datasets::Label;

use super::gallery::{Candidate, Case};
use super::text::{data_uri, escaped};
use crate::heatmap;

/// Longer side of a thumbnail, in pixels.
pub(super) const THUMBNAIL: usize = 192;
/// Of JPEG, 1 to 100.
const QUALITY: u8 = 82;

/// How the pictures are read: as the evaluation read them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) orientation: Orientation,
    /// Mask values above it are anomalous.
    pub(super) mask_threshold: u8,
}

/// The tile of `case`; `number` is unique on the page. A file that cannot be read any more leaves a
/// tile without pictures, which says so.
pub(super) fn tile(
    case: &Case,
    number: usize,
    threshold: Option<f32>,
    reading: Reading,
    pool: &ExpertsConfig,
) -> anyhow::Result<String> {
    let Candidate { sample, score, .. } = &case.candidate;
    let pictures = match Pictures::read(&case.candidate, reading, pool) {
        Ok(pictures) => pictures.html(number, &escaped(&sample.id))?,
        Err(error) => format!("<p class=\"gone\">{}</p>", escaped(&error.to_string())),
    };
    let (label, others, right, wrong) = match sample.label {
        Label::Normal => ("normal", "anomalous", "below", "above"),
        Label::Anomalous => ("anomalous", "normal", "above", "below"),
    };
    let mut remarks = Vec::new();
    if let Some(threshold) = threshold {
        match (sample.label, *score >= threshold) {
            (Label::Normal, true) => remarks.push("<strong>false alarm</strong>".to_owned()),
            (Label::Anomalous, false) => remarks.push("<strong>missed</strong>".to_owned()),
            _ => {}
        }
    }
    if let Some(share) = case.wrong {
        remarks.push(if share == 0.0 {
            format!("{right} all {others} images")
        } else if share == 1.0 {
            format!("{wrong} all {others} images")
        } else {
            format!("{wrong} {:.0}% of the {others} images", 100.0 * share)
        });
    }
    if sample.label == Label::Anomalous && sample.mask.is_none() {
        remarks.push("no mask".to_owned());
    }
    let defect = match sample.label {
        Label::Anomalous if sample.defect != label => format!(", {}", escaped(&sample.defect)),
        _ => String::new(),
    };
    Ok(format!(
        "<figure class=\"tile\">{pictures}<figcaption><b>{score:.3}</b> \
         <span class=\"key {label}\">{label}{defect}</span> <small>{}</small>\
         <code>{}</code></figcaption></figure>\n",
        remarks.join(", "),
        escaped(&sample.id)
    ))
}

/// What a tile shows, all of the photo's proportions.
struct Pictures {
    photo: RgbImage,
    heat: RgbImage,
    /// A pixel for each patch.
    experts: Option<RgbImage>,
    /// Path data around the defect, empty where there is none.
    outline: String,
}

impl Pictures {
    fn read(
        candidate: &Candidate,
        reading: Reading,
        pool: &ExpertsConfig,
    ) -> Result<Self, ImageError> {
        let Candidate {
            sample,
            map,
            experts,
            ..
        } = candidate;
        let picture = Picture::open(&sample.image, reading.orientation)?;
        let (width, height) = fitted(picture.width, picture.height);
        let photo = RgbImage::from_raw(
            picture.width as u32,
            picture.height as u32,
            picture.to_rgb(),
        )
        .unwrap_or_default(); // `to_rgb` fills the picture
        let photo = imageops::resize(&photo, width as u32, height as u32, FilterType::Triangle);
        let map = map.resized(height, width);
        let heat = heatmap::heatmap(&map.values, width as u32, height as u32);
        let outline = match &sample.mask {
            None => String::new(),
            Some(path) => {
                let mask = Mask::open(path, reading.mask_threshold)?;
                let (rows, columns) = (mask.height, mask.width);
                let small = shrunk(&mask.resized(rows, columns), columns, width, height);
                outline(&small, width, height)
            }
        };
        Ok(Self {
            photo,
            heat,
            experts: experts.as_ref().map(|experts| experts.picture(pool)),
            outline,
        })
    }

    fn html(&self, number: usize, name: &str) -> anyhow::Result<String> {
        let (width, height) = self.photo.dimensions();
        let mut parts = vec![
            ("photo", data_uri("image/jpeg", &jpeg(&self.photo)?)),
            ("heatmap", data_uri("image/jpeg", &jpeg(&self.heat)?)),
        ];
        if let Some(experts) = &self.experts {
            parts.push(("experts", data_uri("image/png", &png(experts)?)));
        }
        let mut html = format!(
            "<div class=\"pictures\" style=\"--ratio:{width}/{height};--many:{}\">",
            parts.len()
        );
        for (part, picture) in parts {
            let _ = write!(
                html,
                "<div><img class=\"{part}\" loading=\"lazy\" decoding=\"async\" width=\"{width}\" \
                 height=\"{height}\" alt=\"{part} of {name}\" src=\"{picture}\">",
            );
            if !self.outline.is_empty() {
                let path = match part {
                    "photo" => format!("<path id=\"t{number}\" d=\"{}\"/>", self.outline),
                    _ => format!("<use href=\"#t{number}\"/>"),
                };
                let _ = write!(
                    html,
                    "<svg viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\">{path}</svg>"
                );
            }
            html += "</div>";
        }
        Ok(html + "</div>")
    }
}

/// The size of a thumbnail of the same proportions; a small picture keeps its size.
fn fitted(width: usize, height: usize) -> (usize, usize) {
    let longer = width.max(height).max(1);
    let side = |length: usize| match longer > THUMBNAIL {
        true => ((length * THUMBNAIL + longer / 2) / longer).max(1),
        false => length,
    };
    (side(width), side(height))
}

/// A mask of fewer pixels, each set if any of those below it is: the smallest defect stays. `mask`
/// is row-major with `columns` columns.
fn shrunk(mask: &[u8], columns: usize, width: usize, height: usize) -> Vec<bool> {
    let rows = mask.len() / columns.max(1);
    let mut small = vec![false; width * height];
    for (y, row) in mask.chunks(columns.max(1)).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, m)| **m > 0) {
            small[y * height / rows * width + x * width / columns] = true;
        }
    }
    small
}

/// The borders of a mask as path data: every run of pixel edges between inside and outside.
fn outline(mask: &[bool], width: usize, height: usize) -> String {
    let inside = |x: usize, y: usize| {
        // beyond the left and upper border the coordinates wrap round to large ones
        x < width && y < height && mask[y * width + x]
    };
    let mut path = String::new();
    for y in 0..=height {
        let edge = |x: usize| inside(x, y) != inside(x, y.wrapping_sub(1));
        runs(width, edge, |from, length| {
            let _ = write!(path, "M{from} {y}h{length}");
        });
    }
    for x in 0..=width {
        let edge = |y: usize| inside(x, y) != inside(x.wrapping_sub(1), y);
        runs(height, edge, |from, length| {
            let _ = write!(path, "M{x} {from}v{length}");
        });
    }
    path
}

/// Tells the start and length of every run of places for which `holds` is true.
fn runs(end: usize, holds: impl Fn(usize) -> bool, mut tell: impl FnMut(usize, usize)) {
    let mut from = None;
    for place in 0..=end {
        match (place < end && holds(place), from) {
            (true, None) => from = Some(place),
            (false, Some(start)) => {
                tell(start, place - start);
                from = None;
            }
            _ => {}
        }
    }
}

fn jpeg(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

/// Without loss: every pixel keeps its colour.
fn png(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes).write_image(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_experts_is_there_only_with_experts() {
        let picture = RgbImage::new(4, 2);
        let mut pictures = Pictures {
            photo: picture.clone(),
            heat: picture.clone(),
            experts: None,
            outline: "M0 0h1".to_owned(),
        };
        let count = |pictures: &Pictures| {
            let html = pictures.html(7, "x").unwrap_or_default();
            ["<img", "<use href=\"#t7\"", "image/png", "--many:3"].map(|w| html.matches(w).count())
        };
        assert_eq!(count(&pictures), [2, 1, 0, 0]);
        pictures.experts = Some(RgbImage::new(2, 1));
        assert_eq!(count(&pictures), [3, 2, 1, 1]);
    }

    #[test]
    fn thumbnails_keep_their_proportions() {
        assert_eq!(fitted(900, 900), (192, 192));
        assert_eq!(fitted(1000, 500), (192, 96));
        assert_eq!(fitted(5000, 1), (192, 1));
        assert_eq!(fitted(60, 48), (60, 48));
    }

    #[test]
    fn a_speck_survives_shrinking() {
        let mut mask = vec![0; 1000 * 600];
        mask[599 * 1000 + 999] = 1;
        let small = shrunk(&mask, 1000, 192, 115);
        let set: Vec<usize> = (0..small.len()).filter(|i| small[*i]).collect();
        assert_eq!(set, [192 * 115 - 1]);
    }

    #[test]
    fn an_outline_goes_around() {
        let mask = [false, true, true, false, false, false];
        assert_eq!(outline(&mask, 3, 2), "M1 0h2M1 1h2M1 0v1M3 0v1");
        assert_eq!(outline(&[true], 1, 1), "M0 0h1M0 1h1M0 0v1M1 0v1");
        assert_eq!(outline(&[false; 6], 3, 2), "");
    }
}
