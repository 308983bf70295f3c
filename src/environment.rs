//! The environment variables that the library reads.

use std::ffi::CStr;

/// Whether `CONVLOW_VERBOSE` asks for a line a plan.
pub(crate) fn is_verbose() -> bool {
    // `std::env::var_os` would allocate, which may fail.
    // SAFETY: the name is a C string. As POSIX has it, a host does not change its environment while others read it.
    let value = unsafe { libc::getenv(c"CONVLOW_VERBOSE".as_ptr()) };
    // SAFETY: what is not NULL is a C string.
    !value.is_null() && !matches!(unsafe { CStr::from_ptr(value) }.to_bytes(), b"" | b"0")
}
