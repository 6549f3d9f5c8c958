//! What the loop needs to know of a stage.

use crate::error::{Error, Result};
use crate::optim::AdamParams;
use crate::stage::Stage;

/// One stage as the loop sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which stage.
    pub stage: Stage,
    /// The run's seed: with stage and epoch it decides the order of images.
    pub seed: u64,
    /// Times every image is seen.
    pub epochs: usize,
    /// Images per step.
    pub batch_size: usize,
    /// Constant learning rate.
    pub learning_rate: f64,
    /// The learning rate of variables named `router.…`, if it is another.
    pub router_learning_rate: Option<f64>,
    /// Adam's constants.
    pub adam: AdamParams,
}

impl Plan {
    /// The learning rate of the variable of this name.
    pub fn rate_of(&self, variable: &str) -> f64 {
        match self.router_learning_rate {
            Some(rate) if variable.starts_with("router.") => rate,
            _ => self.learning_rate,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let check = |holds: bool, key: &str, expected: &str, found: &dyn std::fmt::Debug| {
            setting(
                holds,
                &format!("stage-{}.{key}", self.stage),
                expected,
                found,
            )
        };
        check(self.epochs > 0, "epochs", "above 0", &self.epochs)?;
        check(
            self.batch_size > 0,
            "batch-size",
            "above 0",
            &self.batch_size,
        )?;
        let positive = |x: f64| x.is_finite() && x > 0.0;
        let rate = self.learning_rate;
        check(positive(rate), "learning-rate", "above 0", &rate)?;
        let rate = self.router_learning_rate.unwrap_or(rate);
        check(positive(rate), "router-learning-rate", "above 0", &rate)?;
        let AdamParams {
            betas: (beta1, beta2),
            eps,
        } = self.adam;
        let decays = [beta1, beta2].iter().all(|beta| (0.0..1.0).contains(beta));
        check(decays, "betas", "two numbers in [0, 1)", &self.adam.betas)?;
        check(positive(eps), "eps", "above 0", &eps)
    }
}

/// An error that names `key` unless `holds`.
pub(crate) fn setting(
    holds: bool,
    key: &str,
    expected: &str,
    found: &dyn std::fmt::Debug,
) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::Setting {
        key: key.to_owned(),
        expected: expected.to_owned(),
        found: format!("{found:?}"),
    })
}
