//! What the metrics cost: every image and pixel metric of generated maps in the numbers of MVTec AD's
//! test set, 1,725 of 518×518 in 15 categories. `just bench`, or `cargo bench -p mpama-train`.
//!
//! Arguments: `--size N` for maps of another size, `--memory MIB` for another bound on memory, `--share N`
//! to take one image of N, `--save DIR` to write what was measured for `tests/peer/metrics.py`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mpama_train::eval::{PIXEL_MEMORY, PixelMap, PixelMetrics, auroc, average_precision, f1_max};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Normal and anomalous test images of MVTec AD's categories.
const CATEGORIES: [(&str, usize, usize); 15] = [
    ("bottle", 20, 63),
    ("cable", 58, 92),
    ("capsule", 23, 109),
    ("carpet", 28, 89),
    ("grid", 21, 57),
    ("hazelnut", 40, 70),
    ("leather", 32, 92),
    ("metal_nut", 22, 93),
    ("pill", 26, 141),
    ("screw", 41, 119),
    ("tile", 33, 84),
    ("toothbrush", 12, 30),
    ("transistor", 60, 40),
    ("wood", 19, 60),
    ("zipper", 32, 119),
];

/// Images generated, and added, together.
const TOGETHER: usize = 8;

struct Options {
    size: usize,
    memory: usize,
    share: usize,
    save: Option<PathBuf>,
}

struct Image {
    scores: Vec<f32>,
    mask: Vec<u8>,
}

/// Time by the clock, and time of processors.
#[derive(Clone, Copy, Default)]
struct Taken {
    clock: Duration,
    worked: f64,
}

fn main() {
    let options = options();
    println!(
        "{} threads, at most {} MiB for pixels",
        rayon::current_num_threads(),
        options.memory >> 20
    );
    println!(
        "{:<12} {:>7} {:>9} {:>11} {:>11} {:>8} {:>9} {:>8}",
        "category",
        "images",
        "seconds",
        "image AUROC",
        "pixel AUROC",
        "AUPRO",
        "AUPRO-200",
        "spilled"
    );
    let (mut images, mut pixels, mut taken) = (0, 0, Taken::default());
    for (number, &(name, normal, anomalous)) in CATEGORIES.iter().enumerate() {
        let counts = (
            normal.div_ceil(options.share),
            anomalous.div_ceil(options.share),
        );
        category(number, name, counts, &options, &mut taken);
        images += counts.0 + counts.1;
        pixels += (counts.0 + counts.1) * options.size * options.size;
    }
    println!(
        "\n{images} images, {:.0} million pixels: {:.2} s by the clock, {:.2} s of processors{}",
        pixels as f64 / 1e6,
        taken.clock.as_secs_f64(),
        taken.worked,
        peak().map_or(String::new(), |mib| format!(
            "; at most {mib} MiB of memory, drawing included"
        ))
    );
}

/// Measures one category; `taken` grows by the time of the metrics, without that of drawing.
fn category(
    number: usize,
    name: &str,
    counts: (usize, usize),
    options: &Options,
    taken: &mut Taken,
) {
    let before = taken.clock;
    let total = counts.0 + counts.1;
    let mut metrics = PixelMetrics::within(options.memory, None);
    let (mut scores, mut labels) = (Vec::new(), Vec::new());
    for start in (0..total).step_by(TOGETHER) {
        let images: Vec<Image> = (start..total.min(start + TOGETHER))
            .into_par_iter()
            .map(|i| draw((1000 * number + i) as u64, options.size, i >= counts.0))
            .collect();
        if let Some(folder) = &options.save {
            save(folder, name, start, &images);
        }
        taken.time(|| {
            let maps: Vec<_> = images.iter().map(|image| image.map(options.size)).collect();
            metrics.push_all(&maps).unwrap();
            for (i, image) in images.iter().enumerate() {
                scores.push(image.scores.iter().copied().fold(0.0, f32::max));
                labels.push(start + i >= counts.0);
            }
        });
    }
    let (_, spilled) = metrics.spilled();
    let (of_images, of_pixels) = taken.time(|| {
        average_precision(&scores, &labels).unwrap();
        f1_max(&scores, &labels).unwrap();
        (auroc(&scores, &labels).unwrap(), metrics.finish().unwrap())
    });
    let cell = |value: Option<f64>| value.map_or("n/a".to_owned(), |v| format!("{:.4}", 100.0 * v));
    println!(
        "{name:<12} {total:>7} {:>9.2} {:>11} {:>11} {:>8} {:>9} {:>5} MB",
        (taken.clock - before).as_secs_f64(),
        cell(of_images),
        cell(of_pixels.auroc),
        cell(of_pixels.aupro),
        cell(of_pixels.aupro_200),
        spilled / 1_000_000
    );
}

impl Taken {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (started, before) = (Instant::now(), worked());
        let result = work();
        self.clock += started.elapsed();
        self.worked += worked() - before;
        result
    }
}

impl Image {
    fn map(&self, size: usize) -> PixelMap<'_> {
        PixelMap {
            scores: &self.scores,
            mask: &self.mask,
            height: size,
            width: size,
        }
    }
}

/// A smooth map between 0 and 1, higher on the defects, if there are any: one to four ellipses. All
/// values differ, as those of a network do.
fn draw(seed: u64, size: usize, anomalous: bool) -> Image {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let side = size as f32;
    let defects: Vec<[f32; 4]> = (0..if anomalous {
        random.random_range(1..5)
    } else {
        0
    })
        .map(|_| {
            let centre = [
                random.random_range(0.1..0.9) * side,
                random.random_range(0.1..0.9) * side,
            ];
            let radii = [
                random.random_range(0.01..0.12) * side,
                random.random_range(0.01..0.12) * side,
            ];
            [centre[0], centre[1], radii[0], radii[1]]
        })
        .collect();
    let waves: Vec<[f32; 3]> = (0..6)
        .map(|_| {
            [
                random.random_range(2.0..30.0) / side,
                random.random_range(2.0..30.0) / side,
                random.random_range(0.0..6.3),
            ]
        })
        .collect();
    let strength: f32 = random.random_range(1.0..5.0);
    let (mut scores, mut mask) = (
        Vec::with_capacity(size * size),
        Vec::with_capacity(size * size),
    );
    for y in 0..size {
        for x in 0..size {
            let (x, y) = (x as f32, y as f32);
            let nearest = defects
                .iter()
                .map(|[cx, cy, rx, ry]| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2))
                .fold(f32::INFINITY, f32::min);
            let texture: f32 = waves
                .iter()
                .map(|[fx, fy, phase]| (fx * x + fy * y + phase).sin())
                .sum();
            let odds = 0.4 * texture + strength * (-nearest / 2.0).exp() - 3.0
                + random.random_range(-0.05..0.05);
            scores.push(1.0 / (1.0 + (-odds).exp()));
            mask.push(u8::from(nearest <= 1.0));
        }
    }
    Image { scores, mask }
}

/// Writes maps and masks as raw little-endian bytes, one file of each for an image.
fn save(folder: &Path, name: &str, start: usize, images: &[Image]) {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (i, image) in images.iter().enumerate() {
        let file = |end: &str| folder.join(format!("{:03}.{end}", start + i));
        let bytes: Vec<u8> = image
            .scores
            .iter()
            .flat_map(|score| score.to_le_bytes())
            .collect();
        std::fs::write(file("map"), bytes).unwrap();
        std::fs::write(file("mask"), &image.mask).unwrap();
    }
}

fn options() -> Options {
    let mut options = Options {
        size: 518,
        memory: PIXEL_MEMORY,
        share: 1,
        save: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            words
                .next()
                .and_then(|word| word.parse().ok())
                .expect("a number")
        };
        match word.as_str() {
            "--size" => options.size = number(),
            "--memory" => options.memory = number() << 20,
            "--share" => options.share = number(),
            "--save" => options.save = words.next().map(PathBuf::from),
            _ => {} // cargo's own, such as --bench
        }
    }
    options
}

/// Seconds of processor time that this process has taken, 0 where the system does not tell: on a machine
/// that is busy with other things, what it would have needed on idle cores is this over their number.
fn worked() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else {
        return 0.0;
    };
    // what follows the name in brackets: user and system time are fields 14 and 15, in hundredths
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// The most memory that this process has held, where the system tells.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib >> 10)
}
