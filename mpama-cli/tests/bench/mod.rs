//! The ground the command-line tests stand on: the real binary, the tiny CLIP of the fixtures, a
//! small drawn dataset and an adapter trained on it.

#![allow(clippy::unwrap_used, dead_code, unreachable_pub)] // every test binary uses a part of it

pub mod ground;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

/// Settings with which the tiny CLIP learns in a second.
pub const SMALL: [&str; 10] = [
    "--set",
    "model.image-size=56",
    "--set",
    "stage-one.epochs=3",
    "--set",
    "stage-two.epochs=3",
    "--set",
    "stage-two.learning-rate=1e-3",
    "--set",
    "features.batch-size=2",
];

/// What a command ended with.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What a process ended with.
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Every line of stdout as JSON.
    pub fn records(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Fails unless the command ended with `code`.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails unless the command could not do it, said all of `words`, and said what to do next.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        let ran = self.code(2);
        for word in words.iter().chain(&["error: ", "hint: "]) {
            assert!(
                ran.stderr.contains(word),
                "`{word}` is not in:\n{}",
                ran.stderr
            );
        }
        ran
    }
}

/// The binary, with nothing of the environment that speaks to it.
pub fn mpama() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpama"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("MPAMA_") || text.starts_with("HF_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ran {
    Ran::of(mpama().args(arguments).output().unwrap())
}

/// Runs the binary with bytes on its stdin.
pub fn run_with_stdin(arguments: &[&str], bytes: &[u8]) -> Ran {
    use std::io::Write;
    let mut child = mpama()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    Ran::of(child.wait_with_output().unwrap())
}

/// The tiny CLIP.
pub fn clip() -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tiny_clip"))
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A photo of a grey plate, with a bright spot if it is `anomalous`; no two numbers look alike.
pub fn photo(number: u32, anomalous: bool) -> RgbImage {
    RgbImage::from_fn(60, 48, |x, y| {
        let grain = ((x * 7 + y * 13 + number * 29) % 17) as u8;
        match anomalous && in_spot(number, x, y) {
            true => Rgb([250, 240, 60 + grain]),
            false => Rgb([90 + grain, 95 + grain, 100]),
        }
    })
}

/// The mask of the spot.
pub fn mask(number: u32) -> GrayImage {
    GrayImage::from_fn(60, 48, |x, y| Luma([255 * u8::from(in_spot(number, x, y))]))
}

fn in_spot(number: u32, x: u32, y: u32) -> bool {
    let (left, top) = (5 + 6 * (number % 7), 4 + 5 * (number % 6));
    (left..left + 14).contains(&x) && (top..top + 12).contains(&y)
}

/// Five good and five spotted plates in MVTec AD's layout.
pub fn dataset(root: &Path) -> PathBuf {
    for number in 0..5 {
        save(
            &root.join(format!("plate/test/good/{number:03}.png")),
            &photo(number, false),
        );
        save(
            &root.join(format!("plate/test/spot/{number:03}.png")),
            &photo(number + 10, true),
        );
        let path = root.join(format!("plate/ground_truth/spot/{number:03}_mask.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        mask(number + 10).save(path).unwrap();
    }
    root.to_owned()
}

/// Saves a picture, with the folders it needs.
pub fn save(path: &Path, picture: &RgbImage) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// The arguments of a small training run.
pub fn training(data: &Path, clip: &str, run: &[&str]) -> Vec<String> {
    let mut arguments: Vec<String> = ["train", "--data", &text(data), "--clip", clip]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(SMALL.iter().chain(run).map(|word| (*word).to_owned()));
    arguments
}

/// A folder with an adapter of both stages in `run/adapter`, trained once for all tests of a binary
/// on `data`.
pub fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let data = dataset(&folder.path().join("data"));
        run(training(
            &data,
            &clip(),
            &["--out", &text(&folder.path().join("run"))],
        ))
        .code(0);
        folder
    });
    folder.path()
}

/// The adapter of [`trained`].
pub fn adapter() -> String {
    text(&trained().join("run/adapter"))
}

/// The page of a report without the time and memory that it took.
pub fn timeless_page(report: &Path) -> String {
    let page = fs::read_to_string(report.join("report.html")).unwrap();
    let (before, cost) = page.split_once("<div class=\"wide cost\">").unwrap();
    before.to_owned() + cost.split_once("</div>").unwrap().1
}

/// Every file below a folder with its bytes, sorted.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((
                    text(path.strip_prefix(folder).unwrap()),
                    fs::read(&path).unwrap(),
                )),
            }
        }
    }
    found.sort();
    found
}
