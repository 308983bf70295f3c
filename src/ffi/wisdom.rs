//! Wisdom.

use std::ffi::c_char;

use super::checked::{output, slice, slice_mut};
use super::status::{Status, guard};
use crate::error::{Error, invalid};
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
        let known = wisdom::export();
        if !text.is_null() || capacity != 0 {
            if capacity <= known.len() {
                return invalid!("capacity = {capacity}, but the wisdom takes {} bytes", known.len() + 1);
            }
            // SAFETY: the caller promises `capacity` writable bytes.
            let text = unsafe { slice_mut("text", text.cast::<u8>(), known.len() + 1) }?;
            text[..known.len()].copy_from_slice(known.as_bytes());
            text[known.len()] = 0;
        }
        // SAFETY: checked above.
        unsafe { length.write(known.len()) };
        Ok(())
    })
}

/// Adds `length` bytes of text that convlow_wisdom_export wrote, on this machine, to what is known. On an error
/// nothing is added.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_wisdom_import(text: *const c_char, length: usize) -> Status {
    guard(|| {
        if length > isize::MAX as usize {
            return invalid!("length = {length} is more than memory holds");
        }
        // SAFETY: the caller promises `length` readable bytes.
        let text = unsafe { slice("text", text.cast::<u8>(), length) }?;
        let text = std::str::from_utf8(text)
            .map_err(|error| Error::InvalidArgument(format!("the wisdom is not text: {error}")))?;
        wisdom::import(text)
    })
}
