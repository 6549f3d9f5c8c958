#![allow(clippy::unwrap_used)]

use candle_core::backprop::GradStore;

use super::*;
use crate::config::{ImageSize, PerceptionConfig};
use crate::nn::normalize::unit_length;

const WIDTH: usize = 12;
const JOINT: usize = 6;

fn random_tensor(shape: &[usize], name: &str) -> Tensor {
    random::uniform(shape, 1.0, 7, name, &Device::Cpu).unwrap()
}

/// A pool whose learnable experts have moved away from the frozen one.
fn moved(config: &ExpertsConfig) -> (ExpertPool, Tensor) {
    let projection = random_tensor(&[JOINT, WIDTH], "projection");
    let vars = ExpertPool::init(config, &projection, 3).unwrap();
    let weights = vars
        .into_iter()
        .map(|(name, var)| {
            let shift = random_tensor(var.dims(), &name);
            (name, (var.as_tensor() + shift).unwrap())
        })
        .collect();
    (
        ExpertPool::new(config, &projection, &weights).unwrap(),
        projection,
    )
}

fn worst(a: &Tensor, b: &Tensor) -> f32 {
    (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn routed_tokens_equal_the_dense_formula() {
    for top_k in 2..=4 {
        let config = ExpertsConfig {
            top_k,
            ..ExpertsConfig::default()
        };
        let (pool, projection) = moved(&config);
        let tokens = random_tensor(&[50, WIDTH], "tokens");
        let frozen = tokens.matmul(&projection.t().unwrap()).unwrap();
        let (short, routing) = pool.forward(&tokens, &frozen).unwrap();
        assert!(worst(&short, &pool.forward_dense(&tokens).unwrap()) < 1e-5);
        assert_eq!(routing.chosen.len(), 50 * top_k);
        assert!((routing.usage(5).iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn in_one_operation_values_and_gradients_are_the_same() {
    let (height, width) = (48, 40);
    let size = ImageSize { height, width };
    let levels =
        Perception::levels(&PerceptionConfig::default(), (6, 5), size, &Device::Cpu).unwrap();
    let projection = random_tensor(&[JOINT, WIDTH], "projection");
    let patches = random_tensor(&[2, 30, WIDTH], "patches");
    let projected = score::project(&patches, &projection).unwrap();
    let directions = random_tensor(&[levels.len(), JOINT], "directions");
    for gates in [Gates::Masked, Gates::Renormalised] {
        let config = ExpertsConfig {
            gates,
            ..ExpertsConfig::default()
        };
        let vars = ExpertPool::init(&config, &projection, 3).unwrap();
        for (name, var) in &vars {
            let shift = random_tensor(var.dims(), name);
            var.set(&(var.as_tensor() + shift).unwrap()).unwrap();
        }
        let weights = vars.iter().map(|(n, v)| (n.clone(), v.as_tensor().clone()));
        let pool = ExpertPool::new(&config, &projection, &weights.collect()).unwrap();
        let run = |levels: Vec<(Tensor, Routing)>| {
            let (odds, routings): (Vec<_>, Vec<_>) = levels.into_iter().unzip();
            let odds = Tensor::cat(&odds, 1).unwrap();
            let probe = random_tensor(odds.dims(), "probe");
            let loss = (&odds * probe).unwrap().sum_all().unwrap();
            (odds, routings, loss.backward().unwrap())
        };
        let fast = pool.in_one(&patches, &projected, &levels, &directions);
        let plain = pool.one_by_one(&patches, &projected, &levels, &directions);
        let (odds, routings, gradients) = run(fast.unwrap());
        let (plain_odds, plain_routings, plain_gradients) = run(plain.unwrap());
        assert!(worst(&odds, &plain_odds) < 1e-5);
        assert_eq!(routings, plain_routings);
        for (name, var) in &vars {
            let of = |gradients: &GradStore| gradients.get(var.as_tensor()).unwrap().clone();
            let (fast, plain) = (of(&gradients), of(&plain_gradients));
            let size = worst(&plain, &plain.zeros_like().unwrap());
            let apart = worst(&fast, &plain);
            assert!(apart <= 1e-5 * size, "{name}: {apart} of {size}");
        }
    }
}

#[test]
fn renormalising_gates_changes_nothing_after_the_norm() {
    let masked = ExpertsConfig::default();
    let renormalised = ExpertsConfig {
        gates: Gates::Renormalised,
        ..ExpertsConfig::default()
    };
    let tokens = random_tensor(&[40, WIDTH], "tokens");
    let of = |config| unit_length(&moved(config).0.forward_dense(&tokens).unwrap()).unwrap();
    assert!(worst(&of(&masked), &of(&renormalised)) < 1e-6);
}

#[test]
fn zero_beside_another_expert_means_the_other_alone() {
    let config = ExpertsConfig::default();
    let (pool, _) = moved(&config);
    let tokens = random_tensor(&[200, WIDTH], "tokens");
    let (_, routing) = pool.gates(&tokens).unwrap();
    let mixed = unit_length(&pool.forward_dense(&tokens).unwrap()).unwrap();
    let zero = config.pool() - 1;
    let mut met = 0;
    for n in 0..200 {
        let chosen = routing.of(n);
        if let Some(other) = chosen
            .iter()
            .find(|e| **e != zero)
            .filter(|_| chosen.contains(&zero))
        {
            let weight = if *other == 0 {
                &pool.frozen
            } else {
                &pool.learnable[other - 1]
            };
            let token = tokens.narrow(0, n, 1).unwrap();
            let alone = unit_length(&token.matmul(&weight.t().unwrap()).unwrap()).unwrap();
            assert!(worst(&alone, &mixed.narrow(0, n, 1).unwrap()) < 1e-5);
            met += 1;
        }
    }
    assert!(
        met > 0,
        "the zero expert was never chosen: the test saw nothing"
    );
}

#[test]
fn an_expert_without_tokens_gets_a_zero_gradient_not_none() {
    let config = ExpertsConfig::default();
    let projection = random_tensor(&[JOINT, WIDTH], "projection");
    let vars = ExpertPool::init(&config, &projection, 3).unwrap();
    let weights = vars
        .iter()
        .map(|(n, v)| (n.clone(), v.as_tensor().clone()))
        .collect();
    let pool = ExpertPool::new(&config, &projection, &weights).unwrap();
    let token = random_tensor(&[1, WIDTH], "token"); // one token cannot reach three experts
    let frozen = token.matmul(&projection.t().unwrap()).unwrap();
    let (mixed, _) = pool.forward(&token, &frozen).unwrap();
    let grads = mixed.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for (name, var) in &vars {
        assert!(grads.get(var.as_tensor()).is_some(), "{name}");
    }
}

#[test]
fn ties_go_to_the_lower_index() {
    let routing = top_k(&[vec![0.5, 1.0, 1.0, 1.0], vec![2.0, 2.0, 3.0, 0.0]], 2);
    assert_eq!(routing.chosen, [1, 2, 2, 0]);
}

#[test]
fn a_missing_or_misshapen_weight_is_named() {
    let config = ExpertsConfig::default();
    let projection = random_tensor(&[JOINT, WIDTH], "projection");
    let vars = ExpertPool::init(&config, &projection, 3).unwrap();
    let mut weights: BTreeMap<String, Tensor> = vars
        .iter()
        .map(|(n, v)| (n.clone(), v.as_tensor().clone()))
        .collect();
    weights.insert("experts.2.weight".into(), random_tensor(&[2, 2], "wrong"));
    let error = ExpertPool::new(&config, &projection, &weights).unwrap_err();
    assert!(error.to_string().contains("experts.2.weight"), "{error}");
    weights.remove("experts.2.weight");
    let error = ExpertPool::new(&config, &projection, &weights).unwrap_err();
    assert!(error.to_string().contains("experts.2.weight"), "{error}");
}
