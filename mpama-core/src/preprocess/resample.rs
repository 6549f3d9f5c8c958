//! Pillow's resampler for 8-bit samples: two separable passes whose weights are 22-bit fixed point and
//! whose results are rounded and clipped to 8 bits, also between the passes.

use rayon::prelude::*;

/// Fraction bits of a weight: 32 less 8 for the sample and 2 for a filter that over- and undershoots.
const PRECISION: u32 = 32 - 8 - 2;

/// An interpolation kernel. Shrinking stretches it over the source (antialiasing).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// The triangle.
    Bilinear,
    /// Keys' cubic with a = -1/2, i.e. Catmull-Rom.
    Bicubic,
}

impl Filter {
    /// Half the kernel's width.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    /// The kernel at `x`. The order of operations decides the last bit of a weight.
    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// One axis of a resize: `from` samples become `to`, of which `len` from `start` on are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) start: usize,
    pub(super) len: usize,
}

impl Axis {
    /// All of the result.
    pub(super) fn whole(from: usize, to: usize) -> Axis {
        Axis {
            from,
            to,
            start: 0,
            len: to,
        }
    }

    fn is_identity(self) -> bool {
        self == Axis::whole(self.from, self.from)
    }

    /// Centres of the wanted samples in source coordinates, and the scale.
    fn centres(self) -> (impl Iterator<Item = f64>, f64) {
        let scale = self.from as f64 / self.to as f64;
        (
            (self.start..self.start + self.len).map(move |i| (i as f64 + 0.5) * scale),
            scale,
        )
    }
}

/// The weights of one wanted sample: those of the source samples from `first` on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// Weights of every wanted sample along an axis.
fn taps(axis: Axis, filter: Filter) -> Vec<Taps> {
    let (centres, scale) = axis.centres();
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let step = 1.0 / stretch;
    centres
        .map(|centre| {
            // `as` rounds towards zero and turns what is negative into 0.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(axis.from);
            let kernel: Vec<f64> = (first..end)
                .map(|x| filter.at((x as f64 - centre + 0.5) * step))
                .collect();
            let sum = kernel.iter().fold(0.0, |sum, weight| sum + weight);
            let normal = |weight: f64| if sum == 0.0 { weight } else { weight / sum };
            let weights = kernel
                .into_iter()
                .map(|weight| fixed(normal(weight)))
                .collect();
            Taps { first, weights }
        })
        .collect()
}

/// To fixed point, halves away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (if weight < 0.0 {
        scaled - 0.5
    } else {
        scaled + 0.5
    }) as i32
}

/// Half a grey level, so that the shift in [`clip`] rounds.
const HALF: i32 = 1 << (PRECISION - 1);

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Resizes rows of pixels of `channels` samples (1 to 4); `x.from` and `y.from` are the source's width
/// and height.
///
/// Pillow 13.0.0 goes along the rows first, except when the height shrinks, and by more than twice as
/// many pixels as the width: found by comparison over thousands of sizes. Earlier versions always go
/// along the rows first, which changes single grey levels of tall images.
pub(super) fn resize(samples: &[u8], channels: usize, x: Axis, y: Axis, filter: Filter) -> Vec<u8> {
    let shrinks = |axis: Axis| axis.from as i64 - axis.to as i64;
    let columns_first = shrinks(y) > 0 && shrinks(y) > 2 * shrinks(x);
    let along_rows = |samples: &[u8]| match channels {
        1 => horizontal::<1>(samples, x, filter),
        2 => horizontal::<2>(samples, x, filter),
        3 => horizontal::<3>(samples, x, filter),
        _ => horizontal::<4>(samples, x, filter),
    };
    match (x.is_identity(), y.is_identity()) {
        (true, true) => samples.to_vec(),
        (false, true) => along_rows(samples),
        (true, false) => vertical(samples, x.len * channels, &taps(y, filter)),
        (false, false) if columns_first => {
            along_rows(&vertical(samples, x.from * channels, &taps(y, filter)))
        }
        (false, false) => {
            let mut taps = taps(y, filter);
            // Rows that no tap reads are not worth a pass: a crop may read very few.
            let first = taps.iter().map(|taps| taps.first).min().unwrap_or(0);
            let end = taps
                .iter()
                .map(|taps| taps.first + taps.weights.len())
                .max()
                .unwrap_or(0);
            taps.iter_mut().for_each(|taps| taps.first -= first);
            let row = x.from * channels;
            vertical(
                &along_rows(&samples[first * row..end * row]),
                x.len * channels,
                &taps,
            )
        }
    }
}

/// Every row, along itself.
fn horizontal<const C: usize>(samples: &[u8], axis: Axis, filter: Filter) -> Vec<u8> {
    let taps = taps(axis, filter);
    let rows = samples.len() / (axis.from * C);
    let mut out = vec![0; rows * axis.len * C];
    let line = (axis.len * C).max(1);
    out.par_chunks_exact_mut(line)
        .zip(samples.par_chunks_exact(axis.from * C))
        .for_each(|(out, row)| {
            let (row, _) = row.as_chunks::<C>();
            let (out, _) = out.as_chunks_mut::<C>();
            for (out, taps) in out.iter_mut().zip(&taps) {
                let mut sums = [HALF; C];
                for (pixel, &weight) in row[taps.first..].iter().zip(&taps.weights) {
                    for (sum, &sample) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(sample) * weight;
                    }
                }
                *out = sums.map(clip);
            }
        });
    out
}

/// Every column, along itself; a row has `line` samples.
fn vertical(samples: &[u8], line: usize, taps: &[Taps]) -> Vec<u8> {
    let mut out = vec![0; taps.len() * line];
    out.par_chunks_exact_mut(line.max(1))
        .zip(taps)
        .for_each_init(
            || vec![HALF; line],
            |sums, (out, taps)| {
                sums.fill(HALF);
                for (row, &weight) in samples
                    .chunks_exact(line)
                    .skip(taps.first)
                    .zip(&taps.weights)
                {
                    for (sum, &sample) in sums.iter_mut().zip(row) {
                        *sum += i32::from(sample) * weight;
                    }
                }
                out.iter_mut()
                    .zip(&*sums)
                    .for_each(|(out, &sum)| *out = clip(sum));
            },
        );
    out
}

/// Pillow's nearest neighbour: the source pixel under each centre. Centres are added up, not
/// multiplied, as Pillow does: the last bit decides on a border between two pixels.
pub(super) fn nearest(samples: &[u8], channels: usize, x: Axis, y: Axis) -> Vec<u8> {
    let indices = |axis: Axis| -> Vec<usize> {
        let scale = axis.from as f64 / axis.to as f64;
        let centres = std::iter::successors(Some(scale * 0.5), |centre| Some(centre + scale));
        centres
            .skip(axis.start)
            .take(axis.len)
            .map(|c| (c as usize).min(axis.from - 1))
            .collect()
    };
    let columns = indices(x);
    let mut out = Vec::with_capacity(y.len * x.len * channels);
    for row in indices(y) {
        let row = &samples[row * x.from * channels..];
        for column in &columns {
            out.extend_from_slice(&row[column * channels..(column + 1) * channels]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn axis() -> impl Strategy<Value = Axis> {
        (1usize..60, 1usize..60).prop_map(|(from, to)| Axis::whole(from, to))
    }

    fn filter() -> impl Strategy<Value = Filter> {
        prop_oneof![Just(Filter::Bilinear), Just(Filter::Bicubic)]
    }

    /// Samples that no symmetry hides anything of.
    fn noise(len: usize, seed: u32) -> Vec<u8> {
        let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
        std::iter::successors(Some(seed), step)
            .map(|state| (state >> 24) as u8)
            .take(len)
            .collect()
    }

    proptest! {
        #[test]
        fn a_constant_image_stays_constant(
            x in axis(), y in axis(), filter in filter(), channels in 1usize..5, grey: u8,
        ) {
            let image = vec![grey; x.from * y.from * channels];
            let resized = resize(&image, channels, x, y, filter);
            prop_assert_eq!(resized, vec![grey; x.to * y.to * channels]);
        }

        #[test]
        fn the_same_size_is_the_same_image(x in axis(), y in axis(), filter in filter(), seed: u32) {
            let (x, y) = (Axis::whole(x.from, x.from), Axis::whole(y.from, y.from));
            let image = noise(x.from * y.from * 3, seed);
            prop_assert_eq!(&resize(&image, 3, x, y, filter), &image);
            prop_assert_eq!(&nearest(&image, 3, x, y), &image);
        }

        /// The pass that is skipped when a side keeps its length would not have changed anything.
        #[test]
        fn weights_of_an_unchanged_side_select(n in 1usize..200, filter in filter()) {
            for (i, taps) in taps(Axis::whole(n, n), filter).iter().enumerate() {
                for (j, &weight) in taps.weights.iter().enumerate() {
                    let expected = if taps.first + j == i { 1 << PRECISION } else { 0 };
                    prop_assert_eq!(weight, expected);
                }
            }
        }

        #[test]
        fn a_window_is_the_crop_of_the_whole(
            x in axis(), y in axis(), filter in filter(), seed: u32, cut in (0.0..1.0, 0.0..1.0, 0.0..1.0, 0.0..1.0),
        ) {
            let window = |axis: Axis, (a, b): (f64, f64)| {
                let start = (a * axis.to as f64) as usize;
                Axis { start, len: 1 + (b * (axis.to - start - 1) as f64) as usize, ..axis }
            };
            let (wx, wy) = (window(x, (cut.0, cut.1)), window(y, (cut.2, cut.3)));
            let image = noise(x.from * y.from * 2, seed);
            let crop = |whole: Vec<u8>| -> Vec<u8> {
                whole.chunks(x.to * 2).skip(wy.start).take(wy.len)
                    .flat_map(|row| row[wx.start * 2..(wx.start + wx.len) * 2].to_vec()).collect()
            };
            prop_assert_eq!(resize(&image, 2, wx, wy, filter), crop(resize(&image, 2, x, y, filter)));
            prop_assert_eq!(nearest(&image, 2, wx, wy), crop(nearest(&image, 2, x, y)));
        }

        #[test]
        fn mirrored_images_resize_to_mirrored_images(from in 1usize..60, to in 1usize..60, seed: u32) {
            // Odd ratios only meet their mirror image in the last bit of a centre; powers of two are exact.
            let (from, to) = (from.next_power_of_two(), to.next_power_of_two());
            let (x, one) = (Axis::whole(from, to), Axis::whole(1, 1));
            let image = noise(from, seed);
            let mirrored: Vec<u8> = image.iter().rev().copied().collect();
            let mut resized = resize(&mirrored, 1, x, one, Filter::Bicubic);
            resized.reverse();
            prop_assert_eq!(resized, resize(&image, 1, x, one, Filter::Bicubic));
        }
    }

    #[test]
    fn an_empty_target_is_empty() {
        let image = [1, 2, 3, 4, 5, 6];
        for (width, height) in [(0, 0), (0, 4), (4, 0), (0, 2), (3, 0)] {
            let (x, y) = (Axis::whole(3, width), Axis::whole(2, height));
            assert!(resize(&image, 1, x, y, Filter::Bicubic).is_empty());
            assert!(nearest(&image, 1, x, y).is_empty());
        }
    }
}
