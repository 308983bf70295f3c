//! Elements of the tensors that convolutions are computed of.

use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};

use crate::host::Listed;

/// An element of the tensors that convolutions are computed of.
pub trait Number: convlow::Element + Listed + AddAssign + SubAssign + MulAssign + DivAssign {
    /// Itself, or times the slope if it is negative.
    fn steepened(self, slope: Self) -> Self;

    /// `min(max(self, min), max)`; a NaN stays a NaN.
    fn clamped(self, min: Self, max: Self) -> Self;

    /// The least magnitude that is not 0, or 0 if there is none, and the greatest, a NaN's being the greatest of all.
    fn extent(numbers: &[Self]) -> (Self, Self);
}

/// [`Number::extent`], by bits: a magnitude's are in the order of its size, and vectors of integers are compared at once.
macro_rules! extent {
    ($numbers:expr, $bits:ty) => {{
        // 0 wraps to the greatest of all.
        let extent =
            |(least, most): ($bits, $bits), bits: $bits| (least.min(bits.wrapping_sub(1)), most.max(bits));
        let magnitudes = $numbers.iter().map(|number| number.abs().to_bits());
        let (least, most) = magnitudes.fold((<$bits>::MAX, 0), extent);
        (Self::from_bits(least.wrapping_add(1)), Self::from_bits(most))
    }};
}

impl Number for f32 {
    #[inline(always)]
    fn steepened(self, slope: Self) -> Self {
        if self < 0.0 { self * slope } else { self }
    }

    #[inline(always)]
    fn clamped(self, min: Self, max: Self) -> Self {
        // `min` and `max` of the language would replace a NaN by a bound.
        self.clamp(min, max)
    }

    fn extent(numbers: &[Self]) -> (Self, Self) {
        extent!(numbers, u32)
    }
}

impl Number for f64 {
    #[inline(always)]
    fn steepened(self, slope: Self) -> Self {
        if self < 0.0 { self * slope } else { self }
    }

    #[inline(always)]
    fn clamped(self, min: Self, max: Self) -> Self {
        // `min` and `max` of the language would replace a NaN by a bound.
        self.clamp(min, max)
    }

    fn extent(numbers: &[Self]) -> (Self, Self) {
        extent!(numbers, u64)
    }
}
