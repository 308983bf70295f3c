//! [`Error`]: all failures of the library, as one enum. Messages name the field and its value.

use std::fmt;

/// Why a call was refused. The C status of each variant has the same name in capitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A NULL, an unknown constant, a zero size: the request makes no sense.
    InvalidArgument(String),
    /// A valid problem that the requested algorithm or build cannot compute.
    Unsupported(String),
    /// No algorithm fits the allowed workspace, or the buffer given is too small.
    WorkspaceLimit(String),
    /// A size does not fit `usize` or the integer of the BLAS.
    Overflow(String),
    /// Memory for the plan, the pool or a measurement could not be had.
    OutOfMemory(String),
    /// Packed weights that were packed for another plan, or are not packed weights.
    WeightsMismatch(String),
    /// A fault of the library itself.
    Internal(String),
}

/// The result of everything that can be refused.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The text without the kind.
    pub fn message(&self) -> &str {
        match self {
            Error::InvalidArgument(text)
            | Error::Unsupported(text)
            | Error::WorkspaceLimit(text)
            | Error::Overflow(text)
            | Error::OutOfMemory(text)
            | Error::WeightsMismatch(text)
            | Error::Internal(text) => text,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

pub use crate::{invalid, text};
