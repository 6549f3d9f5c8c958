//! What a demo shows at its end: a table, a contact sheet, and what to try next.

use std::path::Path;
use std::process::{Command, Stdio};

use candle_core::{Device, Tensor};
use image::{Rgb, RgbImage, imageops};
use mpama_core::Detector;
use mpama_core::preprocess::{Mask, Orientation, Picture, network_input};
use mpama_datasets::{Dataset, Label, Sample};
use mpama_train::eval::{Report, Scores};

use super::super::predict::write_png;
use super::Folders;
use crate::heatmap;
use crate::output::{LITERAL, Output, shown};
use crate::problem::Mistake;

type Column = (&'static str, fn(&Scores) -> Option<f64>);

const COLUMNS: [Column; 3] = [
    ("image", |s| s.image_auroc),
    ("pixel", |s| s.pixel_auroc),
    ("AUPRO", |s| s.aupro),
];

/// Defective images of each category on the contact sheet; one good image comes first.
const DEFECTIVE: usize = 3;
/// White pixels between the pictures of the sheet.
const GAP: u32 = 4;

/// One row per category never seen and their mean; for each system the AUROC of images and of pixels
/// and AUPRO, in per cent.
pub(super) fn table(reports: &[(&str, Report)], output: &Output) -> anyhow::Result<()> {
    let Some((_, first)) = reports.first() else {
        return Ok(());
    };
    let names = first.categories.iter().map(|c| c.category.as_str());
    let width = names.clone().map(str::len).max().unwrap_or(0).max(12);
    output.line(format_args!(
        "{:width$}{}",
        "never seen",
        reports
            .iter()
            .map(|(name, _)| format!("  {name:^21}"))
            .collect::<String>()
    ))?;
    let headings: String = COLUMNS
        .iter()
        .map(|(heading, _)| format!(" {heading:>6}"))
        .collect();
    let headings = format!("  {headings}");
    output.line(format_args!(
        "{:width$}{}",
        "",
        headings.repeat(reports.len())
    ))?;
    for (row, name) in names.chain(["mean"]).enumerate() {
        let cells = reports.iter().map(|(_, report)| {
            let scores = report
                .categories
                .get(row)
                .map_or(&report.mean, |c| &c.scores);
            let cell = |(_, metric): &Column| match metric(scores) {
                Some(value) => format!(" {:>6.1}", 100.0 * value),
                None => format!(" {:>6}", "n/a"),
            };
            format!("  {}", COLUMNS.iter().map(cell).collect::<String>())
        });
        output.line(format_args!("{name:width$}{}", cells.collect::<String>()))?;
    }
    Ok(())
}

/// A picture with a row per category: image, true defect and heatmap of one good image and some
/// defective ones. The heatmap's colours have the fixed scale of every other picture.
pub(super) fn contact_sheet(
    path: &Path,
    dataset: &Dataset,
    detector: &Detector,
    device: &Device,
) -> anyhow::Result<()> {
    let size = detector.config().image_size;
    let (width, height) = (u32::try_from(size.width)?, u32::try_from(size.height)?);
    let rows = dataset.by_category();
    let columns = 3 * (1 + DEFECTIVE as u32);
    let mut sheet = RgbImage::from_pixel(
        columns * (width + GAP) + GAP,
        u32::try_from(rows.len())? * (height + GAP) + GAP,
        Rgb([255; 3]),
    );
    for (row, samples) in rows.values().enumerate() {
        for (place, sample) in chosen(samples).into_iter().enumerate() {
            for (part, picture) in pictures(sample, detector, device)?.into_iter().enumerate() {
                let x = GAP + (3 * place + part) as u32 * (width + GAP);
                let y = GAP + row as u32 * (height + GAP);
                imageops::replace(&mut sheet, &picture, i64::from(x), i64::from(y));
            }
        }
    }
    write_png(path, &sheet)
}

/// A good image and defective ones, spread evenly over the list.
fn chosen<'a>(samples: &[&'a Sample]) -> Vec<&'a Sample> {
    let of = |label| samples.iter().copied().filter(move |s| s.label == label);
    let defective: Vec<&Sample> = of(Label::Anomalous).collect();
    let step = (defective.len() / DEFECTIVE).max(1);
    let spread = defective.into_iter().step_by(step).take(DEFECTIVE);
    of(Label::Normal).take(1).chain(spread).collect()
}

/// Image, truth and heatmap of one sample, at the network's size.
fn pictures(
    sample: &Sample,
    detector: &Detector,
    device: &Device,
) -> anyhow::Result<[RgbImage; 3]> {
    let size = detector.config().image_size;
    let (width, height) = (u32::try_from(size.width)?, u32::try_from(size.height)?);
    let picture = Picture::open(&sample.image, Orientation::Ignore)?;
    let pixels = network_input(&picture, size.height, size.width);
    let pixels = Tensor::from_vec(pixels, (1, 3, size.height, size.width), device)?;
    let Some(prediction) = detector.predict(&pixels)?.pop() else {
        anyhow::bail!("the model gave no score");
    };
    let photo = RgbImage::from_raw(width, height, picture.resized(size.height, size.width));
    let mut truth = RgbImage::new(width, height);
    if let Some(mask) = &sample.mask {
        let mask = Mask::open(mask, 0)?.resized(size.height, size.width);
        for (pixel, value) in truth.pixels_mut().zip(mask) {
            pixel.0 = [255 * value; 3];
        }
    }
    let map = prediction.map.smoothed(detector.config().score.sigma);
    let map = heatmap::heatmap(&map.values, width, height);
    let photo = photo.ok_or_else(|| anyhow::anyhow!("an image of another size"))?;
    Ok([photo, truth, map])
}

/// Where things are, and the next three commands.
pub(super) fn next(folders: &Folders, adapter: &Path, output: &Output) {
    output.note(format_args!(
        "Image, truth and heatmap of things never seen: {sheet}\n\
         Tables, curves and the worst mistakes: {page}\n\
         Next, on images of your own, with the demo's backbone:\n      \
         {LITERAL}mpama predict IMAGES --clip {clip} --adapter {adapter} --maps maps --overlay{LITERAL:#}\n\
         and with a real CLIP, which is fetched once:\n      \
         {LITERAL}mpama train --data DATASET --clip {real} --out runs/first{LITERAL:#}\n      \
         {LITERAL}mpama predict IMAGES --clip {real} --adapter runs/first/adapter --maps maps{LITERAL:#}",
        real = mpama_hub::KNOWN[0].id,
        sheet = shown(&folders.sheet),
        page = shown(&folders.page),
        clip = shown(&folders.clip),
        adapter = shown(adapter),
    ));
}

/// Hands a file to whatever shows such files here.
pub(super) fn open(path: &Path) -> Result<(), Mistake> {
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        Command::new("explorer")
    } else {
        Command::new("xdg-open")
    };
    let spawned = command
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    spawned
        .map(drop)
        .map_err(|error| Mistake::file("show", path, error))
}
