//! Experts on the page: a colour for each, and which of them the patches of an image went to.

use std::fmt::Write;

use image::RgbImage;
use mpama_core::Routes;
use mpama_core::config::ExpertsConfig;

/// Of the frozen expert: the paler neutral, as it changes nothing.
const FROZEN: [u8; 3] = [0xc9, 0xcc, 0xd2];
/// Of the zero expert: dark, but not as dark as the page may be.
const ZERO: [u8; 3] = [0x4a, 0x4e, 0x57];
/// Of the learnable ones, from Okabe and Ito, "Color Universal Design" (2008): told apart by colour-blind
/// readers too, and in an order in which the first few differ most.
const LEARNABLE: [[u8; 3]; 6] = [
    [0x00, 0x72, 0xb2],
    [0xe6, 0x9f, 0x00],
    [0x00, 0x9e, 0x73],
    [0xd5, 0x5e, 0x00],
    [0x56, 0xb4, 0xe9],
    [0xf0, 0xe4, 0x42],
];

/// The colour of the expert at `place` in the pool. With more than six learnable ones the colours come again,
/// each time half as bright.
pub(super) fn colour(place: usize, pool: &ExpertsConfig) -> [u8; 3] {
    let learnable = match place {
        0 => return FROZEN,
        place if place > pool.learnable => return ZERO,
        place => place - 1,
    };
    let halved = (learnable / LEARNABLE.len()).min(7);
    LEARNABLE[learnable % LEARNABLE.len()].map(|channel| channel >> halved)
}

/// The same as CSS has it.
pub(super) fn css([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// The names of the pool beside their colours; behind each what `of` says of it.
pub(super) fn legend(pool: &ExpertsConfig, of: impl Fn(usize) -> String) -> String {
    let mut html = String::new();
    for place in 0..pool.pool() {
        let _ = write!(
            html,
            "<span class=\"key expert\" style=\"--of:{}\">{}{}</span>",
            css(colour(place, pool)),
            pool.name(place),
            of(place)
        );
    }
    html
}

/// Where the windows of an image's finest level went: patch by patch if that level is 1, as the paper's is.
#[derive(Debug, PartialEq)]
pub(super) struct ExpertMap {
    rows: usize,
    columns: usize,
    /// The most likely expert of each window, row by row: two bytes a window, some 3 kB for 37×37.
    first: Vec<u16>,
}

impl ExpertMap {
    /// `None` without experts.
    pub(super) fn of(routes: &[Routes]) -> Option<Self> {
        let finest = routes.iter().min_by_key(|level| level.level)?;
        let (rows, columns) = finest.windows;
        let windows = finest.routing.chosen.chunks(finest.routing.top_k.max(1));
        Some(Self {
            rows,
            columns,
            first: windows.map(|experts| experts[0] as u16).collect(),
        })
    }

    /// A pixel for each window.
    pub(super) fn picture(&self, pool: &ExpertsConfig) -> RgbImage {
        let mut picture = RgbImage::new(self.columns as u32, self.rows as u32);
        for (pixel, expert) in picture.pixels_mut().zip(&self.first) {
            pixel.0 = colour(usize::from(*expert), pool);
        }
        picture
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mpama_core::experts::Routing;

    use super::*;

    /// What is left of a colour in linear light: for all cones, without the long and without the middle ones
    /// (Machado, Oliveira and Fernandes, 2009, in full severity).
    const SIGHT: [[[f64; 3]; 3]; 3] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ];

    fn times(matrix: &[[f64; 3]; 3], [x, y, z]: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row[0] * x + row[1] * y + row[2] * z)
    }

    /// CIE L*a*b* under D65.
    fn lab(linear: [f64; 3]) -> [f64; 3] {
        let to_white = [
            [0.433_95, 0.376_22, 0.189_83],
            [0.212_67, 0.715_16, 0.072_17],
            [0.017_76, 0.109_47, 0.872_77],
        ];
        let [x, y, z] = times(&to_white, linear).map(|t| match t > 0.008_856 {
            true => t.cbrt(),
            false => 7.787 * t + 16.0 / 116.0,
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn colours_differ_for_every_kind_of_eye() {
        let pool = ExpertsConfig {
            learnable: LEARNABLE.len(),
            ..ExpertsConfig::default()
        };
        let light = |channel: u8| match f64::from(channel) / 255.0 {
            dark if dark <= 0.040_45 => dark / 12.92,
            other => ((other + 0.055) / 1.055).powf(2.4),
        };
        for sight in &SIGHT {
            let seen = |place| {
                let seen = times(sight, colour(place, &pool).map(light));
                lab(seen.map(|channel| channel.clamp(0.0, 1.0)))
            };
            for one in 0..pool.pool() {
                for other in 0..one {
                    let (a, b) = (seen(one), seen(other));
                    let squares: f64 = (0..3).map(|i| (a[i] - b[i]).powi(2)).sum();
                    // 2.3 is just noticeable side by side
                    let names = [pool.name(one), pool.name(other)];
                    assert!(squares.sqrt() > 15.0, "{names:?}: {}", squares.sqrt());
                }
            }
        }
    }

    #[test]
    fn every_expert_of_a_large_pool_has_a_colour() {
        let pool = ExpertsConfig {
            learnable: 14,
            zero: false,
            ..ExpertsConfig::default()
        };
        let colours: std::collections::BTreeSet<_> =
            (0..pool.pool()).map(|place| colour(place, &pool)).collect();
        assert_eq!(colours.len(), 15);
        assert!(!colours.contains(&ZERO) && colours.contains(&FROZEN));
    }

    #[test]
    fn a_map_shows_the_most_likely_expert_of_each_patch() {
        let level = |level, windows, chosen: &[usize]| Routes {
            level,
            windows,
            routing: Routing {
                chosen: chosen.to_vec(),
                top_k: 2,
            },
        };
        let pool = ExpertsConfig::default();
        let routes = [
            level(2, (1, 1), &[3, 0]),
            level(1, (1, 3), &[0, 1, 4, 0, 1, 0]),
        ];
        let picture = ExpertMap::of(&routes).unwrap().picture(&pool);
        assert_eq!(picture.dimensions(), (3, 1));
        let pixels: Vec<[u8; 3]> = picture.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [FROZEN, ZERO, LEARNABLE[0]]);
        assert_eq!(ExpertMap::of(&[]), None);
    }
}
