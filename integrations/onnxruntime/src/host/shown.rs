//! Structs that the host holds by the functions that they begin with.

/// A struct that the host holds by the address of its first field, and gives back to each of the functions in it.
///
/// # Safety
/// The struct is `repr(C)`, and its first field is a `Seen`.
pub unsafe trait Shown: Sized {
    /// The part that the host sees.
    type Seen;

    /// Hands it over to the host.
    fn show(self) -> *mut Self::Seen {
        Box::into_raw(Box::new(self)).cast()
    }

    /// The whole of which the host sees the first field.
    ///
    /// # Safety
    /// It comes from [`Shown::show`] of this type, and is not taken back as long as `'a`.
    unsafe fn whole<'a>(seen: *const Self::Seen) -> &'a Self {
        // SAFETY: the caller's promise, and the trait's: the first field's address is that of the struct.
        unsafe { &*seen.cast() }
    }

    /// Takes it back and ends it.
    ///
    /// # Safety
    /// It comes from [`Shown::show`] of this type, and nobody uses it any more.
    unsafe fn take_back(seen: *mut Self::Seen) {
        // SAFETY: the caller's promise, and the trait's: `show` made it of a box.
        drop(unsafe { Box::from_raw(seen.cast::<Self>()) });
    }
}
