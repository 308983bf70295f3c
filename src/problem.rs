//! [`Problem`]: a convolution that is valid by construction. All size arithmetic lives here.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result, invalid, text};

/// The order in which a tensor's elements lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layout {
    /// Batch, channel, row, column: planes of one channel.
    Nchw,
    /// Batch, row, column, channel: pixels with all their channels.
    Nhwc,
}

impl Layout {
    /// Every pair of an input's and an output's layout.
    pub const PAIRS: [(Layout, Layout); 4] = [
        (Layout::Nchw, Layout::Nchw),
        (Layout::Nchw, Layout::Nhwc),
        (Layout::Nhwc, Layout::Nchw),
        (Layout::Nhwc, Layout::Nhwc),
    ];
}

/// The order in which the caller's weights lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightsLayout {
    /// M × C/groups × Kh × Kw, as PyTorch and ONNX.
    Oihw,
    /// Kh × Kw × C/groups × M, as TensorFlow.
    Hwio,
    /// M × Kh × Kw × C/groups, as TensorFlow Lite.
    Ohwi,
}

/// `min(max(y, min), max)`; a NaN stays a NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// The smallest output; 0 for ReLU.
    pub min: f32,
    /// The largest output; infinity for ReLU, 6 for ReLU6.
    pub max: f32,
}

/// The most positions that counts for the cost estimate walk over.
const COUNTED: usize = 1 << 16;

/// What two ranges have in common; possibly empty.
pub(crate) fn common(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// One spatial axis: how output positions map to input positions.
///
/// Output `o` and tap `t` read input position `o·stride + t·dilation − pad_before`, which may lie outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Axis {
    /// Input positions (H or W).
    pub input: usize,
    /// Taps of the kernel (Kh or Kw).
    pub kernel: usize,
    /// Output positions (OH or OW), as [`Problem::new`] computes it.
    pub output: usize,
    /// Input positions from one output to the next.
    pub stride: usize,
    /// Input positions from one tap to the next; 1 is dense.
    pub dilation: usize,
    /// Absent positions before the input.
    pub pad_before: usize,
    /// Absent positions behind the input.
    pub pad_after: usize,
}

impl Axis {
    /// An axis of `input` positions under `kernel` taps: stride 1, dense, not padded. `output` follows later.
    pub const fn dense(input: usize, kernel: usize) -> Self {
        Self { input, kernel, output: 0, stride: 1, dilation: 1, pad_before: 0, pad_after: 0 }
    }

    /// The outputs whose tap `tap` lies inside the input; possibly empty.
    pub fn outputs_of_tap(&self, tap: usize) -> Range<usize> {
        let offset = tap * self.dilation;
        let first = self.pad_before.saturating_sub(offset).div_ceil(self.stride);
        let end = (self.input + self.pad_before).saturating_sub(offset).div_ceil(self.stride);
        let end = end.min(self.output);
        first.min(end)..end
    }

    /// The outputs all of whose taps lie inside the input; possibly empty.
    pub fn outputs_of_all_taps(&self) -> Range<usize> {
        common(&self.outputs_of_tap(0), &self.outputs_of_tap(self.kernel - 1))
    }

    /// The taps of output `output` that lie inside the input; possibly empty.
    pub fn taps_of_output(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        let first = self.pad_before.saturating_sub(start).div_ceil(self.dilation);
        let end = (self.input + self.pad_before).saturating_sub(start).div_ceil(self.dilation);
        let end = end.min(self.kernel);
        first.min(end)..end
    }

    /// Pairs of an output and a tap inside the input. Over 65,536 of both it is the bound outputs × taps, so
    /// that planning stays quick whatever the sizes.
    pub fn count_inside(&self) -> usize {
        if self.kernel.min(self.output) > COUNTED {
            self.output.saturating_mul(self.kernel)
        } else if self.kernel <= self.output {
            (0..self.kernel).map(|tap| self.outputs_of_tap(tap).len()).sum()
        } else {
            (0..self.output).map(|output| self.taps_of_output(output).len()).sum()
        }
    }

    /// Taps that some output sees inside the input; all of them where there are over 65,536.
    pub fn count_taps_inside(&self) -> usize {
        if self.kernel > COUNTED {
            return self.kernel;
        }
        (0..self.kernel).filter(|&tap| !self.outputs_of_tap(tap).is_empty()).count()
    }

    /// Outputs with a tap inside the input; all of them where there are over 65,536.
    pub fn count_outputs_inside(&self) -> usize {
        if self.output > COUNTED {
            return self.output;
        }
        (0..self.output).filter(|&output| !self.taps_of_output(output).is_empty()).count()
    }

    /// Pairs of a strip of `strip` outputs and a tap inside the input for one of them; the bound strips × taps
    /// where there are too many.
    pub fn count_taps_of_strips(&self, strip: usize) -> usize {
        let strips = self.output.div_ceil(strip);
        if self.kernel > COUNTED || strips.saturating_mul(self.kernel) > COUNTED {
            return strips.saturating_mul(self.kernel);
        }
        (0..self.kernel)
            .map(|tap| self.outputs_of_tap(tap))
            .filter(|outputs| !outputs.is_empty())
            .map(|outputs| (outputs.end - 1) / strip - outputs.start / strip + 1)
            .sum()
    }

    /// The input position of a tap that is known to lie inside.
    pub fn input_of(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap * self.dilation - self.pad_before
    }

    /// The input positions that these outputs see, those between their taps included; possibly empty.
    pub fn window(&self, outputs: &Range<usize>) -> Range<usize> {
        let end = self.input + self.pad_before;
        let start = outputs.start.saturating_mul(self.stride).clamp(self.pad_before, end);
        let last = (outputs.end - 1).saturating_mul(self.stride);
        let last = last.saturating_add((self.kernel - 1) * self.dilation).saturating_add(1);
        start - self.pad_before..last.clamp(start, end) - self.pad_before
    }

    /// The most input positions that `outputs` neighbouring outputs see.
    pub fn largest_window(&self, outputs: usize) -> usize {
        let steps = (outputs - 1).saturating_mul(self.stride);
        steps.saturating_add((self.kernel - 1) * self.dilation).saturating_add(1).min(self.input)
    }

    /// How far a tap reaches from its output, in input positions at stride 1: negative to the left.
    pub fn shift_of_tap(&self, tap: usize) -> isize {
        (tap * self.dilation) as isize - self.pad_before as isize
    }

    /// How far back the neighbour tap that reads the same input positions is, and by how many outputs they lie
    /// apart there: taps t and t − back with back·dilation = ahead·stride.
    pub fn neighbour_taps(&self) -> (usize, usize) {
        let (mut a, mut b) = (self.stride, self.dilation);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (self.stride / a, self.dilation / a)
    }

    fn complete(mut self, name: &str, [before, after]: [&str; 2]) -> Result<Self> {
        let too_large = || {
            Error::Overflow(text!(
                "in_{name} = {} with {before} = {} and {after} = {} does not fit size_t",
                self.input,
                self.pad_before,
                self.pad_after
            ))
        };
        for (field, value) in [
            ("in", self.input),
            ("kernel", self.kernel),
            ("stride", self.stride),
            ("dilation", self.dilation),
        ] {
            if value == 0 {
                return invalid!("{field}_{name} = 0, but it must be at least 1");
            }
        }
        let padded = self
            .input
            .checked_add(self.pad_before)
            .and_then(|sum| sum.checked_add(self.pad_after))
            .filter(|&sum| sum <= isize::MAX as usize)
            .ok_or_else(too_large)?;
        let reach = (self.kernel - 1)
            .checked_mul(self.dilation)
            .and_then(|reach| reach.checked_add(1))
            .ok_or_else(|| {
                Error::Overflow(text!(
                    "kernel_{name} = {} with dilation_{name} = {} does not fit size_t",
                    self.kernel,
                    self.dilation
                ))
            })?;
        if reach > padded {
            return invalid!(
                "kernel_{name} = {} with dilation_{name} = {} reaches over {reach} positions, but the padded \
                 input has {padded} (in_{name} = {}, padding {} + {})",
                self.kernel,
                self.dilation,
                self.input,
                self.pad_before,
                self.pad_after
            );
        }
        self.output = (padded - reach) / self.stride + 1;
        Ok(self)
    }
}

/// What an algorithm may be unable to compute: each one names the kinds that it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A two-dimensional convolution of float32, all of whose outputs see all channels.
    Plain,
    /// The same in groups of channels.
    Grouped,
    /// Groups of one input channel each.
    Depthwise,
}

/// A two-dimensional convolution whose fields agree and whose sizes fit memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// N: images.
    pub batch: usize,
    /// C: input channels of all groups.
    pub in_channels: usize,
    /// M: output channels of all groups.
    pub out_channels: usize,
    /// Groups, each a convolution of C/groups to M/groups channels of its own.
    pub groups: usize,
    /// The vertical axis: H, Kh, OH.
    pub rows: Axis,
    /// The horizontal axis: W, Kw, OW.
    pub cols: Axis,
    /// Layout of the input.
    pub src_layout: Layout,
    /// Layout of the output.
    pub dst_layout: Layout,
    /// Layout of the weights before packing.
    pub weights_layout: WeightsLayout,
    /// Applied last.
    pub clamp: Option<Clamp>,
    /// dst = clamp(convolution + bias + dst).
    pub accumulate: bool,
}

impl Problem {
    /// Checks the fields against each other, computes the output size and makes sure that every tensor's
    /// bytes and the number of multiplications can be counted. `rows.output` and `cols.output` are ignored.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the field that makes no sense; [`Error::Overflow`] the size that
    /// does not fit.
    pub fn new(mut problem: Problem) -> Result<Self> {
        for (field, value) in [
            ("batch", problem.batch),
            ("in_channels", problem.in_channels),
            ("out_channels", problem.out_channels),
            ("groups", problem.groups),
        ] {
            if value == 0 {
                return invalid!("{field} = 0, but it must be at least 1");
            }
        }
        for (field, value) in [("in_channels", problem.in_channels), ("out_channels", problem.out_channels)] {
            if value % problem.groups != 0 {
                return invalid!("groups = {} does not divide {field} = {value}", problem.groups);
            }
        }
        problem.rows = problem.rows.complete("height", ["pad_top", "pad_bottom"])?;
        problem.cols = problem.cols.complete("width", ["pad_left", "pad_right"])?;
        if let Some(Clamp { min, max }) = problem.clamp {
            if min.is_nan() || max.is_nan() || min > max {
                return invalid!("activation_min = {min} and activation_max = {max} do not enclose a range");
            }
        }
        let Problem { batch, in_channels, out_channels, rows, cols, .. } = problem;
        let (batch, input, output) =
            (("batch", batch), ("in_channels", in_channels), ("out_channels", out_channels));
        let of_group = ("in_channels / groups", problem.group_in());
        let kernel = [("kernel_height", rows.kernel), ("kernel_width", cols.kernel)];
        let size = [("output height", rows.output), ("output width", cols.output)];
        let most = isize::MAX as usize / size_of::<f32>();
        checked(
            "bytes of src do",
            most,
            &[batch, input, ("in_height", rows.input), ("in_width", cols.input)],
        )?;
        checked("bytes of dst do", most, &[batch, output, size[0], size[1]])?;
        checked("bytes of the weights do", most, &[output, of_group, kernel[0], kernel[1]])?;
        let factors = [batch, output, size[0], size[1], of_group, kernel[0], kernel[1]];
        checked("number of multiplications does", usize::MAX, &factors)?;
        Ok(problem)
    }

    /// The kind of problem that this is.
    pub fn kind(&self) -> Kind {
        match self.groups {
            1 => Kind::Plain,
            _ if self.group_in() == 1 => Kind::Depthwise,
            _ => Kind::Grouped,
        }
    }

    /// C/groups: input channels of one group.
    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    /// M/groups: output channels of one group.
    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Kh·Kw.
    pub fn taps(&self) -> usize {
        self.rows.kernel * self.cols.kernel
    }

    /// C/groups·Kh·Kw: products in one output, the depth of the patch matrix.
    pub fn depth(&self) -> usize {
        self.group_in() * self.taps()
    }

    /// H·W.
    pub fn in_pixels(&self) -> usize {
        self.rows.input * self.cols.input
    }

    /// OH·OW.
    pub fn out_pixels(&self) -> usize {
        self.rows.output * self.cols.output
    }

    /// Floats of src.
    pub fn src_len(&self) -> usize {
        self.batch * self.in_channels * self.in_pixels()
    }

    /// Floats of dst.
    pub fn dst_len(&self) -> usize {
        self.batch * self.out_channels * self.out_pixels()
    }

    /// Floats of the weights.
    pub fn weights_len(&self) -> usize {
        self.out_channels * self.depth()
    }

    /// Multiplications of the definition, padding counted.
    pub fn macs(&self) -> usize {
        self.dst_len() * self.depth()
    }

    /// Whether both strides are 1.
    pub fn unit_stride(&self) -> bool {
        self.rows.stride == 1 && self.cols.stride == 1
    }
}

/// Makes sure that the product of named sizes is at most `most`.
fn checked(what: &str, most: usize, sizes: &[(&str, usize)]) -> Result<()> {
    struct Product<'a>(&'a [(&'a str, usize)]);
    impl fmt::Display for Product<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for (index, (name, size)) in self.0.iter().enumerate() {
                write!(f, "{}{name} = {size}", if index > 0 { ", " } else { "" })?;
            }
            Ok(())
        }
    }
    let product = sizes.iter().try_fold(1usize, |all, (_, size)| all.checked_mul(*size));
    if product.is_none_or(|product| product > most) {
        return Err(Error::Overflow(text!("the {what} not fit size_t ({})", Product(sizes))));
    }
    Ok(())
}

/// The product of sizes, or `None` if it does not fit.
pub(crate) fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every axis of a small range, against the definition position by position.
    #[test]
    fn outputs_of_tap_and_taps_of_output_follow_the_definition() {
        let mut axes = 0;
        for input in 1..6 {
            for kernel in 1..5 {
                for stride in 1..5 {
                    for dilation in 1..4 {
                        for (pad_before, pad_after) in [(0, 0), (1, 0), (0, 2), (3, 1), (9, 9)] {
                            let axis =
                                Axis { input, kernel, output: 0, stride, dilation, pad_before, pad_after };
                            let Ok(axis) = axis.complete("height", ["pad_top", "pad_bottom"]) else {
                                continue;
                            };
                            axes += 1;
                            let inside = |output: usize, tap: usize| {
                                let position =
                                    (output * stride + tap * dilation) as isize - pad_before as isize;
                                (0..input as isize).contains(&position)
                            };
                            for tap in 0..kernel {
                                let expected: Vec<_> = (0..axis.output).filter(|&o| inside(o, tap)).collect();
                                assert_eq!(
                                    axis.outputs_of_tap(tap).collect::<Vec<_>>(),
                                    expected,
                                    "{axis:?}"
                                );
                            }
                            for output in 0..axis.output {
                                let expected: Vec<_> = (0..kernel).filter(|&t| inside(output, t)).collect();
                                assert_eq!(
                                    axis.taps_of_output(output).collect::<Vec<_>>(),
                                    expected,
                                    "{axis:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
        assert!(axes > 500, "only {axes} axes were valid");
    }
}
