//! [`Mistake`]: the place and the reason of a refusal.

use std::fmt;

use convlow_base::error::{Error, text};

/// What is wrong with an entry: from a byte of it on, or with its sizes as a whole.
pub(super) struct Mistake {
    pub(super) at: Option<usize>,
    pub(super) error: Error,
}

impl Mistake {
    /// The column in `text`, counted from 1.
    pub(super) fn column(&self, text: &str) -> Option<usize> {
        self.at.map(|at| text.bytes().take(at).filter(|byte| !(0x80..0xc0).contains(byte)).count() + 1)
    }
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        Self { at: None, error }
    }
}

pub(super) fn wrong<T>(at: usize, text: impl fmt::Display) -> Result<T, Mistake> {
    Err(Mistake { at: Some(at), error: Error::InvalidArgument(text!("{text}")) })
}
