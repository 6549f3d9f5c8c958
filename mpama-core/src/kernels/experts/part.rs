//! Windows, made of the images of their patches.

use super::super::floats::sum;
use super::super::in_registers;
use super::super::separable::{Plane, add};

/// The windows of one perception in one image.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) plane: &'a Plane,
    pub(super) image: usize,
    pub(super) direction: &'a [f32],
    pub(super) gates: &'a [f32],
    /// Images of the image's patches: under the frozen expert, under the learnable ones.
    pub(super) pictures: &'a [&'a [f32]],
}

/// What is computed for one window, in memory that serves for the next.
pub(super) struct Scratch {
    /// What each expert, the frozen one first, makes of the window, `[1 + E, D]`.
    pooled: Vec<f32>,
    mixed: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(experts: usize, depth: usize) -> Self {
        Self {
            pooled: vec![0.0; (1 + experts) * depth],
            mixed: vec![0.0; depth],
        }
    }
}

impl<'a> Part<'a> {
    fn windows(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let windows = self.plane.sizes().1;
        self.gates.chunks_exact(self.gates.len() / windows)
    }

    /// The images whose gates are open, with their gates and places in the pool.
    #[inline(always)]
    fn open(&self, gates: &'a [f32]) -> impl Iterator<Item = (usize, f32, &'a [f32])> + use<'a> {
        let each = self.pictures.iter().zip(gates).enumerate();
        each.filter_map(|(e, (images, gate))| (*gate != 0.0).then_some((e, *gate, *images)))
    }

    /// Adds `weight` times the mean of a window's images.
    #[inline(always)]
    fn pool(&self, window: usize, images: &[f32], weight: f32, onto: &mut [f32]) {
        let depth = onto.len();
        for (at, share) in self.plane.of(window) {
            add(onto, &images[at * depth..][..depth], weight * share);
        }
    }

    /// The product of a mixture with the direction and its reciprocal length, zero for a zero one.
    #[inline(always)]
    fn measure(&self, mixed: &[f32]) -> (f32, f32) {
        let square = sum(mixed, mixed, |a, b| a * b) + 1e-24; // as in `nn::normalize`
        (
            sum(mixed, self.direction, |a, b| a * b),
            1.0 / square.sqrt(),
        )
    }
}

in_registers! {
    /// How far each window's mixture points into the direction.
    pub(super) fn forward<'a, 'b>(part: &'a Part<'b>, out: &'a mut [f32]) {
        let mut mixed = vec![0f32; part.direction.len()];
        for ((window, gates), out) in part.windows().enumerate().zip(out) {
            mixed.fill(0.0);
            for (_, gate, images) in part.open(gates) {
                part.pool(window, images, gate, &mut mixed);
            }
            let (along, scale) = part.measure(&mixed);
            *out = along * scale;
        }
    }

    /// Writes the gradients of gates and adds those of the learnable experts' images, given that of the result.
    pub(super) fn backward<'a, 'b>(
        part: &'a Part<'b>,
        grad: &'a [f32],
        of_gates: &'a mut [f32],
        of_images: &'a mut [&'b mut [f32]],
        scratch: &'a mut Scratch,
    ) {
        let depth = part.direction.len();
        let Scratch { pooled, mixed } = scratch;
        let pool = of_gates.len() / grad.len();
        let each = grad.iter().zip(of_gates.chunks_exact_mut(pool));
        for ((window, gates), (grad, of_gates)) in part.windows().enumerate().zip(each) {
            mixed.fill(0.0);
            for (e, gate, images) in part.open(gates) {
                let pooled = &mut pooled[e * depth..][..depth];
                pooled.fill(0.0);
                part.pool(window, images, 1.0, pooled);
                add(mixed, pooled, gate);
            }
            let (along, scale) = part.measure(mixed);
            let grad = grad * scale;
            let back = along * scale * scale;
            for (m, d) in mixed.iter_mut().zip(part.direction) {
                *m = grad * (d - back * *m); // the gradient of the mixture
            }
            for (e, gate, _) in part.open(gates) {
                of_gates[e] = sum(mixed, &pooled[e * depth..][..depth], |a, b| a * b);
                if e > 0 {
                    for (at, share) in part.plane.of(window) {
                        let of_image = &mut of_images[e - 1][at * depth..][..depth];
                        add(of_image, mixed, gate * share);
                    }
                }
            }
        }
    }
}
