//! Anomaly maps as plain numbers.

/// A map of anomaly probabilities, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalyMap {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height · width` values in [0, 1].
    pub values: Vec<f32>,
}

/// The largest value of a map and where it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Column, from the left.
    pub x: usize,
    /// Row, from the top.
    pub y: usize,
    /// The value there.
    pub value: f32,
}

impl AnomalyMap {
    /// The largest value; the first one in reading order of several.
    pub fn peak(&self) -> Peak {
        let mut best = (0, f32::NEG_INFINITY);
        for (i, &value) in self.values.iter().enumerate() {
            if value > best.1 {
                best = (i, value);
            }
        }
        Peak {
            x: best.0 % self.width,
            y: best.0 / self.width,
            value: best.1,
        }
    }

    /// Gaussian smoothing as `scipy.ndimage.gaussian_filter` does it (AnomalyCLIP's choice): columns
    /// first, then rows, radius `⌊4σ + ½⌋`, borders mirrored with the edge repeated, f64 sums
    /// rounded to f32 after each pass. `sigma` in pixels; 0 or less changes nothing.
    pub fn smoothed(&self, sigma: f64) -> AnomalyMap {
        let radius = (4.0 * sigma + 0.5) as usize;
        if sigma <= 0.0 || radius == 0 {
            return self.clone();
        }
        let mut kernel: Vec<f64> = (0..=radius)
            .map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp())
            .collect();
        let sum = kernel[0] + 2.0 * kernel[1..].iter().sum::<f64>();
        kernel.iter_mut().for_each(|w| *w /= sum);
        let (h, w) = (self.height, self.width);
        let rows = mirrored(h, radius);
        let mut vertical = vec![0f32; h * w];
        let mut sums = vec![0f64; w];
        for y in 0..h {
            sums.fill(0.0);
            for k in 0..=2 * radius {
                let weight = kernel[k.abs_diff(radius)];
                let source = &self.values[rows[y + k] * w..][..w];
                sums.iter_mut()
                    .zip(source)
                    .for_each(|(sum, v)| *sum += weight * f64::from(*v));
            }
            vertical[y * w..][..w]
                .iter_mut()
                .zip(&sums)
                .for_each(|(out, sum)| *out = *sum as f32);
        }
        let columns = mirrored(w, radius);
        let mut values = vec![0f32; h * w];
        for (row, out) in vertical.chunks(w).zip(values.chunks_mut(w)) {
            let padded: Vec<f64> = columns.iter().map(|&x| f64::from(row[x])).collect();
            for (x, out) in out.iter_mut().enumerate() {
                let window = &padded[x..=x + 2 * radius];
                let mut sum = kernel[0] * window[radius];
                for k in 1..=radius {
                    sum += kernel[k] * (window[radius - k] + window[radius + k]);
                }
                *out = sum as f32;
            }
        }
        AnomalyMap {
            height: h,
            width: w,
            values,
        }
    }

    /// Bilinear resize with pixel centres aligned (`align_corners=False`, no antialias): the map at
    /// an image's own size.
    pub fn resized(&self, height: usize, width: usize) -> AnomalyMap {
        let taps = |to: usize, from: usize| -> Vec<(usize, usize, f32)> {
            (0..to)
                .map(|i| {
                    let t = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
                    let t = t.clamp(0.0, (from - 1) as f64);
                    let low = t as usize;
                    (low, (low + 1).min(from - 1), t.fract() as f32)
                })
                .collect()
        };
        let columns = taps(width, self.width);
        let mut values = Vec::with_capacity(height * width);
        for (top, bottom, down) in taps(height, self.height) {
            let (top, bottom) = (
                &self.values[top * self.width..],
                &self.values[bottom * self.width..],
            );
            values.extend(columns.iter().map(|&(left, right, across)| {
                let upper = top[left] + (top[right] - top[left]) * across;
                let lower = bottom[left] + (bottom[right] - bottom[left]) * across;
                upper + (lower - upper) * down
            }));
        }
        AnomalyMap {
            height,
            width,
            values,
        }
    }
}

/// Indices `-radius .. n + radius` folded back into `0..n`, the edge repeated: `d c b a | a b c d`.
fn mirrored(n: usize, radius: usize) -> Vec<usize> {
    let period = 2 * n as isize;
    (-(radius as isize)..(n + radius) as isize)
        .map(|i| {
            let i = i.rem_euclid(period);
            i.min(period - 1 - i) as usize
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(height: usize, width: usize) -> AnomalyMap {
        let values = (0..height * width)
            .map(|i| ((i * 37) % 101) as f32 / 100.0)
            .collect();
        AnomalyMap {
            height,
            width,
            values,
        }
    }

    #[test]
    fn smoothing_keeps_a_constant_and_the_mean() {
        let constant = AnomalyMap {
            height: 5,
            width: 9,
            values: vec![0.25; 45],
        };
        assert!(
            constant
                .smoothed(4.0)
                .values
                .iter()
                .all(|v| (v - 0.25).abs() < 1e-6)
        );
        let map = ramp(12, 7);
        let mean = |m: &AnomalyMap| m.values.iter().sum::<f32>() / m.values.len() as f32;
        assert!((mean(&map) - mean(&map.smoothed(1.5))).abs() < 1e-5);
        assert_eq!(map.smoothed(0.0), map);
    }

    #[test]
    fn resizing_to_the_same_size_changes_nothing() {
        let map = ramp(4, 6);
        assert_eq!(map.resized(4, 6), map);
        let double = map.resized(8, 12);
        assert_eq!(
            (double.height, double.width, double.values.len()),
            (8, 12, 96)
        );
        assert_eq!(double.values[0], map.values[0]);
    }

    #[test]
    fn the_peak_is_the_first_largest_value() {
        let map = AnomalyMap {
            height: 2,
            width: 3,
            values: vec![0.1, 0.9, 0.2, 0.9, 0.0, 0.3],
        };
        assert_eq!(
            map.peak(),
            Peak {
                x: 1,
                y: 0,
                value: 0.9
            }
        );
    }
}
