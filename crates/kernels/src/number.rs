//! [`Number`]: the elements of a tensor, one at a time and in vectors.

use std::fmt;
use std::ops::{Add, AddAssign, Mul};

use crate::data_type::DataType;
pub use crate::vectors::QUAD;
use crate::vectors::{Lanes, Vectors};

/// Writes the trait and its implementations. The operations on vectors alone are those of [`Lanes`] under the same
/// names.
macro_rules! numbers {
    ([$($number:ident $type:ident),+] $operations:tt) => {
        numbers! { @trait $operations }
        $(numbers! { @implement $number $type $operations })+
    };
    (@trait { $($operation:ident($($argument:ident),+);)+ }) => {
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
            /// The least finite number.
            const LEAST: Self;

            /// A vector of them.
            type Vector<S: Vectors>: bytemuck::Pod + fmt::Debug + Send + Sync;

            /// How many of them a vector holds.
            fn lanes<S: Vectors>() -> usize;

            /// [`Lanes::EXPONENT_ZERO`].
            fn exponent_zero<S: Vectors>() -> Self;

            /// The nearest one.
            fn from_f64(value: f64) -> Self;

            /// [`Lanes::splat`].
            fn splat<S: Vectors>(simd: S, value: Self) -> Self::Vector<S>;

            /// [`Lanes::next_integer`].
            fn next_integer<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, offset: Self) -> Self::Vector<S>;

            $(
                #[doc = concat!("[`Lanes::", stringify!($operation), "`].")]
                fn $operation<S: Vectors>(simd: S, $($argument: Self::Vector<S>),+) -> Self::Vector<S>;
            )+

            /// [`Lanes::load`].
            fn load<S: Vectors>(from: &[Self]) -> Self::Vector<S>;

            /// [`Lanes::load_part`].
            fn load_part<S: Vectors>(simd: S, from: &[Self]) -> Self::Vector<S>;

            /// [`Lanes::store`].
            fn store<S: Vectors>(to: &mut [Self], value: Self::Vector<S>);

            /// [`Lanes::store_part`].
            fn store_part<S: Vectors>(simd: S, to: &mut [Self], value: Self::Vector<S>);

            /// Brings element j of each four to vector j, to the lane that [`Number::lane_of_four`] says.
            fn deinterleave<S: Vectors>(simd: S, lines: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD];

            /// The inverse of [`Number::deinterleave`].
            fn interleave<S: Vectors>(simd: S, columns: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD];

            /// The lane of a four, counted over four vectors. On x86 float32 is exchanged within each 128 bits, so
            /// that the fours of a vector end as many lanes apart as a four has; of float64 in AVX-512 the second and
            /// third of four change places.
            fn lane_of_four<S: Vectors>(four: usize) -> usize {
                let of_a_vector = (Self::lanes::<S>() / QUAD).max(1);
                match Self::TYPE {
                    DataType::F32 => four / of_a_vector + four % of_a_vector * QUAD,
                    DataType::F64 if of_a_vector == 2 => four & !3 | (four & 1) << 1 | (four & 2) >> 1,
                    DataType::F64 => four,
                }
            }

            /// The inverse of [`Number::lane_of_four`].
            fn four_of_lane<S: Vectors>(lane: usize) -> usize {
                let of_a_vector = (Self::lanes::<S>() / QUAD).max(1);
                match Self::TYPE {
                    DataType::F32 => lane / QUAD + lane % QUAD * of_a_vector,
                    DataType::F64 => Self::lane_of_four::<S>(lane),
                }
            }
        }
    };
    (@implement $number:ident $type:ident { $($operation:ident($($argument:ident),+);)+ }) => {
        impl Number for $number {
            const TYPE: DataType = DataType::$type;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LEAST: Self = $number::MIN;

            type Vector<S: Vectors> = <S as Lanes<$number>>::Vector;

            #[inline(always)]
            fn lanes<S: Vectors>() -> usize {
                <S as Lanes<$number>>::LANES
            }

            #[inline(always)]
            fn exponent_zero<S: Vectors>() -> Self {
                <S as Lanes<$number>>::EXPONENT_ZERO
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
            fn next_integer<S: Vectors>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, offset: Self) -> Self::Vector<S> {
                Lanes::<$number>::next_integer(simd, a, b, offset)
            }

            $(
                #[inline(always)]
                fn $operation<S: Vectors>(simd: S, $($argument: Self::Vector<S>),+) -> Self::Vector<S> {
                    Lanes::<$number>::$operation(simd, $($argument),+)
                }
            )+

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

numbers! {
    [f32 F32, f64 F64] {
    add_vectors(a, b);
    subtract(a, b);
    multiply(a, b);
    multiply_add(a, b, c);
    multiply_add_exactly(a, b, c);
    divide(a, b);
    negate(a);
    magnitude(a);
    with_sign_of(magnitude, sign);
    at_least(value, bound);
    at_most(value, bound);
    if_less(a, b, then, otherwise);
    power_of_two(sum);
    }
}
