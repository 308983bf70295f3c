//! The zeros that an absent tap reads.

use std::sync::atomic::AtomicU64;

use crate::scheme::Stored;

/// Input channels that an absent tap reads at once.
pub const ABSENT: usize = 1024;
/// What an absent tap reads. Nobody writes it: of atomics it takes no room in the library's file.
static ZEROS: [AtomicU64; ABSENT] = [const { AtomicU64::new(0) }; ABSENT];

/// [`ABSENT`] zeros.
pub fn zeros<T: Stored>() -> *const T {
    ZEROS.as_ptr().cast()
}
