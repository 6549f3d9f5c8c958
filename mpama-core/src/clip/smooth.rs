//! Loud channels shared out between tokens and weights, so that a byte is enough for either.
//!
//! A trained norm makes some channels many times as loud as the rest; one scale for all of them leaves the others
//! few steps. Dividing a channel of the norm by s and multiplying the weights that read it by s changes no
//! product (SmoothQuant, Xiao et al. 2023, with the loudness of a channel taken from the norm itself: its gain
//! and bias, in place of statistics over images).

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::weights::Weights;

/// Norms of a block, and the affine maps that read each.
const READERS: [(&str, &[&str]); 2] = [
    (
        "layer_norm1",
        &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    ),
    ("layer_norm2", &["mlp.fc1"]),
];

/// Tokens after a norm reach about so many times its gain.
const REACH: f64 = 4.0;

/// Smooths every norm whose readers are all there.
pub(super) fn smooth(weights: &mut Weights) -> Result<()> {
    let norms = weights.tensors.keys().filter_map(|name| {
        let prefix = name.strip_suffix(".weight")?;
        let (block, norm) = prefix.rsplit_once('.')?;
        let (_, readers) = READERS.iter().find(|(name, _)| *name == norm)?;
        let readers = readers
            .iter()
            .map(|reader| format!("{block}.{reader}.weight"));
        Some((prefix.to_owned(), readers.collect()))
    });
    for (norm, readers) in norms.collect::<Vec<(String, Vec<String>)>>() {
        share(&mut weights.tensors, &norm, &readers)?;
    }
    Ok(())
}

fn share(tensors: &mut BTreeMap<String, Tensor>, norm: &str, readers: &[String]) -> Result<()> {
    let (gain, bias) = (format!("{norm}.weight"), format!("{norm}.bias"));
    let there = readers.iter().chain([&gain, &bias]);
    if !there.into_iter().all(|name| tensors.contains_key(name)) {
        return Ok(());
    }
    let loud = ((tensors[&gain].abs()? * REACH)? + tensors[&bias].abs()?)?; // [W]
    let mut heavy = loud.zeros_like()?;
    for reader in readers {
        heavy = heavy.maximum(&tensors[reader].abs()?.max(0)?)?;
    }
    // as much of the loudness goes over as makes both alike; a channel that nobody reads keeps what it has
    let least = |x: &Tensor| x.maximum(1e-6);
    let share = (least(&loud)? / least(&heavy)?)?.sqrt()?;
    for name in [gain, bias] {
        let smooth = (&tensors[&name] / &share)?;
        tensors.insert(name, smooth);
    }
    for reader in readers {
        let smooth = tensors[reader].broadcast_mul(&share)?;
        tensors.insert(reader.clone(), smooth);
    }
    Ok(())
}
