//! Drawn twins in memory, and batches of views of them.

use candle_core::{Device, Tensor};
use mpama_core::preprocess::{CLIP_MEAN, CLIP_STD, Picture};
use mpama_datasets::synth::{Category, Extent, Rendered, Twin, twin};
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::captions::Facts;
use super::recipe::Size;
use crate::error::{Error, Result};

/// Twins to learn from.
pub(super) struct Pool {
    twins: Vec<(Facts, Twin)>,
    size: usize,
}

impl Pool {
    /// Draws `each` twins of every category: its defects in turn, each from tiny to large. They are enlarged to the
    /// size of an image.
    pub(super) fn draw(
        categories: &[&'static Category],
        each: usize,
        size: Size,
        seed: u64,
    ) -> Result<Self> {
        let tasks: Vec<(&'static Category, usize)> = categories
            .iter()
            .flat_map(|category| (0..each).map(move |i| (*category, i)))
            .collect();
        let draw = |&(category, i): &(&'static Category, usize)| -> Result<(Facts, Twin)> {
            let defects = category.defects;
            let defect = defects[i % defects.len()];
            let extent = Extent::ALL[i / defects.len() % Extent::ALL.len()];
            let mut twin = twin(category, seed + i as u64, size.drawn, defect, Some(extent))?;
            for one in [&mut twin.intact, &mut twin.damaged] {
                enlarge(one, size)?;
            }
            let facts = Facts {
                category,
                colour: Some(twin.damaged.colour),
                flaw: twin.damaged.extent.map(|extent| (defect, extent)),
            };
            Ok((facts, twin))
        };
        // Threads of its own: those of training may be limited to one.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let threads = threads.map_err(|error| Error::Thread(std::io::Error::other(error)))?;
        let twins = threads.install(|| tasks.par_iter().map(draw).collect::<Result<_>>())?;
        Ok(Self {
            twins,
            size: size.image,
        })
    }

    /// The colours that its images have, sorted.
    pub(super) fn colours(&self) -> Vec<&'static str> {
        let colours = self.twins.iter().filter_map(|(facts, _)| facts.colour);
        let mut colours: Vec<_> = colours.collect();
        colours.sort_unstable();
        colours.dedup();
        colours
    }

    /// Views of `pairs` twins, chosen by `dice`: squares of `side` pixels that show a part of the
    /// defect at least, turned and mirrored at random, half of them in other colours. Patches are of
    /// `patch` pixels.
    pub(super) fn batch(
        &self,
        pairs: usize,
        side: usize,
        patch: usize,
        dice: &mut ChaCha8Rng,
    ) -> Result<Batch> {
        let views: Vec<(&(Facts, Twin), View)> = (0..pairs)
            .filter_map(|_| {
                let pair = self.twins.choose(dice)?;
                Some((
                    pair,
                    View::choose(&pair.1.damaged.mask, self.size, side, dice),
                ))
            })
            .collect();
        let images = views
            .iter()
            .map(|((_, twin), view)| view.pixels(&twin.damaged.rgb))
            .chain(
                views
                    .iter()
                    .map(|((_, twin), view)| view.pixels(&twin.intact.rgb)),
            );
        let pixels: Vec<f32> = images.flatten().collect();
        let cover = views
            .iter()
            .map(|((_, twin), view)| view.cover(&twin.damaged.mask, patch));
        let facts = views.iter().map(|((facts, _), view)| Facts {
            colour: facts.colour.filter(|_| view.tint.is_none()),
            ..*facts
        });
        Ok(Batch {
            pixels: Tensor::from_vec(pixels, (2 * views.len(), 3, side, side), &Device::Cpu)?,
            facts: facts
                .clone()
                .chain(facts.map(|facts| Facts {
                    flaw: None,
                    ..facts
                }))
                .collect(),
            cover: cover.collect(),
        })
    }
}

/// Makes a drawing as large as images are: as `mpama` resizes files, and its mask by nearest neighbours.
fn enlarge(drawing: &mut Rendered, Size { drawn, image, .. }: Size) -> Result<()> {
    if image == drawn {
        return Ok(());
    }
    let rgb = std::mem::take(&mut drawing.rgb);
    let picture = Picture::from_rgb(rgb, drawn, drawn, "a drawing");
    let picture = picture.map_err(mpama_core::Error::from)?;
    drawing.rgb = picture.resized(image, image);
    let nearest = |at: usize| (2 * at + 1) * drawn / (2 * image);
    let places = (0..image).flat_map(|y| (0..image).map(move |x| (nearest(y), nearest(x))));
    let mask = places.map(|(y, x)| drawing.mask[y * drawn + x]).collect();
    drawing.mask = mask;
    drawing.size = image;
    Ok(())
}

/// What one step sees: the damaged twins, then the intact ones in the same order and view.
pub(super) struct Batch {
    /// `[2N, 3, side, side]`, normalised as CLIP expects.
    pub(super) pixels: Tensor,
    /// What is true of each of the 2N.
    pub(super) facts: Vec<Facts>,
    /// The share of each patch that the defect covers, in [0, 1], row by row, for the N damaged.
    pub(super) cover: Vec<Vec<f32>>,
}

/// A square of an image, turned or mirrored.
struct View {
    size: usize,
    side: usize,
    left: usize,
    top: usize,
    /// Mirrored along x, along y, and transposed.
    flips: [bool; 3],
    /// Other colours than the image's.
    tint: Option<Tint>,
}

/// What the colours of a view become: what is damaged must not depend on them.
struct Tint {
    /// The channel that each channel shows.
    order: [usize; 3],
    /// How bright each becomes.
    gain: [f32; 3],
}

impl Tint {
    fn choose(dice: &mut impl Rng) -> Self {
        let mut order = [0, 1, 2];
        order.shuffle(dice);
        let gain = [(); 3].map(|()| dice.random_range(0.7..1.2));
        Self { order, gain }
    }
}

impl View {
    fn choose(mask: &[u8], size: usize, side: usize, dice: &mut impl Rng) -> Self {
        let marked: Vec<usize> = (0..mask.len()).filter(|i| mask[*i] > 0).collect();
        let shown = marked.choose(dice).copied().unwrap_or(mask.len() / 2);
        let start = |at: usize, dice: &mut dyn rand::RngCore| {
            let low = (at + 1).saturating_sub(side);
            dice.random_range(low..=at.min(size - side).max(low))
        };
        Self {
            size,
            side,
            left: start(shown % size, dice),
            top: start(shown / size, dice),
            flips: [(); 3].map(|()| dice.random_bool(0.5)),
            tint: dice.random_bool(0.5).then(|| Tint::choose(dice)),
        }
    }

    /// The pixel of the image that lies at (x, y) of the view.
    fn source(&self, x: usize, y: usize) -> usize {
        let [along_x, along_y, transposed] = self.flips;
        let (x, y) = if transposed { (y, x) } else { (x, y) };
        let x = if along_x { self.side - 1 - x } else { x };
        let y = if along_y { self.side - 1 - y } else { y };
        (self.top + y) * self.size + self.left + x
    }

    /// `[3, side, side]`.
    fn pixels(&self, rgb: &[u8]) -> Vec<f32> {
        let mut pixels = Vec::with_capacity(3 * self.side * self.side);
        for (channel, (mean, std)) in CLIP_MEAN.into_iter().zip(CLIP_STD).enumerate() {
            let (from, gain) = match &self.tint {
                Some(tint) => (tint.order[channel], tint.gain[channel]),
                None => (channel, 1.0),
            };
            for y in 0..self.side {
                let row = (0..self.side).map(|x| rgb[3 * self.source(x, y) + from]);
                let row = row.map(|value| (f32::from(value) / 255.0 * gain).min(1.0));
                pixels.extend(row.map(|value| (value - mean) / std));
            }
        }
        pixels
    }

    fn cover(&self, mask: &[u8], patch: usize) -> Vec<f32> {
        let grid = self.side / patch;
        let mut cover = vec![0.0; grid * grid];
        for y in 0..self.side {
            for x in 0..self.side {
                if mask[self.source(x, y)] > 0 {
                    cover[y / patch * grid + x / patch] += 1.0 / (patch * patch) as f32;
                }
            }
        }
        cover
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rand_chacha::rand_core::SeedableRng;

    use super::super::recipe::Recipe;
    use super::*;

    fn sizes() -> Size {
        Size {
            drawn: 64,
            image: 64,
            ..Recipe::default().size
        }
    }

    #[test]
    fn an_enlarged_drawing_has_its_defect_where_it_was() {
        let gear = Category::named("gear").unwrap();
        let size = |image| Size { image, ..sizes() };
        let small = Pool::draw(&[gear], 18, size(64), 3).unwrap();
        let large = Pool::draw(&[gear], 18, size(96), 3).unwrap();
        let (mut marked, mut kept) = (0, 0);
        for ((_, small), (_, large)) in small.twins.iter().zip(&large.twins) {
            let changed = |twin: &Twin, (x, y): (usize, usize)| {
                let at = 3 * (y * twin.damaged.size + x);
                (0..3)
                    .map(|c| twin.damaged.rgb[at + c].abs_diff(twin.intact.rgb[at + c]))
                    .max()
            };
            for (x, y) in (0..32).flat_map(|y| (0..32).map(move |x| (x, y))) {
                // The first of three pixels lies in the first of two.
                let (own, far) = ((2 * x, 2 * y), (3 * x, 3 * y));
                assert_eq!(
                    small.damaged.mask[own.1 * 64 + own.0],
                    large.damaged.mask[far.1 * 96 + far.0]
                );
                if changed(small, own) > Some(30) {
                    marked += 1;
                    kept += usize::from(changed(large, far) > Some(10));
                }
            }
        }
        assert!(marked > 20 && kept * 10 >= marked * 9, "{kept} of {marked}");
    }

    #[test]
    fn a_view_shows_the_defect_and_both_twins_from_the_same_side() {
        let gear = Category::named("gear").unwrap();
        let pool = Pool::draw(&[gear], 6, sizes(), 3).unwrap();
        let mut dice = ChaCha8Rng::seed_from_u64(0);
        let batch = pool.batch(12, 32, 8, &mut dice).unwrap();
        assert_eq!(batch.pixels.dims(), [24, 3, 32, 32]);
        let (damaged, intact) = (
            batch.pixels.narrow(0, 0, 12).unwrap(),
            batch.pixels.narrow(0, 12, 12).unwrap(),
        );
        let apart = (damaged - intact).unwrap().abs().unwrap().max(1).unwrap();
        for (i, cover) in batch.cover.iter().enumerate() {
            assert!(cover.iter().any(|share| *share > 0.0));
            let apart: Vec<Vec<f32>> = apart.get(i).unwrap().to_vec2().unwrap();
            for (t, share) in cover.iter().enumerate().filter(|(_, share)| **share == 0.0) {
                let rows = &apart[t / 4 * 8..][..8];
                let most = rows.iter().flat_map(|row| &row[t % 4 * 8..][..8]);
                let most = most.fold(0f32, |most, x| most.max(*x));
                // A change below the least that a mask marks, 8 of 255 levels.
                assert!(
                    most < 8.0 / 255.0 / 0.26 * 1.2,
                    "{most} where the mask has {share}"
                );
            }
        }
    }
}
