//! The committed header is what the source says, and every C and C++ compiler takes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use convlow_header::GENERATED;

const COMMITTED: &str = include_str!("../../../include/convlow.h");

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    if std::env::var_os("CONVLOW_GENERATE").is_some() {
        std::fs::write(include().join("convlow.h"), GENERATED).expect("the header can be written");
        return;
    }
    assert!(COMMITTED == GENERATED, "include/convlow.h differs from src/ffi: run ./dev generate");
}

/// Compiles a file that includes the header, with every warning an error.
fn compile(compiler: &str, standard: &str, extension: &str, header: &str) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = dir.join(format!("header-{standard}-{header}.{extension}"));
    std::fs::write(&source, format!("#include <{header}>\nint main(void) {{ return 0; }}\n"))
        .expect("written");
    let output = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .arg(include())
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(output.status.success(), "{standard}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_header_compiles_without_a_warning() {
    compile("cc", "c99", "c", "convlow.h");
    compile("cc", "c11", "c", "convlow.h");
    compile("c++", "c++17", "cpp", "convlow.h");
}
