//! Checks of pointers from C: not NULL, aligned, without overlap. They make slices of the pointers.

use std::ffi::c_void;

use convlow_base::error::{Result, invalid};

/// The alignment that malloc gives, which workspaces and packed weights must have.
const MALLOC_ALIGN: usize = align_of::<libc::max_align_t>();

fn check(name: &str, address: usize, align: usize) -> Result<()> {
    if address == 0 {
        return invalid!("{name} is NULL");
    }
    if !address.is_multiple_of(align) {
        return invalid!("{name} = {address:#x} is not aligned to {align} bytes");
    }
    Ok(())
}

/// A reference.
///
/// # Safety
/// A non-null pointer points to a `T` that nobody writes during `'a`.
pub(super) unsafe fn reference<'a, T>(name: &str, pointer: *const T) -> Result<&'a T> {
    check(name, pointer.addr(), align_of::<T>())?;
    // SAFETY: not NULL and aligned, as just checked; the rest is the caller's promise.
    Ok(unsafe { &*pointer })
}

/// A tensor of so many elements, which may take turns with those of another one. Where it has none it may be anywhere.
pub(super) fn tensor<T>(name: &str, pointer: *const T, len: usize) -> Result<*const T> {
    if len == 0 {
        return Ok(std::ptr::dangling());
    }
    check(name, pointer.addr(), align_of::<T>())?;
    Ok(pointer)
}

/// A place to write a result.
///
/// # Safety
/// A non-null pointer may be written for the time of the call.
pub(super) unsafe fn output<T>(name: &str, pointer: *mut T) -> Result<*mut T> {
    check(name, pointer.addr(), align_of::<T>())?;
    Ok(pointer)
}

/// `len` elements to read.
///
/// # Safety
/// A non-null pointer points to `len` elements that nobody writes during `'a`.
pub(super) unsafe fn slice<'a, T>(name: &str, pointer: *const T, len: usize) -> Result<&'a [T]> {
    check(name, pointer.addr(), align_of::<T>())?;
    // SAFETY: not NULL and aligned; `Problem` bounds every length; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// `len` elements to write.
///
/// # Safety
/// A non-null pointer points to `len` elements that nobody else uses during `'a`.
pub(super) unsafe fn slice_mut<'a, T>(name: &str, pointer: *mut T, len: usize) -> Result<&'a mut [T]> {
    check(name, pointer.addr(), align_of::<T>())?;
    // SAFETY: as in `slice`.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// A buffer of untyped memory must be as malloc aligns it.
pub(super) fn malloc_aligned(name: &str, pointer: *const c_void) -> Result<()> {
    check(name, pointer.addr(), MALLOC_ALIGN)
}

/// Memory of a name, from its first byte on: so many bytes.
pub(super) type NamedRange<'a> = (&'a str, usize, usize);

/// What is written must not overlap what is read, nor another output.
pub(super) fn disjoint(written: NamedRange<'_>, others: &[NamedRange<'_>]) -> Result<()> {
    let (name, first, bytes) = written;
    for &(other, other_first, other_bytes) in others {
        let apart = bytes == 0
            || other_bytes == 0
            || first.saturating_add(bytes) <= other_first
            || other_first.saturating_add(other_bytes) <= first;
        if !apart {
            return invalid!("{name} overlaps {other}");
        }
    }
    Ok(())
}
