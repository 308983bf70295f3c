//! [`Scheme`]: the four types of a convolution, and the operations of register tiles on them.
//!
//! Float32 and float64 are schemes of one type each: every [`Number`] is a scheme. A scheme of several types, such as
//! bytes with sums of 32 bits, implements the trait and changes no kernel.

use std::fmt;

use crate::activation::Activation;
use crate::number::{Number, QUAD};
use crate::vectors::Vectors;

/// What lies in memory: an element of a tensor.
pub trait Stored: bytemuck::Pod + fmt::Debug + Send + Sync {}

impl<T: bytemuck::Pod + fmt::Debug + Send + Sync> Stored for T {}

/// What src, weights, sums and dst are; how a factor is read, how a product is added, and how a sum is finished.
///
/// A vector of sums holds one sum for each of [`Scheme::channels`] output channels. Factors and weights come in
/// vectors of as many lanes, whatever a lane of them holds.
pub trait Scheme: Copy + fmt::Debug + Send + Sync + 'static {
    /// An element of src.
    type Src: Stored;
    /// A packed weight.
    type Weight: Stored;
    /// A sum, and an element of the bias.
    type Sum: Stored;
    /// An element of dst.
    type Dst: Stored;

    /// A vector of factors, which come from src.
    type Factors<S: Vectors>: Copy;
    /// A vector of weights.
    type Weights<S: Vectors>: Copy;
    /// A vector of sums.
    type Sums<S: Vectors>: Copy;

    /// Output channels of a vector.
    fn channels<S: Vectors>() -> usize;

    /// The factor of one place for all lanes.
    fn factor<S: Vectors>(simd: S, of: Self::Src) -> Self::Factors<S>;

    /// A factor for each lane, side by side in `from`.
    fn load_factors<S: Vectors>(from: &[Self::Src]) -> Self::Factors<S>;

    /// The same where there are fewer; the others are zeros.
    fn load_part_of_factors<S: Vectors>(simd: S, from: &[Self::Src]) -> Self::Factors<S>;

    /// In each four lanes, the factor of the `K`-th of them.
    fn within_fours<S: Vectors, const K: usize>(factors: Self::Factors<S>) -> Self::Factors<S>;

    /// A factor for each four lanes, so far apart.
    ///
    /// # Safety
    /// They are there.
    unsafe fn factors_of_fours<S: Vectors>(simd: S, from: *const Self::Src, apart: usize)
    -> Self::Factors<S>;

    /// The weights of as many channels as a vector has.
    fn load_weights<S: Vectors>(from: &[Self::Weight]) -> Self::Weights<S>;

    /// The same of fewer channels; the others are zeros.
    fn load_part_of_weights<S: Vectors>(simd: S, from: &[Self::Weight]) -> Self::Weights<S>;

    /// The same sum in all lanes.
    fn sum<S: Vectors>(simd: S, value: Self::Sum) -> Self::Sums<S>;

    /// No products.
    fn no_sums<S: Vectors>(simd: S) -> Self::Sums<S>;

    /// The bias of as many channels as a vector has.
    fn load_sums<S: Vectors>(from: &[Self::Sum]) -> Self::Sums<S>;

    /// The same of fewer channels; the others are zeros.
    fn load_part_of_sums<S: Vectors>(simd: S, from: &[Self::Sum]) -> Self::Sums<S>;

    /// sums + factors·weights.
    fn add_products<S: Vectors>(
        simd: S,
        factors: Self::Factors<S>,
        weights: Self::Weights<S>,
        sums: Self::Sums<S>,
    ) -> Self::Sums<S>;

    /// The sum of all lanes of each vector, in the lanes of one.
    fn sums_of_lanes<S: Vectors, const N: usize>(simd: S, sums: [Self::Sums<S>; N]) -> Self::Sums<S>;

    /// a + b.
    fn add_sums<S: Vectors>(simd: S, a: Self::Sums<S>, b: Self::Sums<S>) -> Self::Sums<S>;

    /// Bounds that an activation puts on sums in registers, if it is nothing but bounds.
    fn bounds(activation: Activation) -> Option<[Self::Sum; 2]>;

    /// Sums within bounds.
    fn bounded<S: Vectors>(simd: S, sums: Self::Sums<S>, bounds: [Self::Sums<S>; 2]) -> Self::Sums<S>;

    /// What the sums of as many channels as a vector has are added to.
    fn load_dst<S: Vectors>(from: &[Self::Dst]) -> Self::Sums<S>;

    /// The same of fewer channels.
    fn load_part_of_dst<S: Vectors>(simd: S, from: &[Self::Dst]) -> Self::Sums<S>;

    /// Writes finished sums as elements of dst.
    fn store_sums<S: Vectors>(to: &mut [Self::Dst], sums: Self::Sums<S>);

    /// The same of fewer channels.
    fn store_part_of_sums<S: Vectors>(simd: S, to: &mut [Self::Dst], sums: Self::Sums<S>);
}

/// All four are the same type.
impl<T: Number> Scheme for T {
    type Src = T;
    type Weight = T;
    type Sum = T;
    type Dst = T;

    type Factors<S: Vectors> = T::Vector<S>;
    type Weights<S: Vectors> = T::Vector<S>;
    type Sums<S: Vectors> = T::Vector<S>;

    #[inline(always)]
    fn channels<S: Vectors>() -> usize {
        T::lanes::<S>()
    }

    #[inline(always)]
    fn factor<S: Vectors>(simd: S, of: T) -> T::Vector<S> {
        T::splat(simd, of)
    }

    #[inline(always)]
    fn load_factors<S: Vectors>(from: &[T]) -> T::Vector<S> {
        T::load::<S>(from)
    }

    #[inline(always)]
    fn load_part_of_factors<S: Vectors>(simd: S, from: &[T]) -> T::Vector<S> {
        T::load_part(simd, from)
    }

    #[inline(always)]
    fn within_fours<S: Vectors, const K: usize>(mut factors: T::Vector<S>) -> T::Vector<S> {
        let fours: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut factors));
        let mut four = 0;
        while four < fours.len() {
            fours[four] = [fours[four][K]; QUAD];
            four += 1;
        }
        factors
    }

    #[inline(always)]
    unsafe fn factors_of_fours<S: Vectors>(simd: S, from: *const T, apart: usize) -> T::Vector<S> {
        let mut factors = T::splat(simd, T::ZERO);
        let fours: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut factors));
        let mut four = 0;
        while four < fours.len() {
            // SAFETY: the caller's promise.
            fours[four] = [unsafe { *from.add(four * apart) }; QUAD];
            four += 1;
        }
        factors
    }

    #[inline(always)]
    fn load_weights<S: Vectors>(from: &[T]) -> T::Vector<S> {
        T::load::<S>(from)
    }

    #[inline(always)]
    fn load_part_of_weights<S: Vectors>(simd: S, from: &[T]) -> T::Vector<S> {
        T::load_part(simd, from)
    }

    #[inline(always)]
    fn sum<S: Vectors>(simd: S, value: T) -> T::Vector<S> {
        T::splat(simd, value)
    }

    #[inline(always)]
    fn no_sums<S: Vectors>(simd: S) -> T::Vector<S> {
        T::splat(simd, T::ZERO)
    }

    #[inline(always)]
    fn load_sums<S: Vectors>(from: &[T]) -> T::Vector<S> {
        T::load::<S>(from)
    }

    #[inline(always)]
    fn load_part_of_sums<S: Vectors>(simd: S, from: &[T]) -> T::Vector<S> {
        T::load_part(simd, from)
    }

    #[inline(always)]
    fn add_products<S: Vectors>(
        simd: S,
        factors: T::Vector<S>,
        weights: T::Vector<S>,
        sums: T::Vector<S>,
    ) -> T::Vector<S> {
        T::multiply_add(simd, factors, weights, sums)
    }

    #[inline(always)]
    fn sums_of_lanes<S: Vectors, const N: usize>(simd: S, sums: [T::Vector<S>; N]) -> T::Vector<S> {
        let mut all = T::splat(simd, T::ZERO);
        if const { size_of::<T::Vector<S>>() < QUAD * size_of::<T>() } {
            let to: &mut [T] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut all));
            let mut n = 0;
            while n < N {
                let from: &[T] = bytemuck::cast_slice(std::slice::from_ref(&sums[n]));
                to[n] = from.iter().fold(T::ZERO, |sum, &lane| sum + lane);
                n += 1;
            }
            return all;
        }
        let mut lines = [all; QUAD];
        let mut n = 0;
        while n < N {
            lines[n] = sums[n];
            n += 1;
        }
        // Each four adds up to a lane, and a vector has a few fours.
        let [a, b, c, d] = T::deinterleave(simd, lines);
        let fours = T::add_vectors(simd, T::add_vectors(simd, a, b), T::add_vectors(simd, c, d));
        let fours: &[T] = bytemuck::cast_slice(std::slice::from_ref(&fours));
        let of_vector = fours.len() / QUAD;
        let to: &mut [T] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut all));
        let mut n = 0;
        while n < N {
            let mut four = 0;
            while four < of_vector {
                to[n] += fours[T::lane_of_four::<S>(n * of_vector + four)];
                four += 1;
            }
            n += 1;
        }
        all
    }

    #[inline(always)]
    fn add_sums<S: Vectors>(simd: S, a: T::Vector<S>, b: T::Vector<S>) -> T::Vector<S> {
        T::add_vectors(simd, a, b)
    }

    fn bounds(activation: Activation) -> Option<[T; 2]> {
        match activation {
            Activation::Clamp { min, max } => Some([T::from_f64(min), T::from_f64(max)]),
            _ => None,
        }
    }

    #[inline(always)]
    fn bounded<S: Vectors>(simd: S, sums: T::Vector<S>, [min, max]: [T::Vector<S>; 2]) -> T::Vector<S> {
        T::at_most(simd, T::at_least(simd, sums, min), max)
    }

    #[inline(always)]
    fn load_dst<S: Vectors>(from: &[T]) -> T::Vector<S> {
        T::load::<S>(from)
    }

    #[inline(always)]
    fn load_part_of_dst<S: Vectors>(simd: S, from: &[T]) -> T::Vector<S> {
        T::load_part(simd, from)
    }

    #[inline(always)]
    fn store_sums<S: Vectors>(to: &mut [T], sums: T::Vector<S>) {
        T::store::<S>(to, sums);
    }

    #[inline(always)]
    fn store_part_of_sums<S: Vectors>(simd: S, to: &mut [T], sums: T::Vector<S>) {
        T::store_part(simd, to, sums);
    }
}

#[cfg(test)]
mod tests;
