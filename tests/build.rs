//! Tells the tests at compile time whether real data lies beside the project, so that a test that
//! needs it is shown as ignored where it is absent, never as passed.

use std::path::Path;

#[allow(clippy::print_stdout)] // the way a build script talks to cargo
fn main() {
    println!("cargo::rustc-check-cfg=cfg(shared_data)");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    println!("cargo::rerun-if-changed={}", data.display());
    if data.is_dir() {
        println!("cargo::rustc-cfg=shared_data");
    }
}
