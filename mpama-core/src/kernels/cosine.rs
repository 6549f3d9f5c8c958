//! How far vectors point into one direction.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::floats::sum;
use super::{arch, for_each, slice, with_values};

/// Rows that one thread takes at a time; sums over all rows are made of these.
const ROWS: usize = 256;

/// `⟨x / ‖x‖, direction⟩` for each row of `x` `[M, D]` and a `direction` `[D]` of any length: `[M]`, with
/// gradients for both. What `nn::normalize::unit_length` and a product compose.
pub(crate) fn cosine(x: &Tensor, direction: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&direction.contiguous()?, Cosine)
}

struct Cosine;

/// Product with the direction and reciprocal length of a row, zero for a zero row.
#[inline(always)]
fn product(x: &[f32], direction: &[f32]) -> (f32, f32) {
    let square = sum(x, x, |a, b| a * b) + 1e-24; // as in `nn::normalize`
    (sum(x, direction, |a, b| a * b), 1.0 / square.sqrt())
}

/// The gradient of `x`, given that of the result.
pub(crate) fn back(x: &Tensor, direction: &Tensor, grad: &Tensor) -> Result<Tensor> {
    Ok(gradients(x, direction, grad)?.0)
}

/// Gradients of rows and direction.
fn gradients(x: &Tensor, direction: &Tensor, grad: &Tensor) -> Result<(Tensor, Vec<f32>)> {
    let (rows, width) = x.dims2()?;
    let mut dx = vec![0f32; rows * width];
    let mut parts = vec![0f32; rows.div_ceil(ROWS) * width];
    let mut total = vec![0f32; width];
    with_values(
        [x, direction, &grad.contiguous()?],
        |[x, direction, grad]| {
            let tasks = dx
                .chunks_mut(ROWS * width)
                .zip(x.chunks(ROWS * width))
                .zip(grad.chunks(ROWS).zip(parts.chunks_exact_mut(width)));
            for_each(tasks, |((dx, x), (grad, part))| {
                arch().dispatch(|| {
                    let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width));
                    for ((dx, x), grad) in rows.zip(grad) {
                        let (along, scale) = product(x, direction);
                        let grad = grad * scale;
                        let back = along * scale * scale;
                        for (((dx, part), x), d) in
                            dx.iter_mut().zip(&mut *part).zip(x).zip(direction)
                        {
                            *dx = grad * (d - back * x);
                            *part += grad * x;
                        }
                    }
                });
            });
            for part in parts.chunks_exact(width) {
                total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
            }
        },
    )?;
    Ok((Tensor::from_vec(dx, x.shape(), x.device())?, total))
}

impl CustomOp2 for Cosine {
    fn name(&self) -> &'static str {
        "cosine"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        direction: &CpuStorage,
        direction_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let (x, direction) = (slice(x, layout)?, slice(direction, direction_layout)?);
        let mut out = vec![0f32; rows];
        for_each(
            out.chunks_mut(ROWS).zip(x.chunks(ROWS * width)),
            |(out, x)| {
                arch().dispatch(|| {
                    for (out, x) in out.iter_mut().zip(x.chunks_exact(width)) {
                        let (along, scale) = product(x, direction);
                        *out = along * scale;
                    }
                });
            },
        );
        Ok((CpuStorage::F32(out), Shape::from(rows)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        direction: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, total) = gradients(x, direction, grad)?;
        let of_direction = || Tensor::from_vec(total, direction.shape(), x.device());
        Ok((
            Some(dx),
            direction.track_op().then(of_direction).transpose()?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_same, numbers};
    use super::*;
    use crate::nn::normalize::unit_length;

    #[test]
    fn it_equals_the_plain_one() {
        for (rows, width) in [(2, 3), (5, 33), (300, 20), (513, 7)] {
            let inputs = [
                numbers(&[rows, width], 2.0, 0.1),
                numbers(&[width], 0.7, 0.5),
            ];
            assert_same(
                &inputs,
                |i| cosine(&i[0], &i[1]),
                |i| unit_length(&i[0])?.matmul(&i[1].unsqueeze(1)?)?.squeeze(1),
            );
        }
    }
}
