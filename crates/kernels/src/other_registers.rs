//! Register tiles of other shapes than this machine's, for tests: its vectors with the shapes of machines that have 32
//! registers where it has 16, and of 16 where it has 32. Some sums do not stay in registers then, and none changes.

use crate::number::QUAD;
use crate::vectors::{Apart, Kernel, Lanes, Vectors};

/// Vectors with the other number of registers.
#[derive(Clone, Copy)]
pub struct OtherRegisters<S>(S);

/// A kernel with them.
pub struct WithOtherRegisters<F>(pub F);

impl<F: Kernel> Kernel for WithOtherRegisters<F> {
    type Output = F::Output;

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) -> F::Output {
        self.0.run(OtherRegisters(simd))
    }
}

impl<S: Vectors> Vectors for OtherRegisters<S> {
    const MANY_REGISTERS: bool = !S::MANY_REGISTERS;
    const FEW_FORMS: bool = false;

    fn apart(self, part: impl Apart) {
        self.0.apart(part);
    }
}

macro_rules! forward {
    ([$($number:ident),+] $operations:tt) => {
        $(forward! { @implement $number $operations })+
    };
    (@implement $number:ident { $($operation:ident($($argument:ident),+);)+ }) => {
        impl<S: Vectors> Lanes<$number> for OtherRegisters<S> {
            type Vector = <S as Lanes<$number>>::Vector;

            const LANES: usize = <S as Lanes<$number>>::LANES;
            const EXPONENT_ZERO: $number = <S as Lanes<$number>>::EXPONENT_ZERO;

            $(
                #[inline(always)]
                fn $operation(self, $($argument: Self::Vector),+) -> Self::Vector {
                    Lanes::<$number>::$operation(self.0, $($argument),+)
                }
            )+

            #[inline(always)]
            fn splat(self, value: $number) -> Self::Vector {
                self.0.splat(value)
            }

            #[inline(always)]
            fn next_integer(self, a: Self::Vector, b: Self::Vector, offset: $number) -> Self::Vector {
                Lanes::<$number>::next_integer(self.0, a, b, offset)
            }

            #[inline(always)]
            fn load(from: &[$number]) -> Self::Vector {
                <S as Lanes<$number>>::load(from)
            }

            #[inline(always)]
            fn load_part(self, from: &[$number]) -> Self::Vector {
                Lanes::<$number>::load_part(self.0, from)
            }

            #[inline(always)]
            fn store(to: &mut [$number], value: Self::Vector) {
                <S as Lanes<$number>>::store(to, value);
            }

            #[inline(always)]
            fn store_part(self, to: &mut [$number], value: Self::Vector) {
                Lanes::<$number>::store_part(self.0, to, value);
            }

            #[inline(always)]
            fn deinterleave(self, lines: [Self::Vector; QUAD]) -> [Self::Vector; QUAD] {
                Lanes::<$number>::deinterleave(self.0, lines)
            }

            #[inline(always)]
            fn interleave(self, columns: [Self::Vector; QUAD]) -> [Self::Vector; QUAD] {
                Lanes::<$number>::interleave(self.0, columns)
            }
        }
    };
}

forward! {
    [f32, f64] {
        add_vectors(a, b);
        subtract(a, b);
        multiply(a, b);
        multiply_add(a, b, c);
        divide(a, b);
        multiply_add_exactly(a, b, c);
        negate(a);
        magnitude(a);
        with_sign_of(magnitude, sign);
        at_least(value, bound);
        at_most(value, bound);
        power_of_two(sum);
        if_less(a, b, then, otherwise);
    }
}
