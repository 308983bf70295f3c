//! [`Axis`]: one spatial axis of a convolution, and the relation between its outputs, taps and inputs.

use std::ops::Range;

/// What two ranges have in common; possibly empty.
#[inline]
pub fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// One spatial axis: how output positions map to input positions.
///
/// Output `o` and tap `t` read input position `o·stride + t·dilation − pad_before`, which may lie outside. In a
/// transposed convolution the roles of input and output are exchanged: output `o` and tap `t` read the input position
/// `i` with `o = i·stride + t·dilation − pad_before`, if there is one. The axis itself does not say which of both it
/// is: its methods are of an ordinary convolution, and [`Geometry`](crate::geometry::Geometry) knows the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    /// Input positions (H or W).
    pub input: usize,
    /// Taps of the kernel (Kh or Kw).
    pub kernel: usize,
    /// Output positions (OH or OW); whoever checks the sizes computes them.
    pub output: usize,
    /// Input positions from one output to the next.
    pub stride: usize,
    /// Input positions from one tap to the next; 1 is dense.
    pub dilation: usize,
    /// Absent positions before the input. A transposed convolution cuts as many off its output.
    pub pad_before: usize,
    /// Absent positions behind the input. A transposed convolution cuts as many off its output.
    pub pad_after: usize,
    /// Outputs behind the last one that a transposed convolution reaches; else 0.
    pub output_padding: usize,
}

/// What a convolution computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Operation {
    /// An ordinary convolution.
    #[default]
    Conv,
    /// A transposed one, whose inputs are spread over the outputs.
    ConvTranspose,
}

/// Steps of so many positions that a distance takes, the last one begun. Most steps are 1, and dividing takes long.
pub(crate) fn steps(distance: usize, step: usize) -> usize {
    if step == 1 { distance } else { distance.div_ceil(step) }
}

/// The greatest common divisor.
pub(crate) fn common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Axis {
    /// An axis of `input` positions under `kernel` taps: stride 1, dense, not padded. `output` follows later.
    pub const fn dense(input: usize, kernel: usize) -> Self {
        Self {
            input,
            kernel,
            output: 0,
            stride: 1,
            dilation: 1,
            pad_before: 0,
            pad_after: 0,
            output_padding: 0,
        }
    }

    /// One position under one tap: an axis that a problem does not have.
    pub const ONE: Self = Self { output: 1, ..Self::dense(1, 1) };

    /// The outputs whose tap `tap` lies inside the input; possibly empty.
    #[inline]
    pub fn outputs_of_tap(&self, tap: usize) -> Range<usize> {
        let offset = tap * self.dilation;
        let first = steps(self.pad_before.saturating_sub(offset), self.stride);
        let end = steps((self.input + self.pad_before).saturating_sub(offset), self.stride);
        let end = end.min(self.output);
        first.min(end)..end
    }

    /// The axis on which some outputs of a transposed convolution, counted from the first of them, are inputs, and inputs are
    /// outputs: as they see each other there, they do in the transposed convolution.
    pub fn exchanged(&self, outputs: &Range<usize>) -> Self {
        let pad_before = self.pad_before + outputs.start;
        Self { input: outputs.len(), output: self.input, pad_before, ..*self }
    }

    /// The outputs all of whose taps lie inside the input; possibly empty.
    #[inline]
    pub fn outputs_of_all_taps(&self) -> Range<usize> {
        common(&self.outputs_of_tap(0), &self.outputs_of_tap(self.kernel - 1))
    }

    /// The taps of output `output` that lie inside the input; possibly empty.
    #[inline]
    pub fn taps_of_output(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        let first = steps(self.pad_before.saturating_sub(start), self.dilation);
        let end = steps((self.input + self.pad_before).saturating_sub(start), self.dilation);
        let end = end.min(self.kernel);
        first.min(end)..end
    }

    /// The input position of a tap that is known to lie inside.
    #[inline]
    pub fn input_of(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.pad_before
    }

    /// Input positions from what a tap reads for one output to what it reads for the next. Beyond the whole input
    /// there is no next, and a stride of any size would not fit products with it.
    #[inline]
    pub fn step(&self) -> usize {
        self.stride.min(self.input)
    }

    /// The input positions that these outputs see, those between their taps included; possibly empty.
    #[inline]
    pub fn window(&self, outputs: &Range<usize>) -> Range<usize> {
        let end = self.input + self.pad_before;
        let start = outputs.start.saturating_mul(self.stride).clamp(self.pad_before, end);
        let last = (outputs.end - 1).saturating_mul(self.stride);
        let last = last.saturating_add((self.kernel - 1) * self.dilation).saturating_add(1);
        start - self.pad_before..last.clamp(start, end) - self.pad_before
    }

    /// The same in a transposed convolution.
    pub(crate) fn transposed_window(&self, outputs: &Range<usize>) -> Range<usize> {
        let reach = (self.kernel - 1) * self.dilation;
        let first = (outputs.start + self.pad_before).saturating_sub(reach).div_ceil(self.stride);
        let last = (outputs.end - 1 + self.pad_before) / self.stride;
        let first = first.min(self.input);
        first..(last + 1).clamp(first, self.input)
    }

    /// The most input positions that `outputs` neighbouring outputs see.
    pub fn largest_window(&self, outputs: usize) -> usize {
        let steps = (outputs - 1).saturating_mul(self.stride);
        steps.saturating_add((self.kernel - 1) * self.dilation).saturating_add(1).min(self.input)
    }

    /// The same in a transposed convolution.
    pub(crate) fn largest_transposed_window(&self, outputs: usize) -> usize {
        let reach = (self.kernel - 1).saturating_mul(self.dilation).saturating_add(outputs - 1);
        (reach / self.stride + 1).min(self.input)
    }

    /// How far a tap reaches from its output, in input positions at stride 1: negative to the left.
    #[inline]
    pub fn shift_of_tap(&self, tap: usize) -> isize {
        (tap * self.dilation) as isize - self.pad_before as isize
    }

    /// How far back the neighbour tap that reads the same input positions is, and by how many outputs they lie
    /// apart there: taps t and t − back with back·dilation = ahead·stride.
    pub fn neighbour_taps(&self) -> (usize, usize) {
        let divisor = common_divisor(self.stride, self.dilation);
        (self.stride / divisor, self.dilation / divisor)
    }
}

/// The largest size up to `all` that fits, 0 if none does. Larger ones take more.
pub fn most_fitting(all: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut fitting, mut end) = (0, all + 1);
    while fitting + 1 < end {
        let middle = fitting.midpoint(end);
        if fits(middle) {
            fitting = middle;
        } else {
            end = middle;
        }
    }
    fitting
}
