//! Version and algorithms.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use super::fixed_text::FixedText;
use super::status::guard_value;
use crate::algorithms::{Entry, REGISTRY};
use crate::build_info::write_build_info;

/// The version of the header.
pub const CONVLOW_VERSION_MAJOR: u32 = 0;
/// The version of the header.
pub const CONVLOW_VERSION_MINOR: u32 = 1;
/// The version of the header.
pub const CONVLOW_VERSION_PATCH: u32 = 1;

/// The version of the library: major << 16 | minor << 8 | patch.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_version() -> u32 {
    CONVLOW_VERSION_MAJOR << 16 | CONVLOW_VERSION_MINOR << 8 | CONVLOW_VERSION_PATCH
}

/// Version, GEMM backends and their configuration, the vector instructions of the library's own kernels, optional
/// algorithms. Static text.
///
/// The environment variable CONVLOW_ISA=portable|avx2|avx512|neon, read once in a process, forces the instructions of the
/// library's own kernels; unset or empty: the best that the machine has, which this text names with all that it has. A value
/// that the machine does not have is refused with CONVLOW_ERROR_UNSUPPORTED where a plan is made or queried. Packed weights
/// follow the instructions: those of others may be refused with CONVLOW_ERROR_WEIGHTS_MISMATCH, and are never misread.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_build_info() -> *const c_char {
    static TEXT: OnceLock<FixedText<512>> = OnceLock::new();
    guard_value(c"".as_ptr(), || {
        let text = TEXT.get_or_init(|| {
            let mut text = FixedText::EMPTY;
            let _ = write_build_info(&mut text);
            text
        });
        Ok(text.as_ptr())
    })
}

/// How many algorithms this build has.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_algorithm_count() -> usize {
    REGISTRY.len()
}

/// The id of algorithm 0 .. convlow_algorithm_count() - 1; -1 beyond. Ids never change between versions.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_algorithm_at(index: usize) -> i32 {
    REGISTRY.get(index).map_or(-1, |entry| entry.id)
}

/// The name of an algorithm as static text, "auto" for CONVLOW_ALGORITHM_AUTO; NULL if unknown.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_algorithm_name(id: i32) -> *const c_char {
    if id == super::types::CONVLOW_ALGORITHM_AUTO {
        return c"auto".as_ptr();
    }
    Entry::by_id(id).map_or(std::ptr::null(), |entry| entry.name.as_ptr())
}

/// The id of an algorithm; -1 if unknown or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_algorithm_from_name(name: *const c_char) -> i32 {
    if name.is_null() {
        return -1;
    }
    // SAFETY: the caller promises a C string.
    let name = unsafe { CStr::from_ptr(name) };
    if name == c"auto" {
        return super::types::CONVLOW_ALGORITHM_AUTO;
    }
    Entry::by_name(name).map_or(-1, |entry| entry.id)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_versions_of_crate_and_header_agree() {
        let header =
            [super::CONVLOW_VERSION_MAJOR, super::CONVLOW_VERSION_MINOR, super::CONVLOW_VERSION_PATCH];
        assert_eq!(header.map(|part| part.to_string()).join("."), env!("CARGO_PKG_VERSION"));
    }
}
