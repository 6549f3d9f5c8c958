//! `mpama import`: from another project's file to a prediction, and what is refused; `mpama export`.
//! `tests/peer/export.py` runs the exported script and compares its scores with ours.

#![allow(clippy::unwrap_used)]

mod bench;

use std::fs;
use std::path::Path;

use bench::{clip, photo, run, save, text};
use tempfile::TempDir;

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn import(file: &Path, clip: &str, out: &Path) -> bench::Ran {
    let (file, out) = (text(file), text(out));
    run([
        "import",
        "anomalyclip",
        &file,
        "--clip",
        clip,
        "--out",
        &out,
        "--json",
    ])
}

#[test]
fn an_imported_adapter_predicts() {
    let folder = TempDir::new().unwrap();
    let (out, image) = (folder.path().join("adapter"), folder.path().join("a.png"));
    let file = fixtures().join("import/anomalyclip.pth");
    let records = import(&file, &clip(), &out).code(0).records();
    assert_eq!(records[0]["type"], "import");
    assert_eq!(records[0]["adapter"], text(&out));
    assert_eq!(records[0]["deep_prompts"], 2);
    assert_eq!(records[0]["word_distance"], 0.0);
    let described = run(["info", &text(&out)]).code(0).stdout;
    assert!(
        described.contains("anomalyclip.pth (anomalyclip, sha256 e369"),
        "{described}"
    );

    save(&image, &photo(1, true));
    let arguments = [
        "predict",
        &text(&image),
        "--clip",
        &clip(),
        "--adapter",
        &text(&out),
    ];
    run(arguments).code(0);

    let again = import(&file, &clip(), &out).refused(&["is there already"]);
    assert_eq!(again.records()[0]["type"], "error");
}

#[test]
fn what_cannot_be_imported_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let (out, broken) = (
        folder.path().join("adapter"),
        folder.path().join("broken.pth"),
    );
    let file = fixtures().join("import/anomalyclip.pth");
    let micro = text(&fixtures().join("clip/micro"));
    import(&file, &micro, &out).code(2);
    import(&folder.path().join("gone.pth"), &clip(), &out).refused(&["gone.pth"]);
    fs::write(&broken, "no zip at all").unwrap();
    import(&broken, &clip(), &out).refused(&["broken.pth", "not a PyTorch checkpoint"]);
    let whole = fixtures().join("clip/micro/pytorch_model.bin");
    import(&whole, &clip(), &out).refused(&["ctx_pos", "AnomalyCLIP's training"]);
    assert!(!out.exists());
}

#[test]
fn an_export_is_the_adapter_and_its_script() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("python");
    let arguments = ["export", &bench::adapter(), "--out", &text(&out), "--json"];
    let records = run(arguments).code(0).records();
    assert_eq!(records[0]["type"], "export");
    let same = |name: &str| {
        let ours = fs::read(Path::new(&bench::adapter()).join(name)).unwrap();
        assert!(fs::read(out.join(name)).unwrap() == ours, "{name}");
    };
    same("adapter_config.json");
    same("adapter_model.safetensors");
    let script = fs::read_to_string(out.join("detect.py")).unwrap();
    assert!(script.contains("adapter_model.safetensors"));
    run(arguments).refused(&["is there already"]);
    let gone = text(&folder.path().join("gone"));
    run(["export", &gone, "--out", &text(&folder.path().join("x"))]).refused(&["gone"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
