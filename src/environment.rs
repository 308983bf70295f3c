//! The environment variables that the library reads.

use std::ffi::CStr;
use std::fmt;

/// The value of a variable.
fn value(name: &CStr) -> Option<&CStr> {
    // `std::env::var_os` would allocate, which may fail.
    // SAFETY: the name is a C string. As POSIX has it, a host does not change its environment while others read it.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: what is not NULL is a C string.
    if value.is_null() { None } else { Some(unsafe { CStr::from_ptr(value) }) }
}

/// Whether `CONVLOW_VERBOSE` asks for a line a plan.
pub(crate) fn is_verbose() -> bool {
    value(c"CONVLOW_VERBOSE").is_some_and(|value| !matches!(value.to_bytes(), b"" | b"0"))
}

/// The vector instructions that `CONVLOW_ISA` names, known ones or not; empty is none.
pub(crate) fn isa() -> Option<Word> {
    value(c"CONVLOW_ISA").filter(|value| !value.is_empty()).map(|value| Word::new(value.to_bytes()))
}

/// A value that is kept, without an allocation that could fail; of a long one the beginning.
pub(crate) struct Word {
    bytes: [u8; Self::MOST],
    /// Of the whole value.
    len: usize,
}

impl Word {
    const MOST: usize = 24;

    pub fn new(value: &[u8]) -> Self {
        let mut bytes = [0; Self::MOST];
        bytes.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        Self { bytes, len: value.len() }
    }

    fn kept(&self) -> &[u8] {
        &self.bytes[..self.len.min(Self::MOST)]
    }

    /// Whether it is this one.
    pub fn is(&self, other: &str) -> bool {
        self.len <= Self::MOST && self.kept() == other.as_bytes()
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kept().escape_ascii(), if self.len > Self::MOST { "..." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_or_say_so() {
        let word = Word::new(b"avx2");
        assert!(word.is("avx2") && !word.is("avx") && !word.is("avx512"));
        assert_eq!(word.to_string(), "avx2");
        let long = Word::new(&[b'a'; 25]);
        assert!(!long.is(&"a".repeat(24)) && !long.is(&"a".repeat(25)));
        assert_eq!(long.to_string(), "a".repeat(24) + "...");
        assert_eq!(Word::new(b"\xff\n").to_string(), "\\xff\\n");
    }
}
