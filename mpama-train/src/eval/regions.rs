//! Connected regions of a mask.

use super::error::MetricError;

/// The regions of one mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regions {
    /// `[H, W]` row by row: 0 outside every region, otherwise the region's number from 1.
    pub labels: Vec<u32>,
    /// Pixels of region 1, 2, …
    pub areas: Vec<usize>,
}

/// Numbers the 8-connected regions of nonzero pixels in the order in which rows meet them. On a
/// binary mask this equals scikit-image's `measure.label` with its default connectivity; `mask` is
/// `[H, W]` row by row.
///
/// # Errors
/// A mask of `height * width` values is expected.
pub fn label_regions(mask: &[u8], height: usize, width: usize) -> Result<Regions, MetricError> {
    if mask.len() != height * width {
        return Err(MetricError::Shape {
            what: "mask",
            found: mask.len(),
            height,
            width,
        });
    }
    let mut labels = vec![0; mask.len()];
    let mut areas = Vec::new();
    let mut frontier = Vec::new();
    for seed in 0..mask.len() {
        if mask[seed] == 0 || labels[seed] != 0 {
            continue;
        }
        // Regions cannot touch, so 2^32 of them would need an image of 16 gigapixels.
        let label = areas.len() as u32 + 1;
        let mut area = 0;
        labels[seed] = label;
        frontier.push(seed);
        while let Some(pixel) = frontier.pop() {
            area += 1;
            let (y, x) = (pixel / width, pixel % width);
            for row in y.saturating_sub(1)..(y + 2).min(height) {
                for neighbour in row * width + x.saturating_sub(1)..row * width + (x + 2).min(width)
                {
                    if mask[neighbour] != 0 && labels[neighbour] == 0 {
                        labels[neighbour] = label;
                        frontier.push(neighbour);
                    }
                }
            }
        }
        areas.push(area);
    }
    Ok(Regions { labels, areas })
}
