//! Entries of lists: a problem, its name, and the number of such layers.

use std::fmt;

use convlow_base::error::{Error, Result, text};

use super::mistake::{Mistake, wrong};
use super::numbers::numbers_of;
use super::sizes::problem_of;
use crate::problem::{Layout, Problem};

/// A problem with what a list says about it beside its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The problem, NCHW to NCHW with OIHW weights.
    pub problem: Problem,
    /// Its name, or the text of its sizes.
    pub name: String,
    /// How often it occurs in its network.
    pub count: usize,
}

/// Where and why a list is not one of problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1: that of the mistake, or where the entry begins if its sizes do not agree.
    pub column: usize,
    /// What was expected there, or which sizes make no sense.
    pub error: Error,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.error)
    }
}

impl std::error::Error for ListError {}

/// Reads a list: one entry a line. Blank lines and lines that begin with `#` say nothing.
///
/// # Errors
/// The first line that is no entry.
pub fn parse_list(text: &str) -> std::result::Result<Vec<Entry>, ListError> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.trim();
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        entries.push(parse_entry(entry).map_err(|mistake| {
            let indent = line.chars().take_while(|char| char.is_whitespace()).count();
            let column = indent + mistake.column(entry).unwrap_or(1);
            ListError { line: index + 1, column, error: mistake.error }
        })?);
    }
    Ok(entries)
}

/// Reads one entry.
///
/// # Errors
/// [`Error::InvalidArgument`] names the column and what was expected there, or the size that makes no sense.
pub fn parse(text: &str) -> Result<Entry> {
    parse_entry(text).map_err(|mistake| match mistake.column(text) {
        Some(column) => Error::InvalidArgument(text!("column {column}: {}", mistake.error)),
        None => mistake.error,
    })
}

fn parse_entry(text: &str) -> std::result::Result<Entry, Mistake> {
    let (numbers, name) = numbers_of(text)?;
    let (name, count) = match name {
        Some(at) => name_and_count(at, &text[at..])?,
        None => (String::new(), 1),
    };
    let problem = problem_of(&numbers, text, [Layout::Nchw; 2])?;
    let name = if name.is_empty() { problem.to_string() } else { name };
    Ok(Entry { problem, name, count })
}

/// Splits `"name*3"` or `"name"*3` or `name`, which begins at byte `at`.
fn name_and_count(at: usize, text: &str) -> std::result::Result<(String, usize), Mistake> {
    let text = text.trim_end();
    if !text.matches('"').count().is_multiple_of(2) {
        return wrong(at + text.len(), "expected a closing \"");
    }
    let unquoted = |part: &str| part.replace('"', "");
    let Some((name, count)) = text.rsplit_once('*') else { return Ok((unquoted(text), 1)) };
    match unquoted(count).parse() {
        Ok(count) if count > 0 => Ok((unquoted(name), count)),
        _ => wrong(
            at + name.len() + 1,
            format_args!("expected a count of at least 1 behind *, found {count:?}"),
        ),
    }
}
