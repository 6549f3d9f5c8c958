//! Perception: what each prompt level sees (section 3.1 of the paper).
//!
//! A level p averages every p×p window of patch tokens. Windows live on a grid of their own; the
//! [`Perception`] knows that grid, how to pool onto it and how to enlarge a map on it to the image.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::config::{Border, EvenWindows, ImageSize, PerceptionConfig, Upsampling};
use crate::error::{Error, Result};
use crate::kernels::separable::Plane;
use crate::nn::resize::{AxisMap, Separable};

/// One level p on a given grid of patches and image size.
#[derive(Debug, Clone)]
pub struct Perception {
    /// Window side p, in patches.
    pub level: usize,
    /// Windows along height and width, `(H_p, W_p)`.
    pub windows: (usize, usize),
    grid: (usize, usize),
    pool: Separable,
    up: Separable,
}

impl Perception {
    /// All levels of `config`, in its order, for a `grid` of patches that covers an image of `size`.
    ///
    /// # Errors
    /// [`Error::Setting`] if a level's windows do not fit on the grid.
    pub fn levels(
        config: &PerceptionConfig,
        grid: (usize, usize),
        size: ImageSize,
        device: &Device,
    ) -> Result<Vec<Self>> {
        config
            .levels
            .iter()
            .map(|&p| Self::new(p, config, grid, size, device))
            .collect()
    }

    fn new(
        level: usize,
        config: &PerceptionConfig,
        grid: (usize, usize),
        size: ImageSize,
        device: &Device,
    ) -> Result<Self> {
        let rows = Windows::new(level, grid.0, config)?;
        let cols = Windows::new(level, grid.1, config)?;
        Ok(Perception {
            level,
            windows: (rows.count, cols.count),
            grid,
            pool: Separable::new(&rows.pool(config.border), &cols.pool(config.border), device)?,
            up: Separable::new(
                &rows.upsample(size.height, config.upsampling),
                &cols.upsample(size.width, config.upsampling),
                device,
            )?,
        })
    }

    /// `AGG_p`: the mean of every window's tokens. `tokens` `[B, T, W]` to `[B, H_p·W_p, W]`.
    pub fn pool_tokens(&self, tokens: &Tensor) -> Result<Tensor> {
        if self.level == 1 {
            return Ok(tokens.clone()); // every window is one patch
        }
        self.expect_grid("patch tokens", tokens.dim(1)?, tokens)?;
        Ok(self.pool.vectors(tokens)?)
    }

    /// The same mean of scalars instead of vectors: `[B, T]` to `[B, H_p·W_p]`. Differentiable.
    pub fn pool_scalars(&self, scalars: &Tensor) -> Result<Tensor> {
        if self.level == 1 {
            return Ok(scalars.clone());
        }
        let (b, t) = scalars.dims2()?;
        self.expect_grid("patch scalars", t, scalars)?;
        let planes = scalars.reshape((b, self.grid.0, self.grid.1))?;
        Ok(self.pool.forward(&planes)?.flatten_from(1)?)
    }

    /// `AGG_p` as it is for one number of every patch.
    pub(crate) fn plane(&self) -> &Arc<Plane> {
        self.pool.plane()
    }

    /// `Up`: a map on the windows `[B, H_p·W_p]` enlarged to the image, `[B, H, W]`. Differentiable.
    pub fn upsample(&self, map: &Tensor) -> Result<Tensor> {
        let planes = map.reshape((map.dim(0)?, self.windows.0, self.windows.1))?;
        Ok(self.up.forward(&planes)?)
    }

    /// `Up` as it is for one map.
    pub(crate) fn enlargement(&self) -> &Arc<Plane> {
        self.up.plane()
    }

    fn expect_grid(&self, what: &str, tokens: usize, tensor: &Tensor) -> Result<()> {
        if tokens == self.grid.0 * self.grid.1 {
            return Ok(());
        }
        let mut expected = tensor.dims().to_vec();
        expected[1] = self.grid.0 * self.grid.1;
        Err(Error::Shape {
            what: what.into(),
            expected,
            found: tensor.dims().to_vec(),
        })
    }
}

/// Every level's map on its windows enlarged to the image.
pub(crate) fn enlarged(maps: &[Tensor], levels: &[Perception]) -> Result<Vec<Tensor>> {
    let pairs = maps.iter().zip(levels);
    pairs.map(|(map, level)| level.upsample(map)).collect()
}

/// The windows of one level along one axis. Window `k` begins at patch `first + k - reach`.
struct Windows {
    level: usize,
    patches: usize,
    /// Position of window 0: its central patch (odd p) or the corner it is centred on (even p).
    first: usize,
    count: usize,
}

impl Windows {
    fn new(level: usize, patches: usize, config: &PerceptionConfig) -> Result<Self> {
        let half = level / 2;
        let even = level.is_multiple_of(2);
        let valid = config.border == Border::Valid || (even && config.even == EvenWindows::Valid);
        let (first, count) = match (valid, even, config.even) {
            (true, ..) => (half, (patches + 1).saturating_sub(level)),
            (false, true, EvenWindows::Corners) => (0, patches + 1),
            (false, ..) => (0, patches),
        };
        if count == 0 || level > patches + 1 {
            return Err(Error::setting(
                "perception.levels",
                &format!("windows that fit on {patches} patches"),
                format_args!("{level}"),
            ));
        }
        Ok(Windows {
            level,
            patches,
            first,
            count,
        })
    }

    fn pool(&self, border: Border) -> AxisMap {
        let (p, n) = (self.level as isize, self.patches as isize);
        AxisMap::new(self.count, self.patches, |k| {
            let begin = (self.first + k) as isize - p / 2;
            let cells = begin..begin + p;
            let inside = cells.clone().filter(|j| (0..n).contains(j)).count();
            let weight = match border {
                Border::Exclude | Border::Valid => 1.0 / inside as f64,
                Border::Include | Border::Replicate => 1.0 / p as f64,
            };
            cells
                .filter(move |j| border == Border::Replicate || (0..n).contains(j))
                .map(move |j| (j.clamp(0, n - 1) as usize, weight))
        })
    }

    fn upsample(&self, pixels: usize, upsampling: Upsampling) -> AxisMap {
        let spread = match upsampling {
            Upsampling::Geometry => self.patches,
            Upsampling::HalfPixel => self.count,
        };
        let half_patch = upsampling == Upsampling::HalfPixel || self.level % 2 == 1;
        let offset = if half_patch { 0.5 } else { 0.0 };
        let first = if upsampling == Upsampling::Geometry {
            self.first
        } else {
            0
        };
        AxisMap::bilinear(pixels, self.count, |x| {
            (x as f64 + 0.5) * spread as f64 / pixels as f64 - offset - first as f64
        })
    }
}

#[cfg(test)]
mod tests;
