//! `mpama push`: what is published, and that it is published once, whenever the process is killed.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bench::ground::Ground;
use bench::{adapter, clip, dataset, mpama, text};
use mpama_tests::hub_server::Fault;
use tempfile::TempDir;

/// A report on the adapter of all tests.
fn report(folder: &Path, more: &[&str]) -> PathBuf {
    let data = text(&dataset(&folder.join("other")));
    let out = folder.join("report");
    let adapter = adapter();
    let mut eval = mpama();
    eval.args(["eval", "--clip", &clip(), "--adapter", &adapter, "--data"]);
    eval.args([&data, "--report", &text(&out), "--allow-training-data"]);
    bench::Ran::of(eval.args(more).output().unwrap()).code(0);
    out.join("report.json")
}

/// Names of the files that the newest commit has, and how many commits there are.
fn published(ground: &Ground) -> (Vec<String>, usize) {
    let state = ground.server.state();
    let repository = &state.repositories["me/adapter"];
    let (_, files) = repository.head().unwrap();
    (files.keys().cloned().collect(), repository.commits.len())
}

#[test]
fn a_report_brings_figures_and_pictures_in_the_same_commit() {
    let (ground, folder) = (Ground::new(), TempDir::new().unwrap());
    let report = report(folder.path(), &[]);
    let extra = folder.path().join("extra.png");
    bench::save(&extra, &bench::photo(1, true));
    let (adapter, file, extra) = (adapter(), text(&report), text(&extra));
    let push = ["push", &adapter, "me/adapter", "--yes", "--report", &file];
    ground
        .run_as_me(&[&push[..], &["--picture", &extra]].concat())
        .code(0);

    let (names, commits) = published(&ground);
    let pictures = (1..=6).map(|number| format!("pictures/{number}.png"));
    let expected = [
        ".gitattributes",
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "detect.py",
    ];
    let expected: Vec<String> = expected
        .map(str::to_owned)
        .into_iter()
        .chain(pictures)
        .collect();
    assert_eq!((names, commits), (expected, 2));

    let state = ground.server.state();
    let (_, files) = state.repositories["me/adapter"].head().unwrap();
    let card = String::from_utf8(files["README.md"].to_vec()).unwrap();
    // five spotted plates: one picture each, the lowest score first
    let captions: Vec<&str> = card
        .lines()
        .filter(|line| line.starts_with("other, plate, spot: score 0."))
        .collect();
    assert_eq!(captions.len(), 5, "{card}");
    assert!(captions.is_sorted(), "{captions:?}");
    for (number, caption) in captions.iter().enumerate() {
        let image = format!("![{caption}](pictures/{}.png)\n\n{caption}\n", number + 1);
        assert!(card.contains(&image), "{card}");
        let bytes = &files[&format!("pictures/{}.png", number + 1)];
        let beside = report.with_file_name(format!("pictures/{}.png", number + 1));
        assert!(**bytes == fs::read(beside).unwrap());
        let picture = image::load_from_memory(bytes).unwrap().into_rgba8();
        assert_eq!(picture.dimensions(), (2 * 60 + 8, 48));
        // on the left the photo, untouched
        let photo = bench::photo(10 + number_of(&report, number), true);
        let same =
            |(x, y, pixel): (u32, u32, &image::Rgb<u8>)| picture.get_pixel(x, y).0[..3] == pixel.0;
        assert!(photo.enumerate_pixels().all(same), "{caption}");
    }
    assert!(card.contains("![Picture 6](pictures/6.png)"), "{card}");
    assert!(card.contains("## Results") && card.contains("from detect import detect"));
}

/// The number of the image that picture `rank` of the report is of: scores are not equal here.
fn number_of(report: &Path, rank: usize) -> u32 {
    let report: serde_json::Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let score = &report["pictures"][rank]["score"];
    let images = report["datasets"][0]["images"].as_array().unwrap();
    let image = images.iter().find(|image| image["score"] == *score);
    let id = image.unwrap()["id"].as_str().unwrap();
    let name = id.rsplit('/').next().unwrap();
    name.trim_end_matches(".png").parse().unwrap()
}

#[test]
fn photos_stay_here_if_asked_to_or_if_there_are_none() {
    let (ground, folder) = (Ground::new(), TempDir::new().unwrap());
    let adapter = adapter();
    let push = |file: &Path, more: &[&str]| {
        let file = text(file);
        let push = [
            "push",
            &adapter,
            "me/adapter",
            "--dry-run",
            "--report",
            &file,
        ];
        ground.run(&[&push[..], more].concat())
    };
    let with = report(folder.path(), &[]);
    let plan = push(&with, &["--no-pictures"]).code(0);
    assert!(plan.stdout.contains("## Results") && !plan.stderr.contains("pictures/"));
    fs::remove_file(with.with_file_name("pictures/2.png")).unwrap();
    push(&with, &[]).refused(&["pictures/2.png", "--no-pictures"]);

    let without = TempDir::new().unwrap();
    let without = report(without.path(), &["--gallery", "0"]);
    assert!(!without.with_file_name("pictures").exists());
    let plan = push(&without, &[]).code(0);
    assert!(plan.stdout.contains("## Results") && !plan.stdout.contains("## What it sees"));
}

struct Killed<'a> {
    ground: &'a Ground,
    adapter: String,
    /// A large file, whose upload takes a while.
    picture: String,
}

impl Killed<'_> {
    fn arguments(&self) -> [&str; 6] {
        let push = ["push", &self.adapter, "me/adapter", "--yes"];
        [
            push[0],
            push[1],
            push[2],
            push[3],
            "--picture",
            &self.picture,
        ]
    }

    /// Starts a push, waits until `is_due`, and kills it.
    fn once(&self, is_due: impl Fn() -> bool) {
        let mut push = self.ground.command(&self.arguments());
        push.env("HF_TOKEN", "hf_secret");
        let push = push.stdout(Stdio::null()).stderr(Stdio::null());
        let mut push: Child = push.spawn().unwrap();
        let started = Instant::now();
        while !is_due() {
            assert!(started.elapsed() < Duration::from_secs(60));
            assert!(push.try_wait().unwrap().is_none(), "it ended by itself");
            sleep(Duration::from_millis(2));
        }
        push.kill().unwrap();
        push.wait().unwrap();
    }

    /// Pushes again; whether the Hub had everything already.
    fn again(&self) -> bool {
        let arguments = [&self.arguments()[..], &["--json"]].concat();
        let done = self.ground.run_as_me(&arguments).code(0);
        let (names, commits) = published(self.ground);
        // the first commit is the Hub's own
        assert_eq!((names.len(), commits), (6, 2), "{names:?}");
        let told = done.stderr.contains("has these very files already");
        let unchanged = done.records()[0]["unchanged"] == true;
        assert_eq!(told, unchanged);
        unchanged
    }
}

/// Twelve megabytes that begin as a PNG does.
fn large(folder: &Path) -> String {
    let path = folder.join("large.png");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"\x89PNG\r\n\x1a\n").unwrap();
    let noise = (0..12_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8);
    file.write_all(&noise.collect::<Vec<u8>>()).unwrap();
    text(&path)
}

#[test]
fn a_push_that_is_killed_before_its_commit_is_made_by_the_next() {
    let folder = TempDir::new().unwrap();
    let picture = large(folder.path());
    for stage in ["repos/create", "/revision/", "/tree/", "/preupload/"] {
        let ground = Ground::new();
        let late = Fault::Late(Duration::from_secs(3));
        ground.server.fault(stage, late);
        let killed = Killed {
            ground: &ground,
            adapter: adapter(),
            picture: picture.clone(),
        };
        killed.once(|| ground.server.has_seen(stage));
        assert!(!killed.again(), "{stage}");
        assert!(killed.again(), "{stage}");
    }
    // in the middle of the upload
    let ground = Ground::new();
    let sip = Fault::Sip(100_000, Duration::from_millis(10));
    ground.server.fault("/commit/", sip);
    let killed = Killed {
        ground: &ground,
        adapter: adapter(),
        picture,
    };
    killed.once(|| {
        let state = ground.server.state();
        let commit = state
            .seen
            .iter()
            .find(|seen| seen.path.contains("/commit/"));
        commit.is_some_and(|commit| commit.received > 1_000_000)
    });
    sleep(Duration::from_secs(1)); // what had left the process may still come
    assert_eq!(
        ground.server.state().repositories["me/adapter"]
            .commits
            .len(),
        1
    );
    assert!(!killed.again());
    assert!(killed.again());
}

#[test]
fn a_push_that_is_killed_after_its_commit_leaves_nothing_to_do() {
    let (ground, folder) = (Ground::new(), TempDir::new().unwrap());
    ground
        .server
        .fault("/commit/", Fault::Late(Duration::from_secs(3)));
    let killed = Killed {
        ground: &ground,
        adapter: adapter(),
        picture: large(folder.path()),
    };
    killed.once(|| {
        let state = ground.server.state();
        let repository = state.repositories.get("me/adapter");
        repository.is_some_and(|repository| repository.commits.len() == 2)
    });
    assert!(killed.again());
}
