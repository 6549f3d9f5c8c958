//! Both stages on a small drawn dataset: they learn, vision runs once, and what cannot be trained on
//! is refused with every name.
#![allow(clippy::unwrap_used)]

mod small_run;

use std::fs;
use std::path::Path;

use candle_core::Device;
use mpama_core::clip::Checkpoint;
use mpama_core::{Adapter, Detector};
use mpama_datasets::Dataset;
use mpama_tests::{fixtures, shared_data};
use mpama_train::eval::{EvalConfig, Report, evaluate};
use mpama_train::{Control, Error, Event, Line, Outcome, Stage, Stages, Start};
use small_run::{bytes, config, draw, run};
use tempfile::tempdir;

fn lines(folder: &Path) -> Vec<Line> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Means of a stage's total losses, by epoch.
fn epochs(lines: &[Line], stage: Stage) -> Vec<f32> {
    let of = |epoch: usize| -> Vec<f32> {
        let of = lines
            .iter()
            .filter(|line| line.stage == stage && line.epoch == epoch);
        of.map(|line| line.losses.total).collect()
    };
    let means = (1..).map(of).take_while(|losses| !losses.is_empty());
    means
        .map(|losses| losses.iter().sum::<f32>() / losses.len() as f32)
        .collect()
}

fn report(run: &Path, data: &Path) -> Report {
    let clip = Checkpoint::open(&fixtures().join("tiny_clip")).unwrap();
    let adapter = Adapter::load(run, &Device::Cpu).unwrap();
    let options = adapter
        .config
        .model
        .vision
        .options(clip.config().vision.blocks.layers);
    let tower = clip.vision(&options, &Device::Cpu).unwrap();
    let detector = Detector::new(tower, adapter).unwrap();
    let dataset = Dataset::open(data, None).unwrap();
    let config = EvalConfig {
        per_image: true,
        batch_size: 4,
        ..EvalConfig::default()
    };
    let stop = false.into();
    match evaluate(
        &detector,
        &dataset,
        &config,
        &mut Control::new(&stop, &mut |_| {}),
    )
    .unwrap()
    {
        Outcome::Done(report) => report,
        Outcome::Interrupted => panic!("nobody asked it to stop"),
    }
}

#[test]
fn both_stages_learn_and_the_adapter_finds_the_spots() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat", "tile"], 6, 6);
    let mut config = config(data.path());
    config.stage_one.epochs = 8;
    config.stage_one.learning_rate = 1e-2;
    config.stage_two.epochs = 4;
    let mut stages = Vec::new();
    let outcome = run(&config, home.path(), Start::Fresh, |event, _| {
        if let Event::StageStarted {
            stage,
            from,
            parameters,
            ..
        } = event
        {
            stages.push((*stage, *from));
            assert!(*parameters > 100);
        }
    });
    match outcome.unwrap() {
        Outcome::Done(trained) => assert_eq!(trained.adapter, home.path().join("adapter")),
        Outcome::Interrupted => panic!("nobody asked it to stop"),
    }
    assert_eq!(stages, [(Stage::One, 0), (Stage::Two, 0)]);

    let lines = lines(home.path());
    assert_eq!(lines.len(), 6 * (8 + 4));
    let (one, two) = (epochs(&lines, Stage::One), epochs(&lines, Stage::Two));
    assert!(one[7] < 0.8 * one[0], "{one:?}");
    assert!(two[3] < two[0], "{two:?}");
    assert!(
        lines
            .iter()
            .all(|l| l.losses.global.is_some() == (l.stage == Stage::One))
    );

    let mpa = report(&home.path().join("adapter-mpa"), data.path());
    let mpama = report(&home.path().join("adapter"), data.path());
    for report in [&mpa, &mpama] {
        assert_eq!(report.categories.len(), 2);
        assert!(report.mean.pixel_auroc.unwrap() > 0.8, "{:?}", report.mean);
        assert!(report.mean.image_auroc.unwrap() > 0.8, "{:?}", report.mean);
        assert!(report.mean.aupro.is_some() && report.failures.is_empty());
        assert_eq!(report.images.as_ref().unwrap().len(), 24);
    }
    assert_ne!(mpa.images, mpama.images);
}

#[test]
fn stage_two_begins_where_stage_one_ended() {
    // All experts start as copies of the frozen projection, and L2 forgets their weights.
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 3, 3);
    let mut config = config(data.path());
    config.stage_two.learning_rate = 1e-30;
    let _ = run(&config, home.path(), Start::Fresh, |_, _| {}).unwrap();
    let mpa = report(&home.path().join("adapter-mpa"), data.path());
    let mpama = report(&home.path().join("adapter"), data.path());
    for (a, b) in mpa.images.unwrap().iter().zip(&mpama.images.unwrap()) {
        assert!((a.score - b.score).abs() < 1e-5, "{a:?} {b:?}");
    }
}

#[test]
fn stages_can_be_run_one_by_one_to_the_same_bytes() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 3, 3);
    let mut config = config(data.path());
    let (whole, parts) = (home.path().join("whole"), home.path().join("parts"));
    let _ = run(&config, &whole, Start::Fresh, |_, _| {}).unwrap();

    config.stage = Stages::Two;
    let error = run(&config, &parts, Start::Fresh, |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::NoStageOne { .. }), "{error}");
    fs::remove_dir_all(&parts).unwrap();

    config.stage = Stages::One;
    match run(&config, &parts, Start::Fresh, |_, _| {}).unwrap() {
        Outcome::Done(trained) => assert_eq!(trained.adapter, parts.join("adapter-mpa")),
        Outcome::Interrupted => panic!("nobody asked it to stop"),
    }
    assert!(!parts.join("adapter").exists());
    config.stage = Stages::Two;
    let _ = run(&config, &parts, Start::Resume, |_, _| {}).unwrap();
    assert_eq!(bytes(&whole.join("adapter")), bytes(&parts.join("adapter")));
}

#[test]
fn features_are_computed_once_and_shared() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 5, 4);
    let mut config = config(data.path());
    config.features.folder = Some(home.path().join("cache"));
    let mut found = Vec::new();
    for seed in [111, 112] {
        config.seed = seed;
        let folder = home.path().join(seed.to_string());
        let mut last = None;
        let _ = run(&config, &folder, Start::Fresh, |event, _| {
            if let Event::Encoded { done, total, found } = event {
                last = Some((*done, *total, *found));
            }
        })
        .unwrap();
        found.push(last.unwrap());
    }
    assert_eq!(found, [(9, 9, 0), (9, 9, 9)]);
    let cache = bytes(&home.path().join("cache"));
    let names: Vec<&str> = cache.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "cache.json",
            "features-00000.safetensors",
            "features-00001.safetensors",
            "features-00002.safetensors"
        ]
    );
    let adapters = ["111", "112"].map(|seed| bytes(&home.path().join(seed).join("adapter")));
    assert_ne!(adapters[0], adapters[1], "the seed has no effect");
}

#[test]
fn f16_features_train_almost_as_f32_ones() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 3, 3);
    let mut config = config(data.path());
    config.stage = Stages::One;
    let mut losses = Vec::new();
    for dtype in [mpama_train::FeatureType::F16, mpama_train::FeatureType::F32] {
        config.features.dtype = dtype;
        let folder = home.path().join(dtype.name());
        let _ = run(&config, &folder, Start::Fresh, |_, _| {}).unwrap();
        losses.push(lines(&folder).last().unwrap().losses.total);
    }
    assert_ne!(losses[0], losses[1]);
    assert!(
        (losses[0] - losses[1]).abs() < 5e-3 * losses[1].abs(),
        "{losses:?}"
    );
}

#[test]
fn a_cache_made_for_something_else_is_refused_by_part() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 3, 3);
    let mut config = config(data.path());
    config.stage = Stages::One;
    config.features.folder = Some(home.path().join("cache"));
    let _ = run(&config, &home.path().join("a"), Start::Fresh, |_, _| {}).unwrap();

    config.model.vision.class_ln_post = true;
    config.data.mask_threshold = Some(9);
    let error = run(&config, &home.path().join("b"), Start::Fresh, |_, _| {}).unwrap_err();
    match &error {
        Error::CacheMismatch { differences, .. } => {
            let keys: Vec<&str> = differences.iter().map(|d| d.key.as_str()).collect();
            assert_eq!(keys, ["class-ln-post", "mask-threshold"]);
        }
        other => panic!("{other}"),
    }
    assert!(
        error.to_string().contains("`mask-threshold` was 0, is 9"),
        "{error}"
    );

    // Another image: another index.
    config.model.vision.class_ln_post = false;
    config.data.mask_threshold = None;
    draw(data.path(), &["mat"], 4, 3);
    let error = run(&config, &home.path().join("c"), Start::Fresh, |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("`dataset`"), "{error}");
}

#[test]
fn every_bad_file_is_listed_before_the_tower_runs() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 5, 4);
    let test = data.path().join("mat/test");
    let whole = fs::read(test.join("good/001.png")).unwrap();
    fs::write(test.join("good/001.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(test.join("spot/006.png"), b"not a picture").unwrap();
    fs::write(
        data.path().join("mat/ground_truth/spot/007_mask.png"),
        b"nor a mask",
    )
    .unwrap();
    let config = config(data.path());
    let mut encoded = 0;
    let error = run(&config, home.path(), Start::Fresh, |event, _| {
        if let Event::Encoded { done, .. } = event {
            encoded = encoded.max(*done);
        }
    })
    .unwrap_err();
    match &error {
        Error::BadFiles { files } => {
            let ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
            assert_eq!(
                ids,
                [
                    "mat/test/good/001.png",
                    "mat/test/spot/006.png",
                    "mat/test/spot/007.png"
                ]
            );
            assert!(
                files[2].reason.contains("007_mask.png"),
                "{}",
                files[2].reason
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(encoded, 0);

    // Once repaired, the same command goes through: nothing had begun.
    draw(data.path(), &["mat"], 5, 4);
    let _ = run(&config, home.path(), Start::Fresh, |_, _| {}).unwrap();
}

#[test]
fn anomalous_images_without_masks_are_refused_by_name() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 3, 4);
    for i in [4, 6] {
        fs::remove_file(
            data.path()
                .join(format!("mat/ground_truth/spot/00{i}_mask.png")),
        )
        .unwrap();
    }
    let error = run(&config(data.path()), home.path(), Start::Fresh, |_, _| {}).unwrap_err();
    match &error {
        Error::NoMask { ids } => {
            assert_eq!(ids, &["mat/test/spot/004.png", "mat/test/spot/006.png"]);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_evaluation_lists_what_it_cannot_read_and_leaves_undefined_what_is() {
    let (data, home) = (tempdir().unwrap(), tempdir().unwrap());
    draw(data.path(), &["mat"], 4, 4);
    let _ = run(&config(data.path()), home.path(), Start::Fresh, |_, _| {}).unwrap();
    draw(data.path(), &["good-only"], 3, 0);
    draw(data.path(), &["tile"], 3, 3);
    fs::write(data.path().join("mat/test/good/002.png"), b"not a picture").unwrap();
    fs::remove_file(data.path().join("tile/ground_truth/spot/004_mask.png")).unwrap();

    let report = report(&home.path().join("adapter"), data.path());
    assert_eq!(report.failures.len(), 1);
    assert_eq!(report.failures[0].id, "mat/test/good/002.png");
    let [good_only, mat, tile] = &report.categories[..] else {
        panic!("{:?}", report.categories)
    };
    assert_eq!((mat.normal, mat.anomalous, mat.regions), (3, 4, 4));
    assert!(mat.scores.pixel_auroc.is_some() && mat.image_f1_threshold.is_some());
    assert_eq!((good_only.normal, good_only.anomalous), (3, 0));
    assert_eq!(good_only.scores.image_auroc, None);
    assert_eq!(good_only.scores.aupro, None);
    assert_eq!((tile.without_mask, tile.scores.pixel_auroc), (1, None));
    assert!(tile.scores.image_auroc.is_some());
    assert_eq!(report.mean.pixel_auroc, mat.scores.pixel_auroc);
    let image = (mat.scores.image_auroc.unwrap() + tile.scores.image_auroc.unwrap()) / 2.0;
    assert_eq!(report.mean.image_auroc, Some(image));
    let json = serde_json::to_string(&report).unwrap();
    let back: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (back.images, back.failures),
        (report.images, report.failures)
    );
    assert_eq!(back.categories[0], report.categories[0]);
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs ../shared/data")]
fn real_photos_train_and_evaluate() {
    let home = tempdir().unwrap();
    let mut config = config(&shared_data().join("magnetic_tile"));
    config.data.limit = Some(12);
    let outcome = run(&config, home.path(), Start::Fresh, |_, _| {}).unwrap();
    assert!(matches!(outcome, Outcome::Done(trained) if trained.images == 12));

    let adapter = home.path().join("adapter");
    let report_of = |name: &str| report(&adapter, &shared_data().join(name));
    let parts = report_of("mvtec_part");
    assert!(parts.failures.is_empty(), "{:?}", parts.failures);
    let bottle = &parts.categories[0];
    assert_eq!(
        (bottle.category.as_str(), bottle.normal, bottle.anomalous),
        ("bottle", 20, 63)
    );
    assert!(bottle.regions >= 63 && bottle.scores.aupro.is_some());

    // Yes or no: images have labels, pixels have none.
    let brains = report_of("brain_mri");
    assert_eq!(
        (brains.categories[0].normal, brains.categories[0].anomalous),
        (98, 155)
    );
    assert!(brains.mean.image_auroc.is_some() && brains.failures.is_empty());
    assert_eq!((brains.mean.pixel_auroc, brains.mean.aupro), (None, None));
}
