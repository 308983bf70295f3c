//! What a package of the library holds, and the Rust that its dependencies need.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What cargo prints, without a network and without a change to Cargo.lock.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(std::env::var_os("CARGO").expect("cargo runs its tests"))
        .args(arguments)
        .args(["--quiet", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

#[test]
fn a_package_is_small_and_holds_what_builds_the_library_and_nothing_else() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("package");
    let target = folder.to_str().expect("a path in UTF-8");
    let list = cargo(&["package", "--package", "convlow", "--allow-dirty", "--list"]);
    let cargos_own = ["Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"];
    let files = ["build.rs", "cbindgen.toml", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];
    let kinds = [("src/", "rs"), ("include/", "h"), ("include/", "hpp")];
    for file in list.lines().filter(|file| !cargos_own.contains(file)) {
        let is_of_a_kind = kinds.iter().any(|(under, kind)| {
            file.starts_with(under) && Path::new(file).extension().is_some_and(|e| e == *kind)
        });
        assert!(files.contains(&file) || is_of_a_kind, "{file} is packaged");
    }
    for file in files.iter().chain(&["include/convlow.h", "src/lib.rs"]) {
        assert!(list.lines().any(|packaged| packaged == *file), "{file} is not packaged");
    }
    cargo(&["package", "--package", "convlow", "--allow-dirty", "--no-verify", "--target-dir", target]);
    let package = folder.join(concat!("package/convlow-", env!("CARGO_PKG_VERSION"), ".crate"));
    let bytes = package.metadata().expect("cargo has written it").len();
    assert!(bytes <= 512 << 10, "{bytes} bytes");
}

#[test]
fn no_dependency_needs_a_newer_rust_than_its_package_says() {
    let metadata: Value = serde_json::from_str(&cargo(&[
        "metadata",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]))
    .expect("metadata is JSON");
    let all = |value: &Value| value.as_array().expect("a list").clone();
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    let rust_of = |package: &Value| -> Vec<u32> {
        let parts = package["rust_version"].as_str().unwrap_or("1.0").split('.');
        parts.map(|part| part.parse().expect("a number")).take(2).collect()
    };
    let packages: HashMap<_, _> =
        all(&metadata["packages"]).into_iter().map(|package| (id(&package["id"]), package)).collect();
    let nodes: HashMap<_, _> =
        all(&metadata["resolve"]["nodes"]).into_iter().map(|node| (id(&node["id"]), node)).collect();
    for member in all(&metadata["workspace_members"]) {
        let needs = rust_of(&packages[&id(&member)]);
        assert!(needs > vec![1, 80], "{member} states its Rust");
        let (mut seen, mut waiting) = (HashSet::new(), vec![id(&member)]);
        while let Some(here) = waiting.pop() {
            if !seen.insert(here.clone()) {
                continue;
            }
            let package = &packages[&here];
            assert!(rust_of(package) <= needs, "{member}: {here} needs Rust {}", package["rust_version"]);
            waiting.extend(all(&nodes[&here]["dependencies"]).iter().map(id));
        }
        assert!(seen.len() > 10, "{member} has dependencies");
    }
}
