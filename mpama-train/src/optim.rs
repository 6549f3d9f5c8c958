//! Adam (Kingma and Ba, "Adam: A Method for Stochastic Optimization", algorithm 1) with its state in
//! the open, so that a run can be stopped and continued to the same bytes.
//!
//! The order of operations is that of `torch.optim.Adam` (without weight decay and AMSGrad): the
//! first moment is interpolated, ε is added after the bias correction of the second.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The constants of Adam other than the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamParams {
    /// Decay rates of the two moments, each in [0, 1).
    pub betas: (f64, f64),
    /// Added to the root of the second moment; positive.
    pub eps: f64,
}

/// One trainable tensor with its moments, all of one shape, f32.
#[derive(Debug)]
struct Slot {
    variable: Var,
    learning_rate: f64,
    first: Tensor,
    second: Tensor,
}

impl Slot {
    /// One step in one pass over memory instead of a dozen: each element goes through the operations
    /// that [`Adam::step`] composes, in their order and in f32.
    fn step_in_one_pass(
        &mut self,
        gradient: &Tensor,
        params: &AdamParams,
        rate: f64,
        correction2: f64,
    ) -> Result<()> {
        let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let mut variable = values(self.variable.as_tensor())?;
        let (mut first, mut second) = (values(&self.first)?, values(&self.second)?);
        let gradient = values(gradient)?;
        let (weight, beta2) = (1.0 - params.betas.0, params.betas.1 as f32);
        let (near, far) = (weight as f32, (1.0 - weight) as f32);
        let beta2_left = (1.0 - params.betas.1) as f32;
        let (root_scale, eps) = ((1.0 / correction2) as f32, params.eps as f32);
        let rate = -rate as f32;
        for (((x, first), second), gradient) in variable
            .iter_mut()
            .zip(&mut first)
            .zip(&mut second)
            .zip(gradient)
        {
            let difference = gradient - *first;
            *first = match weight < 0.5 {
                true => *first + difference * near,
                false => gradient - difference * far,
            };
            *second = *second * beta2 + gradient * beta2_left * gradient;
            *x += *first * rate / (second.sqrt() * root_scale + eps);
        }
        let tensor = |values| Tensor::from_vec(values, self.variable.shape(), &Device::Cpu);
        self.variable.set(&tensor(variable)?)?;
        (self.first, self.second) = (tensor(first)?, tensor(second)?);
        Ok(())
    }
}

/// The optimiser of one stage: variables and moments by name, in the order of names.
#[derive(Debug)]
pub struct Adam {
    params: AdamParams,
    steps: usize,
    /// Multiplies every learning rate.
    factor: f64,
    slots: BTreeMap<String, Slot>,
}

impl Adam {
    /// An optimiser with zero moments for `variables`, which it shares with the caller.
    /// `learning_rate` gives each variable's own, by name.
    ///
    /// # Errors
    /// If the moments cannot be allocated.
    pub fn new(
        variables: &BTreeMap<String, Var>,
        params: AdamParams,
        learning_rate: impl Fn(&str) -> f64,
    ) -> Result<Self> {
        let mut slots = BTreeMap::new();
        for (name, variable) in variables {
            let slot = Slot {
                variable: variable.clone(),
                learning_rate: learning_rate(name),
                first: variable.zeros_like()?.detach(),
                second: variable.zeros_like()?.detach(),
            };
            slots.insert(name.clone(), slot);
        }
        Ok(Self {
            params,
            steps: 0,
            factor: 1.0,
            slots,
        })
    }

    /// Multiplies every learning rate by `factor` from the next step on, for schedules. It is not part
    /// of the state.
    pub fn set_factor(&mut self, factor: f64) {
        self.factor = factor;
    }

    /// Steps taken so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Moves every variable against its gradient.
    ///
    /// Nothing is changed unless every variable has a finite gradient.
    ///
    /// # Errors
    /// [`Error::NoGradient`] and [`Error::NonFiniteGradient`] name the first such variable.
    pub fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let mut found = Vec::with_capacity(self.slots.len());
        for (name, slot) in &self.slots {
            let gradient =
                gradients
                    .get(slot.variable.as_tensor())
                    .ok_or_else(|| Error::NoGradient {
                        variable: name.clone(),
                    })?;
            if !all_finite(gradient)? {
                return Err(Error::NonFiniteGradient {
                    variable: name.clone(),
                });
            }
            found.push(gradient);
        }

        self.steps += 1;
        let (beta1, beta2) = self.params.betas;
        let correction1 = 1.0 - beta1.powf(self.steps as f64);
        let correction2 = (1.0 - beta2.powf(self.steps as f64)).sqrt();
        for (slot, gradient) in self.slots.values_mut().zip(found) {
            let rate = slot.learning_rate * self.factor / correction1;
            if gradient.device().is_cpu() {
                slot.step_in_one_pass(gradient, &self.params, rate, correction2)?;
                continue;
            }
            let first = lerp(&slot.first, gradient, 1.0 - beta1)?;
            let second = ((&slot.second * beta2)? + ((gradient * (1.0 - beta2))? * gradient)?)?;
            let root = ((second.sqrt()? / correction2)? + self.params.eps)?;
            let update = ((&first * -rate)? / root)?;
            slot.variable
                .set(&(slot.variable.as_tensor().detach() + update)?)?;
            slot.first = first;
            slot.second = second;
        }
        Ok(())
    }

    /// Everything a later process needs to continue: each variable under `parameter.<name>`, its
    /// moments under `first-moment.<name>` and `second-moment.<name>`. [`Adam::steps`] goes beside.
    /// The tensors are copies: later steps do not change them.
    ///
    /// # Errors
    /// If a copy cannot be allocated.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for (name, slot) in &self.slots {
            // A variable is updated in place, the moments are replaced.
            state.insert(
                format!("parameter.{name}"),
                slot.variable.as_tensor().copy()?.detach(),
            );
            state.insert(format!("first-moment.{name}"), slot.first.clone());
            state.insert(format!("second-moment.{name}"), slot.second.clone());
        }
        Ok(state)
    }

    /// Puts back what [`Adam::state`] gave, into the variables too.
    ///
    /// # Errors
    /// [`Error::State`] names a tensor that is missing, left over, or of another shape; then nothing
    /// has been changed.
    pub fn restore(&mut self, mut state: BTreeMap<String, Tensor>, steps: usize) -> Result<()> {
        let mut restored = Vec::with_capacity(self.slots.len());
        for (name, slot) in &self.slots {
            let mut take = |key: String| -> Result<Tensor> {
                let tensor = state.remove(&key).ok_or_else(|| Error::State {
                    tensor: key.clone(),
                    expected: format!("{:?}", slot.variable.dims()),
                    found: "nothing".to_owned(),
                })?;
                if tensor.dims() != slot.variable.dims() || tensor.dtype() != slot.variable.dtype()
                {
                    return Err(Error::State {
                        tensor: key,
                        expected: format!("{:?} {:?}", slot.variable.dtype(), slot.variable.dims()),
                        found: format!("{:?} {:?}", tensor.dtype(), tensor.dims()),
                    });
                }
                Ok(tensor.to_device(slot.variable.device())?)
            };
            restored.push((
                take(format!("parameter.{name}"))?,
                take(format!("first-moment.{name}"))?,
                take(format!("second-moment.{name}"))?,
            ));
        }
        if let Some(tensor) = state.into_keys().next() {
            return Err(Error::State {
                tensor,
                expected: "nothing".to_owned(),
                found: "a tensor".to_owned(),
            });
        }
        for (slot, (parameter, first, second)) in self.slots.values_mut().zip(restored) {
            slot.variable.set(&parameter)?;
            slot.first = first;
            slot.second = second;
        }
        self.steps = steps;
        Ok(())
    }
}

/// `start + weight·(end − start)`, in the form torch chooses to be exact at both ends.
fn lerp(start: &Tensor, end: &Tensor, weight: f64) -> Result<Tensor> {
    let difference = (end - start)?;
    Ok(if weight < 0.5 {
        (start + (difference * weight)?)?
    } else {
        (end - (difference * (1.0 - weight))?)?
    })
}

/// Whether no element is infinite or not a number: zero times it is then zero.
fn all_finite(tensor: &Tensor) -> Result<bool> {
    let zero = (tensor.to_dtype(DType::F32)? * 0.0)?.sum_all()?;
    Ok(zero.to_scalar::<f32>()? == 0.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::Device;

    const PARAMS: AdamParams = AdamParams {
        betas: (0.5, 0.999),
        eps: 1e-8,
    };

    fn variable(values: &[f32]) -> Var {
        Var::from_slice(values, values.len(), &Device::Cpu).unwrap()
    }

    fn variables(pairs: &[(&str, &Var)]) -> BTreeMap<String, Var> {
        pairs
            .iter()
            .map(|(name, var)| ((*name).to_owned(), (*var).clone()))
            .collect()
    }

    /// The gradients of `Σ weight·x` are the weights.
    fn gradients(pairs: &[(&Var, &[f32])]) -> GradStore {
        let mut sum = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
        for (var, weights) in pairs {
            let weights = Tensor::new(*weights, &Device::Cpu).unwrap();
            sum = (sum + (var.as_tensor() * weights).unwrap().sum_all().unwrap()).unwrap();
        }
        sum.backward().unwrap()
    }

    fn values(var: &Var) -> Vec<f32> {
        var.as_tensor().to_vec1().unwrap()
    }

    const TORCH_A: [f32; 3] = [0.49875277, -1.2550002, 3.004549];
    const TORCH_B: [f32; 2] = [-0.04445454, 2.0027375];

    /// `torch.optim.Adam` 2.15 on the CPU, betas (0.5, 0.999), learning rates 1e-3 (`a`) and 0.1 (`b`).
    #[test]
    fn five_steps_equal_torch() {
        let (a, b) = (variable(&[0.5, -1.25, 3.0]), variable(&[1e-3, 2.0]));
        let rate = |name: &str| if name == "b" { 0.1 } else { 1e-3 };
        let mut adam = Adam::new(&variables(&[("a", &a), ("b", &b)]), PARAMS, rate).unwrap();
        for step in 0..5 {
            let k = step as f32;
            let (ga, gb) = ([0.1 - 0.05 * k, 2.0, -1e-4 * k], [1e-9, k - 1.5]);
            adam.step(&gradients(&[(&a, &ga), (&b, &gb)])).unwrap();
        }
        assert_eq!(values(&a), TORCH_A);
        assert_eq!(values(&b), TORCH_B);
    }

    #[test]
    fn a_restored_optimiser_continues_to_the_same_bits() {
        let walk = |var: &Var, adam: &mut Adam, steps: std::ops::Range<u32>| {
            for step in steps {
                adam.step(&gradients(&[(var, &[0.3 * step as f32 - 1.0, 1e-5])]))
                    .unwrap();
            }
        };
        let whole = variable(&[1.0, 2.0]);
        let mut adam = Adam::new(&variables(&[("x", &whole)]), PARAMS, |_| 0.01).unwrap();
        walk(&whole, &mut adam, 0..4);
        let (state, steps) = (adam.state().unwrap(), adam.steps());
        walk(&whole, &mut adam, 4..9);

        let resumed = variable(&[0.0, 0.0]);
        let mut adam = Adam::new(&variables(&[("x", &resumed)]), PARAMS, |_| 0.01).unwrap();
        adam.restore(state, steps).unwrap();
        walk(&resumed, &mut adam, 4..9);
        assert_eq!(values(&whole), values(&resumed));
    }

    #[test]
    fn a_variable_without_a_gradient_is_named_and_nothing_moves() {
        let (a, b) = (variable(&[1.0]), variable(&[2.0]));
        let mut adam = Adam::new(&variables(&[("a", &a), ("b", &b)]), PARAMS, |_| 0.1).unwrap();
        let error = adam.step(&gradients(&[(&a, &[1.0])])).unwrap_err();
        assert!(
            matches!(&error, Error::NoGradient { variable } if variable == "b"),
            "{error}"
        );
        let error = adam
            .step(&gradients(&[(&a, &[1.0]), (&b, &[f32::NAN])]))
            .unwrap_err();
        assert!(
            matches!(&error, Error::NonFiniteGradient { variable } if variable == "b"),
            "{error}"
        );
        assert_eq!(
            (values(&a), values(&b), adam.steps()),
            (vec![1.0], vec![2.0], 0)
        );
    }

    #[test]
    fn a_foreign_state_is_refused_by_name() {
        let (a, b) = (variable(&[1.0]), variable(&[2.0, 3.0]));
        let one = Adam::new(&variables(&[("a", &a)]), PARAMS, |_| 0.1).unwrap();
        let mut other = Adam::new(&variables(&[("b", &b)]), PARAMS, |_| 0.1).unwrap();
        let error = other.restore(one.state().unwrap(), 3).unwrap_err();
        assert!(
            matches!(&error, Error::State { tensor, .. } if tensor == "parameter.b"),
            "{error}"
        );
        let mut state = other.state().unwrap();
        state.insert(
            "parameter.b".to_owned(),
            Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap(),
        );
        assert!(matches!(other.restore(state, 3), Err(Error::State { .. })));
        let mut state = other.state().unwrap();
        state.extend(one.state().unwrap());
        assert!(matches!(other.restore(state, 3), Err(Error::State { .. })));
        assert_eq!((values(&b), other.steps()), (vec![2.0, 3.0], 0));
    }
}
