//! How often each expert is used (figure 5 of the paper).

use std::collections::BTreeMap;

use mpama_core::Routes;
use mpama_core::config::ExpertsConfig;
use serde::{Deserialize, Serialize};

/// How often one expert of the pool was chosen, over the tokens of all images and perception levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpertUse {
    /// `frozen`, `learnable 1`, …, or `zero`.
    pub expert: String,
    /// Tokens that have it among their K experts.
    pub chosen: u64,
    /// Its share of all choices; the shares of a pool sum to 1.
    pub share: f64,
    /// Tokens for which it is the most likely expert.
    pub first: u64,
    /// Its share of all tokens by that count.
    pub first_share: f64,
}

/// The same over the tokens of one perception level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerceptionUse {
    /// p: windows are p patches a side.
    pub level: usize,
    /// In the order of the pool.
    pub experts: Vec<ExpertUse>,
}

/// Choices counted, over all levels and on each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    all: Counts,
    levels: BTreeMap<usize, Counts>,
}

/// Choices counted, in the order of the pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counts {
    chosen: Vec<u64>,
    first: Vec<u64>,
}

impl Usage {
    /// Counts one image.
    pub(super) fn count(&mut self, pool: usize, routes: &[Routes]) {
        for Routes { level, routing, .. } in routes {
            for counts in [&mut self.all, self.levels.entry(*level).or_default()] {
                counts.resize(pool);
                for experts in routing.chosen.chunks(routing.top_k) {
                    counts.first[experts[0]] += 1;
                    for &expert in experts {
                        counts.chosen[expert] += 1;
                    }
                }
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add(&mut self, all: &[ExpertUse], levels: &[PerceptionUse]) {
        self.all.add(all);
        for PerceptionUse { level, experts } in levels {
            self.levels.entry(*level).or_default().add(experts);
        }
    }

    /// The counts with names and shares; empty if nothing was counted.
    pub(super) fn named(&self, config: &ExpertsConfig) -> Vec<ExpertUse> {
        self.all.named(config)
    }

    /// The same level by level, finest first.
    pub(super) fn by_perception(&self, config: &ExpertsConfig) -> Vec<PerceptionUse> {
        let levels = self.levels.iter().map(|(&level, counts)| PerceptionUse {
            level,
            experts: counts.named(config),
        });
        levels.collect()
    }
}

impl Counts {
    fn add(&mut self, other: &[ExpertUse]) {
        self.resize(other.len());
        for (expert, used) in other.iter().enumerate() {
            self.chosen[expert] += used.chosen;
            self.first[expert] += used.first;
        }
    }

    /// Never shortens.
    fn resize(&mut self, pool: usize) {
        let pool = pool.max(self.chosen.len());
        self.chosen.resize(pool, 0);
        self.first.resize(pool, 0);
    }

    fn named(&self, config: &ExpertsConfig) -> Vec<ExpertUse> {
        let share = |count: u64, of: &[u64]| count as f64 / of.iter().sum::<u64>().max(1) as f64;
        let counts = self.chosen.iter().zip(&self.first).enumerate();
        counts
            .map(|(place, (&chosen, &first))| ExpertUse {
                expert: config.name(place),
                chosen,
                share: share(chosen, &self.chosen),
                first,
                first_share: share(first, &self.first),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use mpama_core::experts::Routing;

    use super::*;

    #[test]
    fn shares_are_of_all_choices_and_of_all_tokens() {
        let config = ExpertsConfig::default();
        let level = |level, chosen: &[usize]| Routes {
            level,
            windows: (1, chosen.len() / 2),
            routing: Routing {
                chosen: chosen.to_vec(),
                top_k: 2,
            },
        };
        let mut usage = Usage::default();
        assert!(usage.named(&config).is_empty());
        usage.count(config.pool(), &[level(3, &[0, 1, 1, 0]), level(2, &[1, 2])]);
        let once = usage.named(&config);
        let of = |name: &str| once.iter().find(|used| used.expert == name).cloned();
        let learnable = of("learnable 1").unwrap_or_else(|| panic!("{once:?}"));
        assert_eq!((learnable.chosen, learnable.first), (3, 2));
        assert!((learnable.share - 0.5).abs() < 1e-12);
        assert!((learnable.first_share - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(of("frozen").map(|used| used.chosen), Some(2));
        let levels = usage.by_perception(&config);
        let of_levels: Vec<(usize, u64, u64)> = levels
            .iter()
            .map(|used| (used.level, used.experts[1].chosen, used.experts[1].first))
            .collect();
        assert_eq!(of_levels, [(2, 1, 1), (3, 2, 1)]);
        usage.add(&once, &levels);
        let twice = usage.named(&config);
        assert_eq!(twice[1].chosen, 6);
        assert!((twice[1].share - 0.5).abs() < 1e-12);
        let levels = usage.by_perception(&config);
        assert_eq!((levels[1].level, levels[1].experts[0].chosen), (3, 4));
    }
}
