//! Status codes, the last error of a thread, and the guard around every function that can fail.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt::Write;

use convlow_base::error::{Error, Result, text};
use convlow_base::panics;

use super::fixed_text::FixedText;

/// What a call came to; 0 is success.
pub type Status = i32;

/// Success.
pub const CONVLOW_OK: Status = 0;
/// A NULL, an unknown constant, a zero dimension, channels that groups does not divide, a dilated kernel that
/// does not fit the padded input, a wrong struct_size, a misaligned or overlapping buffer.
pub const CONVLOW_ERROR_INVALID_ARGUMENT: Status = 1;
/// A valid problem that the requested algorithm or GEMM cannot compute; the message says which condition failed.
pub const CONVLOW_ERROR_UNSUPPORTED: Status = 2;
/// No algorithm fits max_workspace_bytes and max_packed_weights_bytes, or the workspace passed to execute is smaller than the plan's figure.
pub const CONVLOW_ERROR_WORKSPACE_LIMIT: Status = 3;
/// A size does not fit size_t or the integer of the BLAS.
pub const CONVLOW_ERROR_OVERFLOW: Status = 4;
/// Memory or a thread could not be had.
pub const CONVLOW_ERROR_OUT_OF_MEMORY: Status = 5;
/// Packed weights that were packed for another plan, or are not packed weights.
pub const CONVLOW_ERROR_WEIGHTS_MISMATCH: Status = 6;
/// A fault of the library, or of an external pool; dst may be half written.
pub const CONVLOW_ERROR_INTERNAL: Status = 7;

thread_local! {
    // Of a type without a destructor: one of a thread that lives on would keep the library from being unloaded.
    static LAST_ERROR: RefCell<FixedText<1024>> = const { RefCell::new(FixedText::EMPTY) };
}

fn status_of(error: &Error) -> Status {
    match error {
        Error::InvalidArgument(_) => CONVLOW_ERROR_INVALID_ARGUMENT,
        Error::Unsupported(_) => CONVLOW_ERROR_UNSUPPORTED,
        Error::WorkspaceLimit(_) => CONVLOW_ERROR_WORKSPACE_LIMIT,
        Error::Overflow(_) => CONVLOW_ERROR_OVERFLOW,
        Error::OutOfMemory(_) => CONVLOW_ERROR_OUT_OF_MEMORY,
        Error::WeightsMismatch(_) => CONVLOW_ERROR_WEIGHTS_MISMATCH,
        Error::Internal(_) => CONVLOW_ERROR_INTERNAL,
    }
}

/// Runs the body of a C function: a failure, a panic included, becomes this thread's last error.
pub(super) fn guard(body: impl FnOnce() -> Result<()>) -> Status {
    panics::silence();
    let result = panics::catch_quietly(body)
        .unwrap_or_else(|payload| Err(Error::Internal(text!("{}", panics::text(&*payload)))));
    match result {
        Ok(()) => CONVLOW_OK,
        Err(error) => {
            remember(&error);
            status_of(&error)
        }
    }
}

/// [`guard`] for functions without a status: `otherwise` stands for a failure.
pub(super) fn guard_value<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    let mut value = otherwise;
    guard(|| {
        value = body()?;
        Ok(())
    });
    value
}

fn remember(error: &Error) {
    LAST_ERROR.with_borrow_mut(|last| {
        last.clear();
        let _ = last.write_str(error.message());
        if last.is_empty() {
            let _ = last.write_str("there was no memory for the message");
        }
    });
}

/// The name of a status as the constants spell it; "unknown status" for other numbers. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_status_name(status: Status) -> *const c_char {
    let name: &CStr = match status {
        CONVLOW_OK => c"CONVLOW_OK",
        CONVLOW_ERROR_INVALID_ARGUMENT => c"CONVLOW_ERROR_INVALID_ARGUMENT",
        CONVLOW_ERROR_UNSUPPORTED => c"CONVLOW_ERROR_UNSUPPORTED",
        CONVLOW_ERROR_WORKSPACE_LIMIT => c"CONVLOW_ERROR_WORKSPACE_LIMIT",
        CONVLOW_ERROR_OVERFLOW => c"CONVLOW_ERROR_OVERFLOW",
        CONVLOW_ERROR_OUT_OF_MEMORY => c"CONVLOW_ERROR_OUT_OF_MEMORY",
        CONVLOW_ERROR_WEIGHTS_MISMATCH => c"CONVLOW_ERROR_WEIGHTS_MISMATCH",
        CONVLOW_ERROR_INTERNAL => c"CONVLOW_ERROR_INTERNAL",
        _ => c"unknown status",
    };
    name.as_ptr()
}

/// What the last failure on this thread was, naming the field and its value; "" if there was none. The text
/// belongs to the library, has at most 1023 bytes, and stays valid until the next failure on this thread or the
/// thread's end.
#[unsafe(no_mangle)]
pub extern "C" fn convlow_last_error_message() -> *const c_char {
    LAST_ERROR.with_borrow(FixedText::as_ptr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_with_its_text() {
        let value = 3;
        assert_eq!(guard(|| panic!("broken invariant {value}")), CONVLOW_ERROR_INTERNAL);
        // SAFETY: the message is a C string of this thread.
        let text = unsafe { CStr::from_ptr(convlow_last_error_message()) };
        assert_eq!(text.to_str(), Ok("broken invariant 3"));
    }
}
