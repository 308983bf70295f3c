//! [`Vectors`]: the vector instructions that kernels use, and their implementation by pulp.
//!
//! The trait belongs to this library. So instructions that pulp does not have, such as dot products of bytes or SVE,
//! need one more implementation and change no kernel.

use std::any::TypeId;
use std::fmt;

use pulp::{MemMask, NullaryFnOnce, Scalar128b, Simd};

/// Columns that are exchanged with lanes at once.
pub const QUAD: usize = 4;

/// The vectors of one type of element.
pub trait Lanes<T>: Copy {
    /// A vector.
    type Vector: bytemuck::Pod + fmt::Debug + Send + Sync;

    /// Elements of a vector.
    const LANES: usize;

    /// A number so great that the integers added to it stand in its bits: [`Lanes::power_of_two`] makes 2^n of its
    /// sum with n.
    const EXPONENT_ZERO: T;

    /// The same number in all lanes.
    fn splat(self, value: T) -> Self::Vector;
    /// a + b.
    fn add_vectors(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a − b.
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b.
    fn multiply(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b + c, rounded once where the machine has an instruction for it. Without one, rounding once is a call of the C
    /// library for each lane, so that the portable instructions round twice.
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// a / b.
    fn divide(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a·b + c of the exact product, of which c may take away nearly all. Rounded once, but by portable instructions,
    /// which add the product's rounding error.
    fn multiply_add_exactly(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// −a.
    fn negate(self, a: Self::Vector) -> Self::Vector;
    /// |a|.
    fn magnitude(self, a: Self::Vector) -> Self::Vector;
    /// A magnitude with the sign of another vector's elements.
    fn with_sign_of(self, magnitude: Self::Vector, sign: Self::Vector) -> Self::Vector;
    /// `bound` where `value` is less, else `value`, which may be a NaN.
    fn at_least(self, value: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// `bound` where `value` is greater, else `value`, which may be a NaN.
    fn at_most(self, value: Self::Vector, bound: Self::Vector) -> Self::Vector;
    /// n + `offset` of the integer n next to a·b, where the offset is [`Lanes::EXPONENT_ZERO`] and a small integer
    /// more.
    fn next_integer(self, a: Self::Vector, b: Self::Vector, offset: T) -> Self::Vector;
    /// 2^n, a normal number, of [`Lanes::EXPONENT_ZERO`] + n.
    fn power_of_two(self, sum: Self::Vector) -> Self::Vector;
    /// In each lane `then` where a < b, else `otherwise`; a NaN is less than nothing.
    fn if_less(
        self,
        a: Self::Vector,
        b: Self::Vector,
        then: Self::Vector,
        otherwise: Self::Vector,
    ) -> Self::Vector;
    /// The vector at the front of as many or more numbers.
    fn load(from: &[T]) -> Self::Vector;
    /// Fewer numbers than a vector holds, and zeros behind them.
    fn load_part(self, from: &[T]) -> Self::Vector;
    /// Writes a vector to the front of as many or more numbers.
    fn store(to: &mut [T], value: Self::Vector);
    /// Writes the first lanes, as many as there are numbers.
    fn store_part(self, to: &mut [T], value: Self::Vector);
    /// Brings element j of each four to vector j.
    fn deinterleave(self, lines: [Self::Vector; QUAD]) -> [Self::Vector; QUAD];
    /// The inverse of [`Lanes::deinterleave`].
    fn interleave(self, columns: [Self::Vector; QUAD]) -> [Self::Vector; QUAD];
}

/// A kernel that is compiled for each machine's vector instructions.
pub trait Kernel {
    /// What it gives.
    type Output;

    /// Runs it with these instructions.
    fn run<S: Vectors>(self, simd: S) -> Self::Output;
}

/// A part of a kernel that is compiled as a function of its own. A large one is a type whose `run` is always inlined
/// into that function, which a closure may not be.
pub trait Apart {
    /// Runs it.
    fn run(self);
}

impl<F: FnOnce()> Apart for F {
    #[inline(always)]
    fn run(self) {
        self();
    }
}

/// The vector instructions of a machine.
pub trait Vectors: Lanes<f32> + Lanes<f64> + Send + Sync + 'static {
    /// Whether there are 32 registers rather than 16.
    const MANY_REGISTERS: bool;

    /// Whether kernels are compiled in fewer forms, which take more time and fewer bytes. So are the portable ones,
    /// which hardly any machine runs.
    const FEW_FORMS: bool;

    /// Runs a part of a kernel as a function of its own, compiled for these instructions: within a larger one, not
    /// all of a tile's sums get a register.
    fn apart(self, part: impl Apart);
}

impl<S: Simd> Vectors for S {
    const MANY_REGISTERS: bool = S::REGISTER_COUNT >= 32;
    // Others have longer vectors, or as NEON more registers.
    const FEW_FORMS: bool = S::F32_LANES == QUAD && S::REGISTER_COUNT < 32;

    #[inline(never)]
    fn apart(self, part: impl Apart) {
        self.vectorize(ApartByPulp(part));
    }
}

/// A part as pulp runs it.
struct ApartByPulp<F>(F);

impl<F: Apart> NullaryFnOnce for ApartByPulp<F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.0.run();
    }
}

/// A kernel as pulp runs it.
pub(crate) struct ByPulp<F>(pub F);

impl<F: Kernel> pulp::WithSimd for ByPulp<F> {
    type Output = F::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> F::Output {
        self.0.run(simd)
    }
}

/// Whether these are the portable instructions; known when this is compiled.
#[inline(always)]
fn is_portable<S: Simd>() -> bool {
    TypeId::of::<S>() == TypeId::of::<Scalar128b>()
}

/// Whether these vectors are those of AVX-512, whose masks make a part of a vector as quick as all of it. pulp calls a
/// function for each part.
const fn has_masks<V>() -> bool {
    size_of::<V>() == 64
}

/// Writes what pulp has under two names.
macro_rules! lanes {
    (
        $number:ident, $vector:ident, $lanes:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident, $mul_add:ident,
        $less_than:ident, $select:ident, $load:ident, $load_mut:ident, $partial_load:ident, $partial_store:ident,
        $lanes_before:ident, $mask_load:ident, $mask_store:ident,
        $interleave:ident, $deinterleave:ident, $div:ident, $neg:ident, $abs:ident, $and:ident, $or:ident, $min:ident,
        $max:ident, $exponent_zero:expr, $shift:expr, $half_digits:expr, $integer_digits:expr
    ) => {
        impl<S: Simd> Lanes<$number> for S {
            type Vector = S::$vector;

            const LANES: usize = S::$lanes;
            const EXPONENT_ZERO: $number = $exponent_zero;

            #[inline(always)]
            fn splat(self, value: $number) -> S::$vector {
                self.$splat(value)
            }

            #[inline(always)]
            fn add_vectors(self, a: S::$vector, b: S::$vector) -> S::$vector {
                self.$add(a, b)
            }

            #[inline(always)]
            fn subtract(self, a: S::$vector, b: S::$vector) -> S::$vector {
                self.$sub(a, b)
            }

            #[inline(always)]
            fn multiply(self, a: S::$vector, b: S::$vector) -> S::$vector {
                self.$mul(a, b)
            }

            #[inline(always)]
            fn multiply_add(self, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                if is_portable::<S>() { self.$add(self.$mul(a, b), c) } else { self.$mul_add(a, b, c) }
            }

            #[inline(always)]
            fn divide(self, a: S::$vector, b: S::$vector) -> S::$vector {
                self.$div(a, b)
            }

            #[inline(always)]
            fn multiply_add_exactly(self, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                if !is_portable::<S>() {
                    return self.$mul_add(a, b, c);
                }
                // As Dekker does it: products of half of the digits are exact.
                let upper = self.$splat(<$number>::from_bits($half_digits));
                let (a1, b1) = (self.$and(a, upper), self.$and(b, upper));
                let (a2, b2) = (self.$sub(a, a1), self.$sub(b, b1));
                let product = self.$mul(a, b);
                let error = self.$sub(self.$mul(a1, b1), product);
                let error = self.$add(error, self.$mul(a1, b2));
                let error = self.$add(error, self.$mul(a2, b1));
                let error = self.$add(error, self.$mul(a2, b2));
                self.$add(self.$add(product, c), error)
            }

            #[inline(always)]
            fn negate(self, a: S::$vector) -> S::$vector {
                self.$neg(a)
            }

            #[inline(always)]
            fn magnitude(self, a: S::$vector) -> S::$vector {
                self.$abs(a)
            }

            #[inline(always)]
            fn with_sign_of(self, magnitude: S::$vector, sign: S::$vector) -> S::$vector {
                self.$or(magnitude, self.$and(sign, self.$splat(-0.0)))
            }

            #[inline(always)]
            fn at_least(self, value: S::$vector, bound: S::$vector) -> S::$vector {
                // x86's instruction gives its second operand where neither is greater.
                if cfg!(any(target_arch = "x86", target_arch = "x86_64")) && !is_portable::<S>() {
                    return self.$max(bound, value);
                }
                self.$select(self.$less_than(value, bound), bound, value)
            }

            #[inline(always)]
            fn at_most(self, value: S::$vector, bound: S::$vector) -> S::$vector {
                if cfg!(any(target_arch = "x86", target_arch = "x86_64")) && !is_portable::<S>() {
                    return self.$min(bound, value);
                }
                self.$select(self.$less_than(bound, value), bound, value)
            }

            #[inline(always)]
            fn next_integer(self, a: S::$vector, b: S::$vector, offset: $number) -> S::$vector {
                if size_of::<$number>() == size_of::<f32>() {
                    return Lanes::<$number>::multiply_add(self, a, b, self.$splat(offset));
                }
                // Here the bits below the integers' have to be cut off.
                let sum = Lanes::<$number>::multiply_add(self, a, b, self.$splat(offset + 0.5));
                self.$and(sum, self.$splat(<$number>::from_bits($integer_digits)))
            }

            #[inline(always)]
            fn power_of_two(self, sum: S::$vector) -> S::$vector {
                // The exponent's bits lie in the upper half of a float64; in its lower half there are zeros.
                let bits: S::u32s = bytemuck::cast(sum);
                bytemuck::cast(self.wrapping_dyn_shl_u32s(bits, self.splat_u32s($shift)))
            }

            #[inline(always)]
            fn if_less(
                self,
                a: S::$vector,
                b: S::$vector,
                then: S::$vector,
                otherwise: S::$vector,
            ) -> S::$vector {
                self.$select(self.$less_than(a, b), then, otherwise)
            }

            #[inline(always)]
            fn load(from: &[$number]) -> S::$vector {
                S::$load(&from[..S::$lanes]).0[0]
            }

            #[inline(always)]
            fn load_part(self, from: &[$number]) -> S::$vector {
                if const { has_masks::<S::$vector>() } {
                    let there = MemMask::new(self.$lanes_before(0, from.len() as _).mask());
                    // SAFETY: the lanes of the mask are there.
                    return unsafe { self.$mask_load(there, from.as_ptr()) };
                }
                self.$partial_load(from)
            }

            #[inline(always)]
            fn store(to: &mut [$number], value: S::$vector) {
                S::$load_mut(&mut to[..S::$lanes]).0[0] = value;
            }

            #[inline(always)]
            fn store_part(self, to: &mut [$number], value: S::$vector) {
                if const { has_masks::<S::$vector>() } {
                    let there = MemMask::new(self.$lanes_before(0, to.len() as _).mask());
                    // SAFETY: the lanes of the mask are there.
                    return unsafe { self.$mask_store(there, to.as_mut_ptr(), value) };
                }
                self.$partial_store(to, value);
            }

            #[inline(always)]
            fn deinterleave(self, lines: [S::$vector; QUAD]) -> [S::$vector; QUAD] {
                self.$deinterleave(lines)
            }

            #[inline(always)]
            fn interleave(self, columns: [S::$vector; QUAD]) -> [S::$vector; QUAD] {
                self.$interleave(columns)
            }
        }
    };
}

lanes!(
    f32,
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
    mask_between_m32s,
    mask_load_ptr_f32s,
    mask_store_ptr_f32s,
    interleave_shfl_f32s,
    deinterleave_shfl_f32s,
    div_f32s,
    neg_f32s,
    abs_f32s,
    and_f32s,
    or_f32s,
    min_f32s,
    max_f32s,
    12_582_912.0 + 127.0,
    23,
    0xFFFF_F000,
    0xFFFF_FFFF
);
lanes!(
    f64,
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
    mask_between_m64s,
    mask_load_ptr_f64s,
    mask_store_ptr_f64s,
    interleave_shfl_f64s,
    deinterleave_shfl_f64s,
    div_f64s,
    neg_f64s,
    abs_f64s,
    and_f64s,
    or_f64s,
    min_f64s,
    max_f64s,
    1_572_864.0 + 1023.0,
    20,
    0xFFFF_FFFF_F800_0000,
    0xFFFF_FFFF_0000_0000
);
