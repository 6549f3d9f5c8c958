//! One image of the gallery: the photo, the heatmap and, if there are experts, their map side by side, the true
//! defect outlined on all.

use std::fmt::Write;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use mpama_core::config::ExpertsConfig;
use mpama_core::preprocess::ImageError;
use mpama_datasets::Label;

use super::gallery::{Candidate, Case};
use super::pair::{Pair, Reading};
use super::text::{data_uri, escaped};

/// Longer side of a thumbnail, in pixels.
pub(super) const THUMBNAIL: usize = 192;
/// Of JPEG, 1 to 100.
const QUALITY: u8 = 82;

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

/// What a tile shows.
struct Pictures {
    pair: Pair,
    /// A pixel for each patch.
    experts: Option<RgbImage>,
}

impl Pictures {
    fn read(
        candidate: &Candidate,
        reading: Reading,
        pool: &ExpertsConfig,
    ) -> Result<Self, ImageError> {
        let experts = candidate.experts.as_ref();
        Ok(Self {
            pair: Pair::read(&candidate.sample, &candidate.map, reading, THUMBNAIL)?,
            experts: experts.map(|experts| experts.picture(pool)),
        })
    }

    fn html(&self, number: usize, name: &str) -> anyhow::Result<String> {
        let Pair {
            photo,
            heat,
            defect,
        } = &self.pair;
        let (width, height) = photo.dimensions();
        let outline = outline(defect, width as usize, height as usize);
        let mut parts = vec![
            ("photo", data_uri("image/jpeg", &jpeg(photo)?)),
            ("heatmap", data_uri("image/jpeg", &jpeg(heat)?)),
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
            if !outline.is_empty() {
                let path = match part {
                    "photo" => format!("<path id=\"t{number}\" d=\"{outline}\"/>"),
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

/// The borders of a mask as path data: every run of pixel edges between inside and outside. Empty without a
/// mask.
fn outline(mask: &[bool], width: usize, height: usize) -> String {
    let inside = |x: usize, y: usize| {
        // beyond the left and upper border the coordinates wrap round to large ones
        x < width && y < height && mask.get(y * width + x) == Some(&true)
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
            pair: Pair {
                photo: picture.clone(),
                heat: picture.clone(),
                defect: (0..8).map(|pixel| pixel == 1).collect(),
            },
            experts: None,
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
    fn an_outline_goes_around() {
        let mask = [false, true, true, false, false, false];
        assert_eq!(outline(&mask, 3, 2), "M1 0h2M1 1h2M1 0v1M3 0v1");
        assert_eq!(outline(&[true], 1, 1), "M0 0h1M0 1h1M0 0v1M1 0v1");
        assert_eq!(outline(&[false; 6], 3, 2), "");
        assert_eq!(outline(&[], 3, 2), "");
    }
}
