//! [`Buffer`]: memory for tensors, packed weights and workspaces.

use convlow_base::error::Result;
use convlow_base::memory;

use crate::algorithms::Element;

/// A line of the cache.
#[derive(Debug, Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

/// Zeroed memory that begins with a line of the cache, as engines have theirs: on some machines tensors that begin
/// elsewhere take longer.
#[derive(Debug, Clone, Default)]
pub struct Buffer {
    lines: Vec<CacheLine>,
    bytes: usize,
}

impl Buffer {
    pub(crate) const EMPTY: Self = Self { lines: Vec::new(), bytes: 0 };

    /// Memory of exactly this many bytes.
    ///
    /// # Errors
    /// [`OutOfMemory`](crate::Error::OutOfMemory) if the system has no more.
    pub fn new(bytes: usize) -> Result<Self> {
        let count = bytes.div_ceil(size_of::<CacheLine>());
        let mut lines = memory::vec(count)?;
        lines.resize(count, bytemuck::Zeroable::zeroed());
        Ok(Self { lines, bytes })
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes]
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes]
    }

    /// The whole elements.
    pub fn elements<T: Element>(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.bytes / size_of::<T>()]
    }

    /// The whole elements, to be written.
    pub fn elements_mut<T: Element>(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.bytes / size_of::<T>()]
    }
}
