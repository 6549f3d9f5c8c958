//! Draws every category, intact and damaged, on contact sheets: `sheet.png` shows each category in a
//! row (good images, then pairs of a damaged image and the same with its mask outlined), `defects.png`
//! each kind of defect from tiny to large.
//!
//! `cargo run -p mpama-datasets --example contact_sheet -- FOLDER [SIZE] [SEED]`

#![allow(clippy::print_stderr)] // a tool for a terminal

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mpama_datasets::synth::{CATEGORIES, Category, Defect, Extent, Kind, Rendered, render, twin};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let size: usize = arguments.next().map_or(Ok(96), |a| a.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(0), |a| a.parse())?;
    fs::create_dir_all(&folder)?;
    for (kind, name) in [(Kind::Surface, "surfaces"), (Kind::Object, "objects")] {
        let rows: Result<Vec<_>, _> = CATEGORIES
            .iter()
            .filter(|c| c.kind == kind)
            .map(|c| row(c, size, seed))
            .collect();
        save(&folder.join(format!("{name}.png")), size, &rows?)?;
    }
    let rows: Result<Vec<_>, _> = Defect::ALL
        .into_iter()
        .map(|d| sizes(d, size, seed))
        .collect();
    save(&folder.join("defects.png"), size, &rows?)?;
    Ok(())
}

/// Three good images and four damaged ones, each beside its outline.
fn row(category: &Category, size: usize, seed: u64) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let start = Instant::now();
    let mut images = Vec::new();
    for i in 0..3 {
        images.push(render(category, seed + i, size, None)?.rgb);
    }
    let good = start.elapsed().as_secs_f64() * 1e3 / 3.0;
    let start = Instant::now();
    let turn = seed as usize + category.name.len();
    for i in 0..4 {
        let defect = category.defects[(turn + 3 * i) % category.defects.len()];
        let damaged = twin(
            category,
            seed + 10 + i as u64,
            size,
            defect,
            Some(Extent::ALL[i]),
        )?
        .damaged;
        images.extend([damaged.rgb.clone(), outlined(&damaged)]);
    }
    let each = start.elapsed().as_secs_f64() * 1e3 / 4.0;
    eprintln!(
        "{:18} {good:6.1} ms an image {each:6.1} ms a pair",
        category.name
    );
    Ok(images)
}

/// One kind of defect on three categories, from tiny to large.
fn sizes(defect: Defect, size: usize, seed: u64) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let fitting: Vec<_> = CATEGORIES
        .iter()
        .filter(|c| c.defects.contains(&defect))
        .collect();
    let mut images = Vec::new();
    for i in 0..12 {
        let category = fitting[(i / 4 * 7 + seed as usize) % fitting.len()];
        images.push(outlined_when(
            i % 2 == 5,
            twin(
                category,
                seed + i as u64,
                size,
                defect,
                Some(Extent::ALL[i % 4]),
            )?
            .damaged,
        ));
    }
    Ok(images)
}

fn outlined_when(yes: bool, image: Rendered) -> Vec<u8> {
    if yes { outlined(&image) } else { image.rgb }
}

/// The image with a red line around its mask.
fn outlined(image: &Rendered) -> Vec<u8> {
    let (size, mut rgb) = (image.size, image.rgb.clone());
    let inside = |x: usize, y: usize| x < size && y < size && image.mask[y * size + x] > 0;
    for y in 0..size {
        for x in 0..size {
            let around = [
                (x.wrapping_sub(1), y),
                (x + 1, y),
                (x, y.wrapping_sub(1)),
                (x, y + 1),
            ];
            if !inside(x, y) && around.into_iter().any(|(x, y)| inside(x, y)) {
                rgb[3 * (y * size + x)..][..3].copy_from_slice(&[255, 30, 30]);
            }
        }
    }
    rgb
}

/// Writes rows of images as one PNG.
fn save(path: &Path, size: usize, rows: &[Vec<Vec<u8>>]) -> Result<(), Box<dyn Error>> {
    let (cell, columns) = (size + 2, rows.iter().map(Vec::len).max().unwrap_or(0));
    let (width, height) = (columns * cell, rows.len() * cell);
    let mut sheet = vec![255u8; 3 * width * height];
    for (r, row) in rows.iter().enumerate() {
        for (c, image) in row.iter().enumerate() {
            for y in 0..size {
                let to = 3 * ((r * cell + y) * width + c * cell);
                sheet[to..to + 3 * size].copy_from_slice(&image[3 * size * y..][..3 * size]);
            }
        }
    }
    let mut encoder = png::Encoder::new(fs::File::create(path)?, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&sheet)?;
    Ok(())
}
