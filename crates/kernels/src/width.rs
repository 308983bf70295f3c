//! [`Width`]: the number of channels in some vectors, of which the last one may be partly filled.

use std::slice::{from_raw_parts, from_raw_parts_mut};

use crate::scheme::Scheme;
use crate::vectors::Vectors;

/// How many channels `V` vectors hold: all that they can, or fewer in the last one.
#[derive(Clone, Copy)]
pub struct Width<const V: usize>(pub usize);

impl<const V: usize> Width<V> {
    /// Whether the last vector is whole.
    #[inline(always)]
    pub fn is_whole<S: Vectors, X: Scheme>(self) -> bool {
        self.0 == V * X::channels::<S>()
    }

    /// Whether vector `v` is not whole.
    #[inline(always)]
    fn is_part<S: Vectors, X: Scheme>(self, v: usize) -> bool {
        v + 1 == V && !self.is_whole::<S, X>()
    }

    /// The channels of vector `v`, the last one.
    #[inline(always)]
    fn rest<S: Vectors, X: Scheme>(self, v: usize) -> usize {
        self.0 - v * X::channels::<S>()
    }

    /// The bias of vector `v` of those at `from`; of the last one what is there, and zeros.
    ///
    /// # Safety
    /// The elements are there.
    #[inline(always)]
    pub unsafe fn bias<S: Vectors, X: Scheme>(self, simd: S, from: *const X::Sum, v: usize) -> X::Sums<S> {
        let from = from.wrapping_add(v * X::channels::<S>());
        // SAFETY: the caller's promise.
        unsafe {
            if self.is_part::<S, X>(v) {
                return X::load_part_of_sums(simd, from_raw_parts(from, self.rest::<S, X>(v)));
            }
            X::load_sums(from_raw_parts(from, X::channels::<S>()))
        }
    }

    /// A row of sums, and what lies at `from` added to it.
    ///
    /// # Safety
    /// The elements are there.
    #[inline(always)]
    pub unsafe fn added<S: Vectors, X: Scheme>(
        self,
        simd: S,
        from: *const X::Dst,
        mut sums: [X::Sums<S>; V],
    ) -> [X::Sums<S>; V] {
        // The last vector apart: a loop with a decision in it is not unrolled, and its sums leave the registers.
        let mut v = 0;
        while v + 1 < V {
            let addend = from.wrapping_add(v * X::channels::<S>());
            // SAFETY: the caller's promise.
            let addend = X::load_dst(unsafe { from_raw_parts(addend, X::channels::<S>()) });
            sums[v] = X::add_sums(simd, sums[v], addend);
            v += 1;
        }
        let addend = from.wrapping_add(v * X::channels::<S>());
        // SAFETY: the caller's promise.
        let addend = unsafe {
            match self.is_whole::<S, X>() {
                true => X::load_dst(from_raw_parts(addend, X::channels::<S>())),
                false => X::load_part_of_dst(simd, from_raw_parts(addend, self.rest::<S, X>(v))),
            }
        };
        sums[v] = X::add_sums(simd, sums[v], addend);
        sums
    }

    /// Writes a row of sums to `to`.
    ///
    /// # Safety
    /// The place for the elements is there.
    #[inline(always)]
    pub unsafe fn store<S: Vectors, X: Scheme>(self, simd: S, to: *mut X::Dst, sums: [X::Sums<S>; V]) {
        let mut v = 0;
        while v + 1 < V {
            // SAFETY: the caller's promise.
            unsafe { store_whole::<S, X>(to, v, sums[v]) };
            v += 1;
        }
        // SAFETY: the caller's promise.
        unsafe {
            if self.is_whole::<S, X>() {
                return store_whole::<S, X>(to, v, sums[v]);
            }
            let to = to.wrapping_add(v * X::channels::<S>());
            X::store_part_of_sums(simd, from_raw_parts_mut(to, self.rest::<S, X>(v)), sums[v]);
        }
    }
}

/// How the vectors of a run of products are read.
pub trait Reading<S: Vectors, X: Scheme>: Copy {
    /// The weights of vector `v` of those at `from`.
    ///
    /// # Safety
    /// What is read is there.
    unsafe fn weights(self, simd: S, from: *const X::Weight, v: usize) -> X::Weights<S>;

    /// The factors of vector `v` of those at `from`, one a channel.
    ///
    /// # Safety
    /// What is read is there.
    unsafe fn factors(self, simd: S, from: *const X::Src, v: usize) -> X::Factors<S>;
}

/// Whole vectors, whatever of them counts.
#[derive(Clone, Copy)]
pub struct Whole;

impl<S: Vectors, X: Scheme> Reading<S, X> for Whole {
    #[inline(always)]
    unsafe fn weights(self, _: S, from: *const X::Weight, v: usize) -> X::Weights<S> {
        let from = from.wrapping_add(v * X::channels::<S>());
        // SAFETY: the caller's promise.
        X::load_weights(unsafe { from_raw_parts(from, X::channels::<S>()) })
    }

    #[inline(always)]
    unsafe fn factors(self, _: S, from: *const X::Src, v: usize) -> X::Factors<S> {
        let from = from.wrapping_add(v * X::channels::<S>());
        // SAFETY: the caller's promise.
        X::load_factors(unsafe { from_raw_parts(from, X::channels::<S>()) })
    }
}

/// Of the last vector nothing but what counts, even where that is all of it: a run of products is no place for a
/// decision.
impl<S: Vectors, X: Scheme, const V: usize> Reading<S, X> for Width<V> {
    #[inline(always)]
    unsafe fn weights(self, simd: S, from: *const X::Weight, v: usize) -> X::Weights<S> {
        // SAFETY: the caller's promise.
        unsafe {
            if v + 1 < V {
                return Reading::<S, X>::weights(Whole, simd, from, v);
            }
            let from = from.wrapping_add(v * X::channels::<S>());
            X::load_part_of_weights(simd, from_raw_parts(from, self.rest::<S, X>(v)))
        }
    }

    #[inline(always)]
    unsafe fn factors(self, simd: S, from: *const X::Src, v: usize) -> X::Factors<S> {
        // SAFETY: the caller's promise.
        unsafe {
            if v + 1 < V {
                return Reading::<S, X>::factors(Whole, simd, from, v);
            }
            let from = from.wrapping_add(v * X::channels::<S>());
            X::load_part_of_factors(simd, from_raw_parts(from, self.rest::<S, X>(v)))
        }
    }
}

/// Writes vector `v` of those at `to`.
///
/// # Safety
/// The place for its elements is there.
#[inline(always)]
pub unsafe fn store_whole<S: Vectors, X: Scheme>(to: *mut X::Dst, v: usize, sums: X::Sums<S>) {
    let to = to.wrapping_add(v * X::channels::<S>());
    // SAFETY: the caller's promise.
    X::store_sums(unsafe { from_raw_parts_mut(to, X::channels::<S>()) }, sums);
}
