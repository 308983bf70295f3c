//! [`Class`]: outputs that see the same taps.
//!
//! An ordinary convolution has one class. In a transposed one, the outputs that lie one stride apart form a class:
//! they are an ordinary convolution with some of the taps.

use std::ops::Range;

use crate::axis::{Axis, common_divisor, steps};

/// Some outputs of an axis that are those of an ordinary convolution: all of them, or of a transposed axis those that
/// lie a stride apart, which see the same taps but for what is cut off at the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// What they compute; not transposed.
    pub axis: Axis,
    /// The first of them.
    pub first_output: usize,
    /// From one of them to the next.
    pub output_step: usize,
    /// The input position that is the class's first.
    pub first_input: usize,
    /// The tap that is the class's first.
    pub first_tap: usize,
}

impl Class {
    /// All outputs of an ordinary convolution.
    #[inline]
    pub(crate) fn whole(axis: &Axis) -> Self {
        let (first_output, output_step, first_input) = (0, 1, 0);
        Self { axis: *axis, first_output, output_step, first_input, first_tap: 0 }
    }

    /// Those of its outputs that are among these, as it counts them.
    #[inline]
    pub fn outputs(&self, outputs: &Range<usize>) -> Range<usize> {
        let number = |output: usize| steps(output.saturating_sub(self.first_output), self.output_step);
        number(outputs.start)..number(outputs.end)
    }
}

/// The number that multiplied by `a` is 1 modulo `modulus`, to which it has no common divisor.
fn inverse(a: usize, modulus: usize) -> usize {
    let (mut r, mut next_r) = (modulus as i128, (a % modulus) as i128);
    let (mut t, mut next_t) = (0i128, 1i128);
    while next_r != 0 {
        let quotient = r / next_r;
        (r, next_r) = (next_r, r - quotient * next_r);
        (t, next_t) = (next_t, t - quotient * next_t);
    }
    t.rem_euclid(modulus as i128) as usize
}

impl Axis {
    /// The class of an output of a transposed convolution.
    pub(crate) fn transposed_class_of(&self, output: usize) -> Class {
        let Self { input, kernel, stride, dilation, pad_before, .. } = *self;
        let first_output = output % stride;
        // Of output o, tap t reads position (o + pad_before − t·dilation) / stride where that is whole: t = first_tap at
        // first, and then every `apart` taps, each time `back` positions before.
        let divisor = common_divisor(stride, dilation);
        let (apart, back) = (stride / divisor, dilation / divisor);
        let padded = first_output as u128 + pad_before as u128;
        let residue = (padded % stride as u128) as usize;
        let turn = (residue / divisor) as u128 * inverse(back % apart.max(1), apart) as u128;
        let first_tap = (turn % apart as u128) as usize;
        let count = (self.output - first_output).div_ceil(stride);
        let outputs = Self { output: count, ..Self::ONE };
        if !residue.is_multiple_of(divisor) || first_tap >= kernel {
            let nothing = Self { input: 0, ..outputs };
            return Class { axis: nothing, first_output, output_step: stride, first_input: 0, first_tap: 0 };
        }
        let taps = (kernel - 1 - first_tap) / apart + 1;
        // The taps in the order of the positions that they read: the last one first.
        let last_tap = first_tap + (taps - 1) * apart;
        let first_read = (padded as i128 - last_tap as i128 * dilation as i128) / stride as i128;
        let before = usize::try_from(-first_read).unwrap_or(0);
        let first_input = usize::try_from(first_read).unwrap_or(0).min(input);
        let axis =
            Self { input: input - first_input, kernel: taps, dilation: back, pad_before: before, ..outputs };
        Class { axis, first_output, output_step: stride, first_input, first_tap: last_tap }
    }
}
