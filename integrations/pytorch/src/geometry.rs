//! The arguments of a convolution beside its tensors, and the problem that they make.

use convlow::{Axis, DataType, Layout, Operation, Problem, WeightsLayout};

use crate::tensor::Shape;

/// Strides, paddings and so on, one for each axis of space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Geometry {
    /// How many axes of space there are.
    pub axes: usize,
    /// Steps of the kernel.
    pub stride: [i64; 3],
    /// Absent positions on both sides.
    pub padding: [i64; 3],
    /// Positions from tap to tap.
    pub dilation: [i64; 3],
    /// Outputs that a transposed convolution does not reach.
    pub output_padding: [i64; 3],
    /// Whether it is a transposed convolution.
    pub transposed: bool,
    /// Groups of channels.
    pub groups: i64,
}

/// A problem, whose tensors' layouts are still those of [`Problem::UNIT`], and its output's sizes.
pub struct Sized {
    /// The forward problem.
    pub problem: Problem,
    /// The sizes of the output.
    pub output: Shape,
}

impl Geometry {
    /// The convolution of these sizes; none where PyTorch may have an objection, or an answer of its own.
    pub fn problem(
        &self,
        input: &Shape,
        weights: &Shape,
        data_type: DataType,
    ) -> Result<Sized, &'static str> {
        if !(3..=5).contains(&input.axes) || weights.axes != input.axes || self.axes + 2 != input.axes {
            return Err("a number of axes that does not fit");
        }
        if input.sizes().iter().chain(weights.sizes()).any(|&size| size <= 0) {
            return Err("an empty tensor");
        }
        let (groups, [first, second, ..]) = (self.groups, weights.sizes);
        let used = ..self.axes;
        let below = |values: &[i64; 3], least: i64| values[used].iter().any(|&value| value < least);
        if groups < 1 || below(&self.stride, 1) || below(&self.dilation, 1) || below(&self.padding, 0) {
            return Err("groups, strides, dilations or paddings below the least");
        }
        let (in_channels, out_channels) = match self.transposed {
            true => (first, second * groups),
            false => (second * groups, first),
        };
        if in_channels != input.sizes[1] || in_channels % groups != 0 || out_channels % groups != 0 {
            return Err("channels that do not fit");
        }
        let mut axes = [Axis::ONE; 3];
        let skipped = 3 - self.axes;
        for at in 0..self.axes {
            axes[skipped + at] = self.axis(at, input.sizes[at + 2], weights.sizes[at + 2])?;
        }
        let [planes, rows, cols] = axes;
        let sizes = Problem {
            operation: if self.transposed { Operation::ConvTranspose } else { Operation::Conv },
            data_type,
            batch: input.sizes[0] as usize,
            in_channels: in_channels as usize,
            out_channels: out_channels as usize,
            groups: groups as usize,
            planes,
            rows,
            cols,
            ..Problem::UNIT
        };
        let problem = Problem::new(sizes).map_err(|_| "sizes that do not fit")?;
        let mut output = [input.sizes[0], out_channels, 1, 1, 1];
        for at in 0..self.axes {
            output[at + 2] = problem.axes()[skipped + at].output as i64;
        }
        if output.contains(&0) {
            return Err("an empty output");
        }
        Ok(Sized { problem, output: Shape::packed(&output[..input.axes], false) })
    }

    fn axis(&self, at: usize, input: i64, kernel: i64) -> Result<Axis, &'static str> {
        let [stride, padding, dilation, more] =
            [self.stride, self.padding, self.dilation, self.output_padding].map(|values| values[at]);
        let reach = dilation.checked_mul(kernel - 1).and_then(|reach| reach.checked_add(1));
        let padded = padding.checked_mul(2).and_then(|padding| padding.checked_add(input));
        let (Some(reach), Some(padded)) = (reach, padded) else { return Err("sizes that do not fit") };
        if !self.transposed && (more != 0 || reach > padded) {
            return Err("an output padding, or a kernel larger than the input");
        }
        if self.transposed && (more < 0 || more >= stride.max(dilation)) {
            return Err("an output padding that does not fit");
        }
        Ok(Axis {
            input: input as usize,
            kernel: kernel as usize,
            output: 0,
            stride: stride as usize,
            dilation: dilation as usize,
            pad_before: padding as usize,
            pad_after: padding as usize,
            output_padding: more as usize,
        })
    }
}

/// The layout that reads a tensor where it lies, and the preferred one if it lies so in both; none if in neither.
pub fn layout_of(shape: &Shape, prefers_last: bool) -> Option<Layout> {
    [prefers_last, !prefers_last].into_iter().find(|&last| shape.is_packed(last)).map(layout)
}

/// The layout with channels last, or first.
pub fn layout(last: bool) -> Layout {
    if last { Layout::Nhwc } else { Layout::Nchw }
}

/// The layout that reads weights where they lie; none if they need to be copied.
pub fn weights_layout(shape: &Shape, transposed: bool) -> Option<WeightsLayout> {
    if shape.is_packed(false) {
        return Some(WeightsLayout::Oihw);
    }
    (!transposed && shape.is_packed(true)).then_some(WeightsLayout::Ohwi)
}
