#![allow(clippy::unwrap_used)]

use super::*;
use crate::adapter::{BaseModel, Threshold, Training};
use crate::config::ModelConfig;
use crate::random;

fn adapter() -> Adapter {
    let tensor =
        |shape: &[usize], name: &str| random::normal(shape, 1.0, 5, name, &Device::Cpu).unwrap();
    Adapter {
        config: AdapterConfig {
            schema_version: SCHEMA_VERSION,
            base_model: BaseModel {
                id: "tiny".into(),
                revision: None,
                fingerprint: "ab".repeat(32),
            },
            model: ModelConfig::default(),
            training: Some(Training {
                dataset: "bottles".into(),
                index_hash: "cd".repeat(32),
                images: 12,
                seed: 111,
                epochs: [30, 10],
            }),
            imported: None,
            threshold: Some(Threshold {
                value: 0.4,
                origin: "chosen by hand".into(),
            }),
        },
        text: TextVectors {
            global: tensor(&[2, 8], "g"),
            local: tensor(&[4, 2, 8], "l"),
        },
        prompts: BTreeMap::from([("prompt.global.normal".to_string(), tensor(&[12, 6], "p"))]),
        experts: Some(BTreeMap::from([
            ("router.weight".to_string(), tensor(&[5, 6], "r")),
            ("experts.1.weight".to_string(), tensor(&[8, 6], "e")),
            ("experts.2.weight".to_string(), tensor(&[8, 6], "f")),
            ("experts.3.weight".to_string(), tensor(&[8, 6], "g")),
        ])),
    }
}

fn bytes(folder: &Path) -> Vec<Vec<u8>> {
    [WEIGHTS_FILE, CONFIG_FILE, CARD_FILE]
        .map(|f| fs::read(folder.join(f)).unwrap())
        .to_vec()
}

#[test]
fn what_is_saved_is_loaded_and_the_bytes_repeat() {
    let temp = tempfile::tempdir().unwrap();
    let (a, b) = (temp.path().join("a"), temp.path().join("deep/b"));
    let adapter = adapter();
    adapter.save(&a).unwrap();
    adapter.save(&a).unwrap(); // replaces
    let loaded = Adapter::load(&a, &Device::Cpu).unwrap();
    assert_eq!(loaded.config, adapter.config);
    assert_eq!(loaded.method(), "MPAMA");
    assert_eq!(
        loaded.prompts.keys().collect::<Vec<_>>(),
        ["prompt.global.normal"]
    );
    loaded.save(&b).unwrap();
    assert_eq!(bytes(&a), bytes(&b));
    let left: Vec<_> = fs::read_dir(temp.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "temporary folders stay behind: {left:?}");
}

#[test]
fn broken_folders_are_refused_by_file() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("a");
    let load = || {
        Adapter::load(&folder, &Device::Cpu)
            .unwrap_err()
            .to_string()
    };
    assert!(load().contains(CONFIG_FILE), "{}", load());
    adapter().save(&folder).unwrap();

    let weights = folder.join(WEIGHTS_FILE);
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    assert!(load().contains(WEIGHTS_FILE), "{}", load());
    fs::write(&weights, &whole).unwrap();

    let config = folder.join(CONFIG_FILE);
    let text = fs::read_to_string(&config).unwrap();
    for (from, to, complaint) in [
        (
            "\"schema-version\": 1",
            "\"schema-version\": 2",
            "schema version 2",
        ),
        ("\"schema-version\": 1", "\"version\": 1", "schema-version"),
        ("\"temperature\"", "\"temprature\"", "temprature"),
        ("\"top-k\": 2", "\"top-k\": 9", "top-k"),
    ] {
        assert!(text.contains(from), "{from} is not in the file");
        fs::write(&config, text.replacen(from, to, 1)).unwrap();
        assert!(load().contains(complaint), "{}", load());
    }
}

#[test]
fn a_value_that_is_not_finite_is_refused_by_name() {
    let temp = tempfile::tempdir().unwrap();
    let mut adapter = adapter();
    adapter.text.global = Tensor::new(&[[f32::NAN, 0.0], [1.0, 0.0]], &Device::Cpu).unwrap();
    adapter.save(&temp.path().join("a")).unwrap();
    let error = Adapter::load(&temp.path().join("a"), &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("text.global"), "{error}");
}
