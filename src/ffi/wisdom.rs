//! Wisdom.

use std::ffi::c_char;
use std::fmt::{self, Write};
use std::io;

use convlow_base::error::{Error, invalid, text};

use super::checked::{output, slice, slice_mut};
use super::status::{Status, guard};
use crate::planner::wisdom;

/// What CONVLOW_EFFORT_MEASURE has learned in this process, as text with a closing NUL. *length is the length
/// without the NUL. With text NULL and capacity 0 only *length is written.
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

/// Adds `length` bytes of text that convlow_wisdom_export wrote, on this machine, to what is known: `length` as export
/// gave it, or by strlen. A line with anything that this build does not know (a problem, an algorithm, a GEMM) is refused
/// by its number; at most 65,536 times are kept. On an error nothing is added.
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
