//! Whether an adapter's tensors fit its settings, as far as that can be said without a backbone.

use std::collections::BTreeMap;

use candle_core::Tensor;

use super::{Adapter, Threshold};

/// The first thing that does not fit, in words.
pub(super) fn problem(adapter: &Adapter) -> Option<String> {
    let model = &adapter.config.model;
    let joint = match *adapter.text.global.dims() {
        [2, joint] if joint > 0 => joint,
        ref found => return Some(shape("text.global", "[2, D]", found)),
    };
    let levels = model.perception.levels.len();
    let local = adapter.text.local.dims();
    if local != [levels, 2, joint] {
        return Some(shape(
            "text.local",
            &format!("{:?}", [levels, 2, joint]),
            local,
        ));
    }
    let stray = |name: &&String| !name.starts_with("prompt.") && !name.starts_with("bridge.");
    if let Some(name) = adapter.prompts.keys().find(stray) {
        return Some(format!("`{name}` is not a tensor of an adapter"));
    }
    if let Some(Threshold { value, .. }) = adapter.config.threshold
        && !(0.0..=1.0).contains(&value)
    {
        return Some(format!("threshold {value}, expected one from 0 to 1"));
    }
    experts(adapter.experts.as_ref()?, adapter, joint)
}

fn experts(weights: &BTreeMap<String, Tensor>, adapter: &Adapter, joint: usize) -> Option<String> {
    let config = &adapter.config.model.experts;
    let router = "router.weight".to_owned();
    let Some(found) = weights.get(&router) else {
        return Some(format!("`{router}` is missing"));
    };
    let width = match *found.dims() {
        [rows, width] if rows == config.pool() && width > 0 => width,
        ref found => return Some(shape(&router, &format!("[{}, W]", config.pool()), found)),
    };
    for name in (1..=config.learnable).map(|i| format!("experts.{i}.weight")) {
        match weights.get(&name).map(Tensor::dims) {
            None => return Some(format!("`{name}` is missing")),
            Some(found) if found != [joint, width] => {
                return Some(shape(&name, &format!("{:?}", [joint, width]), found));
            }
            Some(_) => {}
        }
    }
    (weights.len() != 1 + config.learnable).then(|| {
        format!(
            "{} tensors of experts, expected a router and {}",
            weights.len(),
            config.learnable
        )
    })
}

fn shape(name: &str, expected: &str, found: &[usize]) -> String {
    format!("`{name}` has shape {found:?}, expected {expected}")
}
