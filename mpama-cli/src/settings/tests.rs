#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

fn nothing(_: &str) -> Option<String> {
    None
}

fn set(text: &str) -> (String, Assignment) {
    (format!("--set {text}"), text.parse().unwrap())
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// Dotted keys of all leaves.
fn leaves(above: &str, table: &Table, into: &mut BTreeSet<String>) {
    for (name, value) in table {
        let key = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        match value {
            Value::Table(below) => leaves(&key, below, into),
            _ => {
                into.insert(key);
            }
        }
    }
}

#[test]
fn the_list_of_keys_is_the_configuration() {
    let mut present = BTreeSet::new();
    leaves(
        "",
        &Table::try_from(TrainConfig::default()).unwrap(),
        &mut present,
    );
    let by_default: BTreeSet<String> = KEYS
        .iter()
        .filter(|k| k.example.is_none())
        .map(|k| k.name.to_owned())
        .collect();
    assert_eq!(present, by_default);
    // those absent by default: known to the configuration, and their examples fit
    for key in KEYS {
        if let Some(example) = key.example {
            let given = [set(&format!("{}={example}", key.name))];
            let resolved = resolve(None, nothing, given).unwrap();
            let mut with = BTreeSet::new();
            leaves("", &Table::try_from(&resolved.config).unwrap(), &mut with);
            assert!(
                with.contains(key.name),
                "`{}` was taken and ignored",
                key.name
            );
        }
    }
}

#[test]
fn the_template_is_the_defaults() {
    let text = commented().unwrap();
    let (_folder, path) = file(&text);
    assert_eq!(
        resolve(Some(&path), nothing, []).unwrap().config,
        TrainConfig::default()
    );
    let uncommented: String = text
        .lines()
        .map(|l| {
            l.strip_prefix("# ")
                .filter(|l| l.contains(" = "))
                .unwrap_or(l)
                .to_owned()
                + "\n"
        })
        .collect();
    let mut all = BTreeSet::new();
    leaves("", &uncommented.parse().unwrap(), &mut all);
    assert_eq!(all, KEYS.iter().map(|k| k.name.to_owned()).collect());
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let (_folder, path) = file("seed = 1\n[stage-one]\nepochs = 1\nbatch-size = 1\n");
    let environment = |name: &str| match name {
        "MPAMA_SEED" => Some("2".to_owned()),
        "MPAMA_STAGE_ONE_EPOCHS" => Some("2".to_owned()),
        _ => None,
    };
    let resolved = resolve(Some(&path), environment, [set("seed=3")]).unwrap();
    let one = &resolved.config.stage_one;
    assert_eq!(
        (resolved.config.seed, one.epochs, one.batch_size),
        (3, 2, 1)
    );
    let origin = |key: &str| {
        resolved
            .values()
            .find(|v| v.0 == key)
            .unwrap()
            .2
            .to_string()
    };
    assert_eq!(origin("seed"), "--set seed=3");
    assert_eq!(
        origin("stage-one.epochs"),
        "MPAMA_STAGE_ONE_EPOCHS in the environment"
    );
    assert!(origin("stage-one.batch-size").ends_with("mine.toml, line 4"));
    assert_eq!(origin("stage-two.epochs"), "default");
}

#[test]
fn the_last_of_two_flags_wins() {
    let config = resolve(None, nothing, [set("seed=3"), set("seed=4")])
        .unwrap()
        .config;
    assert_eq!(config.seed, 4);
}

#[test]
fn values_need_no_quotes() {
    let given = [
        "model.prompt.normal=clean part",
        "stage-two.learning-rate=1e-4",
        "model.perception.levels=[1, 3]",
        "model.vision.vv-depth=auto",
        "model.loss.hinge=2",
    ];
    let config = resolve(None, nothing, given.map(set)).unwrap().config;
    assert_eq!(config.model.prompt.normal, "clean part");
    assert_eq!(config.stage_two.learning_rate, 1e-4);
    assert_eq!(config.model.perception.levels, [1, 3]);
    assert_eq!(config.model.loss.hinge, 2.0);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest() {
    let (_folder, path) = file("seed = 1\n\n[stage-one]\nlearning-rat = 0.1\n");
    let error = resolve(Some(&path), nothing, []).unwrap_err();
    let Some(Mistake::UnknownKey {
        key,
        origin,
        nearest,
    }) = error.downcast_ref()
    else {
        panic!("{error}")
    };
    assert_eq!(key, "stage-one.learning-rat");
    assert_eq!(*origin, Origin::File(path, 4));
    assert_eq!(nearest.as_deref(), Some("stage-one.learning-rate"));
}

#[test]
fn a_key_without_its_section_is_recognised() {
    let error = resolve(None, nothing, [set("map-weight=0.1")]).unwrap_err();
    let Some(Mistake::UnknownKey { nearest, .. }) = error.downcast_ref() else {
        panic!("{error}")
    };
    assert_eq!(nearest.as_deref(), Some("model.score.map-weight"));
}

#[test]
fn a_key_like_no_other_gets_no_suggestion() {
    let error = resolve(None, nothing, [set("zzz=1")]).unwrap_err();
    assert!(
        matches!(
            error.downcast_ref(),
            Some(Mistake::UnknownKey { nearest: None, .. })
        ),
        "{error}"
    );
}

#[test]
fn a_value_of_a_wrong_type_is_named_with_its_origin() {
    let (_folder, path) = file("[stage-one]\nepochs = \"many\"\n");
    let error = resolve(Some(&path), nothing, []).unwrap_err().to_string();
    for part in ["stage-one.epochs", "mine.toml, line 2", "many"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = resolve(None, nothing, [set("model.bridge.kind=rope")])
        .unwrap_err()
        .to_string();
    for part in [
        "model.bridge.kind",
        "--set model.bridge.kind=rope",
        "residual",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_section_where_a_value_belongs_is_an_error() {
    let (_folder, path) = file("[seed]\nx = 1\n");
    assert!(resolve(Some(&path), nothing, []).is_err());
    let (_folder, path) = file("[stage-three]\n");
    assert!(resolve(Some(&path), nothing, []).is_err());
    let (_folder, path) = file("[stage-two]\n");
    assert!(resolve(Some(&path), nothing, []).is_ok());
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let (_folder, path) = file("seed = 1\nstage = \n");
    let error = resolve(Some(&path), nothing, []).unwrap_err().to_string();
    assert!(
        error.contains("mine.toml") && error.contains("line 2"),
        "{error}"
    );
}
