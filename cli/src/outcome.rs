//! `Outcome`: a result, or the reason why the program ends early.

use std::io;

/// Why the program ends early.
pub(crate) enum Failure {
    /// What was asked for cannot be done.
    Refused(String),
    /// A result is wrong.
    Wrong(String),
    /// Ctrl-C came.
    Interrupted(String),
    /// The output could not be written.
    Output(io::Error),
}

impl From<convlow::Error> for Failure {
    fn from(error: convlow::Error) -> Self {
        Failure::Refused(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

pub(crate) type Outcome<T> = Result<T, Failure>;

/// The exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;
