//! `mpama import`: from another project's file to a prediction, and what is refused.

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
