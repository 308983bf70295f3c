//! [`Width`]: how many of the lanes of some vectors are there.

use crate::number::Number;
use crate::vectors::Vectors;

/// How many elements `V` vectors hold: all that they can, or fewer in the last one.
#[derive(Clone, Copy)]
pub struct Width<const V: usize>(pub usize);

impl<const V: usize> Width<V> {
    /// Whether the last vector is whole.
    #[inline(always)]
    pub fn is_whole<S: Vectors, T: Number>(self) -> bool {
        self.0 == V * T::lanes::<S>()
    }

    /// Vector `v` of those at `from`; of the last one what is there, and zeros.
    ///
    /// # Safety
    /// The elements are there.
    #[inline(always)]
    pub unsafe fn load<S: Vectors, T: Number>(self, simd: S, from: *const T, v: usize) -> T::Vector<S> {
        if v + 1 == V && !self.is_whole::<S, T>() {
            let (from, rest) = (from.wrapping_add(v * T::lanes::<S>()), self.0 - v * T::lanes::<S>());
            // SAFETY: the caller's promise.
            return T::load_part(simd, unsafe { std::slice::from_raw_parts(from, rest) });
        }
        // SAFETY: the caller's promise.
        unsafe { load_whole::<S, T>(from, v) }
    }

    /// Writes vector `v` of those at `to`.
    ///
    /// # Safety
    /// The place for the elements is there.
    #[inline(always)]
    pub unsafe fn store<S: Vectors, T: Number>(self, simd: S, to: *mut T, v: usize, value: T::Vector<S>) {
        if v + 1 == V && !self.is_whole::<S, T>() {
            let (to, rest) = (to.wrapping_add(v * T::lanes::<S>()), self.0 - v * T::lanes::<S>());
            // SAFETY: the caller's promise.
            return T::store_part(simd, unsafe { std::slice::from_raw_parts_mut(to, rest) }, value);
        }
        // SAFETY: the caller's promise.
        unsafe { store_whole::<S, T>(to, v, value) }
    }
}

/// How the vectors of a run of products are read.
pub trait Reading<S: Vectors, T: Number>: Copy {
    /// Vector `v` of those at `from`.
    ///
    /// # Safety
    /// What is read is there.
    unsafe fn vector(self, simd: S, from: *const T, v: usize) -> T::Vector<S>;
}

/// Whole vectors, whatever of them counts.
#[derive(Clone, Copy)]
pub struct Whole;

impl<S: Vectors, T: Number> Reading<S, T> for Whole {
    #[inline(always)]
    unsafe fn vector(self, _: S, from: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        unsafe { load_whole::<S, T>(from, v) }
    }
}

impl<S: Vectors, T: Number, const V: usize> Reading<S, T> for Width<V> {
    #[inline(always)]
    unsafe fn vector(self, simd: S, from: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        unsafe { self.load(simd, from, v) }
    }
}

/// Vector `v` of those at `from`.
///
/// # Safety
/// Its elements are there.
#[inline(always)]
pub unsafe fn load_whole<S: Vectors, T: Number>(from: *const T, v: usize) -> T::Vector<S> {
    let from = from.wrapping_add(v * T::lanes::<S>());
    // SAFETY: the caller's promise.
    T::load::<S>(unsafe { std::slice::from_raw_parts(from, T::lanes::<S>()) })
}

/// Writes vector `v` of those at `to`.
///
/// # Safety
/// The place for its elements is there.
#[inline(always)]
pub unsafe fn store_whole<S: Vectors, T: Number>(to: *mut T, v: usize, value: T::Vector<S>) {
    let to = to.wrapping_add(v * T::lanes::<S>());
    // SAFETY: the caller's promise.
    T::store::<S>(unsafe { std::slice::from_raw_parts_mut(to, T::lanes::<S>()) }, value);
}
