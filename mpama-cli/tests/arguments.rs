//! What is typed: help, mistakes, settings, completions.

#![allow(clippy::unwrap_used)]

mod bench;

use bench::{Ran, clip, run, text, trained};

const COMMANDS: [&[&str]; 10] = [
    &[],
    &["predict"],
    &["train"],
    &["eval"],
    &["datasets", "synth"],
    &["info"],
    &["config", "init"],
    &["config", "show"],
    &["config", "check"],
    &["completions"],
];

#[test]
fn every_command_explains_itself() {
    for command in COMMANDS {
        let ran = run(command.iter().chain(&["--help"])).code(0);
        assert!(
            ran.stdout.contains("Usage: mpama") && ran.stderr.is_empty(),
            "{command:?}"
        );
        assert!(
            ran.stdout.lines().all(|line| line.chars().count() <= 100),
            "{command:?}"
        );
    }
}

#[test]
fn a_bare_call_shows_the_first_screen() {
    let ran = run::<&str>([]).code(0);
    assert_eq!(ran.stdout, run(["--help"]).stdout);
    assert!(ran.stdout.contains("Start with: mpama predict"));
}

#[test]
fn the_version_is_the_crates() {
    assert_eq!(
        run(["--version"]).code(0).stdout,
        format!("mpama {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn mistakes_on_the_command_line_end_with_2() {
    for words in [
        &["frobnicate"][..],
        &["predict"],
        &["predict", "x.png", "--overlay"],
        &["predict", "x.png", "--threshold", "1.5"],
        &["predict", "x.png", "--threshold", "NaN"],
        &["predict", "x.png", "--device", "gpu"],
        &["train", "--set", "no-value"],
        &["train", "--out", "a", "--resume", "b"],
        &["eval"],
        &["datasets", "synth"],
        &["-q", "-v", "config", "show"],
    ] {
        let ran = run(words).code(2);
        assert!(
            ran.stdout.is_empty() && ran.stderr.starts_with("error: "),
            "{words:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn what_is_missing_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    bench::save(&folder.path().join("x.png"), &bench::photo(0, false));
    let image = text(&folder.path().join("x.png"));
    // With neither, the demo's are used; one alone is a mistake.
    let adapter = bench::adapter();
    run(["predict", &image, "--adapter", &adapter]).refused(&[
        "no backbone given",
        "--clip",
        "MPAMA_CLIP",
        "config.json",
    ]);
    run(["predict", &image, "--clip", &clip()]).refused(&[
        "no adapter given",
        "--adapter",
        "MPAMA_ADAPTER",
    ]);
    run(["train", "--clip", &clip()]).refused(&["no run given", "--out"]);
    run(["train", "--clip", &clip(), "--out", "x"]).refused(&["no dataset given", "--data"]);
}

#[test]
fn ids_of_the_hub_are_recognised() {
    let data = text(&trained().join("data"));
    let id = "openai/clip-vit-base-patch32";
    let eval = [
        "--offline",
        "eval",
        "--data",
        &data,
        "--clip",
        id,
        "--adapter",
    ];
    let words = [id, "not in the cache", "mpama pull openai"];
    let ran = run([&eval[..], &[&bench::adapter()]].concat()).refused(&words);
    assert!(ran.stdout.is_empty());
    run(["--offline", "info", "me/adapter@v1"]).refused(&["me/adapter@v1", "not in the cache"]);
    run(["info", "./me/adapter"]).refused(&["there is no `./me/adapter`"]);
}

#[test]
fn a_card_that_is_not_there_is_an_error() {
    let image = text(&trained().join("data/plate/test/good/000.png"));
    let words = [
        "predict",
        &image,
        "--clip",
        &clip(),
        "--adapter",
        &bench::adapter(),
        "--device",
        "cuda:7",
    ];
    run(words).refused(&["cuda:7", "--device cpu"]);
}

#[test]
fn a_misspelt_key_is_named_with_file_line_and_cure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "seed = 3\n\n[stage-one]\nlearning-rat = 0.1\n").unwrap();
    let words = [
        "stage-one.learning-rat`",
        "mine.toml, line 4",
        "`stage-one.learning-rate`",
    ];
    run(["config", "check", &text(&file)]).refused(&words);
    run([
        "train",
        "--clip",
        &clip(),
        "--out",
        "x",
        "--config",
        &text(&file),
    ])
    .refused(&words);
    run(["config", "show", "--set", "stage-one.epoch=3"])
        .refused(&["`stage-one.epoch`", "`stage-one.epochs`"]);
}

#[test]
fn a_setting_out_of_its_range_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(&trained().join("data"));
    let out = text(&folder.path().join("run"));
    let base = [
        "train",
        "--clip",
        &clip(),
        "--data",
        &data,
        "--out",
        &out,
        "--set",
    ];
    run(base.iter().chain(&["stage-one.epochs=0"])).refused(&["stage-one.epochs"]);
    run(base.iter().chain(&["model.temperature=-1"])).refused(&["temperature"]);
    run(base.iter().chain(&["model.image-size=57"])).refused(&["57"]);
    assert!(!folder.path().join("run/adapter-mpa").exists());
}

#[test]
fn the_written_settings_are_sound_and_never_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let file = text(&folder.path().join("mine.toml"));
    run(["config", "init", &file]).code(0);
    run(["config", "check", &file]).code(0);
    run(["config", "init", &file]).refused(&["is there already"]);
    let printed = run(["config", "init", "-"]).code(0).stdout;
    assert_eq!(printed, std::fs::read_to_string(&file).unwrap());
}

#[test]
fn shown_settings_say_where_they_come_from() {
    let output = bench::mpama()
        .args(["config", "show", "--json", "--set", "seed=4"])
        .env("MPAMA_STAGE_ONE_EPOCHS", "9")
        .output();
    let record: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(
        (&record["type"], &record["v"]),
        (&"settings".into(), &1.into())
    );
    let find = |key: &str| {
        let all = record["settings"].as_array().unwrap();
        all.iter()
            .find(|setting| setting["key"] == key)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&find("seed")["value"], &find("seed")["origin"]),
        (&4.into(), &"--set".into())
    );
    let epochs = find("stage-one.epochs");
    assert_eq!(epochs["value"], 9);
    assert_eq!(
        epochs["origin"],
        "MPAMA_STAGE_ONE_EPOCHS in the environment"
    );
    assert_eq!(find("data.layout")["value"], serde_json::Value::Null);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(["completions", shell]).code(0).stdout;
        assert!(
            script.contains("predict") && script.contains("overlay"),
            "{shell}"
        );
    }
}

#[test]
fn quiet_twice_is_silent_and_json_still_tells() {
    let ran = run(["-qq", "--json", "info", "/nowhere/at/all"]).code(2);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let [record] = &ran.records()[..] else {
        panic!("{}", ran.stdout)
    };
    assert_eq!(record["type"], "error");
    assert!(
        record["message"]
            .as_str()
            .unwrap()
            .contains("/nowhere/at/all")
            && record["hint"].is_string()
    );
}

#[test]
fn colour_only_when_asked_for_or_seen() {
    let coloured = |words: &[&str]| {
        let output = bench::mpama()
            .args(words)
            .env_remove("NO_COLOR")
            .output()
            .unwrap();
        output.stderr.contains(&0x1b)
    };
    assert!(!coloured(&["info", "/nowhere"]));
    assert!(coloured(&["--color", "always", "info", "/nowhere"]));
    assert!(coloured(&["--color=always", "frobnicate"]));
    assert!(!coloured(&["--color", "never", "frobnicate"]));
}

#[test]
fn registers_that_are_not_there_are_refused_with_those_that_are() {
    let mut command = bench::mpama();
    command
        .env("MPAMA_KERNELS", "sse9")
        .args(["config", "show"]);
    Ran::of(command.output().unwrap()).refused(&["`sse9`", "portable", "MPAMA_KERNELS"]);
}
