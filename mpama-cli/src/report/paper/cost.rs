//! The paper's table 7: what predicting costs.

/// A line of table 7: one image at a time on an idle NVIDIA A100.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Cost {
    pub(in crate::report) system: &'static str,
    /// Seconds for an image.
    pub(in crate::report) seconds: f64,
    /// Images in a second, as printed.
    pub(in crate::report) images_per_second: f64,
    /// Peak memory of the GPU in MB.
    pub(in crate::report) memory: u32,
}

const fn line(system: &'static str, seconds: f64, images_per_second: f64, memory: u32) -> Cost {
    Cost {
        system,
        seconds,
        images_per_second,
        memory,
    }
}

pub(in crate::report) const COSTS: [Cost; 3] = [
    line("AnomalyCLIP", 0.124, 8.04, 2235),
    line("MPA", 0.137, 7.29, 3275),
    line("MPAMA", 0.152, 6.56, 3275),
];

#[cfg(test)]
mod tests {
    use super::COSTS;

    #[test]
    fn time_and_rate_agree_as_printed() {
        for cost in COSTS {
            let difference = 1.0 / cost.seconds - cost.images_per_second;
            assert!(difference.abs() < 0.03, "{}", cost.system);
        }
    }
}
