//! The C functions for wisdom: times that were measured, as text.

use std::ffi::c_char;
use std::fmt::{self, Write};
use std::io;

use convlow_base::error::{Error, invalid, text};

use super::checked::{output, slice, slice_mut};
use super::status::{Status, guard};
use crate::planner::wisdom;

/// Writes all times that this process knows to text: those that CONVLOW_EFFORT_MEASURE measured, and those that were
/// imported. *length becomes the number of bytes without the NUL at the end. capacity is the number of bytes of text,
/// and must be greater than that. If text is NULL and capacity is 0, the function only writes *length.
///
/// length must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, also if capacity is too small;
/// CONVLOW_ERROR_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_wisdom_export(
    text: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises a writable place.
        let length = unsafe { output("length", length) }?;
        let known = wisdom::export()?;
        let mut counted = Counted(0);
        let _ = write!(counted, "{known}");
        let Counted(bytes) = counted;
        if !text.is_null() || capacity != 0 {
            if capacity <= bytes {
                return invalid!("capacity = {capacity}, but the wisdom takes {} bytes", bytes + 1);
            }
            // SAFETY: the caller promises `capacity` writable bytes.
            let mut text = unsafe { slice_mut("text", text.cast::<u8>(), bytes + 1) }?;
            // As long as was just counted.
            let _ = io::Write::write_fmt(&mut text, format_args!("{known}\0"));
        }
        // SAFETY: checked above.
        unsafe { length.write(bytes) };
        Ok(())
    })
}

/// Counts the bytes that are written to it.
struct Counted(usize);

impl Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Adds times that convlow_wisdom_export wrote on the same machine. length is the number of bytes of text without the
/// NUL at the end. Later plans use the times. The process keeps at most 65,536 times.
///
/// text must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, if there would be too many times or if a line is
/// wrong, for example names an algorithm that this build does not have; CONVLOW_ERROR_OUT_OF_MEMORY. If the call
/// fails, it adds nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_wisdom_import(text: *const c_char, length: usize) -> Status {
    guard(|| {
        if length > isize::MAX as usize {
            return invalid!("length = {length} is more than memory holds");
        }
        // SAFETY: the caller promises `length` readable bytes.
        let text = unsafe { slice("text", text.cast::<u8>(), length) }?;
        let text = std::str::from_utf8(text)
            .map_err(|error| Error::InvalidArgument(text!("the wisdom is not text: {error}")))?;
        wisdom::import(text)
    })
}
