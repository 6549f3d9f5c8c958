//! The commands that use the Hub, against a Hub on this machine.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bench::ground::Ground;
use bench::{Ran, dataset, photo, save, text, training};
use mpama_tests::hub_server::{Access, Fault};
use tempfile::TempDir;

#[test]
fn an_id_is_as_good_as_a_folder_from_training_to_a_strangers_machine() {
    let ground = Ground::new();
    let work = TempDir::new().unwrap();
    let run = text(&work.path().join("run"));
    let data = dataset(&work.path().join("data"));
    let image = work.path().join("part.png");
    save(&image, &photo(3, true));
    let train = training(&data, "lab/tiny", &["--out", &run]);
    let train: Vec<&str> = train.iter().map(String::as_str).collect();
    ground.run(&train).code(0);

    let predict = ["predict", &text(&image), "--json", "--adapter"];
    let adapter = format!("{run}/adapter");
    let asked = ground.requests();
    let here = ground.run(&[&predict[..], &[&adapter]].concat()).code(0);
    assert_eq!(
        ground.requests(),
        asked,
        "what is in the cache needs no connection"
    );

    let shown = ground
        .run_as_me(&["push", &run, "me/adapter", "--dry-run"])
        .code(0);
    for word in [
        "base_model: lab/tiny",
        "library_name: mpama",
        "--adapter me/adapter",
    ] {
        assert!(shown.stdout.contains(word), "{}", shown.stdout);
    }
    let unasked = ground.run_as_me(&["push", &run, "me/adapter"]);
    unasked.refused(&["nobody is there to ask"]);
    assert_eq!(ground.server.state().repositories.len(), 1);
    let pushed = ground
        .run_as_me(&["push", &run, "me/adapter", "--yes"])
        .code(0);
    assert!(pushed.stdout.contains("/me/adapter"));

    let stranger = Ground {
        home: TempDir::new().unwrap(),
        ..ground
    };
    let there = stranger
        .run(&[&predict[..], &["me/adapter"]].concat())
        .code(0);
    let score = |ran: &Ran| ran.records()[0]["score"].clone();
    assert!(score(&here).is_number() && score(&here) == score(&there));
    // The adapter names the commit of its backbone: a newer one changes nothing.
    stranger
        .server
        .state()
        .repositories
        .get_mut("lab/tiny")
        .unwrap()
        .commit([("config.json".to_owned(), Default::default())].into(), &[]);
    let last = Ground {
        home: TempDir::new().unwrap(),
        ..stranger
    };
    let there = last.run(&[&predict[..], &["me/adapter"]].concat()).code(0);
    assert_eq!(score(&here), score(&there));
}

#[test]
fn each_refusal_says_what_to_do() {
    let ground = Ground::new();
    let pull = |id: &str| ground.run(&["pull", id]);
    pull("lab/none").refused(&["shows no model `lab/none`", "mpama login"]);
    pull("lab/tiny@v7").refused(&["no revision `v7`"]);
    assert!(pull("lab").code(2).stderr.contains("not `owner/name`"));
    ground
        .run(&["pull", "lab/tiny", "--offline"])
        .refused(&["not in the cache", "mpama pull lab/tiny"]);
    let access = |access| {
        ground
            .server
            .state()
            .repositories
            .get_mut("lab/tiny")
            .unwrap()
            .access = access
    };
    access(Access::Gated);
    pull("lab/tiny").refused(&["granted on request", "mpama login"]);
    access(Access::Public);
    let wait = vec![("retry-after", "900".to_owned())];
    ground.server.fault("revision", Fault::Status(429, wait));
    pull("lab/tiny").refused(&["come back in 900 s"]);
    ground.server.fault("model.safetensors", Fault::WrongBytes);
    pull("lab/tiny").refused(&["arrived damaged", "repeat the command"]);
    let mut wrong = ground.command(&["-v", "pull", "lab/tiny"]);
    let wrong = Ran::of(wrong.env("HF_TOKEN", "hf_unknown").output().unwrap());
    let wrong = wrong.refused(&["does not accept the token"]);
    assert!(!wrong.stderr.contains("hf_unknown"));
    pull("lab/tiny").code(0);
}

/// Nobody listens at the first; the second is a name that no server may have (RFC 6761).
#[test]
fn a_hub_that_cannot_be_reached_is_waited_for_aloud() {
    let ground = Ground::new();
    for (endpoint, host) in [
        ("http://127.0.0.1:1", "127.0.0.1"),
        ("http://hub.invalid", "hub.invalid"),
    ] {
        let mut nowhere = ground.command(&["pull", "lab/tiny"]);
        let nowhere = nowhere.env("HF_ENDPOINT", endpoint).stderr(Stdio::piped());
        let mut nowhere = nowhere.stdout(Stdio::piped()).spawn().unwrap();
        let mut heard = String::new();
        let mut stderr = BufReader::new(nowhere.stderr.take().unwrap());
        stderr.read_line(&mut heard).unwrap();
        assert!(
            nowhere.try_wait().unwrap().is_none(),
            "the first line came with the last: {heard}"
        );
        let expected = format!("warning: cannot reach {host}: ");
        assert!(heard.starts_with(&expected), "{heard}");
        assert!(heard.ends_with("; trying again in 0.5s\n"), "{heard}");
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        let mut ran = Ran::of(nowhere.wait_with_output().unwrap());
        ran.stderr = rest;
        let ran = ran.refused(&[&format!("cannot reach {host}"), "--offline"]);
        assert!(!ran.stderr.contains("trying again"), "{}", ran.stderr);
    }
}

/// Killed at any moment, a pull goes on where it was.
#[test]
fn a_pull_that_is_killed_loses_nothing() {
    let ground = Ground::new();
    let weights: Vec<u8> = (0..8_000_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    ground.server.model(
        "lab/large",
        &[
            ("config.json", b"{}"),
            ("tokenizer.json", b"{}"),
            ("model.safetensors", &weights),
        ],
    );
    let drip = Fault::Drip(200_000, Duration::from_millis(20));
    ground.server.fault("/resolve/", drip.clone());
    ground.server.state().faults[0].0 = "model.safetensors".to_owned();
    let mut pull = ground.command(&["pull", "lab/large"]);
    let mut pull = pull
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let part = || -> Option<u64> {
        let blobs = ground.home.path().join("hub/models--lab--large/blobs");
        let mut entries = fs::read_dir(blobs).ok()?.flatten();
        let part = entries.find(|e| e.path().extension().is_some_and(|e| e == "incomplete"))?;
        Some(part.metadata().ok()?.len())
    };
    let started = Instant::now();
    while part().unwrap_or(0) < 1_000_000 {
        assert!(started.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
    pull.kill().unwrap();
    pull.wait().unwrap();
    let have = part().unwrap();
    assert!(have < weights.len() as u64);
    let done = ground.run(&["pull", "lab/large", "--json"]).code(0);
    let folder = done.records()[0]["folder"].as_str().unwrap().to_owned();
    assert!(fs::read(Path::new(&folder).join("model.safetensors")).unwrap() == weights);
    let state = ground.server.state();
    let last = state
        .seen
        .iter()
        .rfind(|s| s.path.contains("model.safetensors"))
        .unwrap();
    assert_eq!(last.range, Some(format!("bytes={have}-")));
}

#[test]
fn a_token_comes_from_stdin_and_shows_nowhere() {
    let ground = Ground::new();
    let login = |token: &str| {
        let mut child = ground.command(&["-v", "login"]);
        let child = child
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(token.as_bytes())
            .unwrap();
        Ran::of(child.wait_with_output().unwrap())
    };
    ground
        .run(&["whoami"])
        .refused(&["asks for a token", "mpama login"]);
    login("hf_wrong\n").refused(&["does not accept"]);
    let kept = ground.home.path().join("token");
    assert!(!kept.exists());
    let hello = login("hf_secret\n").code(0);
    assert!(hello.stderr.contains("Hello me") && !hello.stderr.contains("hf_secret"));
    assert_eq!(fs::read_to_string(&kept).unwrap(), "hf_secret");
    assert_eq!(ground.run(&["whoami"]).code(0).stdout, "me\n");
    ground.run(&["logout"]).code(0);
    assert!(!kept.exists());
}

#[test]
fn the_cache_can_be_listed_and_emptied() {
    let ground = Ground::new();
    ground.run(&["pull", "lab/tiny"]).code(0);
    let listed = ground.run(&["cache", "list", "--json"]).code(0).records();
    assert_eq!(listed[0]["id"], "lab/tiny");
    assert!(listed[0]["bytes"].as_u64().unwrap() > 1000 && listed[0]["unused"] == 0);
    ground.run(&["cache", "prune"]).code(0);
    ground.run(&["pull", "lab/tiny", "--offline"]).code(0);
    ground.run(&["cache", "remove", "lab/tiny"]).code(0);
    ground
        .run(&["cache", "remove", "lab/tiny"])
        .refused(&["not in the cache"]);
    assert_eq!(ground.run(&["cache", "list"]).code(0).stdout, "");
}
