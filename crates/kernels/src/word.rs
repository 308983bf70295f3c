//! [`Word`]: the value of the environment variable `CONVLOW_ISA`.

use std::ffi::CStr;
use std::fmt;

/// A value that is kept, without an allocation that could fail; of a long one the beginning.
pub struct Word {
    bytes: [u8; Self::MOST],
    /// Of the whole value.
    len: usize,
}

impl Word {
    const MOST: usize = 24;

    /// The vector instructions that `CONVLOW_ISA` names, known ones or not; empty is none.
    pub fn of_isa() -> Option<Self> {
        // `std::env::var_os` would allocate, which may fail.
        // SAFETY: the name is a C string. As POSIX has it, a host does not change its environment while others read it.
        let value = unsafe { libc::getenv(c"CONVLOW_ISA".as_ptr()) };
        if value.is_null() {
            return None;
        }
        // SAFETY: a value that is not NULL is a C string.
        let value = unsafe { CStr::from_ptr(value) }.to_bytes();
        (!value.is_empty()).then(|| Self::new(value))
    }

    /// The value.
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
