//! Pooled tokens through the experts that they were sent to, though no token is ever pooled.
//!
//! Pooling and an expert are linear: `W pool(v) = pool(W v)`. So a patch goes through an expert once, for all
//! windows of all perceptions that it lies in, and what is pooled are the images of patches. Backwards the
//! same: gradients of windows are collected by patch before they are multiplied.

use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::outer::Outer;
use super::packed::Packed;
use super::separable::Plane;
use super::written::{Slots, written};
use super::{for_each, slice, with_values, zeros};

mod part;

use part::{Part, Scratch};

/// Rows of a weight's gradient that one thread takes at a time, at most.
const ROWS: usize = 384;

/// Constant patches on their way through E learnable experts.
pub(crate) struct Routed {
    /// `[B, T, W]`.
    pub(crate) patches: Tensor,
    /// `[B, T, D]`: what the frozen expert makes of them.
    pub(crate) frozen: Tensor,
    /// The weights of the learnable experts, `[D, W]` each, laid out.
    pub(crate) packed: Vec<Arc<Packed>>,
    /// How each of P perceptions pools patches to its windows.
    pub(crate) levels: Vec<Arc<Plane>>,
    /// `[P, D]`.
    pub(crate) directions: Tensor,
}

/// How far the mixture of each window's experts points into its perception's direction: with v̄ the mean of the
/// window's patches and m its `gates[0] · h v̄ + Σ gates[i] · W_i v̄`, the number `⟨m / ‖m‖, direction⟩`. An
/// expert whose gate is 0 costs nothing. Gradients for gates and weights; the rest are constants.
///
/// # Shapes
/// `gates` `[N, pool]` of all windows by perception, image and place: the frozen expert's, the learnable ones',
/// others. `weights` `[E, D, W]`, the same as the packed ones. Returns `[N]`.
pub(crate) fn toward(gates: &Tensor, weights: &Tensor, routed: &Routed) -> Result<Tensor> {
    let op = Toward::new(gates, weights, routed)?;
    gates.contiguous()?.apply_op2(&weights.contiguous()?, op)
}

struct Toward {
    patches: Tensor,
    frozen: Tensor,
    packed: Vec<Arc<Packed>>,
    levels: Vec<Arc<Plane>>,
    directions: Tensor,
    /// B, T, W, D and the experts in the pool.
    batch: usize,
    count: usize,
    width: usize,
    depth: usize,
    pool: usize,
    /// What each learnable expert makes of the patches: gradients need it again.
    images: OnceLock<Vec<Vec<f32>>>,
}

impl Toward {
    fn new(gates: &Tensor, weights: &Tensor, routed: &Routed) -> Result<Self> {
        let (experts, depth, width) = weights.dims3()?;
        let (batch, count, _) = routed.patches.dims3()?;
        let (windows, pool) = gates.dims2()?;
        let all: usize = routed.levels.iter().map(|level| level.sizes().1).sum();
        if routed.packed.len() != experts || windows != batch * all || pool <= experts {
            bail!("{windows} windows, {experts} experts of {pool}: expected others");
        }
        Ok(Self {
            patches: routed.patches.contiguous()?,
            frozen: routed.frozen.contiguous()?,
            packed: routed.packed.clone(),
            levels: routed.levels.clone(),
            directions: routed.directions.contiguous()?,
            batch,
            count,
            width,
            depth,
            pool,
            images: OnceLock::new(),
        })
    }

    /// Windows of each perception and image, in their order.
    fn windows(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let levels = self.levels.iter().enumerate();
        levels.flat_map(|(l, plane)| (0..self.batch).map(move |b| (l, b, plane.sizes().1)))
    }

    /// Numbers, `each` of every window, by perception and image.
    fn split<'a>(&self, mut values: &'a mut [f32], each: usize) -> Vec<&'a mut [f32]> {
        let mut take = |(_, _, windows): (usize, usize, usize)| {
            let (own, rest) = std::mem::take(&mut values).split_at_mut(windows * each);
            values = rest;
            own
        };
        self.windows().map(&mut take).collect()
    }

    /// Whether a patch lies in a window that was sent to a learnable expert, for each of `B·T` patches.
    fn reached(&self, gates: &[f32], expert: usize) -> Vec<bool> {
        let mut reached = vec![false; self.batch * self.count];
        let mut gates = gates.chunks_exact(self.pool);
        for (l, b, windows) in self.windows() {
            let own = &mut reached[b * self.count..][..self.count];
            for (window, gates) in (0..windows).zip(&mut gates) {
                if gates[1 + expert] != 0.0 {
                    self.levels[l].of(window).for_each(|(at, _)| own[at] = true);
                }
            }
        }
        reached
    }

    /// Images of patches under each learnable expert, `[B·T, D]`; zeros for those it is not reached by.
    fn images(&self, gates: &[f32], patches: &[f32]) -> Vec<Vec<f32>> {
        let image = |(expert, packed): (usize, &Arc<Packed>)| {
            let reached = self.reached(gates, expert);
            let count = reached.len() * self.depth;
            let write = |images: &mut Slots| {
                let (mut x, mut out) = (Vec::new(), Vec::new());
                let rows = patches.chunks_exact(self.width);
                let rows = rows.zip(images.chunks_exact_mut(self.depth)).zip(reached);
                for ((patch, image), reached) in rows {
                    if reached {
                        x.push(patch);
                        out.push(image);
                    } else {
                        image.fill(MaybeUninit::new(0.0));
                    }
                }
                packed.write_rows(x, out);
            };
            // SAFETY: there is a patch for each of these rows, of which all are filled or products.
            unsafe { written(count, write) }
        };
        self.packed.iter().enumerate().map(image).collect()
    }

    /// Images of the patches of each image of the batch, the frozen expert's first.
    fn pictures<'a>(&self, frozen: &'a [f32], images: &'a [Vec<f32>]) -> Vec<Vec<&'a [f32]>> {
        let own = |b: usize| {
            let all = [frozen].into_iter().chain(images.iter().map(Vec::as_slice));
            let size = self.count * self.depth;
            all.map(|images| &images[b * size..][..size]).collect()
        };
        (0..self.batch).map(own).collect()
    }

    fn parts<'a>(
        &'a self,
        gates: &'a [f32],
        directions: &'a [f32],
        pictures: &'a [Vec<&'a [f32]>],
    ) -> impl Iterator<Item = Part<'a>> {
        self.windows().scan(0, move |start, (l, image, windows)| {
            let gates = &gates[*start * self.pool..][..windows * self.pool];
            *start += windows;
            Some(Part {
                plane: &self.levels[l],
                image,
                direction: &directions[l * self.depth..][..self.depth],
                gates,
                pictures: &pictures[image],
            })
        })
    }

    /// The gradient of gates, and those of the images of patches under each learnable expert.
    fn gradients(
        &self,
        [gates, frozen, directions, grad]: [&[f32]; 4],
        images: &[Vec<f32>],
    ) -> (Vec<f32>, Vec<Vec<f32>>) {
        let mut of_gates = vec![0f32; gates.len()];
        let size = self.count * self.depth;
        let mut of_images: Vec<_> = images.iter().map(|images| zeros(images.len())).collect();
        let pictures = self.pictures(frozen, images);
        // one task for each image: its patches lie in windows of all perceptions
        let mut tasks: Vec<(Vec<_>, Vec<&mut [f32]>)> = Vec::new();
        tasks.resize_with(self.batch, Default::default);
        for of_images in &mut of_images {
            for ((_, own), of_images) in tasks.iter_mut().zip(of_images.chunks_exact_mut(size)) {
                own.push(of_images);
            }
        }
        let mut grads = grad;
        let parts = self.parts(gates, directions, &pictures);
        for (part, of_gates) in parts.zip(self.split(&mut of_gates, self.pool)) {
            let (grad, rest) = grads.split_at(of_gates.len() / self.pool);
            grads = rest;
            tasks[part.image].0.push((part, of_gates, grad));
        }
        for_each(tasks.into_iter(), |(parts, mut of_images)| {
            let mut scratch = Scratch::new(self.packed.len(), self.depth);
            for (part, of_gates, grad) in parts {
                part::backward(&part, grad, of_gates, &mut of_images, &mut scratch);
            }
        });
        (of_gates, of_images)
    }

    /// `Σ of_images[n] ⊗ patches[n]` for each learnable expert, over the patches that reach it.
    fn gradient_of_weights(
        &self,
        gates: &[f32],
        patches: &[f32],
        of_images: &[Vec<f32>],
    ) -> Vec<f32> {
        let (depth, width) = (self.depth, self.width);
        let chosen = |expert| {
            let reached = self.reached(gates, expert).into_iter().enumerate();
            let rows = reached.filter_map(|(n, reached)| reached.then_some(n));
            rows.collect::<Vec<_>>()
        };
        let chosen: Vec<_> = (0..of_images.len()).map(chosen).collect();
        let blocks = rayon::current_num_threads().div_ceil(chosen.len());
        let block = ROWS.min(depth.div_ceil(blocks).next_multiple_of(6));
        let mut out = zeros(chosen.len() * depth * width);
        let each = out
            .chunks_exact_mut(depth * width)
            .zip(chosen.iter().zip(of_images));
        let tasks = each.flat_map(|(out, chosen)| {
            let blocks = out.chunks_mut(block * width).enumerate();
            blocks.map(move |(b, out)| (chosen, b * block, out))
        });
        for_each(tasks, |((chosen, left), top, out)| {
            let outer = Outer {
                left,
                right: patches,
                widths: (depth, width),
                chosen,
                top,
            };
            outer.add_to(out);
        });
        out
    }
}

impl CustomOp2 for Toward {
    fn name(&self) -> &'static str {
        "experts-toward"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        layout: &Layout,
        _weights: &CpuStorage,
        _weights_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let gates = slice(gates, layout)?;
        let mut out = vec![0f32; gates.len() / self.pool];
        let constants = [&self.patches, &self.frozen, &self.directions];
        with_values(constants, |[patches, frozen, directions]| {
            let images = self.images.get_or_init(|| self.images(gates, patches));
            let pictures = self.pictures(frozen, images);
            let parts = self.parts(gates, directions, &pictures);
            for_each(parts.zip(self.split(&mut out, 1)), |(part, out)| {
                part::forward(&part, out);
            });
        })?;
        let count = out.len();
        Ok((CpuStorage::F32(out), Shape::from(count)))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        weights: &Tensor,
        _odds: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(images) = self.images.get() else {
            bail!("a step back without one forward")
        };
        let Self {
            patches,
            frozen,
            directions,
            ..
        } = self;
        let all = [gates, frozen, directions, &grad.contiguous()?, patches];
        let (of_gates, of_weights) =
            with_values(all, |[gates, frozen, directions, grad, patches]| {
                let (of_gates, of_images) =
                    self.gradients([gates, frozen, directions, grad], images);
                let of_weights = self.gradient_of_weights(gates, patches, &of_images);
                (of_gates, of_weights)
            })?;
        let like = |values, of: &Tensor| Tensor::from_vec(values, of.shape(), of.device());
        Ok((
            Some(like(of_gates, gates)?),
            Some(like(of_weights, weights)?),
        ))
    }
}

#[cfg(test)]
mod tests;
