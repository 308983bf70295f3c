//! Vectors of channels, with one channel in each lane. They are loaded and stored in two forms: channels that lie
//! side by side, and channels that have a row each.

use crate::number::Number;
pub use crate::number::QUAD;
use crate::vectors::Vectors;
use crate::view::View;

/// Float32 lanes of the widest vectors: AVX-512's. So many fill a line of the cache, too.
pub const LANES: usize = 16;

/// Numbers that fill a line of the cache.
pub const fn of_line<T>() -> usize {
    LANES * size_of::<f32>() / size_of::<T>()
}

/// How many of a vector's channels there are: all of them, or fewer at the end of the channels.
#[derive(Clone, Copy)]
pub struct Filled<const ALL: bool>(pub usize);

impl<const ALL: bool> Filled<ALL> {
    /// The vector at the front of `from`.
    #[inline(always)]
    pub fn load<S: Vectors, T: Number>(self, simd: S, from: &[T]) -> T::Vector<S> {
        if ALL { T::load::<S>(from) } else { T::load_part(simd, &from[..self.0]) }
    }

    /// Writes the front of `to`.
    #[inline(always)]
    pub fn store<S: Vectors, T: Number>(self, simd: S, to: &mut [T], value: T::Vector<S>) {
        if ALL {
            T::store::<S>(to, value);
        } else {
            T::store_part(simd, &mut to[..self.0], value);
        }
    }
}

/// Four columns of as many rows as a vector has lanes, which begin at `from`, so far apart: vector j holds column j.
///
/// # Safety
/// The rows are there.
#[inline(always)]
pub unsafe fn load_columns_at<S: Vectors, T: Number>(
    simd: S,
    from: *const T,
    ld: usize,
) -> [T::Vector<S>; QUAD] {
    let mut lines = [T::splat(simd, T::ZERO); QUAD];
    let groups: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(&mut lines);
    let mut group = 0;
    while group < groups.len() {
        // SAFETY: the caller's promise; arrays lie as their elements do.
        groups[group] = unsafe { *from.add(T::lane_of_four::<S>(group) * ld).cast() };
        group += 1;
    }
    T::deinterleave(simd, lines)
}

/// The inverse of [`load_columns_at`]: writes the first `COLS` columns. If they lie side by side, so that each row begins
/// behind the one before, a store may reach into the next row, which is written later.
///
/// # Safety
/// The rows are there, and nobody else uses these columns.
#[inline(always)]
pub unsafe fn store_columns_at<S: Vectors, T: Number, const COLS: usize, const SIDE_BY_SIDE: bool>(
    simd: S,
    columns: [T::Vector<S>; QUAD],
    to: *mut T,
    ld: usize,
) {
    const { assert!(COLS <= QUAD) };
    let lines = T::interleave(simd, columns);
    let groups: &[[T; QUAD]] = bytemuck::cast_slice(&lines);
    let (rows, ld) = (groups.len(), if SIDE_BY_SIDE { COLS } else { ld });
    let mut row = 0;
    while row < rows {
        let from = &groups[T::four_of_lane::<S>(row)];
        // SAFETY: the caller's promise; arrays lie as their elements do, and a group has at least `COLS`.
        unsafe {
            let to = to.add(row * ld);
            if SIDE_BY_SIDE && row * COLS + QUAD <= rows * COLS {
                *to.cast() = *from;
            } else {
                *to.cast::<[T; COLS]>() = *from.as_ptr().cast();
            }
        }
        row += 1;
    }
}

/// Asks for the cache line of an element that is needed soon, if there is such an element. Where rows of a few lines
/// each are read or written, the machine does not foresee it.
#[inline(always)]
pub fn prefetch<'a, T: Copy + 'a>(data: impl Into<View<'a, T>>, at: usize) {
    let data = data.into();
    if at < data.len() {
        prefetch_line(data.as_ptr().wrapping_add(at));
    }
}

/// Asks for the cache line of an address, which is needed soon.
#[inline(always)]
pub fn prefetch_line<T>(at: *const T) {
    ask::<true, T>(at);
}

/// Asks for the cache line of an address, which is needed so late that the first cache level would have lost it.
#[inline(always)]
pub fn prefetch_to_second_level<T>(at: *const T) {
    ask::<false, T>(at);
}

/// Asks for the cache line of an address, to the first cache level or to the second alone.
#[inline(always)]
fn ask<const FIRST_LEVEL: bool, T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        // SAFETY: a hint reads nothing, whatever the address, and every x86-64 machine has it.
        unsafe {
            if const { FIRST_LEVEL } {
                _mm_prefetch::<_MM_HINT_T0>(at.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(at.cast());
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
