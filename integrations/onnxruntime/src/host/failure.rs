//! Errors as sentences.

use std::fmt;

/// An error, in a sentence.
#[derive(Debug)]
pub struct Failure(pub String);

/// A value or an error.
pub type Result<T> = std::result::Result<T, Failure>;

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
