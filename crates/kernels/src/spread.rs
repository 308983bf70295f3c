//! [`Spread`]: the elements of a row by which the lanes of a tile's vectors are multiplied.

use crate::number::QUAD;
use crate::scheme::Scheme;
use crate::vectors::Vectors;
use crate::width::{Reading, Whole};

/// Which elements of a row the lanes of a tile's vectors are multiplied by.
pub trait Spread<S: Vectors, X: Scheme>: Copy {
    /// Elements of a run that are taken at once.
    const AT_ONCE: usize = 1;
    /// Whether they are the same for every vector.
    const SAME: bool = false;

    /// Those of vector `v` for the `K`-th element from `at` on.
    ///
    /// # Safety
    /// The elements are there.
    unsafe fn factors<const K: usize>(self, simd: S, at: *const X::Src, v: usize) -> X::Factors<S>;
}

/// One element for all lanes.
#[derive(Clone, Copy)]
pub struct AllLanes;

impl<S: Vectors, X: Scheme> Spread<S, X> for AllLanes {
    const SAME: bool = true;

    #[inline(always)]
    unsafe fn factors<const K: usize>(self, simd: S, at: *const X::Src, _: usize) -> X::Factors<S> {
        // SAFETY: the caller's promise.
        X::factor(simd, unsafe { *at })
    }
}

/// An element for each lane, side by side.
#[derive(Clone, Copy)]
pub struct EachLane;

impl<S: Vectors, X: Scheme> Spread<S, X> for EachLane {
    #[inline(always)]
    unsafe fn factors<const K: usize>(self, simd: S, at: *const X::Src, v: usize) -> X::Factors<S> {
        // SAFETY: the caller's promise.
        unsafe { Reading::<S, X>::factors(Whole, simd, at, v) }
    }
}

/// An element for each vector, so far apart.
#[derive(Clone, Copy)]
pub struct EachVector(pub usize);

impl<S: Vectors, X: Scheme> Spread<S, X> for EachVector {
    #[inline(always)]
    unsafe fn factors<const K: usize>(self, simd: S, at: *const X::Src, v: usize) -> X::Factors<S> {
        // SAFETY: the caller's promise.
        X::factor(simd, unsafe { *at.add(v * self.0) })
    }
}

/// An element for each four lanes: the same of every four elements that lie side by side.
#[derive(Clone, Copy)]
pub struct EachFour;

impl<S: Vectors, X: Scheme> Spread<S, X> for EachFour {
    const AT_ONCE: usize = QUAD;

    #[inline(always)]
    unsafe fn factors<const K: usize>(self, simd: S, at: *const X::Src, v: usize) -> X::Factors<S> {
        // SAFETY: the caller's promise.
        X::within_fours::<S, K>(unsafe { Reading::<S, X>::factors(Whole, simd, at, v) })
    }
}

/// An element for each four lanes, so far apart.
#[derive(Clone, Copy)]
pub struct FoursApart(pub usize);

impl<S: Vectors, X: Scheme> Spread<S, X> for FoursApart {
    #[inline(always)]
    unsafe fn factors<const K: usize>(self, simd: S, at: *const X::Src, v: usize) -> X::Factors<S> {
        let first = v * (X::channels::<S>() / QUAD) * self.0;
        // SAFETY: the caller's promise.
        unsafe { X::factors_of_fours(simd, at.add(first), self.0) }
    }
}
