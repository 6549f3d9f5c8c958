//! The image tower, with AnomalyCLIP's second stream of V-V attention.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Device, Tensor};

use super::block::Block;
use super::config::{ClipConfig, VisionConfig};
use super::error::{ClipError, Result};
use super::packed::PackedFile;
use super::position::resize;
use super::weights::{Source, Wanted, Weights};
use crate::kernels::precision::Precision;
use crate::nn::layer_norm::LayerNorm;
use crate::nn::linear::Linear;

/// What to take from the image tower.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VisionOptions {
    /// The last so many blocks feed the V-V stream, which the patch tokens are then read from.
    /// 0 is plain CLIP: patch tokens of the ordinary stream. AnomalyCLIP: 19 of 24.
    pub vv_depth: usize,
    /// Passes the class token through `post_layernorm`, as CLIP does. AnomalyCLIP does not.
    pub class_ln_post: bool,
    /// Blocks, counted from 1, after which patch tokens are taken as well.
    pub intermediate: Vec<usize>,
    /// What products are computed in. Only the processor has others than f32.
    pub precision: Precision,
}

/// What the image tower sees. All tensors are f32 and carry no gradient.
#[derive(Debug, Clone)]
pub struct VisionFeatures {
    /// Class token of the ordinary stream, `[B, W]`.
    pub class: Tensor,
    /// Patch tokens after `post_layernorm`, `[B, T, W]`, row by row.
    pub patches: Tensor,
    /// Rows and columns of patches; their product is T.
    pub grid: (usize, usize),
    /// Patch tokens `[B, T, W]` after the blocks of [`VisionOptions::intermediate`], in its order, each
    /// after `post_layernorm`: of the V-V stream where it has begun, of the ordinary stream before.
    pub intermediate: Vec<Tensor>,
}

/// A frozen image tower.
///
/// In each of the last `vv_depth` blocks the attention's input u = ln₁(x) of the ordinary stream x also
/// yields `softmax(v vᵀ/√d) v`, passed through the same output projection and added to the V-V stream,
/// which starts as the x that enters the first of these blocks and never meets an MLP (AnomalyCLIP's
/// DPAM, after CLIP Surgery).
#[derive(Debug, Clone)]
pub struct VisionTower {
    patch: Linear,
    class: Tensor,
    /// Position embedding of the class token, `[W]`.
    class_position: Tensor,
    /// Position embedding of the grid it was trained on, `[side², W]`, and its values.
    table: Tensor,
    positions: Arc<[f32]>,
    side: usize,
    /// Position embeddings `[T, W]` of the grids met so far.
    resized: Arc<Mutex<BTreeMap<(usize, usize), Tensor>>>,
    pre_norm: LayerNorm,
    blocks: Vec<Block>,
    post_norm: LayerNorm,
    projection: Tensor,
    config: VisionConfig,
    options: VisionOptions,
    fingerprint: String,
}

/// Rows of the ordinary stream that are computed in the last block, where the V-V stream is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastBlock {
    /// The class token's, the only one read afterwards.
    ClassOnly,
    #[cfg(test)]
    Whole,
}

impl VisionTower {
    pub(super) fn load(
        source: &Source,
        config: &ClipConfig,
        options: &VisionOptions,
        device: &Device,
        kept_in: Option<&Path>,
    ) -> Result<Self> {
        check(config, options)?;
        let precision = options.precision;
        if precision != Precision::F32 && !device.is_cpu() {
            let device = if device.is_cuda() {
                "a CUDA card"
            } else {
                "Metal"
            };
            return Err(ClipError::Precision { precision, device });
        }
        let wanted = wanted(config);
        if !device.is_cpu() {
            return Self::build(source.read(&wanted)?, config, options, device);
        }
        // Whoever cannot keep a file reads the checkpoint: slower, and nothing else.
        let file = kept_in.map(|folder| PackedFile::find(folder, source, &wanted, precision));
        let file = file.and_then(io::Result::ok);
        let weights = match file.as_ref().and_then(|file| file.read(&wanted)) {
            Some(weights) => weights,
            None => {
                let mut weights = source.read(&wanted)?;
                weights.pack(precision)?;
                if let Some(file) = &file {
                    let _ = file.write(&weights);
                }
                weights
            }
        };
        Self::build(weights, config, options, device)?.packed()
    }

    /// The same tower, which never learns: on the processor its weights are laid out for the kernels, and no
    /// gradient goes through it. [`super::Checkpoint::vision`] gives towers of this kind.
    ///
    /// # Errors
    /// If an operation fails.
    pub fn packed(self) -> Result<Self> {
        let precision = self.options.precision;
        let blocks = self.blocks.into_iter().map(|block| block.packed(precision));
        Ok(Self {
            patch: self.patch.packed()?,
            blocks: blocks.collect::<candle_core::Result<_>>()?,
            ..self
        })
    }

    /// A tower over tensors in memory, named and shaped as [`ClipConfig::tensors`] says; others are
    /// ignored. They are shared, not copied: where they are variables, the tower is differentiable
    /// with respect to them and follows their values. Its fingerprint stays that of the values it was
    /// made with. In any other precision than f32 they are converted and carry no gradient.
    ///
    /// # Errors
    /// As [`super::Checkpoint::vision`].
    pub fn from_tensors(
        config: &ClipConfig,
        options: &VisionOptions,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self> {
        check(config, options)?;
        let mut weights = Weights::select(&wanted(config), tensors)?;
        if options.precision != Precision::F32 {
            weights.pack(options.precision)?;
        }
        let device = tensors.values().next().map(Tensor::device);
        Self::build(weights, config, options, device.unwrap_or(&Device::Cpu))
    }

    fn build(
        mut weights: Weights,
        config: &ClipConfig,
        options: &VisionOptions,
        device: &Device,
    ) -> Result<Self> {
        let vision = &config.vision;
        let fingerprint = weights.fingerprint()?;
        let mut take = |name: &str| weights.take(name, device);
        let mut norm = |name: &str| -> Result<LayerNorm> {
            let weight = take(&format!("vision_model.{name}.weight"))?;
            let bias = take(&format!("vision_model.{name}.bias"))?;
            Ok(LayerNorm::new(weight, bias, vision.blocks.layer_norm_eps))
        };
        let (pre_norm, post_norm) = (norm("pre_layrnorm")?, norm("post_layernorm")?);
        let patch = take("vision_model.embeddings.patch_embedding.weight")?.flatten_from(1)?;
        let positions = take("vision_model.embeddings.position_embedding.weight")?;
        let class = take("vision_model.embeddings.class_embedding")?;
        let projection = take("visual_projection.weight")?;
        let table = positions.narrow(0, 1, vision.grid().pow(2))?;
        Ok(Self {
            patch: Linear::new(patch, None),
            class,
            class_position: positions.get(0)?,
            positions: table.flatten_all()?.to_vec1()?.into(),
            table,
            side: vision.grid(),
            resized: Arc::default(),
            pre_norm,
            blocks: blocks(config, &mut weights, device)?,
            post_norm,
            projection,
            config: vision.clone(),
            options: options.clone(),
            fingerprint,
        })
    }

    /// Looks at a batch of images.
    ///
    /// # Shapes
    /// `pixels` `[B, 3, H, W]`, f32, normalised as CLIP expects; H and W any multiples of the patch
    /// size. Away from the size the tower was trained on, the position embedding is resized
    /// bilinearly (`align_corners=False`, no antialiasing).
    ///
    /// # Errors
    /// [`ClipError::Shape`] for any other shape.
    pub fn forward(&self, pixels: &Tensor) -> Result<VisionFeatures> {
        self.run(pixels, LastBlock::ClassOnly)
    }

    /// The visual projection, `[D, W]`: a token t is projected as `t · projectionᵀ`.
    pub fn projection(&self) -> &Tensor {
        &self.projection
    }

    /// BLAKE3, in hexadecimal, of the tower's and the projection's names, shapes and f32 values: the
    /// same for every file format that holds the same values.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Width W of the tokens.
    pub fn width(&self) -> usize {
        self.blocks[0].width()
    }

    /// Sizes of the tower.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// Side of a patch, in pixels.
    pub fn patch_size(&self) -> usize {
        self.config.patch_size
    }

    /// Number of blocks.
    pub fn layers(&self) -> usize {
        self.blocks.len()
    }

    /// What is taken from the tower.
    pub fn options(&self) -> &VisionOptions {
        &self.options
    }

    fn run(&self, pixels: &Tensor, last_block: LastBlock) -> Result<VisionFeatures> {
        let (mut x, grid) = self.embed(pixels)?;
        let (layers, first_dual) = (self.layers(), self.layers() - self.options.vv_depth);
        let mut vv: Option<Tensor> = None;
        let mut tokens = BTreeMap::new();
        for (i, block) in self.blocks.iter().enumerate() {
            let u = block.norm.forward(&x)?; // [B, 1+T, W]
            let attention = &block.attention;
            let value = attention.values(&u)?;
            let dual = i >= first_dual;
            if dual {
                let attended = attention.attend_alike(&value)?;
                vv = Some(attention.add_output(vv.as_ref().unwrap_or(&x), &attended)?);
            }
            let query = if dual && i + 1 == layers && last_block == LastBlock::ClassOnly {
                x = x.narrow(1, 0, 1)?; // [B, 1, W]
                attention.queries(&u.narrow(1, 0, 1)?)?
            } else {
                attention.queries(&u)?
            };
            let attended = attention.attend(&query, &attention.keys(&u)?, &value)?;
            x = block.add_mlp(&attention.add_output(&x, &attended)?)?;
            if i + 1 == layers || self.options.intermediate.contains(&(i + 1)) {
                tokens.insert(i + 1, self.patch_tokens(vv.as_ref().unwrap_or(&x))?);
            }
        }
        let class = x.narrow(1, 0, 1)?.squeeze(1)?;
        let class = if self.options.class_ln_post {
            self.post_norm.forward(&class)?
        } else {
            class
        };
        Ok(VisionFeatures {
            class,
            patches: tokens[&layers].clone(),
            grid,
            intermediate: self
                .options
                .intermediate
                .iter()
                .map(|layer| tokens[layer].clone())
                .collect(),
        })
    }

    /// All rows of a stream but the class token's, normalised: `[B, T, W]`.
    fn patch_tokens(&self, stream: &Tensor) -> Result<Tensor> {
        Ok(self
            .post_norm
            .forward(&stream.narrow(1, 1, stream.dim(1)? - 1)?)?)
    }

    /// Class and patch embeddings with their positions, after `pre_layrnorm`: `[B, 1+T, W]`, and the
    /// grid.
    fn embed(&self, pixels: &Tensor) -> Result<(Tensor, (usize, usize))> {
        let side = self.patch_size();
        let (batch, rows, columns) = match *pixels.dims() {
            [b, 3, h, w] if b > 0 && h > 0 && w > 0 && h % side == 0 && w % side == 0 => {
                (b, h / side, w / side)
            }
            _ => {
                let expected =
                    format!("[images, 3, height, width], sides multiples of the patch size {side}");
                return Err(ClipError::Shape {
                    what: "pixels",
                    expected,
                    found: pixels.dims().to_vec(),
                });
            }
        };
        // A convolution whose stride is its kernel is a product with each patch's pixels in a row.
        let patches = pixels
            .reshape(vec![batch, 3, rows, side, columns, side])?
            .permute([0, 2, 4, 1, 3, 5])?
            .reshape((batch, rows * columns, 3 * side * side))?;
        let patches = self
            .patch
            .forward(&patches)?
            .broadcast_add(&self.position(rows, columns)?)?;
        let class = (&self.class + &self.class_position)?.reshape((1, 1, ()))?;
        let class = class.broadcast_as((batch, 1, self.width()))?;
        let tokens = Tensor::cat(&[&class, &patches], 1)?;
        Ok((self.pre_norm.forward(&tokens)?, (rows, columns)))
    }

    /// The position embedding of a grid, `[T, W]`; resized once per size, where it does not learn.
    fn position(&self, rows: usize, columns: usize) -> Result<Tensor> {
        if self.table.track_op() {
            let (map, device) = (maps(self.side, rows, columns), self.table.device());
            return match (rows, columns) == (self.side, self.side) {
                true => Ok(self.table.clone()),
                false => Ok(Tensor::from_vec(map, (rows * columns, ()), device)?
                    .matmul(&self.table.contiguous()?)?),
            };
        }
        // The map is only ever added to: what a panicking thread left behind is whole.
        let mut cache = self.resized.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(position) = cache.get(&(rows, columns)) {
            return Ok(position.clone());
        }
        let width = self.width();
        let values = resize(&self.positions, self.side, width, rows, columns);
        let position = Tensor::from_vec(values, (rows * columns, width), self.class.device())?;
        cache.insert((rows, columns), position.clone());
        Ok(position)
    }
}

/// Whether a tower of this size can serve the options.
fn check(config: &ClipConfig, options: &VisionOptions) -> Result<()> {
    let layers = config.vision.blocks.layers;
    if options.vv_depth > layers {
        return Err(ClipError::VvDepth {
            depth: options.vv_depth,
            layers,
        });
    }
    let outside = |layer: &&usize| !(1..=layers).contains(*layer);
    match options.intermediate.iter().find(outside) {
        Some(&layer) => Err(ClipError::Layer { layer, layers }),
        None => Ok(()),
    }
}

/// Resizing of a grid as a matrix `[rows · columns, side²]`, for embeddings that are being learned.
fn maps(side: usize, rows: usize, columns: usize) -> Vec<f32> {
    let mut identity = vec![0.0; side.pow(4)];
    identity
        .iter_mut()
        .step_by(side.pow(2) + 1)
        .for_each(|one| *one = 1.0);
    resize(&identity, side, side.pow(2), rows, columns)
}

const BLOCKS: &str = "vision_model.encoder.layers";

fn blocks(config: &ClipConfig, weights: &mut Weights, device: &Device) -> Result<Vec<Block>> {
    let blocks = &config.vision.blocks;
    (0..blocks.layers)
        .map(|i| Block::new(&format!("{BLOCKS}.{i}"), blocks, weights, device))
        .collect()
}

/// Names and shapes of the tower's tensors, the visual projection included.
pub(super) fn wanted(config: &ClipConfig) -> Vec<Wanted> {
    let vision = &config.vision;
    let (width, side) = (vision.blocks.width, vision.patch_size);
    let rows = 1 + vision.grid().pow(2);
    let mut wanted: Vec<_> = [
        ("vision_model.embeddings.class_embedding", &[width][..]),
        (
            "vision_model.embeddings.patch_embedding.weight",
            &[width, 3, side, side],
        ),
        (
            "vision_model.embeddings.position_embedding.weight",
            &[rows, width],
        ),
        ("vision_model.pre_layrnorm.weight", &[width]), // sic
        ("vision_model.pre_layrnorm.bias", &[width]),
        ("vision_model.post_layernorm.weight", &[width]),
        ("vision_model.post_layernorm.bias", &[width]),
        ("visual_projection.weight", &[config.projection, width]),
    ]
    .into_iter()
    .map(|(name, shape)| Wanted::new(name, shape))
    .collect();
    for i in 0..vision.blocks.layers {
        wanted.extend(Block::wanted(&format!("{BLOCKS}.{i}"), &vision.blocks));
    }
    wanted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::super::Checkpoint;
    use super::*;

    #[test]
    fn the_last_block_for_the_class_token_alone_is_the_whole_one_cut_short() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny_clip");
        let values: Vec<f32> = (0..2 * 3 * 42 * 70)
            .map(|i| (i as f32 * 0.37).sin())
            .collect();
        let pixels = Tensor::from_vec(values, (2, 3, 42, 70), &Device::Cpu).unwrap();
        for vv_depth in [1, 3, 4] {
            let options = VisionOptions {
                vv_depth,
                ..VisionOptions::default()
            };
            let tower = Checkpoint::open(&folder)
                .unwrap()
                .vision(&options, &Device::Cpu)
                .unwrap();
            let [short, long] = [LastBlock::ClassOnly, LastBlock::Whole]
                .map(|last| tower.run(&pixels, last).unwrap());
            for (short, long) in [(short.class, long.class), (short.patches, long.patches)] {
                let apart = (short - long).unwrap().abs().unwrap().max_all().unwrap();
                assert!(apart.to_scalar::<f32>().unwrap() < 1e-5, "{apart}");
            }
        }
    }
    #[test]
    fn the_kernels_see_what_candle_sees() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny_clip");
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let options = VisionOptions {
            vv_depth: 2,
            intermediate: vec![1, 3],
            ..VisionOptions::default()
        };
        let weights = checkpoint.source.read(&wanted(&checkpoint.config)).unwrap();
        let plain = VisionTower::build(weights, &checkpoint.config, &options, &Device::Cpu);
        let plain = plain.unwrap();
        let packed = plain.clone().packed().unwrap();
        let values: Vec<f32> = (0..3 * 3 * 70 * 42)
            .map(|i| (i as f32 * 0.73).sin())
            .collect();
        let pixels = Tensor::from_vec(values, (3, 3, 70, 42), &Device::Cpu).unwrap();
        let [plain, packed] = [plain, packed].map(|tower| {
            let seen = tower.forward(&pixels).unwrap();
            [vec![seen.class, seen.patches], seen.intermediate].concat()
        });
        for (plain, packed) in plain.iter().zip(&packed) {
            let apart = (plain - packed).unwrap().abs().unwrap().max_all().unwrap();
            let most = plain.abs().unwrap().max_all().unwrap();
            let [apart, most] = [apart, most].map(|x| x.to_scalar::<f32>().unwrap());
            assert!(apart <= 1e-5 * most, "{apart} of {most}");
        }
    }
}
