//! How often each expert is used (figure 5 of the paper).

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

/// Choices counted, in the order of the pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    chosen: Vec<u64>,
    first: Vec<u64>,
}

impl Usage {
    /// Counts one image.
    pub(super) fn count(&mut self, pool: usize, routes: &[Routes]) {
        self.resize(pool);
        for routing in routes.iter().map(|level| &level.routing) {
            for experts in routing.chosen.chunks(routing.top_k) {
                self.first[experts[0]] += 1;
                experts.iter().for_each(|&expert| self.chosen[expert] += 1);
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add(&mut self, other: &[ExpertUse]) {
        self.resize(other.len());
        for (expert, used) in other.iter().enumerate() {
            self.chosen[expert] += used.chosen;
            self.first[expert] += used.first;
        }
    }

    fn resize(&mut self, pool: usize) {
        self.chosen.resize(pool, 0);
        self.first.resize(pool, 0);
    }

    /// The counts with names and shares; empty if nothing was counted.
    pub(super) fn named(&self, config: &ExpertsConfig) -> Vec<ExpertUse> {
        let share = |count: u64, of: &[u64]| count as f64 / of.iter().sum::<u64>().max(1) as f64;
        let counts = self.chosen.iter().zip(&self.first).enumerate();
        counts
            .map(|(number, (&chosen, &first))| ExpertUse {
                expert: match number {
                    0 => "frozen".to_owned(),
                    learnable if learnable <= config.learnable => format!("learnable {learnable}"),
                    _ => "zero".to_owned(),
                },
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
        let level = |chosen: &[usize]| Routes {
            level: 1,
            windows: (1, chosen.len() / 2),
            routing: Routing {
                chosen: chosen.to_vec(),
                top_k: 2,
            },
        };
        let mut usage = Usage::default();
        assert!(usage.named(&config).is_empty());
        usage.count(config.pool(), &[level(&[0, 1, 1, 0]), level(&[1, 2])]);
        let once = usage.named(&config);
        let of = |name: &str| once.iter().find(|used| used.expert == name).cloned();
        let learnable = of("learnable 1").unwrap_or_else(|| panic!("{once:?}"));
        assert_eq!((learnable.chosen, learnable.first), (3, 2));
        assert!((learnable.share - 0.5).abs() < 1e-12);
        assert!((learnable.first_share - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(of("frozen").map(|used| used.chosen), Some(2));
        usage.add(&once);
        let twice = usage.named(&config);
        assert_eq!(twice[1].chosen, 6);
        assert!((twice[1].share - 0.5).abs() < 1e-12);
    }
}
