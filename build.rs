//! Names the interface version of the shared library that `cargo rustc --lib --crate-type cdylib` makes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // While the major version is 0, a minor version may break the ABI.
        let [major, minor] = ["CARGO_PKG_VERSION_MAJOR", "CARGO_PKG_VERSION_MINOR"]
            .map(|part| std::env::var(part).expect("cargo sets it"));
        // Cargo has an argument for cdylibs alone, but not where the manifest names none. The package's tests get it, too.
        println!("cargo::rustc-link-arg=-Wl,-soname,libconvlow.so.{major}.{minor}");
    }
}
