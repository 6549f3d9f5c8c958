//! A dataset of drawn images on disk, in MVTec's layout.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::noise::Dice;
use super::{Category, Defect, Extent, LARGEST, SMALLEST, SynthError, render, twin};

/// The file, hidden from readers, that says what a folder was drawn from.
const RECIPE: &str = ".synth-recipe";

/// What to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthOptions {
    /// The categories; order and repetitions do not matter.
    pub categories: Vec<&'static Category>,
    /// Normal images of each category, in `test/good`.
    pub good: usize,
    /// Anomalous images of each category: its defects in turn, each from tiny to large.
    pub defective: usize,
    /// Normal images of each category in `train/good`; 0 for no such folder.
    pub train: usize,
    /// Pixels a side.
    pub size: usize,
    /// Another seed draws other images.
    pub seed: u64,
}

/// How far the writing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Images written or found.
    pub done: usize,
    /// Images asked for.
    pub total: usize,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Images drawn.
    pub drawn: usize,
    /// Images that an earlier run had drawn.
    pub found: usize,
}

/// One image to draw, relative to the dataset's folder.
struct Task {
    category: &'static Category,
    image: PathBuf,
    /// Its mask, for an anomalous image, and what is wrong with it.
    flaw: Option<(PathBuf, Defect, Extent)>,
    seed: u64,
}

/// Draws a dataset into the folder `out`: `<category>/test/good/000.png`,
/// `<category>/test/<defect>/000.png`, `<category>/ground_truth/<defect>/000_mask.png` and, if asked
/// for, `<category>/train/good/000.png`.
///
/// `progress` is told of every image, from several threads; it may ask to stop. Each file is complete
/// or absent. A folder that the same options have begun is completed, and one that they have
/// completed is left as it is. The bytes do not depend on the number of threads.
///
/// # Errors
/// Options that ask for nothing or for a size that is not drawn; an `out` that is a file or holds
/// something else; a file that cannot be written; a full disk; a stop.
pub fn write_mvtec(
    out: &Path,
    options: &SynthOptions,
    progress: impl Fn(Progress) -> ControlFlow<()> + Sync,
) -> Result<Written, SynthError> {
    let size = options.size;
    if !(SMALLEST..=LARGEST).contains(&size) {
        return Err(SynthError::Size { size });
    }
    let tasks = tasks(options);
    let total = tasks.len();
    if total == 0 {
        return Err(SynthError::Nothing {
            categories: options.categories.len(),
        });
    }
    claim(out, &recipe(options))?;
    for task in &tasks {
        for file in [Some(&task.image), task.flaw.as_ref().map(|f| &f.0)]
            .into_iter()
            .flatten()
        {
            if let Some(folder) = out.join(file).parent() {
                fs::create_dir_all(folder).map_err(|e| SynthError::write(folder, e))?;
            }
        }
    }
    let (done, drawn) = (AtomicUsize::new(0), AtomicUsize::new(0));
    tasks.par_iter().try_for_each(|task| {
        if draw(out, task, size)? {
            drawn.fetch_add(1, Ordering::Relaxed);
        }
        let done = 1 + done.fetch_add(1, Ordering::Relaxed);
        match progress(Progress { done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SynthError::Stopped { done, total }),
        }
    })?;
    let drawn = drawn.into_inner();
    Ok(Written {
        drawn,
        found: total - drawn,
    })
}

/// The categories by name, each once: two tasks must not write one file.
fn chosen(options: &SynthOptions) -> Vec<&'static Category> {
    let mut chosen = options.categories.clone();
    chosen.sort_unstable_by_key(|c| c.name);
    chosen.dedup();
    chosen
}

fn tasks(options: &SynthOptions) -> Vec<Task> {
    let mut tasks = Vec::new();
    for category in chosen(options) {
        let folder = Path::new(category.name);
        let seed = |part: &str, index: usize| {
            Dice::new(&format!("{part} {index}"), category.name, options.seed).long()
        };
        for (split, count) in [("train", options.train), ("test", options.good)] {
            tasks.extend((0..count).map(|index| {
                Task {
                    category,
                    image: folder
                        .join(split)
                        .join("good")
                        .join(format!("{index:03}.png")),
                    flaw: None,
                    seed: seed(split, index),
                }
            }));
        }
        let kinds = category.defects.len();
        let first = Dice::new("first extent", category.name, options.seed).below(4);
        for index in 0..options.defective {
            let (defect, nth) = (category.defects[index % kinds], index / kinds);
            let extent = Extent::ALL[(first + index + nth) % Extent::ALL.len()];
            let mask = folder
                .join("ground_truth")
                .join(defect.name())
                .join(format!("{nth:03}_mask.png"));
            tasks.push(Task {
                category,
                image: folder
                    .join("test")
                    .join(defect.name())
                    .join(format!("{nth:03}.png")),
                flaw: Some((mask, defect, extent)),
                seed: seed("defective", index),
            });
        }
    }
    tasks
}

/// The options in words: the same for the same bytes.
fn recipe(options: &SynthOptions) -> String {
    let names: Vec<_> = chosen(options).iter().map(|c| c.name).collect();
    let SynthOptions {
        good,
        defective,
        train,
        size,
        seed,
        ..
    } = options;
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "version = {version}\ncategories = {}\ngood = {good}\ndefective = {defective}\ntrain = {train}\nsize = {size}\nseed = {seed}\n",
        names.join(" ")
    )
}

/// Makes `out` a folder for this recipe, unless it holds something else.
fn claim(out: &Path, recipe: &str) -> Result<(), SynthError> {
    let failed = |e| SynthError::write(out, e);
    match fs::metadata(out) {
        Ok(found) if !found.is_dir() => return Err(SynthError::NotAFolder { path: out.into() }),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir_all(out).map_err(failed)?,
        Err(e) => return Err(failed(e)),
    }
    let occupied = |found: &str| SynthError::Occupied {
        path: out.into(),
        found: found.into(),
    };
    match fs::read_to_string(out.join(RECIPE)) {
        Ok(found) if found == recipe => Ok(()),
        Ok(_) => Err(occupied("images drawn with other options")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let unfinished = OsString::from(part_of(RECIPE));
            for entry in fs::read_dir(out).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                if name != unfinished {
                    return Err(occupied(&format!("`{}`", name.to_string_lossy())));
                }
            }
            write_whole(&out.join(RECIPE), |file| file.write_all(recipe.as_bytes()))
        }
        Err(e) => Err(SynthError::write(out.join(RECIPE), e)),
    }
}

/// Draws an image and its mask unless they are there; whether they were not.
fn draw(out: &Path, task: &Task, size: usize) -> Result<bool, SynthError> {
    let image = out.join(&task.image);
    if image.exists()
        && task
            .flaw
            .as_ref()
            .is_none_or(|(mask, ..)| out.join(mask).exists())
    {
        return Ok(false);
    }
    let drawn = match &task.flaw {
        None => render(task.category, task.seed, size, None)?,
        Some((mask, defect, extent)) => {
            let drawn = twin(task.category, task.seed, size, *defect, Some(*extent))?.damaged;
            write_png(
                &out.join(mask),
                size,
                png::ColorType::Grayscale,
                &drawn.mask,
            )?;
            drawn
        }
    };
    write_png(&image, size, png::ColorType::Rgb, &drawn.rgb)?;
    Ok(true)
}

fn write_png(
    path: &Path,
    size: usize,
    colour: png::ColorType,
    bytes: &[u8],
) -> Result<(), SynthError> {
    write_whole(path, |file| {
        let mut encoder = png::Encoder::new(file, size as u32, size as u32);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(bytes)?;
        writer.finish()?;
        Ok(())
    })
}

/// The hidden name of a file while it is being written.
fn part_of(name: &str) -> String {
    format!(".{}.part", name.trim_start_matches('.'))
}

/// Writes a file under another name and renames it, so that it is never seen half-written.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<fs::File>) -> io::Result<()>,
) -> Result<(), SynthError> {
    let name = path
        .file_name()
        .map_or_else(Default::default, |n| n.to_string_lossy());
    let part = path.with_file_name(part_of(&name));
    let attempt = || {
        let mut file = BufWriter::new(fs::File::create(&part)?);
        write(&mut file)?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&part, path)
    };
    attempt().map_err(|e| {
        // Nothing to add if this fails too: the error that matters is the first one.
        let _ = fs::remove_file(&part);
        SynthError::write(path, e)
    })
}
