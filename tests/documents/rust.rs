//! The programs of docs/rust.md run, and are those of `hosts/`.

use crate::written::{check_or_write, read};

#[cfg(feature = "openblas")]
#[path = "hosts/blas.rs"]
mod blas;
#[path = "hosts/own_pool.rs"]
mod own_pool;
#[cfg(feature = "rayon")]
#[path = "hosts/rayon.rs"]
mod rayon;
#[cfg(feature = "training")]
#[path = "hosts/training.rs"]
mod training;

/// Compares one of them with the page, and runs it.
macro_rules! host {
    ($test:ident, $name:ident, $file:literal) => {
        #[test]
        fn $test() {
            let source = include_str!($file).replace("pub fn main", "fn main");
            let begin = concat!("<!-- ", stringify!($name), ": written by ./dev generate -->\n");
            let end = concat!("<!-- end of ", stringify!($name), " -->");
            check_or_write("docs/rust.md", begin, end, &format!("\n```rust\n{source}```\n\n"));
            $name::main().expect("the program runs");
        }
    };
}

host!(a_host_on_convlow_s_threads, own_pool, "hosts/own_pool.rs");
#[cfg(feature = "openblas")]
host!(a_host_on_openblas, blas, "hosts/blas.rs");
#[cfg(feature = "rayon")]
host!(a_host_on_rayon_s_threads, rayon, "hosts/rayon.rs");
#[cfg(feature = "training")]
host!(a_host_that_trains, training, "hosts/training.rs");

/// The page lists every feature of the manifest, and whether it is a default.
#[test]
fn the_features_are_the_manifest_s() {
    let (page, manifest) = (read("docs/rust.md"), read("Cargo.toml"));
    let (_, rest) = manifest.split_once("[features]\n").expect("the manifest has features");
    let (features, _) = rest.split_once("\n[").expect("something follows");
    let mut lines =
        features.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
    let (_, defaults) = lines.next().expect("the defaults come first");
    let mut listed = 0;
    for (name, _) in lines {
        let is_default = if defaults.contains(&format!("\"{name}\"")) { "yes" } else { "no" };
        assert!(page.contains(&format!("| `{name}` | {is_default} |")), "docs/rust.md does not list {name}");
        listed += 1;
    }
    assert_eq!(page.matches(" | yes | ").count() + page.matches(" | no | ").count(), listed);
}
