//! `datasets list`, `check` and `prepare` from the outside.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};

use bench::{Ran, adapter, clip, dataset, files, photo, run, save, text};
use mpama_datasets::fake::{Tree, all};
use serde_json::Value;
use tempfile::TempDir;

fn check(data: &Path, more: &[&str]) -> Ran {
    run([&["datasets", "check", &text(data)][..], more].concat())
}

fn of_type(ran: &Ran, kind: &str) -> Vec<Value> {
    let mut records = ran.records();
    records.retain(|record| record["type"] == kind);
    records
}

/// What is said of problems: words and file.
fn problems(ran: &Ran) -> Vec<(String, String)> {
    let word = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    of_type(ran, "finding")
        .iter()
        .filter(|record| record["problem"] == true)
        .map(|record| (word(record, "what"), word(record, "path")))
        .collect()
}

fn planted(tree: &Tree, folder: &Path) -> PathBuf {
    tree.write(folder).unwrap();
    folder.join(tree.name).join(tree.open)
}

#[test]
fn the_paper_s_datasets_are_listed() {
    let ran = run(["datasets", "list", "--json"]).code(0);
    let listed = of_type(&ran, "dataset");
    assert_eq!(listed.len(), 15);
    let sum = |key: &str| -> u64 { listed.iter().map(|d| d[key].as_u64().unwrap()).sum() };
    assert_eq!((sum("normal"), sum("anomalous")), (11_288, 9_431)); // of Table 6
    let layouts = of_type(&ran, "layout");
    assert!(layouts.iter().any(|l| l["name"] == "jsonl"));
    let plain = run(["datasets", "list"]).code(0);
    assert!(
        plain
            .stdout
            .contains("MVTec AD          467      1258         15  > 0")
    );
}

#[test]
fn every_layout_in_order_is_usable() {
    for tree in all() {
        let folder = TempDir::new().unwrap();
        let data = planted(&tree, folder.path());
        let before = files(folder.path());
        let ran = check(&data, &["--json"]).code(0);
        let summary = &of_type(&ran, "check")[0];
        let name = tree.name;
        assert_eq!(summary["layout"], tree.layout.as_str(), "{name}");
        assert_eq!(summary["problems"], 0, "{name}: {}", ran.stdout);
        assert_eq!(
            summary["remarks"],
            tree.left_out.len(),
            "{name}: {}",
            ran.stdout
        );
        if let Some(published) = tree.published.filter(|_| tree.open.is_empty()) {
            let known = &summary["dataset"];
            assert!(known == published || name == "endo-meta", "{name}: {known}");
        }
        assert_eq!(files(folder.path()), before, "{name}: files changed");
    }
}

#[test]
fn what_only_decoding_shows() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("data"));
    let mask = |n: u32| data.join(format!("plate/ground_truth/spot/{n:03}_mask.png"));
    let image = |n: u32| data.join(format!("plate/test/spot/{n:03}.png"));
    image::GrayImage::new(60, 47).save(mask(0)).unwrap(); // another size, and black
    image::GrayImage::new(60, 48).save(mask(1)).unwrap();
    let bytes = fs::read(image(2)).unwrap();
    fs::write(image(2), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(mask(3), "a text").unwrap();
    fs::copy(data.join("plate/test/good/000.png"), image(4)).unwrap();
    fs::copy(
        data.join("plate/test/good/001.png"),
        data.join("plate/test/good/9.png"),
    )
    .unwrap();

    let ran = check(&data, &["--json"]).code(1);
    let black = "mask of an anomalous image with nothing above 0";
    let expected = [
        ("image that cannot be read", image(2)),
        (black, mask(0)),
        (black, mask(1)),
        ("mask of another size than its image", mask(0)),
        ("mask that cannot be read", mask(3)),
        ("the same image as normal and as anomalous", image(4)),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(what, path)| ((*what).to_owned(), text(path)))
        .collect();
    assert_eq!(problems(&ran), expected);
    let summary = &of_type(&ran, "check")[0];
    assert_eq!(
        (&summary["problems"], &summary["remarks"]),
        (&6.into(), &1.into())
    );

    let plain = check(&data, &[]).code(1);
    for words in [
        "problem: mask of another size than its image (1)",
        "60x47, image 60x48",
        "remark: copy of another image (1)",
        "6 problems, 1 remark",
        "none of the published datasets",
    ] {
        assert!(plain.stdout.contains(words), "{words}:\n{}", plain.stdout);
    }
}

#[test]
fn a_mask_may_vanish_and_a_loop_is_survived() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("tubes/test");
    save(&root.join("good/0.png"), &photo(0, false));
    let large = image::RgbImage::from_fn(1600, 1600, |x, y| image::Rgb([x as u8, y as u8, 0]));
    save(&root.join("crack/0.png"), &large);
    let mut mask = image::GrayImage::new(1600, 1600);
    mask.put_pixel(700, 700, image::Luma([1]));
    let path = folder.path().join("tubes/ground_truth/crack/0_mask.png");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    mask.save(path).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path(), root.join("good/again")).unwrap();
    let ran = check(folder.path(), &[]).code(0);
    assert!(
        ran.stdout.contains("nothing is left of it at 518x518 (1)"),
        "{}",
        ran.stdout
    );
    #[cfg(unix)]
    assert!(
        ran.stdout
            .contains("remark: link to a folder above itself (1)")
    );
    assert!(
        ran.stdout.contains("MPDD: painted metal parts"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("not so here"), "{}", ran.stdout);
}

#[test]
fn what_cannot_be_read_at_all_is_refused() {
    let folder = TempDir::new().unwrap();
    check(&folder.path().join("gone"), &[]).refused(&["gone", "does not exist"]);
    check(folder.path(), &[]).refused(&["is empty"]);
    fs::write(folder.path().join("list.csv"), "picture\n").unwrap();
    check(&folder.path().join("list.csv"), &[])
        .refused(&["list.csv`, line 1: column `picture` is none of image, label"]);
    for name in ["yes/0.png", "no/0.png", "good/0.png"] {
        save(&folder.path().join(name), &photo(1, false));
    }
    check(folder.path(), &[])
        .refused(&["could be read as yes-no and as folder", "--layout yes-no"]);
    check(folder.path(), &["--layout", "yes-no"]).code(1); // the same photo is yes and no
}

#[test]
fn a_prepared_list_is_the_dataset() {
    let folder = TempDir::new().unwrap();
    let data = dataset(&folder.path().join("plates"));
    let before = files(&data);
    let ran = run(["datasets", "prepare", &text(&data)]).code(0);
    let list = folder.path().join("plates.jsonl");
    assert_eq!(ran.stdout, format!("{}\n", text(&list)));
    assert_eq!(files(&data), before, "the dataset was touched");
    run(["datasets", "prepare", &text(&data)]).refused(&["is there already"]);
    let other = text(&folder.path().join("list.txt"));
    run(["datasets", "prepare", &text(&data), "--out", &other]).refused(&[".jsonl"]);

    let summary = |path: &Path| of_type(&check(path, &["--json"]).code(0), "check").remove(0);
    let (a, b) = (summary(&data), summary(&list));
    for key in ["normal", "anomalous", "masks", "categories", "problems"] {
        assert_eq!(a[key], b[key], "{key}");
    }
    let info = &run(["info", "--json", &text(&list)]).code(0).records()[0];
    assert_eq!(
        (&info["type"], &info["layout"]),
        (&"dataset".into(), &"jsonl".into())
    );

    let eval = |data: &Path| {
        let (clip, adapter, data) = (clip(), adapter(), text(data));
        let ran = run([
            "eval",
            "--json",
            "--allow-training-data",
            "--data",
            &data,
            "--clip",
            &clip,
            "--adapter",
            &adapter,
        ])
        .code(0);
        let record = of_type(&ran, "evaluation").remove(0);
        assert_eq!(record["mask_threshold"], 0);
        record["mean"].clone()
    };
    assert_eq!(eval(&list), eval(&data));
    let dry = bench::training(&list, &clip(), &["--out", "unused", "--dry-run"]);
    assert!(
        run(dry)
            .code(0)
            .stdout
            .contains("plates (jsonl): 5 normal, 5 anomalous")
    );
}
