//! Status codes, the last error of each thread, and the guard around every function that can fail.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::fmt::Write;

use convlow_base::error::{Error, Result, text};
use convlow_base::panics;

use super::fixed_text::FixedText;

/// The result of a call: CONVLOW_OK or one of CONVLOW_ERROR_...
pub type Status = i32;

/// The call succeeded.
pub const CONVLOW_OK: Status = 0;
/// An argument is wrong: a NULL pointer, an unknown constant, a size of 0 that must not be 0, channels that groups
/// does not divide, a dilated kernel that is larger than the padded input, a wrong struct_size, a misaligned or
/// overlapping buffer.
pub const CONVLOW_ERROR_INVALID_ARGUMENT: Status = 1;
/// The arguments are valid, but the requested algorithm, GEMM, packing or pool cannot serve them, or this build or this
/// processor cannot. The message names the condition that failed.
pub const CONVLOW_ERROR_UNSUPPORTED: Status = 2;
/// No algorithm keeps max_workspace_bytes and max_packed_weights_bytes, or the workspace of an execute is smaller than
/// convlow_plan_workspace_bytes.
pub const CONVLOW_ERROR_WORKSPACE_LIMIT: Status = 3;
/// A size does not fit size_t or the integer type of the BLAS.
pub const CONVLOW_ERROR_OVERFLOW: Status = 4;
/// The system gives no memory or no thread. After an execute on CONVLOW_GEMM_EMBEDDED, dst may hold anything.
pub const CONVLOW_ERROR_OUT_OF_MEMORY: Status = 5;
/// The packed weights have another format than the plan reads, or a damaged header or end mark, or too few bytes.
pub const CONVLOW_ERROR_WEIGHTS_MISMATCH: Status = 6;
/// The library or an external pool has a fault. The outputs of the call may hold anything.
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

/// Returns the name of a status, for example "CONVLOW_OK", or "unknown status" for an unknown number. The text is
/// static; the result is never NULL.
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

/// Returns the reason of the last failure on the calling thread, or "" if there was none. The text names the field
/// and its value. A successful call does not change it.
///
/// The text belongs to the library and has at most 1023 bytes. It is valid until the next failure on this thread, or
/// until the thread ends. The result is never NULL.
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
