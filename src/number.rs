//! [`Number`]: what a tensor's elements are, float32 or float64, one at a time and in vectors.

use std::any::TypeId;
use std::fmt;
use std::ops::{Add, AddAssign, Mul};

use pulp::{Scalar128b, Simd};

use crate::problem::{Clamp, DataType};

/// Columns that are exchanged with lanes at once.
pub const QUAD: usize = 4;

/// An element of a tensor. Everything that the library computes is written once for both.
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
    /// 0 and 1.
    const ZERO: Self;
    const ONE: Self;

    /// A vector of them.
    type Vector<S: Simd>: bytemuck::Pod + fmt::Debug + Send + Sync;

    /// How many of them a vector holds.
    fn lanes<S: Simd>() -> usize;

    /// The nearest one.
    fn from_f64(value: f64) -> Self;

    /// `min(max(self, clamp.min), clamp.max)`; a NaN stays a NaN.
    fn clamped(self, clamp: Clamp<Self>) -> Self;

    /// The same number in all lanes.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;

    /// a + b.
    fn add_vectors<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a − b.
    fn subtract<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b.
    fn multiply<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// a·b + c, rounded once where the machine has an instruction for it. Without one, rounding once is a call of the C
    /// library for each lane, so that the portable instructions round twice.
    fn multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// A vector clamped. A NaN stays a NaN, since it compares with nothing.
    fn clamp_vector<S: Simd>(simd: S, value: Self::Vector<S>, clamp: Clamp<Self>) -> Self::Vector<S>;

    /// The vector at the front of as many or more numbers.
    fn load<S: Simd>(from: &[Self]) -> Self::Vector<S>;

    /// Fewer numbers than a vector holds, and zeros behind them.
    fn load_part<S: Simd>(simd: S, from: &[Self]) -> Self::Vector<S>;

    /// Writes a vector to the front of as many or more numbers.
    fn store<S: Simd>(to: &mut [Self], value: Self::Vector<S>);

    /// Writes the first lanes, as many as there are numbers.
    fn store_part<S: Simd>(simd: S, to: &mut [Self], value: Self::Vector<S>);

    /// Brings element j of each four to vector j, to the lane that [`Number::lane_of_four`] says.
    fn deinterleave<S: Simd>(simd: S, lines: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD];

    /// The inverse of [`Number::deinterleave`].
    fn interleave<S: Simd>(simd: S, columns: [Self::Vector<S>; QUAD]) -> [Self::Vector<S>; QUAD];

    /// The lane of a four, counted over four vectors. On x86 float32 is exchanged within each 128 bits, so that the fours of a
    /// vector end as many lanes apart as a four has; of float64 in AVX-512 the second and third of four change places.
    fn lane_of_four<S: Simd>(four: usize) -> usize {
        let of_a_vector = (Self::lanes::<S>() / QUAD).max(1);
        match Self::TYPE {
            DataType::F32 => four / of_a_vector + four % of_a_vector * QUAD,
            DataType::F64 if of_a_vector == 2 => four & !3 | (four & 1) << 1 | (four & 2) >> 1,
            DataType::F64 => four,
        }
    }
}

/// Writes what pulp has under two names.
macro_rules! number {
    (
        $number:ident, $type:ident, $vector:ident, $lanes:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident,
        $mul_add:ident, $less_than:ident, $select:ident, $load:ident, $load_mut:ident, $partial_load:ident,
        $partial_store:ident, $interleave:ident, $deinterleave:ident
    ) => {
        impl Number for $number {
            const TYPE: DataType = DataType::$type;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;

            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }

            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }

            #[inline(always)]
            fn clamped(self, Clamp { min, max }: Clamp<Self>) -> Self {
                // `min` and `max` of the language would replace a NaN by a bound.
                self.clamp(min, max)
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }

            #[inline(always)]
            fn add_vectors<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$add(a, b)
            }

            #[inline(always)]
            fn subtract<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$sub(a, b)
            }

            #[inline(always)]
            fn multiply<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$mul(a, b)
            }

            #[inline(always)]
            fn multiply_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                // Known when this is compiled.
                if TypeId::of::<S>() == TypeId::of::<Scalar128b>() {
                    simd.$add(simd.$mul(a, b), c)
                } else {
                    simd.$mul_add(a, b, c)
                }
            }

            #[inline(always)]
            fn clamp_vector<S: Simd>(
                simd: S,
                value: S::$vector,
                Clamp { min, max }: Clamp<Self>,
            ) -> S::$vector {
                let (min, max) = (simd.$splat(min), simd.$splat(max));
                let value = simd.$select(simd.$less_than(value, min), min, value);
                simd.$select(simd.$less_than(max, value), max, value)
            }

            #[inline(always)]
            fn load<S: Simd>(from: &[Self]) -> S::$vector {
                S::$load(&from[..S::$lanes]).0[0]
            }

            #[inline(always)]
            fn load_part<S: Simd>(simd: S, from: &[Self]) -> S::$vector {
                simd.$partial_load(from)
            }

            #[inline(always)]
            fn store<S: Simd>(to: &mut [Self], value: S::$vector) {
                S::$load_mut(&mut to[..S::$lanes]).0[0] = value;
            }

            #[inline(always)]
            fn store_part<S: Simd>(simd: S, to: &mut [Self], value: S::$vector) {
                simd.$partial_store(to, value);
            }

            #[inline(always)]
            fn deinterleave<S: Simd>(simd: S, lines: [S::$vector; QUAD]) -> [S::$vector; QUAD] {
                simd.$deinterleave(lines)
            }

            #[inline(always)]
            fn interleave<S: Simd>(simd: S, columns: [S::$vector; QUAD]) -> [S::$vector; QUAD] {
                simd.$interleave(columns)
            }
        }
    };
}

number!(
    f32,
    F32,
    f32s,
    F32_LANES,
    splat_f32s,
    add_f32s,
    sub_f32s,
    mul_f32s,
    mul_add_e_f32s,
    less_than_f32s,
    select_f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    partial_load_f32s,
    partial_store_f32s,
    interleave_shfl_f32s,
    deinterleave_shfl_f32s
);
number!(
    f64,
    F64,
    f64s,
    F64_LANES,
    splat_f64s,
    add_f64s,
    sub_f64s,
    mul_f64s,
    mul_add_e_f64s,
    less_than_f64s,
    select_f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    partial_store_f64s,
    interleave_shfl_f64s,
    deinterleave_shfl_f64s
);
