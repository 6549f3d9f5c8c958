//! Focal, both dices and hinge in one pass over the pixels, forward and backward.
//!
//! The second implementation of what [`super::focal`], [`super::dice`] and [`super::hinge`] compute on
//! Candle tensors: those are the reference, run on every other device and dtype, and a test compares
//! value and gradient. Composed, a step holds some twenty tensors of the maps' size; here none.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::config::LossConfig;

/// The masks of a batch and what the losses need to know of them; shared by all perceptions.
#[derive(Debug, Clone)]
pub(super) struct Segmentation {
    masks: Arc<[f32]>,
    /// Pixels of one image.
    image: usize,
    /// Normal and anomalous pixels of the batch, at least 1.
    counts: [f64; 2],
    config: LossConfig,
}

/// Sums over one image.
#[derive(Default)]
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
        let values: Vec<f32> = masks.flatten_all()?.to_vec1()?;
        let anomalous = values.par_iter().filter(|m| **m > 0.5).count();
        Ok(Segmentation {
            image: height * width,
            counts: [values.len() - anomalous, anomalous].map(|n| n.max(1) as f64),
            masks: values.into(),
            config: config.clone(),
        })
    }

    /// Focal, dice and hinge of `map` `[B, H, W]`, not weighted: `[3]`. Differentiable.
    pub(super) fn losses(&self, map: &Tensor) -> Result<Tensor> {
        map.contiguous()?.apply_op1(self.clone())
    }

    /// `p_t` of a pixel with probability `p` and truth `m`, as in [`super::focal`].
    fn truth(&self, p: f32, m: f32) -> f32 {
        let epsilon = self.config.focal_epsilon as f32;
        let q = if m > 0.5 { p } else { 1.0 - p };
        q * (1.0 - 2.0 * epsilon) + 2.0 * epsilon
    }

    /// Weight of a pixel in the focal loss.
    fn alpha(&self, m: f32) -> f32 {
        match self.config.focal_alpha {
            None => 1.0,
            Some(alpha) => (if m > 0.5 { alpha } else { 1.0 - alpha }) as f32,
        }
    }

    fn power(&self, miss: f32, exponent: f32) -> f32 {
        match exponent {
            0.0 => 1.0,
            1.0 => miss,
            2.0 => miss * miss,
            _ => miss.max(0.0).powf(exponent),
        }
    }

    fn sums(&self, map: &[f32], mask: &[f32]) -> Sums {
        let gamma = self.config.focal_gamma as f32;
        let margins = [
            self.config.margin_normal as f32,
            self.config.margin_abnormal as f32,
        ];
        let mut total = Sums::default();
        // f32 within a short run of pixels, f64 across runs: exact enough and quick.
        for (map, mask) in map.chunks(256).zip(mask.chunks(256)) {
            let (mut focal, mut hinge) = (0f32, [0f32; 2]);
            let (mut p_sum, mut m_sum, mut overlap) = (0f32, 0f32, 0f32);
            for (&p, &m) in map.iter().zip(mask) {
                let truth = self.truth(p, m);
                focal -= self.alpha(m) * self.power(1.0 - truth, gamma) * truth.ln();
                hinge[0] += (p - margins[0]).max(0.0) * (1.0 - m);
                hinge[1] += (margins[1] - p).max(0.0) * m;
                p_sum += p;
                m_sum += m;
                overlap += p * m;
            }
            total.focal += f64::from(focal);
            total.hinge[0] += f64::from(hinge[0]);
            total.hinge[1] += f64::from(hinge[1]);
            total.map += f64::from(p_sum);
            total.mask += f64::from(m_sum);
            total.overlap += f64::from(overlap);
        }
        total
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

    fn per_image(&self, map: &[f32]) -> Vec<Sums> {
        let images = map
            .par_chunks(self.image)
            .zip(self.masks.par_chunks(self.image));
        images.map(|(map, mask)| self.sums(map, mask)).collect()
    }

    /// d(weights · losses)/d(map).
    fn gradient(&self, map: &[f32], weights: [f32; 3]) -> Vec<f32> {
        let config = &self.config;
        let gamma = config.focal_gamma as f32;
        let slope = 1.0 - 2.0 * config.focal_epsilon as f32;
        let batch = (map.len() / self.image) as f64;
        let focal = weights[0] / map.len() as f32;
        let hinge = self.counts.map(|n| weights[2] / n as f32);
        let mut out = vec![0f32; map.len()];
        let images = map
            .par_chunks(self.image)
            .zip(self.masks.par_chunks(self.image));
        out.par_chunks_mut(self.image)
            .zip(images)
            .for_each(|(out, (map, mask))| {
                // dice = 1 − a/b with a, b linear in p: its slope is (a b' − a' b)/b², where b' is ±1 and
                // a' is ±2 on the pixels of the class, else 0.
                let [abnormal, normal] = self.dice_terms(&self.sums(map, mask));
                let scale = f64::from(weights[1]) / batch;
                let flat = scale * (abnormal.0 / abnormal.1.powi(2) - normal.0 / normal.1.powi(2));
                let on_anomalous = (flat - scale * 2.0 / abnormal.1) as f32;
                let on_normal = (flat + scale * 2.0 / normal.1) as f32;
                for ((out, &p), &m) in out.iter_mut().zip(map).zip(mask) {
                    let truth = self.truth(p, m);
                    let miss = 1.0 - truth;
                    let steep = gamma * self.power(miss, gamma - 1.0) * truth.ln()
                        - self.power(miss, gamma) / truth;
                    let steep = focal * self.alpha(m) * slope * steep;
                    *out = if m > 0.5 {
                        let below = p < config.margin_abnormal as f32;
                        steep + on_anomalous - if below { hinge[1] } else { 0.0 }
                    } else {
                        let above = p > config.margin_normal as f32;
                        -steep + on_normal + if above { hinge[0] } else { 0.0 }
                    };
                }
            });
        out
    }
}

impl CustomOp1 for Segmentation {
    fn name(&self) -> &'static str {
        "segmentation-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            bail!("segmentation loss: the map is not contiguous");
        };
        let map = &storage.as_slice::<f32>()?[from..to];
        if map.len() != self.masks.len() {
            bail!(
                "segmentation loss: {} pixels, but {} in the masks",
                map.len(),
                self.masks.len()
            );
        }
        let images = self.per_image(map);
        let focal = images.iter().map(|s| s.focal).sum::<f64>() / map.len() as f64;
        let ratios = images.iter().flat_map(|s| self.dice_terms(s));
        let dice = ratios.map(|(a, b)| 1.0 - a / b).sum::<f64>() / images.len() as f64;
        let hinge =
            |kind: usize| images.iter().map(|s| s.hinge[kind]).sum::<f64>() / self.counts[kind];
        let losses = [focal, dice, hinge(0) + hinge(1)].map(|x| x as f32);
        Ok((CpuStorage::F32(losses.to_vec()), Shape::from(3)))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>> {
        let weights: Vec<f32> = grad_res.to_vec1()?;
        let map: Vec<f32> = arg.flatten_all()?.to_vec1()?;
        let gradient = self.gradient(&map, [weights[0], weights[1], weights[2]]);
        Ok(Some(Tensor::from_vec(gradient, arg.shape(), arg.device())?))
    }
}
