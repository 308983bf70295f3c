//! Axes of descriptors: their output sizes, and the refusal of invalid ones.

use convlow_kernels::axis::{Axis, Operation};

use convlow_base::error::{Error, Result, invalid, text};

/// What refusals call the fields of an axis.
#[derive(Debug)]
pub(crate) struct AxisNames {
    pub input: &'static str,
    pub kernel: &'static str,
    pub stride: &'static str,
    pub dilation: &'static str,
    pub pad_before: &'static str,
    pub pad_after: &'static str,
    pub output_padding: &'static str,
    pub output: &'static str,
}

macro_rules! axis_names {
    ($name:literal, $before:literal, $after:literal) => {
        AxisNames {
            input: concat!("in_", $name),
            kernel: concat!("kernel_", $name),
            stride: concat!("stride_", $name),
            dilation: concat!("dilation_", $name),
            pad_before: $before,
            pad_after: $after,
            output_padding: concat!("output_padding_", $name),
            output: concat!("output ", $name),
        }
    };
    ($index:literal) => {
        AxisNames {
            input: concat!("in_size[", $index, "]"),
            kernel: concat!("kernel_size[", $index, "]"),
            stride: concat!("stride[", $index, "]"),
            dilation: concat!("dilation[", $index, "]"),
            pad_before: concat!("pad_before[", $index, "]"),
            pad_after: concat!("pad_after[", $index, "]"),
            output_padding: concat!("output_padding[", $index, "]"),
            output: concat!("output size[", $index, "]"),
        }
    };
}

impl AxisNames {
    pub const PLANES: Self = axis_names!("depth", "pad_front", "pad_back");
    pub const ROWS: Self = axis_names!("height", "pad_top", "pad_bottom");
    pub const COLS: Self = axis_names!("width", "pad_left", "pad_right");

    /// The names of sizes.
    pub const NAMED: [&'static Self; 3] = [&Self::PLANES, &Self::ROWS, &Self::COLS];
    /// The names in arrays of so many dimensions; what is before them is not the caller's.
    pub const COUNTED: [[&'static Self; 3]; 4] = [
        Self::NAMED,
        [&Self::PLANES, &Self::ROWS, &axis_names!(0)],
        [&Self::PLANES, &axis_names!(0), &axis_names!(1)],
        [&axis_names!(0), &axis_names!(1), &axis_names!(2)],
    ];
}

/// The axis with its output size. Its fields are named in refusals as the descriptor that it came from has them.
pub(super) fn complete(axis: Axis, operation: Operation, names: &AxisNames) -> Result<Axis> {
    for (field, value) in
        [(names.kernel, axis.kernel), (names.stride, axis.stride), (names.dilation, axis.dilation)]
    {
        if value == 0 {
            return invalid!("{field} = 0, but it must be at least 1");
        }
    }
    for (field, value) in [(names.stride, axis.stride), (names.dilation, axis.dilation)] {
        // A negative number of the caller's, most likely.
        if value > isize::MAX as usize {
            return Err(Error::Overflow(text!("{field} = {value} does not fit ptrdiff_t")));
        }
    }
    let (padded, reach) = (padded_input(&axis, names)?, kernel_reach(&axis, names)?);
    match operation {
        Operation::Conv => complete_forward(axis, names, padded, reach),
        Operation::ConvTranspose => complete_transposed(axis, names, reach),
    }
}

/// Positions of the padded input.
fn padded_input(axis: &Axis, names: &AxisNames) -> Result<usize> {
    let padded = axis.input.checked_add(axis.pad_before).and_then(|sum| sum.checked_add(axis.pad_after));
    padded.filter(|&sum| sum <= isize::MAX as usize).ok_or_else(|| {
        Error::Overflow(text!(
            "{} = {} with {} = {} and {} = {} does not fit size_t",
            names.input,
            axis.input,
            names.pad_before,
            axis.pad_before,
            names.pad_after,
            axis.pad_after
        ))
    })
}

/// Positions that the dilated kernel reaches over.
fn kernel_reach(axis: &Axis, names: &AxisNames) -> Result<usize> {
    let reach = (axis.kernel - 1).checked_mul(axis.dilation).and_then(|reach| reach.checked_add(1));
    reach.ok_or_else(|| {
        Error::Overflow(text!(
            "{} = {} with {} = {} does not fit size_t",
            names.kernel,
            axis.kernel,
            names.dilation,
            axis.dilation
        ))
    })
}

/// An axis that is not transposed, whose kernel reaches over so many of the padded input's positions. An empty input
/// may have no output: the sizes of ONNX's formula, down to 0.
fn complete_forward(axis: Axis, names: &AxisNames, padded: usize, reach: usize) -> Result<Axis> {
    if axis.output_padding != 0 {
        return invalid!(
            "{} = {}, but only a transposed convolution has any",
            names.output_padding,
            axis.output_padding
        );
    }
    if axis.input == 0 && reach == padded + 1 {
        return Ok(Axis { output: 0, ..axis });
    }
    if reach > padded {
        return invalid!(
            "{} = {} with {} = {} reaches over {reach} positions, but the padded input has {padded} ({} = {}, \
             padding {} + {})",
            names.kernel,
            axis.kernel,
            names.dilation,
            axis.dilation,
            names.input,
            axis.input,
            axis.pad_before,
            axis.pad_after
        );
    }
    Ok(Axis { output: (padded - reach) / axis.stride + 1, ..axis })
}

/// The same of a transposed axis whose kernel reaches over so many positions.
fn complete_transposed(axis: Axis, names: &AxisNames, reach: usize) -> Result<Axis> {
    if axis.input == 0 {
        return invalid!("{} = 0, but a transposed convolution needs at least 1", names.input);
    }
    if axis.output_padding >= axis.stride.max(axis.dilation) {
        return invalid!(
            "{} = {} must be less than {} = {} or {} = {}",
            names.output_padding,
            axis.output_padding,
            names.stride,
            axis.stride,
            names.dilation,
            axis.dilation
        );
    }
    let reached = (axis.input - 1)
        .checked_mul(axis.stride)
        .and_then(|last| last.checked_add(reach))
        .and_then(|reached| reached.checked_add(axis.output_padding))
        .filter(|&reached| reached <= isize::MAX as usize)
        .ok_or_else(|| {
            Error::Overflow(text!(
                "the output of {} = {} with {} = {} and {} = {} does not fit size_t",
                names.input,
                axis.input,
                names.stride,
                axis.stride,
                names.kernel,
                axis.kernel
            ))
        })?;
    // The sum fits: that of the input and both does.
    if axis.pad_before + axis.pad_after >= reached {
        return invalid!(
            "{} = {} and {} = {} cut off all {reached} output positions",
            names.pad_before,
            axis.pad_before,
            names.pad_after,
            axis.pad_after
        );
    }
    Ok(Axis { output: reached - axis.pad_before - axis.pad_after, ..axis })
}

/// The same axis with so many outputs, padded and strided as before, over the input that they need. Padding is cut only
/// where there is no input left to cut; of a transposed axis more is cut off its output then.
pub(crate) fn with_outputs(axis: &Axis, operation: Operation, outputs: usize) -> Axis {
    let Axis { stride, pad_before, pad_after, .. } = *axis;
    let reach = (axis.kernel - 1).saturating_mul(axis.dilation).saturating_add(1);
    if operation == Operation::ConvTranspose {
        if outputs == axis.output {
            return *axis;
        }
        let cut = pad_before.saturating_add(pad_after).saturating_add(outputs);
        let steps = cut.saturating_sub(reach);
        let (input, output_padding) = (steps / stride + 1, steps % stride);
        let pad_after = pad_after + reach.saturating_sub(cut);
        return Axis { input, output: outputs, pad_after, output_padding, ..*axis };
    }
    let read = (outputs - 1).saturating_mul(stride).saturating_add(reach);
    let input = read.saturating_sub(pad_before).saturating_sub(pad_after).max(1);
    let pad_before = pad_before.min(read - input);
    let pad_after = pad_after.min(read - input - pad_before);
    Axis { input, output: outputs, pad_before, pad_after, ..*axis }
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
                            let axis = Axis {
                                stride,
                                dilation,
                                pad_before,
                                pad_after,
                                ..Axis::dense(input, kernel)
                            };
                            let Ok(axis) = complete(axis, Operation::Conv, &AxisNames::ROWS) else {
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

    /// Every axis of a small range, with fewer and with more outputs.
    #[test]
    fn an_axis_with_other_outputs_has_them() {
        let mut axes = 0;
        for (input, kernel, stride, dilation) in (1..5)
            .flat_map(|input| (1..5).map(move |kernel| (input, kernel)))
            .flat_map(|(input, kernel)| (1..4).map(move |stride| (input, kernel, stride)))
            .flat_map(|(input, kernel, stride)| (1..4).map(move |dilation| (input, kernel, stride, dilation)))
        {
            for (pad_before, pad_after, output_padding) in
                [(0, 0, 0), (1, 0, 0), (0, 2, 1), (3, 1, 2), (9, 9, 0)]
            {
                for operation in [Operation::Conv, Operation::ConvTranspose] {
                    let output_padding = if operation == Operation::Conv { 0 } else { output_padding };
                    let axis = Axis {
                        stride,
                        dilation,
                        pad_before,
                        pad_after,
                        output_padding,
                        ..Axis::dense(input, kernel)
                    };
                    let Ok(axis) = complete(axis, operation, &AxisNames::ROWS) else { continue };
                    axes += 1;
                    for outputs in 1..12 {
                        let other = with_outputs(&axis, operation, outputs);
                        assert_eq!(
                            complete(other, operation, &AxisNames::ROWS),
                            Ok(other),
                            "{axis:?}, {outputs}"
                        );
                        assert_eq!((other.output, other.kernel, other.stride), (outputs, kernel, stride));
                        let again = with_outputs(&other, operation, outputs);
                        assert_eq!(again, other, "{axis:?}, {outputs}");
                    }
                }
            }
        }
        assert!(axes > 500, "only {axes} axes were valid");
    }
}
