//! Errors as sentences.

use std::fmt;

/// What went wrong, in a sentence.
#[derive(Debug)]
pub struct Failure(pub String);

/// A value, or what went wrong.
pub type Result<T> = std::result::Result<T, Failure>;

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
