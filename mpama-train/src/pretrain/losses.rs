//! What the recipe minimises.

use candle_core::{D, Device, Result, Tensor};

/// Cross-entropy between images and captions in both directions, where each may have several true
/// partners that share the target evenly (SupCon's outer sum; Khosla et al., "Supervised Contrastive
/// Learning").
///
/// `logits` `[I, C]`; `holds[i][c]` whether caption c is true of image i, at least one in each row
/// and column.
pub(super) fn contrastive(logits: &Tensor, holds: &[Vec<bool>]) -> Result<Tensor> {
    let (images, captions) = logits.dims2()?;
    let by_image = targets(images, captions, |i, c| holds[i][c]);
    let by_caption = targets(captions, images, |c, i| holds[i][c]);
    let forward = cross_entropy(logits, by_image)?;
    let backward = cross_entropy(&logits.t()?.contiguous()?, by_caption)?;
    (forward + backward)? * 0.5
}

/// Rows that sum to `1/rows`, even over the true columns.
fn targets(rows: usize, columns: usize, holds: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        let count = (0..columns).filter(|c| holds(row, *c)).count().max(1);
        let share = 1.0 / (rows * count) as f32;
        values.extend((0..columns).map(|c| if holds(row, c) { share } else { 0.0 }));
    }
    values
}

/// `−Σ target · log softmax(logits)`, over all rows.
fn cross_entropy(logits: &Tensor, target: Vec<f32>) -> Result<Tensor> {
    let target = Tensor::from_vec(target, logits.shape(), &Device::Cpu)?;
    (log_softmax(logits)? * target)?.sum_all()?.neg()
}

fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let x = x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?;
    x.broadcast_sub(&x.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// `log(1 + eˣ)`, averaged; finite for any x.
fn softplus(x: &Tensor) -> Result<Tensor> {
    (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?.mean_all()
}

/// Each damaged twin must be on the damaged side, each intact one on the other, and the first further
/// than the second.
///
/// `damaged` and `intact` `[N]`: by how much each image is nearer to its damaged caption than to its
/// intact one, in logits.
pub(super) fn twins(damaged: &Tensor, intact: &Tensor) -> Result<Tensor> {
    let sides = (softplus(&damaged.neg()?)? + softplus(intact)?)?;
    (sides * 0.5)? + softplus(&(intact - damaged)?)?
}

/// Where a patch of a dense loss belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// On a defect of this number.
    Defect(usize),
    /// On none.
    Elsewhere,
    /// On the edge of one: it does not count.
    Edge,
}

/// Patches on a defect must be nearest to the name of its kind, all others to the name of anything
/// intact, whichever. Patches on and off defects have the same weight in sum.
///
/// `logits` `[M, K]` of M patches: the first `kinds` columns are kinds of defects, the others things.
pub(super) fn dense(logits: &Tensor, places: &[Place], kinds: usize) -> Result<Tensor> {
    let (patches, names) = logits.dims2()?;
    let inside = places
        .iter()
        .filter(|p| matches!(p, Place::Defect(_)))
        .count();
    let outside = places.iter().filter(|p| **p == Place::Elsewhere).count();
    let mut on = vec![0f32; patches * names];
    let mut off = vec![0f32; patches];
    for (patch, place) in places.iter().enumerate() {
        match place {
            Place::Defect(kind) => on[patch * names + kind] = 0.5 / inside as f32,
            Place::Elsewhere => off[patch] = 0.5 / outside as f32,
            Place::Edge => {}
        }
    }
    let log = log_softmax(logits)?;
    let on = Tensor::from_vec(on, (patches, names), &Device::Cpu)?;
    let off = Tensor::from_vec(off, patches, &Device::Cpu)?;
    let thing = log.narrow(1, kinds, names - kinds)?.exp()?.sum(1)?;
    let thing = (thing + 1e-6)?.log()?;
    ((log * on)?.sum_all()? + (thing * off)?.sum_all()?)?.neg()
}
