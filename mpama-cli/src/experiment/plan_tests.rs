#![allow(clippy::unwrap_used)]

use std::fs;

use mpama_core::ModelConfig;

use super::*;

/// The plans that come with the project.
fn committed() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/experiments");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn named(name: &str) -> Plan {
    let files = committed();
    let file = files
        .iter()
        .find(|file| file.file_stem().unwrap() == name)
        .unwrap();
    Plan::read(file).unwrap()
}

fn read(text: &str) -> Result<Plan, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.toml");
    fs::write(&path, text).unwrap();
    Plan::read(&path).map_err(|error| format!("{error:#}"))
}

const SOUND: &str = "
title = 'A'
metrics = ['image-auroc', 'aupro-200']
[[training]]
on = 'a'
test = ['b']
[[variant]]
name = 'one'
set = ['model.loss.hinge=3.0']
[variant.paper]
b = [90, nan]
";

#[test]
fn every_table_and_figure_of_the_paper_has_a_sound_plan() {
    let names: Vec<String> = committed()
        .iter()
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    // table 6 is a list of datasets: nothing is trained for it
    assert_eq!(
        names,
        [
            "figure-4", "figure-5", "figure-6", "figure-8", "table-1", "table-2", "table-3",
            "table-4", "table-5", "table-7", "table-8"
        ]
    );
    for file in committed() {
        let plan = Plan::read(&file).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(plan.seeds, [111, 112, 113, 114, 115], "{}", file.display());
        for training in &plan.trainings {
            // trained on VisA for MVTec AD, on MVTec AD for all others
            let for_mvtec = training.test == ["mvtec"];
            assert_eq!(training.on, if for_mvtec { "visa" } else { "mvtec" });
        }
    }
}

#[test]
fn the_plans_for_the_demo_are_sound() {
    for (name, on) in [("selection", "training"), ("ablations", "known")] {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../configs/demo/{name}.toml"));
        let plan = Plan::read(&file).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(plan.trainings[0].on, on);
    }
}

#[test]
fn the_papers_settings_are_those_of_the_code() {
    for (file, learnable) in [("visa.toml", 3), ("mvtec.toml", 4)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../configs")
            .join(file);
        let found = settings::resolve(Some(&path), |_| None, []).unwrap();
        let mut expected = TrainConfig::default();
        expected.model.experts.learnable = learnable;
        assert_eq!(found.config, expected, "{file}");
    }
    let plan = named("table-1");
    let anomaly_clip = plan
        .settings(&plan.trainings[0], &plan.variants[0], &[])
        .unwrap();
    let mut expected = ModelConfig::anomaly_clip();
    expected.experts.learnable = 3;
    assert_eq!(anomaly_clip.model, expected);
    assert_eq!(anomaly_clip.stage_one.epochs, 15);
}

#[test]
fn the_papers_figures_in_the_plans_are_those_of_its_tables() {
    // the whole method stands in many of them, and always with the same figures
    let rows: Vec<(&str, &str)> = vec![
        ("table-3", "T1 + T2 + T3 (MPAMA)"),
        ("table-4", "{1, 2, 3, 4}"),
        ("table-7", "MPAMA"),
        ("table-8", "{1, 2, 3, 4}"),
    ];
    let of = |plan: &Plan, name: &str, dataset: &str| -> Vec<Option<f64>> {
        let variant = plan.variants.iter().find(|v| v.name == name).unwrap();
        let columns = 0..plan.metrics.len();
        columns
            .map(|column| variant.printed(dataset, column))
            .collect()
    };
    let first = named("table-1");
    for (plan, name) in rows {
        let plan = named(plan);
        for dataset in ["mvtec", "visa"] {
            assert_eq!(
                of(&plan, name, dataset),
                of(&first, "MPAMA", dataset),
                "{name}"
            );
        }
    }
    for (plan, dataset, known_as) in [
        (&first, "btad", "BTAD"),
        (&named("table-2"), "isic", "ISIC"),
        (&named("table-2"), "headct", "HeadCT"),
    ] {
        let row = crate::report::paper::rows(known_as, None)
            .find(|row| row.system == "MPAMA")
            .unwrap();
        assert_eq!(of(plan, "MPAMA", dataset), row.figures(), "{dataset}");
    }
}

#[test]
fn a_variants_settings_lie_over_the_trainings() {
    let plan = read(SOUND).unwrap();
    let (training, variant) = (&plan.trainings[0], &plan.variants[0]);
    let config = plan.settings(training, variant, &[]).unwrap();
    assert_eq!(config.model.loss.hinge, 3.0);
    let over: Assignment = "model.loss.hinge=4.0".parse().unwrap();
    let config = plan.settings(training, variant, &[over]).unwrap();
    assert_eq!(config.model.loss.hinge, 4.0);
    assert_eq!(
        (variant.printed("b", 0), variant.printed("b", 1)),
        (Some(90.0), None)
    );
}

#[test]
fn names_become_folders() {
    let names = [
        "λ = 3",
        "{1, 2}",
        "T1 + T2 (MPA)",
        "a/../b",
        "..",
        "3 experts",
    ];
    assert_eq!(
        names.map(slug),
        ["λ-3", "1-2", "t1-t2-mpa", "a-b", "", "3-experts"]
    );
}

#[test]
fn what_is_wrong_with_a_plan_is_named() {
    for (from, to, word) in [
        ("title = 'A'", "titel = 'A'", "titel"),
        ("'aupro-200'", "'pro'", "no metric `pro`"),
        (
            "model.loss.hinge=3.0",
            "model.loss.hingge=3.0",
            "unknown key `model.loss.hingge`",
        ),
        (
            "model.loss.hinge=3.0",
            "model.loss.hinge=much",
            "model.loss.hinge",
        ),
        (
            "model.loss.hinge=3.0",
            "model.loss.hinge=-1.0",
            "loss.hinge",
        ),
        ("model.loss.hinge=3.0", "model.loss.hinge", "KEY=VALUE"),
        ("test = ['b']", "test = ['a']", "other datasets"),
        ("test = ['b']", "test = []", "other datasets"),
        ("on = 'a'", "on = 'a/b'", "names of datasets"),
        (
            "b = [90, nan]",
            "b = [90]",
            "1 figures of the paper on `b` for 2 metrics",
        ),
        ("b = [90, nan]", "c = [90, nan]", "nothing is tested on `c`"),
        ("on = 'a'", "on = 'a'\nconfig = 'none.toml'", "none.toml"),
        ("title = 'A'", "title = 'A'\nseeds = []", "`seeds` is empty"),
        (
            "[[training]]",
            "[[variant]]\nname = 'One!'\n[[training]]",
            "tell the variants apart",
        ),
    ] {
        assert!(SOUND.contains(from), "{from}");
        let error = read(&SOUND.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}
