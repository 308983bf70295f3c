//! Writes the C header from src/ffi into the build folder, where a test compares it with the committed one,
//! and names the shared library's interface version.

use std::path::PathBuf;

fn main() {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=src/ffi");
    println!("cargo::rerun-if-changed=cbindgen.toml");

    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is valid");
    let sources = ["status", "types", "problem", "plan", "pool", "wisdom", "info"];
    sources
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, module| {
            builder.with_src(root.join(format!("src/ffi/{module}.rs")))
        })
        .generate()
        .expect("src/ffi can be written as C")
        .write_to_file(out.join("convlow.h"));

    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // While the major version is 0, a minor version may break the ABI.
        let [major, minor] = ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR"]
            .map(|part| std::env::var(part).expect("cargo sets it"));
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libconvlow.so.{major}.{minor}");
    }
}
