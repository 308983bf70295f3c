//! Attack: any text as a file of problems, read by the code of the command line.
//!
//! The code must refuse the text with a line and a column, or read it. Problems that it reads must be the same after
//! they are printed and read again.

/// The command line's reader of lists.
#[path = "../../../cli/src/lists.rs"]
#[allow(dead_code)] // The command line uses more of it.
mod lists;

use std::path::PathBuf;
use std::sync::OnceLock;

use convlow::descriptor::{parse, parse_list};

use crate::outcome::Failure;

/// The file that the command line would be given.
fn file() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("convlow-problem-list-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for one file");
        folder.join("list")
    })
}

/// Holds the promises.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match parse_list(text) {
            Ok(entries) => entries.iter().for_each(|entry| {
                // Slices of float64 tensors print what only printed problems have.
                let printed = entry.problem.to_string();
                let again = parse(&printed).map(|entry| entry.problem);
                assert_eq!(again, Ok(entry.problem), "{printed}");
            }),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                let line = text.lines().nth(error.line - 1).expect("a line of the list");
                assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}");
            }
        }
    }
    // Lists may name other files, but here only those beside it, of which there is but itself.
    if data.windows(5).any(|word| word == b"batch") && data.contains(&b'/') {
        return;
    }
    std::fs::write(file(), data).expect("a small file");
    match lists::load(file().to_str().expect("an ASCII path")) {
        Ok(entries) => assert!(!entries.is_empty()),
        Err(Failure::Refused(text)) => assert!(!text.is_empty()),
        Err(_) => panic!("a reader of lists only refuses"),
    }
}
