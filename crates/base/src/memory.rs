//! Allocations that may fail. They replace `Box::new`, `Arc::new` and `format!`, which end the process if there is no
//! memory.

use std::alloc::{Layout, alloc, dealloc};
use std::fmt::{self, Write};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::error::{Error, Result};

/// The error of an allocation that failed.
pub fn exhausted(bytes: usize) -> Error {
    Error::OutOfMemory(text(format_args!("{bytes} bytes could not be allocated")))
}

/// What the arguments say, or as much of it as there is memory for.
pub fn text(arguments: fmt::Arguments<'_>) -> String {
    let mut text = Text::default();
    let _ = text.write_fmt(arguments);
    text.0
}

/// A string that stops growing where memory ends.
#[derive(Default)]
struct Text(String);

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.try_reserve(part.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(part);
        Ok(())
    }
}

/// An empty vector with room for `count` values.
pub fn vec<T>(count: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| exhausted(count.saturating_mul(size_of::<T>())))?;
    Ok(values)
}

/// A value on the heap.
pub fn boxed<T>(value: T) -> Result<Box<T>> {
    let place = place_for::<T>()?;
    // SAFETY: the place was allocated for a `T` by the global allocator, as `Box` has it, and is written first.
    unsafe {
        place.write(value);
        Ok(Box::from_raw(place.as_ptr()))
    }
}

fn place_for<T>() -> Result<NonNull<T>> {
    const { assert!(size_of::<T>() > 0) };
    // SAFETY: the size is not 0.
    NonNull::new(unsafe { alloc(Layout::new::<T>()) }.cast()).ok_or_else(|| exhausted(size_of::<T>()))
}

/// A value shared by counting: `Arc`, but for the making, which can fail.
pub struct Shared<T>(NonNull<Counted<T>>);

struct Counted<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: as `Arc`: owners on several threads have references to the value, and the last one drops it on its thread.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The value, with one owner.
    pub fn new(value: T) -> Result<Self> {
        let place = place_for()?;
        // SAFETY: the place is this value's own.
        unsafe { place.write(Counted { owners: AtomicUsize::new(1), value }) };
        Ok(Self(place))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value lives as long as it has an owner.
        unsafe { &self.0.as_ref().value }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        // SAFETY: as in `deref`.
        unsafe { self.0.as_ref() }.owners.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: as in `deref`.
        if unsafe { self.0.as_ref() }.owners.fetch_sub(1, Ordering::Release) > 1 {
            return;
        }
        // What other owners did comes before the end of the value.
        fence(Ordering::Acquire);
        // SAFETY: this was the last owner of a place from `place_for`.
        unsafe {
            self.0.drop_in_place();
            dealloc(self.0.as_ptr().cast(), Layout::new::<Counted<T>>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_owner_drops_what_is_shared() {
        struct Drops<'a>(&'a AtomicUsize);
        impl Drop for Drops<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let drops = AtomicUsize::new(0);
        let first = Shared::new(Drops(&drops)).expect("a few bytes");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let other = first.clone();
                scope.spawn(move || drop(other.clone()));
            }
        });
        assert_eq!(drops.load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_cannot_be_had_is_an_error() {
        assert!(matches!(vec::<u64>(usize::MAX), Err(Error::OutOfMemory(_))));
        assert_eq!(text(format_args!("{} = {}", "groups", 3)), "groups = 3");
        assert_eq!(*boxed(7).expect("a few bytes"), 7);
    }
}
