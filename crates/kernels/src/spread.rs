//! [`Spread`]: which elements of a row the lanes of a tile's vectors are multiplied by.

use crate::number::{Number, QUAD};
use crate::vectors::Vectors;

/// Which elements of a row the lanes of a tile's vectors are multiplied by.
pub trait Spread<S: Vectors, T: Number>: Copy {
    /// Elements of a run that are taken at once.
    const AT_ONCE: usize = 1;
    /// Whether they are the same for every vector.
    const SAME: bool = false;

    /// Those of vector `v` for the `K`-th element from `at` on.
    ///
    /// # Safety
    /// The elements are there.
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S>;
}

/// One element for all lanes.
#[derive(Clone, Copy)]
pub struct AllLanes;

impl<S: Vectors, T: Number> Spread<S, T> for AllLanes {
    const SAME: bool = true;

    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, _: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        T::splat(simd, unsafe { *at })
    }
}

/// An element for each lane, side by side.
#[derive(Clone, Copy)]
pub struct EachLane;

impl<S: Vectors, T: Number> Spread<S, T> for EachLane {
    #[inline(always)]
    unsafe fn factor<const K: usize>(self, _: S, at: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        T::load::<S>(unsafe { std::slice::from_raw_parts(at.add(v * T::lanes::<S>()), T::lanes::<S>()) })
    }
}

/// An element for each vector, so far apart.
#[derive(Clone, Copy)]
pub struct EachVector(pub usize);

impl<S: Vectors, T: Number> Spread<S, T> for EachVector {
    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        T::splat(simd, unsafe { *at.add(v * self.0) })
    }
}

/// An element for each four lanes: the same of every four elements that lie side by side.
#[derive(Clone, Copy)]
pub struct EachFour;

impl<S: Vectors, T: Number> Spread<S, T> for EachFour {
    const AT_ONCE: usize = QUAD;

    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        let mut lanes = unsafe { EachLane.factor::<0>(simd, at, v) };
        let fours: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut lanes));
        let mut four = 0;
        while four < fours.len() {
            fours[four] = [fours[four][K]; QUAD];
            four += 1;
        }
        lanes
    }
}

/// An element for each four lanes, so far apart.
#[derive(Clone, Copy)]
pub struct FoursApart(pub usize);

impl<S: Vectors, T: Number> Spread<S, T> for FoursApart {
    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S> {
        let mut lanes = T::splat(simd, T::ZERO);
        let fours: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut lanes));
        let mut four = 0;
        while four < fours.len() {
            // SAFETY: the caller's promise.
            fours[four] = [unsafe { *at.add((v * fours.len() + four) * self.0) }; QUAD];
            four += 1;
        }
        lanes
    }
}
