//! [`FixedText`]: a C string in memory of a fixed size. It allocates nothing and has no destructor.

use std::ffi::c_char;
use std::fmt;

/// Up to N − 1 bytes of UTF-8 and a 0. What does not fit is cut off, and bytes of 0 are left out.
pub(super) struct FixedText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> FixedText<N> {
    /// "".
    pub const EMPTY: Self = Self { bytes: [0; N], len: 0 };

    /// The C string, which lives as long as the text and changes with it.
    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes it "".
    pub fn clear(&mut self) {
        self.len = 0;
        self.bytes[0] = 0;
    }
}

impl<const N: usize> fmt::Write for FixedText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars().filter(|&char| char != '\0') {
            let end = self.len + char.len_utf8();
            if end >= N {
                return Err(fmt::Error);
            }
            char.encode_utf8(&mut self.bytes[self.len..end]);
            self.len = end;
            self.bytes[end] = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::fmt::Write;

    use super::*;

    fn text_of<const N: usize>(text: &FixedText<N>) -> &str {
        // SAFETY: a text always holds a C string.
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().expect("whole characters")
    }

    #[test]
    fn what_does_not_fit_is_cut_between_characters() {
        let mut text = FixedText::<8>::EMPTY;
        assert!(text.write_str("a\0b").is_ok());
        assert_eq!(text_of(&text), "ab");
        assert!(write!(text, "{}äö", 12).is_err());
        assert_eq!(text_of(&text), "ab12ä");
        text.clear();
        assert_eq!(text_of(&text), "");
        assert!(text.is_empty());
    }
}
