//! The environment variable `CONVLOW_VERBOSE`.

use std::ffi::CStr;

/// The value of a variable.
fn value(name: &CStr) -> Option<&CStr> {
    // `std::env::var_os` would allocate, which may fail.
    // SAFETY: the name is a C string. As POSIX has it, a host does not change its environment while others read it.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: what is not NULL is a C string.
    if value.is_null() { None } else { Some(unsafe { CStr::from_ptr(value) }) }
}

/// Whether `CONVLOW_VERBOSE` asks for lines about each plan.
pub(crate) fn is_verbose() -> bool {
    value(c"CONVLOW_VERBOSE").is_some_and(|value| !matches!(value.to_bytes(), b"" | b"0"))
}
