//! The shape of the house: who may use whom, how long a file may be, and what it may not be called.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arrows of ARCHITECTURE.md: whoever is on the left may depend on those on the right.
const ARROWS: &[(&str, &[&str])] = &[
    ("mpama-datasets", &[]),
    ("mpama-core", &[]),
    ("mpama-train", &["mpama-core", "mpama-datasets"]),
    ("mpama-hub", &["mpama-core"]),
    (
        "mpama-cli",
        &[
            "mpama-core",
            "mpama-datasets",
            "mpama-hub",
            "mpama-tests",
            "mpama-train",
        ],
    ),
    (
        "mpama-tests",
        &["mpama-core", "mpama-datasets", "mpama-hub", "mpama-train"],
    ),
];

/// Crates with a command line, a terminal or untyped errors, and who alone may use them.
const OUTSIDERS: &[(&str, &[&str])] = &[
    ("anyhow", &["mpama-cli"]),
    ("clap", &["mpama-cli"]),
    ("ctrlc", &["mpama-cli"]),
    ("indicatif", &["mpama-cli"]),
    ("hf-hub", &["mpama-hub"]),
    ("reqwest", &["mpama-hub"]),
];

/// Lines of a file, uniform tables included.
const LONGEST: usize = 500;

/// Names of drawers: whatever would go into them has a home elsewhere.
const DRAWERS: &[&str] = &[
    "base", "common", "helper", "helpers", "misc", "shared", "util", "utils",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// What each crate of the workspace depends on directly, tests and build scripts included.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            (
                name(package),
                package["dependencies"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(name)
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn arrows_point_as_drawn() {
    let dependencies = dependencies();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(from, _)| *from).collect();
    assert_eq!(
        dependencies
            .keys()
            .map(String::as_str)
            .collect::<BTreeSet<_>>(),
        drawn
    );
    for (from, allowed) in ARROWS {
        for to in dependencies[*from]
            .iter()
            .filter(|to| drawn.contains(to.as_str()))
        {
            assert!(
                allowed.contains(&to.as_str()),
                "{from} must not depend on {to}"
            );
        }
    }
}

#[test]
fn terminals_and_networks_stay_outside() {
    for (from, uses) in dependencies() {
        for (outsider, allowed) in OUTSIDERS {
            let fine = !uses.contains(*outsider) || allowed.contains(&from.as_str());
            assert!(fine, "{from} must not depend on {outsider}");
        }
    }
}

/// Every source file of ours.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || name == "__pycache__" {
            continue;
        } else if path.is_dir() {
            sources(&path, into);
        } else if ["rs", "py", "cu", "cuh", "toml"]
            .iter()
            .any(|end| path.extension().is_some_and(|e| e == *end))
        {
            into.push(path);
        }
    }
}

fn our_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    assert!(
        found
            .iter()
            .any(|path| path.ends_with("tests/tests/architecture.rs"))
    );
    found.sort();
    found
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = our_sources()
        .iter()
        .map(|path| (path, fs::read_to_string(path).unwrap().lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "more than {LONGEST} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn no_file_is_a_drawer() {
    for path in our_sources() {
        for part in path.strip_prefix(root()).unwrap().iter() {
            let name = part.to_string_lossy();
            let name = name.split('.').next().unwrap_or_default();
            assert!(
                !DRAWERS.contains(&name),
                "{}: `{name}` says nothing",
                path.display()
            );
        }
    }
}

#[test]
fn libraries_read_no_environment() {
    for path in our_sources() {
        let text = path.to_string_lossy().into_owned();
        let library = [
            "mpama-core/src",
            "mpama-train/src",
            "mpama-hub/src",
            "datasets/src",
        ];
        if library.iter().any(|folder| text.contains(folder)) {
            let source = fs::read_to_string(&path).unwrap();
            for word in ["env::var", "env::args", "process::exit"] {
                assert!(
                    !source.contains(word),
                    "{text}: `{word}` belongs to mpama-cli"
                );
            }
        }
    }
}
