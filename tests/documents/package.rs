//! What the published packages hold, and the Rust that dependencies need.

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

/// The packages that are published together: the library, and what it is made of.
fn published() -> Vec<String> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--format-version=1", "--no-deps"]))
        .expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list").iter();
    let published = packages.filter(|package| package["publish"].is_null());
    published.map(|package| package["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_package_is_small_and_holds_what_builds_the_library_and_nothing_else() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("package");
    let target = folder.to_str().expect("a path in UTF-8");
    let cargos_own = ["Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"];
    let published = published();
    for name in ["convlow", "convlow-base", "convlow-threads"] {
        assert!(published.iter().any(|package| package == name), "{name} is not published");
    }
    for package in &published {
        let list = cargo(&["package", "--package", package, "--allow-dirty", "--list"]);
        let (files, kinds): (&[_], &[_]) = if package == "convlow" {
            (
                &["build.rs", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"],
                &[("src/", "rs"), ("include/", "h"), ("include/", "hpp")],
            )
        } else {
            (&[], &[("src/", "rs")])
        };
        for file in list.lines().filter(|file| !cargos_own.contains(file)) {
            let is_of_a_kind = kinds.iter().any(|(under, kind)| {
                file.starts_with(under) && Path::new(file).extension().is_some_and(|e| e == *kind)
            });
            assert!(files.contains(&file) || is_of_a_kind, "{package}: {file} is packaged");
        }
        let header = (package == "convlow").then_some(&"include/convlow.h");
        for file in files.iter().chain(header).chain(&["src/lib.rs"]) {
            assert!(list.lines().any(|packaged| packaged == *file), "{package}: {file} is not packaged");
        }
    }
    let packages = published.iter().flat_map(|package| ["--package", package]).collect::<Vec<_>>();
    let options = ["--allow-dirty", "--no-verify", "--target-dir", target];
    cargo(&[&["package"], &packages[..], &options].concat());
    for package in &published {
        let file = folder.join(format!("package/{package}-{}.crate", env!("CARGO_PKG_VERSION")));
        let bytes = file.metadata().expect("cargo has written it").len();
        assert!(bytes <= 512 << 10, "{package}: {bytes} bytes");
    }
}

#[test]
fn no_dependency_needs_a_newer_rust_than_its_package_says() {
    // Crates that no default asks for are here only where the build has them.
    let has_all = cfg!(all(feature = "rayon", feature = "openblas-src"));
    let features: &[&str] = if has_all { &["--all-features"] } else { &[] };
    let options = ["metadata", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"];
    let metadata: Value =
        serde_json::from_str(&cargo(&[&options, features].concat())).expect("metadata is JSON");
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
        let few =
            ["convlow-base", "convlow-threads"].iter().any(|name| packages[&id(&member)]["name"] == *name);
        assert!(few || seen.len() > 10, "{member} has dependencies");
    }
}
