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

/// Whether a program that includes the header is taken with every warning an error, and what the compiler says.
fn compile(standard: &str, name: &str, body: &str) -> Result<(), String> {
    let (compiler, extension) = if standard.starts_with("c++") { ("c++", "cpp") } else { ("cc", "c") };
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = dir.join(format!("header-{standard}-{name}.{extension}"));
    std::fs::write(&source, format!("#include <convlow.h>\nint main(void) {{\n{body}    return 0;\n}}\n"))
        .expect("written");
    let output = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .arg(include())
        .arg(&source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

const STANDARDS: [&str; 3] = ["c99", "c11", "c++17"];
const STRUCTS: [&str; 4] =
    ["convlow_conv2d_desc", "convlow_convnd_desc", "convlow_plan_options", "convlow_execute_args"];

#[test]
fn the_header_compiles_without_a_warning() {
    for standard in STANDARDS {
        compile(standard, "alone", "").expect(standard);
    }
}

/// The macro of one struct with a pointer to another.
#[test]
fn the_macros_take_their_own_struct_and_no_other() {
    for standard in STANDARDS {
        for (at, of_macro) in STRUCTS.into_iter().enumerate() {
            for (other, pointed_to) in STRUCTS.into_iter().enumerate() {
                let name = format!("{at}-{other}");
                let body = format!("    {pointed_to} s;\n    {}_INIT(&s);\n", of_macro.to_uppercase());
                let compiled = compile(standard, &name, &body);
                assert_eq!(
                    compiled.is_ok(),
                    at == other,
                    "{standard}: {body}{}",
                    compiled.err().unwrap_or_default()
                );
            }
        }
    }
}
