//! [`Number`]: what a tensor's elements are, one at a time and in vectors.

use std::fmt;
use std::ops::{Add, AddAssign, Mul};

use crate::data_type::DataType;
pub use crate::vectors::QUAD;
use crate::vectors::{Lanes, Vectors};

/// An element of a tensor. Everything that the library computes is written once for all of them.
pub trait Number:
    bytemuck::Pod
    + Default
    + PartialOrd
    + Into<f64>
    + Add<Output = Self>
    + AddAssign
    + Mul<Output = Self>
    + fmt::Debug
    + fmt::Display
    + Send
    + Sync
{
    /// Its name in descriptors.
    const TYPE: DataType;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// A vector of them.
    type Vector<S: Vectors>: bytemuck::Pod + fmt::Debug + Send + Sync;

    /// How many of them a vector holds.
    fn lanes<S: Vectors>() -> usize;

    /// The nearest one.
    fn from_f64(value: f64) -> Self;

    /// The same number in all lanes.
    fn splat<S: Vectors>(simd: S, value: Self) -> Self::Vector<S>;

    /// a + b.
    fn add_vectors<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a − b.
    fn subtract<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b.
    fn multiply<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b + c, as [`Lanes::multiply_add`] rounds it.
    fn multiply_add<S: Vectors>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// In each lane `then` where a < b, else `otherwise`; a NaN is less than nothing.
    fn if_less<S: Vectors>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        then: Self::Vector<S>,
        otherwise: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// The vector at the front of as many or more numbers.
    fn load<S: Vectors>(from: &[Self]) -> Self::Vector<S>;

    /// Fewer numbers than a vector holds, and zeros behind them.
    fn load_part<S: Vectors>(simd: S, from: &[Self]) -> Self::Vector<S>;

    /// Writes a vector to the front of as many or more numbers.
    fn store<S: Vectors>(to: &mut [Self], value: Self::Vector<S>);

    /// Writes the first lanes, as many as there are numbers.
    fn store_part<S: Vectors>(simd: S, to: &mut [Self], value: Self::Vector<S>);

    /// Brings element j of each four to vector j, to the lane that [`Number::lane_of_four`] says.
    fn deinterleave<S: Vectors>(simd: S, lines: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD];

    /// The inverse of [`Number::deinterleave`].
    fn interleave<S: Vectors>(simd: S, columns: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD];

    /// The lane of a four, counted over four vectors. On x86 float32 is exchanged within each 128 bits, so that the fours of a
    /// vector end as many lanes apart as a four has; of float64 in AVX-512 the second and third of four change places.
    fn lane_of_four<S: Vectors>(four: usize) -> usize {
        let of_a_vector = (Self::lanes::<S>() / QUAD).max(1);
        match Self::TYPE {
            DataType::F32 => four / of_a_vector + four % of_a_vector * QUAD,
            DataType::F64 if of_a_vector == 2 => four & !3 | (four & 1) << 1 | (four & 2) >> 1,
            DataType::F64 => four,
        }
    }
}

/// Hands each operation on to the vectors of the element.
macro_rules! number {
    ($number:ident, $type:ident) => {
        impl Number for $number {
            const TYPE: DataType = DataType::$type;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            type Vector<S: Vectors> = <S as Lanes<$number>>::Vector;

            #[inline(always)]
            fn lanes<S: Vectors>() -> usize {
                <S as Lanes<$number>>::LANES
            }

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn splat<S: Vectors>(simd: S, value: Self) -> Self::Vector<S> {
                simd.splat(value)
            }

            #[inline(always)]
            fn add_vectors<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                Lanes::<$number>::add(simd, a, b)
            }

            #[inline(always)]
            fn subtract<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                Lanes::<$number>::subtract(simd, a, b)
            }

            #[inline(always)]
            fn multiply<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S> {
                Lanes::<$number>::multiply(simd, a, b)
            }

            #[inline(always)]
            fn multiply_add<S: Vectors>(
                simd: S,
                a: Self::Vector<S>,
                b: Self::Vector<S>,
                c: Self::Vector<S>,
            ) -> Self::Vector<S> {
                Lanes::<$number>::multiply_add(simd, a, b, c)
            }

            #[inline(always)]
            fn if_less<S: Vectors>(
                simd: S,
                a: Self::Vector<S>,
                b: Self::Vector<S>,
                then: Self::Vector<S>,
                otherwise: Self::Vector<S>,
            ) -> Self::Vector<S> {
                Lanes::<$number>::if_less(simd, a, b, then, otherwise)
            }

            #[inline(always)]
            fn load<S: Vectors>(from: &[Self]) -> Self::Vector<S> {
                <S as Lanes<$number>>::load(from)
            }

            #[inline(always)]
            fn load_part<S: Vectors>(simd: S, from: &[Self]) -> Self::Vector<S> {
                Lanes::<$number>::load_part(simd, from)
            }

            #[inline(always)]
            fn store<S: Vectors>(to: &mut [Self], value: Self::Vector<S>) {
                <S as Lanes<$number>>::store(to, value);
            }

            #[inline(always)]
            fn store_part<S: Vectors>(simd: S, to: &mut [Self], value: Self::Vector<S>) {
                Lanes::<$number>::store_part(simd, to, value);
            }

            #[inline(always)]
            fn deinterleave<S: Vectors>(simd: S, lines: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD] {
                Lanes::<$number>::deinterleave(simd, lines)
            }

            #[inline(always)]
            fn interleave<S: Vectors>(simd: S, columns: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD] {
                Lanes::<$number>::interleave(simd, columns)
            }
        }
    };
}

number!(f32, F32);
number!(f64, F64);
