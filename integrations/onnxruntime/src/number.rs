//! Elements of the tensors that convolutions are computed of.

use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};

use crate::host::Listed;

/// An element of the tensors that convolutions are computed of.
pub trait Number: convlow::Element + Listed + AddAssign + SubAssign + MulAssign + DivAssign {
    /// Itself, or times the slope if it is negative.
    fn steepened(self, slope: Self) -> Self;

    /// `min(max(self, min), max)`; a NaN stays a NaN.
    fn clamped(self, min: Self, max: Self) -> Self;
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
}
