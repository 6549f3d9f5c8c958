//! Enlargement, focal, both dices and hinge in one pass over the pixels, forward and backward.
//!
//! The second implementation of what [`Perception::upsample`](crate::perception::Perception::upsample),
//! [`super::focal`], [`super::dice`] and [`super::hinge`] compute on Candle tensors: those are the reference, run on
//! every other device and dtype, and a test compares value and gradient. Composed, a step holds some twenty tensors of
//! the image's size; here none: a map is enlarged some rows at a time, and again on the way back.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::config::LossConfig;
use crate::kernels::separable::Plane;
use crate::kernels::{for_each, in_registers, ln, slice, with_values};

/// Partial sums side by side.
const LANES: usize = 16;
/// Pixels that are summed in f32; across such runs sums are f64: exact enough and quick.
const RUN: usize = 16 * LANES;
/// Rows that are enlarged at once: whole lanes at any width, and few enough for the nearest cache.
const BAND: usize = LANES;

/// The masks of a batch and what the losses need to know of them; shared by all perceptions.
#[derive(Debug, Clone)]
pub(super) struct Segmentation {
    masks: Tensor,
    /// Pixels of one image.
    image: usize,
    /// Normal and anomalous pixels of the batch, at least 1.
    counts: [f64; 2],
    config: LossConfig,
}

/// Sums over one image.
#[derive(Debug, Default, Clone)]
struct Sums {
    focal: f64,
    hinge: [f64; 2],
    /// Σ p, Σ t and Σ p t.
    map: f64,
    mask: f64,
    overlap: f64,
}

impl Segmentation {
    /// For `masks` `[B, H, W]`, f32 on the CPU, 0 or 1.
    pub(super) fn new(masks: &Tensor, config: &LossConfig) -> Result<Self> {
        let (_, height, width) = masks.dims3()?;
        let masks = masks.contiguous()?;
        let anomalous = with_values([&masks], |[masks]| {
            let ones = masks.iter().map(|m| u32::from(*m > 0.5));
            ones.sum::<u32>() as usize
        })?;
        Ok(Segmentation {
            image: height * width,
            counts: [masks.elem_count() - anomalous, anomalous].map(|n| n.max(1) as f64),
            masks,
            config: config.clone(),
        })
    }

    /// Focal, dice and hinge of `map` `[B, H_p·W_p]` enlarged by `up`, not weighted: `[3]`. Differentiable.
    pub(super) fn losses(&self, map: &Tensor, up: &Arc<Plane>) -> Result<Tensor> {
        let (of, up, sums) = (self.clone(), up.clone(), OnceLock::new());
        map.contiguous()?.apply_op1(Op { of, up, sums })
    }

    /// `p_t` of a pixel with probability `p` and truth `m`, as in [`super::focal`].
    #[inline(always)]
    fn truth(p: f32, m: f32, epsilon: f32) -> f32 {
        let q = if m > 0.5 { p } else { 1.0 - p };
        q * (1.0 - 2.0 * epsilon) + 2.0 * epsilon
    }

    /// Weights of normal and anomalous pixels in the focal loss.
    fn alphas(&self) -> [f32; 2] {
        match self.config.focal_alpha {
            None => [1.0; 2],
            Some(alpha) => [(1.0 - alpha) as f32, alpha as f32],
        }
    }

    fn margins(&self) -> [f32; 2] {
        [self.config.margin_normal, self.config.margin_abnormal].map(|margin| margin as f32)
    }

    /// Sums over an image, with `(1 − p_t)^γ` as `power` says.
    #[inline(always)]
    fn sums(&self, up: &Plane, map: &[f32], mask: &[f32], power: impl Fn(f32) -> f32) -> Sums {
        let (alphas, margins) = (self.alphas(), self.margins());
        let epsilon = self.config.focal_epsilon as f32;
        let of = |p: f32, m: f32| {
            let truth = Self::truth(p, m, epsilon);
            let alpha = if m > 0.5 { alphas[1] } else { alphas[0] };
            [
                -alpha * power(1.0 - truth) * ln(truth),
                (p - margins[0]).max(0.0) * (1.0 - m),
                (margins[1] - p).max(0.0) * m,
                p,
                m,
                p * m,
            ]
        };
        let mut totals = [0f64; 6];
        let wide = up.across(map);
        let mut band = vec![0f32; BAND * up.to_cols()];
        for (first, mask) in (0..).step_by(BAND).zip(mask.chunks(band.len())) {
            let band = &mut band[..mask.len()];
            up.down(&wide, first, band);
            for (map, mask) in band.chunks(RUN).zip(mask.chunks(RUN)) {
                let mut lanes = [[0f32; LANES]; 6];
                let ((map, map_rest), (mask, mask_rest)) = (map.as_chunks(), mask.as_chunks());
                for (map, mask) in map.iter().zip(mask) {
                    let (map, mask): (&[f32; LANES], &[f32; LANES]) = (map, mask);
                    for (lane, (p, m)) in map.iter().zip(mask).enumerate() {
                        for (lanes, term) in lanes.iter_mut().zip(of(*p, *m)) {
                            lanes[lane] += term;
                        }
                    }
                }
                for (p, m) in map_rest.iter().zip(mask_rest) {
                    for (lanes, term) in lanes.iter_mut().zip(of(*p, *m)) {
                        lanes[0] += term;
                    }
                }
                for (total, lanes) in totals.iter_mut().zip(lanes) {
                    *total += f64::from(lanes.iter().sum::<f32>());
                }
            }
        }
        let [focal, above, below, map, mask, overlap] = totals;
        Sums {
            focal,
            hinge: [above, below],
            map,
            mask,
            overlap,
        }
    }

    /// Numerator and denominator of the dice ratio, abnormal then normal.
    fn dice_terms(&self, sums: &Sums) -> [(f64, f64); 2] {
        let (n, smooth) = (self.image as f64, self.config.dice_smooth);
        let normal_overlap = n - sums.map - sums.mask + sums.overlap;
        [
            (2.0 * sums.overlap + smooth, sums.map + sums.mask + smooth),
            (
                2.0 * normal_overlap + smooth,
                2.0 * n - sums.map - sums.mask + smooth,
            ),
        ]
    }

    fn per_image(&self, up: &Plane, maps: &[f32], masks: &[f32]) -> Vec<Sums> {
        let mut sums = vec![Sums::default(); masks.len() / self.image];
        let images = self.images(up, maps, masks);
        for_each(sums.iter_mut().zip(images), |(sums, (map, mask))| {
            *sums = sums_of(self, up, map, mask);
        });
        sums
    }

    /// The map and the mask of every image.
    fn images<'a>(
        &self,
        up: &Plane,
        maps: &'a [f32],
        masks: &'a [f32],
    ) -> impl Iterator<Item = (&'a [f32], &'a [f32])> {
        let (windows, _) = up.sizes();
        maps.chunks_exact(windows)
            .zip(masks.chunks_exact(self.image))
    }

    /// d(weights · losses)/d(maps).
    fn gradient(
        &self,
        up: &Plane,
        maps: &[f32],
        masks: &[f32],
        sums: &[Sums],
        weights: [f32; 3],
    ) -> Vec<f32> {
        let batch = sums.len() as f64;
        let mut out = vec![0f32; maps.len()];
        let (windows, _) = up.sizes();
        let images = self.images(up, maps, masks);
        let tasks = out.chunks_exact_mut(windows).zip(images).zip(sums);
        for_each(tasks, |((out, (map, mask)), sums)| {
            // dice = 1 − a/b with a, b linear in p: its slope is (a b' − a' b)/b², where b' is ±1 and
            // a' is ±2 on the pixels of the class, else 0.
            let [abnormal, normal] = self.dice_terms(sums);
            let scale = f64::from(weights[1]) / batch;
            let flat = scale * (abnormal.0 / abnormal.1.powi(2) - normal.0 / normal.1.powi(2));
            let slopes = Slopes {
                focal: weights[0] / (batch as f32 * self.image as f32),
                dice: [
                    (flat + scale * 2.0 / normal.1) as f32,
                    (flat - scale * 2.0 / abnormal.1) as f32,
                ],
                hinge: self.counts.map(|n| weights[2] / n as f32),
            };
            slope_of(self, up, map, mask, &slopes, out);
        });
        out
    }

    /// The gradient of one image's map, with the derivative of `(1 − p_t)^γ` and itself as `powers` says.
    #[inline(always)]
    fn slope(
        &self,
        up: &Plane,
        map: &[f32],
        mask: &[f32],
        slopes: &Slopes,
        out: &mut [f32],
        powers: impl Fn(f32) -> (f32, f32),
    ) {
        let (alphas, margins) = (self.alphas(), self.margins());
        let epsilon = self.config.focal_epsilon as f32;
        let steepness = alphas.map(|alpha| slopes.focal * alpha * (1.0 - 2.0 * epsilon));
        let wide = up.across(map);
        let mut wide_gradient = vec![0f32; wide.len()];
        let mut band = vec![0f32; BAND * up.to_cols()];
        for (first, mask) in (0..).step_by(BAND).zip(mask.chunks(band.len())) {
            let band = &mut band[..mask.len()];
            up.down(&wide, first, band);
            for (pixel, &m) in band.iter_mut().zip(mask) {
                let p = *pixel;
                let truth = Self::truth(p, m, epsilon);
                let (slope, power) = powers(1.0 - truth);
                let steep = slope * ln(truth) - power / truth;
                let below = if p < margins[1] { slopes.hinge[1] } else { 0.0 };
                let above = if p > margins[0] { slopes.hinge[0] } else { 0.0 };
                let anomalous = steepness[1] * steep + slopes.dice[1] - below;
                let normal = slopes.dice[0] - steepness[0] * steep + above;
                *pixel = if m > 0.5 { anomalous } else { normal };
            }
            up.down_backward(band, first, &mut wide_gradient);
        }
        up.across_backward(&wide_gradient, out);
    }
}

in_registers! {
    fn sums_of<'a>(of: &'a Segmentation, up: &'a Plane, map: &'a [f32], mask: &'a [f32]) -> Sums {
        let gamma = of.config.focal_gamma as f32;
        if gamma == 2.0 {
            of.sums(up, map, mask, |miss| miss * miss)
        } else {
            of.sums(up, map, mask, |miss| power(miss, gamma))
        }
    }

    fn slope_of<'a>(
        of: &'a Segmentation,
        up: &'a Plane,
        map: &'a [f32],
        mask: &'a [f32],
        slopes: &'a Slopes,
        out: &'a mut [f32],
    ) {
        let gamma = of.config.focal_gamma as f32;
        if gamma == 2.0 {
            of.slope(up, map, mask, slopes, out, |miss| (2.0 * miss, miss * miss));
        } else {
            let both = |miss| (gamma * power(miss, gamma - 1.0), power(miss, gamma));
            of.slope(up, map, mask, slopes, out, both);
        }
    }
}

/// How the losses change with a pixel, apart from the pixel itself; normal and anomalous.
struct Slopes {
    focal: f32,
    dice: [f32; 2],
    hinge: [f32; 2],
}

fn power(miss: f32, exponent: f32) -> f32 {
    match exponent {
        0.0 => 1.0,
        1.0 => miss,
        _ => miss.max(0.0).powf(exponent),
    }
}

/// The losses of one map.
struct Op {
    of: Segmentation,
    up: Arc<Plane>,
    /// What the forward step leaves for the backward one.
    sums: OnceLock<Vec<Sums>>,
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "segmentation-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (of, up, maps) = (&self.of, &*self.up, slice(storage, layout)?);
        let (pixels, (windows, image)) = (of.masks.elem_count(), up.sizes());
        if image != of.image || maps.len() * image != pixels * windows {
            bail!(
                "segmentation loss: {} windows of maps of {windows} for {image} pixels, but {pixels} pixels in the masks",
                maps.len()
            );
        }
        let images = with_values([&of.masks], |[masks]| of.per_image(up, maps, masks))?;
        let images = self.sums.get_or_init(|| images);
        let focal = images.iter().map(|s| s.focal).sum::<f64>() / pixels as f64;
        let ratios = images.iter().flat_map(|s| of.dice_terms(s));
        let dice = ratios.map(|(a, b)| 1.0 - a / b).sum::<f64>() / images.len() as f64;
        let hinge =
            |kind: usize| images.iter().map(|s| s.hinge[kind]).sum::<f64>() / of.counts[kind];
        let losses = [focal, dice, hinge(0) + hinge(1)].map(|x| x as f32);
        Ok((CpuStorage::F32(losses.to_vec()), Shape::from(3)))
    }

    fn bwd(&self, map: &Tensor, _losses: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let weights: Vec<f32> = grad.to_vec1()?;
        let weights = [weights[0], weights[1], weights[2]];
        let sums = self.sums.get().map_or(&[] as &[Sums], Vec::as_slice);
        let gradient = with_values([map, &self.of.masks], |[map, masks]| {
            self.of.gradient(&self.up, map, masks, sums, weights)
        })?;
        Ok(Some(Tensor::from_vec(gradient, map.shape(), map.device())?))
    }
}
