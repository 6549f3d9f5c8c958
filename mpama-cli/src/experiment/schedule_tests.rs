#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;

use mpama_train::Stage as TrainStage;

use super::*;

const PLAN: &str = "
title = 'A'
metrics = ['image-auroc']
[[training]]
on = 'a'
test = ['b', 'c']
[[training]]
on = 'b'
test = ['a']
[[variant]]
name = 'MPA'
adapter = 'mpa'
[[variant]]
name = 'MPAMA'
[[variant]]
name = 'plain'
adapter = 'mpa'
set = ['model.vision.vv-depth=0']
";

/// A plan, and two of its three datasets.
fn ground(folder: &Path) -> (Plan, Given) {
    let path = folder.join("plan.toml");
    fs::write(&path, PLAN).unwrap();
    for name in ["a", "b"] {
        for kind in ["yes", "no"] {
            let place = folder.join("data").join(name).join(kind);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("1.png"), name).unwrap(); // listed, never decoded here
        }
    }
    let plan = Plan::read(&path).unwrap();
    let given = Given::open(&plan, &[folder.join("data").to_str().unwrap().to_owned()]).unwrap();
    (plan, given)
}

fn folders(schedule: &Schedule) -> Vec<String> {
    let shown = |run: &Run| run.folder.to_str().unwrap().to_owned();
    schedule.runs.iter().map(shown).collect()
}

#[test]
fn variants_share_runs_and_features() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, given) = ground(folder.path());
    let schedule = Schedule::new(&plan, &given, Path::new("out"), &[], &[1, 2], &[]).unwrap();
    assert_eq!(schedule.absent, ["c"]);
    assert_eq!(
        folders(&schedule),
        [
            "out/mpa/a/seed-1",
            "out/plain/a/seed-1",
            "out/mpa/b/seed-1",
            "out/plain/b/seed-1",
            "out/mpa/a/seed-2",
            "out/plain/a/seed-2",
            "out/mpa/b/seed-2",
            "out/plain/b/seed-2",
        ]
    );
    let files: Vec<&str> = schedule.runs[0]
        .measurements
        .iter()
        .map(|m| m.file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(files, ["mpa-on-b.json", "mpama-on-b.json"]);
    assert!(schedule.runs[0].config.stage.include(TrainStage::Two));
    assert!(!schedule.runs[1].config.stage.include(TrainStage::Two));
    let caches: BTreeSet<_> = schedule
        .runs
        .iter()
        .map(|run| run.config.features.folder.clone().unwrap())
        .collect();
    let expected = ["a", "a-2", "b", "b-2"].map(|name| Path::new("out/features").join(name));
    assert_eq!(caches, BTreeSet::from(expected));
    assert_eq!(
        schedule.run_of(1, 0, 1).unwrap().folder,
        schedule.runs[0].folder
    );
    assert_eq!(schedule.measurements(), 12);
}

#[test]
fn what_is_wanted_does_not_change_where_things_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, given) = ground(folder.path());
    let of = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        Schedule::new(&plan, &given, Path::new("out"), &wanted, &[1], &[])
    };
    let schedule = of(&["MPAMA"]).unwrap();
    assert_eq!(folders(&schedule), ["out/mpa/a/seed-1", "out/mpa/b/seed-1"]);
    assert_eq!(schedule.runs[0].measurements.len(), 1);
    // stage two is not trained for the adapter of stage one
    let schedule = of(&["MPA"]).unwrap();
    assert!(!schedule.runs[0].config.stage.include(TrainStage::Two));
    let features = of(&["plain"]).unwrap().runs[0]
        .config
        .features
        .folder
        .clone();
    assert_eq!(features.unwrap(), Path::new("out/features/a-2"));
    let error = of(&["mpama"]).unwrap_err().to_string();
    assert!(error.contains("no variant `mpama`"), "{error}");
}

#[test]
fn datasets_are_given_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, _) = ground(folder.path());
    let a = folder.path().join("data/a");
    let given = |data: &[String]| Given::open(&plan, data);
    let one = given(&[format!("c={}", a.display())]).unwrap();
    assert!(one.get("c").is_some() && one.get("a").is_none());
    let error = given(&["d=x".to_owned()]).unwrap_err().to_string();
    assert!(error.contains("no dataset `d`"), "{error}");
    assert!(given(&[format!("a={}/none", a.display())]).is_err());
    // trained on, but nothing to test on
    let alone = given(&[format!("b={}", a.display())]).unwrap();
    let error = Schedule::new(&plan, &alone, Path::new("out"), &[], &[1], &[]).unwrap_err();
    assert!(error.to_string().contains("nothing can be"), "{error}");
}
