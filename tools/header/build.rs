//! Writes the C header from src/ffi into the build folder.

use std::path::{Path, PathBuf};

fn main() {
    let root = Path::new("../..");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=../../src/ffi");
    println!("cargo::rerun-if-changed=../../cbindgen.toml");

    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is valid");
    let sources = ["status", "types", "problem", "plan", "execute", "pool", "wisdom", "info"];
    sources
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |builder, module| {
            builder.with_src(root.join(format!("src/ffi/{module}.rs")))
        })
        .generate()
        .expect("src/ffi can be written as C")
        .write_to_file(out.join("convlow.h"));
}
