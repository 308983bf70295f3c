//! The C functions for the version, the parts of the build, and the names of algorithms.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use super::fixed_text::FixedText;
use super::status::guard_value;
use crate::algorithms::{Entry, REGISTRY};
use crate::build_info::write_build_info;

/// The first number of the version of this header.
pub const CONVLOW_VERSION_MAJOR: u32 = 0;
/// The second number of the version of this header.
pub const CONVLOW_VERSION_MINOR: u32 = 1;
/// The third number of the version of this header.
pub const CONVLOW_VERSION_PATCH: u32 = 1;

/// Returns the version of the library that runs: major << 16 | minor << 8 | patch.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_version() -> u32 {
    CONVLOW_VERSION_MAJOR << 16 | CONVLOW_VERSION_MINOR << 8 | CONVLOW_VERSION_PATCH
}

/// Returns a text about the library: its version, its GEMMs, the vector instructions of its own kernels, and its
/// optional algorithms. The text is static; the result is never NULL.
///
/// The environment variable CONVLOW_ISA = portable, avx2, avx512 or neon forces the vector instructions of the
/// library's own kernels. The library reads it once in a process. If it is not set or empty, the library takes the
/// best instructions of the machine. If it names instructions that the machine does not have, every plan and query
/// returns CONVLOW_ERROR_UNSUPPORTED. The format of packed weights follows the instructions: pack the weights again
/// after a change.
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

/// Returns the number of algorithms in this build.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_algorithm_count() -> usize {
    REGISTRY.len()
}

/// Returns the id of the algorithm with this index, or -1 if index is not below convlow_algorithm_count(). An
/// algorithm keeps its id in all versions.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_algorithm_at(index: usize) -> i32 {
    REGISTRY.get(index).map_or(-1, |entry| entry.id)
}

/// Returns the name of an algorithm as static text, "auto" for CONVLOW_ALGORITHM_AUTO, or NULL if this build does not
/// have the id.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_algorithm_name(id: i32) -> *const c_char {
    if id == super::types::CONVLOW_ALGORITHM_AUTO {
        return c"auto".as_ptr();
    }
    Entry::by_id(id).map_or(std::ptr::null(), |entry| entry.name.as_ptr())
}

/// Returns the id of an algorithm, CONVLOW_ALGORITHM_AUTO for "auto", or -1 if name is NULL or this build does not
/// have it.
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
