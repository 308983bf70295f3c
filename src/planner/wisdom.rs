//! What measuring has learned in this process, and its text form.
//!
//! A line holds problem, threads, backend, algorithm and seconds, separated by blanks, behind a first line
//! that names the format. Wisdom is of one machine: import it where it was measured.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::algorithms::Entry;
use crate::error::{Result, invalid};
use crate::gemm::Backend;
use crate::problem::Problem;

const FIRST_LINE: &str = "convlow-wisdom 1";

/// Problem, threads, backend, algorithm.
type Key = (String, usize, String, String);

static KNOWN: Mutex<BTreeMap<Key, f64>> = Mutex::new(BTreeMap::new());

fn known() -> MutexGuard<'static, BTreeMap<Key, f64>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(problem: &Problem, threads: usize, backend: Option<Backend>, entry: &Entry) -> Key {
    let backend = backend.map_or("none", Backend::name);
    (problem.to_string(), threads, backend.to_string(), entry.name().to_string())
}

/// The seconds that were measured, if any.
pub(super) fn recall(
    problem: &Problem,
    threads: usize,
    backend: Option<Backend>,
    entry: &Entry,
) -> Option<f64> {
    let known = known();
    if known.is_empty() {
        return None; // Spares the key where nothing was ever measured.
    }
    known.get(&key(problem, threads, backend, entry)).copied()
}

/// Remembers a measurement.
pub(super) fn learn(
    problem: &Problem,
    threads: usize,
    backend: Option<Backend>,
    entry: &Entry,
    seconds: f64,
) {
    known().insert(key(problem, threads, backend, entry), seconds);
}

/// Everything known, as text.
pub fn export() -> String {
    let mut text = format!("{FIRST_LINE}\n");
    for ((problem, threads, backend, algorithm), seconds) in known().iter() {
        let _ = writeln!(text, "{problem} {threads} {backend} {algorithm} {seconds:e}");
    }
    text
}

/// Adds what a text holds to what is known; on an error nothing is added.
///
/// # Errors
/// [`crate::Error::InvalidArgument`] names the line and what is wrong with it.
pub fn import(text: &str) -> Result<()> {
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    match lines.next() {
        Some((_, FIRST_LINE)) => {}
        first => {
            let found = first.map_or("", |(_, line)| line);
            let found: String = found.chars().take(40).collect();
            return invalid!("wisdom begins with {found:?}, not with {FIRST_LINE:?}");
        }
    }
    if !text.ends_with('\n') {
        return invalid!("the wisdom's last line has no end: it was cut short");
    }
    let mut learned = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [problem, threads, backend, algorithm, seconds] = fields[..] else {
            return invalid!("line {number} of the wisdom has {} fields, not 5", fields.len());
        };
        let Some(threads) = threads.parse().ok().filter(|&threads: &usize| threads > 0) else {
            return invalid!("line {number} of the wisdom: threads = {threads:?} is not a number from 1");
        };
        let measured = seconds.parse().ok().filter(|&s: &f64| s > 0.0 && s.is_finite());
        let Some(measured) = measured else {
            return invalid!("line {number} of the wisdom: seconds = {seconds:?} is not a time");
        };
        learned.push(((problem.to_string(), threads, backend.to_string(), algorithm.to_string()), measured));
    }
    known().extend(learned);
    Ok(())
}

/// Forgets everything.
pub fn forget() {
    known().clear();
}
