//! Parts of documents that `./dev generate` writes.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nobody reads a document while a test writes it.
fn one_by_one() -> MutexGuard<'static, ()> {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    ONE_BY_ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path_of(document: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(document)
}

fn text_of(document: &str) -> String {
    std::fs::read_to_string(path_of(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// The text of a document.
pub fn read(document: &str) -> String {
    let _one_by_one = one_by_one();
    text_of(document)
}

/// Makes sure that a document holds this text between two marks, or writes it there if that is asked for.
pub fn check_or_write(document: &str, begin: &str, end: &str, expected: &str) {
    let _one_by_one = one_by_one();
    let text = text_of(document);
    let (before, rest) = text.split_once(begin).unwrap_or_else(|| panic!("{document} has no {begin}"));
    let (found, after) = rest.split_once(end).unwrap_or_else(|| panic!("{document} has no {end}"));
    if std::env::var_os("CONVLOW_GENERATE").is_some() {
        std::fs::write(path_of(document), format!("{before}{begin}{expected}{end}{after}")).expect("written");
    } else {
        assert!(found == expected, "{document} differs from the source: run ./dev generate");
    }
}
