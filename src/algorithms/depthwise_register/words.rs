//! [`Words`]: memory on the stack.

use crate::algorithms::algorithm::Element;

/// Bytes of a word of memory on the stack.
pub const WORD: usize = size_of::<u64>();

/// Memory on the stack for elements of either type, on lines of the cache: vectors that lie in two of them take twice
/// as long.
#[repr(align(64))]
pub struct Words<const COUNT: usize>([u64; COUNT]);

impl<const COUNT: usize> Words<COUNT> {
    /// Zeros.
    pub const ZEROS: Self = Self([0; COUNT]);

    /// The elements that it holds.
    pub fn elements<T: Element>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}
