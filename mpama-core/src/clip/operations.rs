//! How much the image tower computes.

use super::config::VisionConfig;
use super::vision::{VisionOptions, VisionTower};

impl VisionTower {
    /// [`VisionConfig::operations`] for what is taken from this tower.
    pub fn operations(&self, height: usize, width: usize) -> u64 {
        self.config().operations(self.options(), height, width)
    }
}

impl VisionConfig {
    /// Multiplications and additions for one image of `height` by `width` pixels: those of the products of
    /// matrices, which are nearly all.
    ///
    /// With T patches of side s, N = T + 1 tokens of width W and an MLP of width M, and two operations for every
    /// product that is added:
    ///
    /// - embedding of the patches: `2 T · 3s² · W`;
    /// - a block: `6 N W²` for queries, keys and values, `4 N² W` for scores and their mixtures, `2 N W²` for the
    ///   output, `4 N W M` for the MLP;
    /// - a block's V-V stream: `4 N² W + 2 N W²` more; its values are the block's own;
    /// - the last block, where the V-V stream is on: keys and values of all tokens, `4 N W²`, and the rest for the
    ///   class token alone, `2 W² + 4 N W + 2 W² + 4 W M`.
    ///
    /// Projections into the joint space are not counted: they are the adapter's. Neither are shortcuts of the
    /// kernels, such as scores that are symmetric.
    pub fn operations(&self, options: &VisionOptions, height: usize, width: usize) -> u64 {
        let patches = ((height / self.patch_size) * (width / self.patch_size)) as u64;
        let side = self.patch_size as u64;
        let [w, m] = [self.blocks.width, self.blocks.mlp_width].map(|width| width as u64);
        let [layers, streams] = [self.blocks.layers, options.vv_depth].map(|blocks| blocks as u64);
        let n = patches + 1;
        let block = |rows: u64| (4 * n + 4 * rows) * w * w + 4 * rows * n * w + 4 * rows * w * m;
        let second = 4 * n * n * w + 2 * n * w * w;
        let last = if streams > 0 { block(1) } else { block(n) };
        2 * patches * 3 * side * side * w + (layers - 1) * block(n) + last + streams * second
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clip::BlocksConfig;
    use crate::nn::activation::Activation;

    fn tower(patch_size: usize, width: usize, layers: usize) -> VisionConfig {
        VisionConfig {
            blocks: BlocksConfig {
                width,
                mlp_width: 4 * width,
                layers,
                heads: 1,
                activation: Activation::QuickGelu,
                layer_norm_eps: 1e-5,
            },
            image_size: 336,
            patch_size,
        }
    }

    fn options(vv_depth: usize) -> VisionOptions {
        VisionOptions {
            vv_depth,
            ..VisionOptions::default()
        }
    }

    /// One block, counted product by product: rows, inner, columns.
    #[test]
    fn a_small_tower_by_hand() {
        let (t, n, w, m) = (6, 7, 5, 20); // 2 by 3 patches of side 2
        let products =
            |all: &[[u64; 3]]| -> u64 { all.iter().map(|p| 2 * p.iter().product::<u64>()).sum() };
        let attention = [[n, w, n], [n, n, w]];
        let [whole, dual] = [0, 1].map(|vv| tower(2, 5, 1).operations(&options(vv), 4, 6));
        let embedding = products(&[[t, 12, w]]);
        let block = [[n, w, 3 * w], [n, w, w], [n, w, m], [n, m, w]];
        assert_eq!(whole, embedding + products(&block) + products(&attention));
        let class = [
            [n, w, 2 * w],
            [1, w, w],
            [1, w, n],
            [1, n, w],
            [1, w, w],
            [1, w, m],
            [1, m, w],
        ];
        let second = products(&attention) + products(&[[n, w, w]]);
        assert_eq!(dual, embedding + products(&class) + second);
    }

    #[test]
    fn the_papers_tower_takes_more_than_a_teraflop() {
        let large = tower(14, 1024, 24);
        let [plain, dual] = [0, 19].map(|vv| large.operations(&options(vv), 518, 518));
        // 1.214e12 if the last block had to be whole
        assert_eq!((plain / 1_000_000_000, dual / 1_000_000_000), (1013, 1177));
    }
}
