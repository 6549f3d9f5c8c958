#![allow(clippy::unwrap_used)]

use super::*;

fn sound() -> TrainConfig {
    let mut config = TrainConfig::default();
    config.data.root = "visa".into();
    config
}

#[test]
fn the_defaults_are_the_papers() {
    let config = TrainConfig::parse("[data]\nroot = \"visa\"", "test").unwrap();
    assert_eq!(config, sound());
    assert_eq!(
        (config.stage_one.epochs, config.stage_one.learning_rate),
        (30, 1e-3)
    );
    assert_eq!(
        (config.stage_two.epochs, config.stage_two.learning_rate),
        (10, 1e-6)
    );
    assert_eq!(
        (config.stage_one.betas, config.stage_two.batch_size),
        ((0.5, 0.999), 8)
    );
}

#[test]
fn a_key_of_stage_two_leaves_its_other_defaults() {
    let text = "[data]\nroot = \"visa\"\n[stage-two]\nbatch-size = 4";
    let two = TrainConfig::parse(text, "test").unwrap().stage_two;
    assert_eq!(
        (two.batch_size, two.epochs, two.learning_rate),
        (4, 10, 1e-6)
    );
}

#[test]
fn what_is_written_reads_back() {
    let mut config = sound();
    config.stage = Stages::Two;
    config.data.limit = Some(3);
    config.data.layout = Some(Layout::YesNo);
    config.data.categories = vec!["pcb1".into(), "it's \"new\"".into()];
    config.features.folder = Some("a b/c".into());
    config.features.dtype = FeatureType::F32;
    config.stage_two.router_learning_rate = Some(1e-4);
    config.model.perception.levels = vec![1, 3];
    assert_eq!(
        TrainConfig::parse(&config.to_toml().unwrap(), "test").unwrap(),
        config
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let text = "seed = 3\n[stage-one]\nlearning-rat = 0.1\n";
    let error = TrainConfig::parse(text, "mine.toml")
        .unwrap_err()
        .to_string();
    for part in ["mine.toml", "line 3", "learning-rat", "learning-rate"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn values_out_of_range_are_named() {
    type Change = fn(&mut TrainConfig);
    let changes: [(&str, Change); 9] = [
        ("data.root", |c| c.data.root = PathBuf::new()),
        ("data.limit", |c| c.data.limit = Some(0)),
        ("checkpoint-every", |c| c.checkpoint_every = 0),
        ("features.batch-size", |c| c.features.batch_size = 0),
        ("stage-one.epochs", |c| c.stage_one.epochs = 0),
        ("stage-two.learning-rate", |c| {
            c.stage_two.learning_rate = f64::NAN
        }),
        ("stage-two.router-learning-rate", |c| {
            c.stage_two.router_learning_rate = Some(-1.0)
        }),
        ("stage-one.betas", |c| c.stage_one.betas = (0.5, 1.0)),
        ("stage-two.eps", |c| c.stage_two.eps = 0.0),
    ];
    for (key, change) in changes {
        let mut config = sound();
        change(&mut config);
        let error = config.validate().unwrap_err();
        assert!(
            matches!(&error, Error::Setting { key: named, .. } if named == key),
            "{error}"
        );
    }
}

#[test]
fn only_the_router_has_its_own_rate() {
    let mut config = sound();
    config.stage_two.router_learning_rate = Some(0.5);
    let plan = config.plan(Stage::Two);
    assert_eq!(
        (
            plan.rate_of("router.weight"),
            plan.rate_of("experts.1.weight")
        ),
        (0.5, 1e-6)
    );
    assert_eq!(config.plan(Stage::One).rate_of("router.weight"), 1e-3);
}

#[test]
fn differences_name_the_keys_that_decide_the_result() {
    let (old, mut new) = (sound(), sound());
    new.stage = Stages::One;
    new.checkpoint_every = 1;
    new.data.root = "elsewhere".into();
    new.features.folder = Some("cache".into());
    assert_eq!(new.differences(&old).unwrap(), []);
    new.stage_two.epochs = 12;
    new.stage_two.router_learning_rate = Some(0.5);
    let shown: Vec<String> = new
        .differences(&old)
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        shown,
        [
            "`stage-two.epochs` was 10, is 12",
            "`stage-two.router-learning-rate` was absent, is 0.5"
        ]
    );
}
