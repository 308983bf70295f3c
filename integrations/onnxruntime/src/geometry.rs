//! The attributes of Conv and ConvTranspose, and the problem that they make of an input's sizes.

use convlow::{Activation, Axis, DataType, Layout, Operation, Problem, Strides};

use crate::host::{Failure, Node, Result};

/// How an axis is padded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Padding {
    /// As the node says.
    Explicit([usize; 2]),
    /// So that there is an output for each input, or one for each stride of them; the odd one behind.
    SameUpper,
    /// The same with the odd one before.
    SameLower,
}

/// An axis of a convolution of any input.
#[derive(Debug, Clone, PartialEq)]
struct AxisRule {
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: Padding,
    output_padding: usize,
    /// The outputs that a transposed convolution is to have, if the node says.
    output: Option<usize>,
}

/// The properties of a problem beside its geometry and sizes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Form {
    pub data_type: DataType,
    /// Of the input and of the output.
    pub layouts: [Layout; 2],
    /// Where the output is some channels of a wider tensor.
    pub dst_strides: Strides,
    pub activation: Activation,
    pub accumulate: bool,
}

/// A convolution of any input.
#[derive(Debug, Clone, PartialEq)]
pub struct Geometry {
    transposed: bool,
    groups: usize,
    in_channels: usize,
    out_channels: usize,
    /// Outermost first.
    axes: Vec<AxisRule>,
}

impl Geometry {
    /// Reads a node's attributes, its weights being of these sizes.
    ///
    /// # Errors
    /// An attribute that contradicts the weights, or makes no sense.
    pub fn new(node: Node<'_>, transposed: bool, groups: usize, weights: &[usize]) -> Result<Self> {
        let kernel = &weights[2..];
        let count = kernel.len();
        let sizes = |name, otherwise: usize| -> Result<Vec<usize>> {
            match node.ints(name)? {
                None => Ok(vec![otherwise; count]),
                Some(values) if values.len() == count => values.into_iter().map(positive).collect(),
                Some(values) => Err(Failure(format!("{values:?} are not {count} numbers"))),
            }
        };
        if sizes(c"kernel_shape", 0)?.iter().zip(kernel).any(|(&said, &is)| said != 0 && said != is) {
            return Err(Failure("kernel_shape is not that of the weights".to_string()));
        }
        let pads = match node.ints(c"pads")? {
            None => vec![0; 2 * count],
            Some(pads) if pads.len() == 2 * count => pads.into_iter().map(positive).collect::<Result<_>>()?,
            Some(pads) => return Err(Failure(format!("pads = {pads:?} are not {} numbers", 2 * count))),
        };
        let auto_pad = node.string(c"auto_pad")?.unwrap_or_default();
        let outputs = node.ints(c"output_shape")?;
        let (strides, dilations) = (sizes(c"strides", 1)?, sizes(c"dilations", 1)?);
        let output_padding = sizes(c"output_padding", 0)?;
        let mut axes = Vec::new();
        for at in 0..count {
            let padding = match auto_pad.as_str() {
                "" | "NOTSET" => Padding::Explicit([pads[at], pads[count + at]]),
                "VALID" => Padding::Explicit([0, 0]),
                "SAME_UPPER" => Padding::SameUpper,
                "SAME_LOWER" => Padding::SameLower,
                other => return Err(Failure(format!("auto_pad = {other} is unknown"))),
            };
            // Some models list the batch and the channels, too.
            let output = match &outputs {
                None => None,
                Some(outputs) if outputs.len() >= count => {
                    Some(positive(outputs[outputs.len() - count + at])?)
                }
                Some(outputs) => return Err(Failure(format!("output_shape = {outputs:?} is too short"))),
            };
            axes.push(AxisRule {
                kernel: kernel[at],
                stride: strides[at],
                dilation: dilations[at],
                padding,
                output_padding: if transposed { output_padding[at] } else { 0 },
                output: output.filter(|_| transposed),
            });
        }
        let [in_channels, out_channels] = match transposed {
            false => [weights[1] * groups, weights[0]],
            true => [weights[0], weights[1] * groups],
        };
        Ok(Self { transposed, groups, in_channels, out_channels, axes })
    }

    /// Whether the node says how much it pads.
    pub fn is_padded_explicitly(&self) -> bool {
        self.axes.iter().all(|axis| matches!(axis.padding, Padding::Explicit(_)))
    }

    /// The axes of a window over an input of these sizes. Rounded up, there is an output for each window that begins inside
    /// the input or before it. A window that reaches over more than all, but not by a whole stride, is over what there is:
    /// so ONNX Runtime divides.
    ///
    /// # Errors
    /// If they leave no output.
    pub fn window(&self, inputs: &[usize], rounds_up: bool) -> Result<[Axis; 3]> {
        let sizes: Vec<usize> = [1, 1].into_iter().chain(inputs.iter().copied()).collect();
        let form = Form {
            data_type: DataType::F32,
            layouts: [Layout::Nhwc; 2],
            dst_strides: Strides::PACKED,
            activation: Activation::None,
            accumulate: false,
        };
        let axes = |geometry: &Self| {
            geometry.problem(&sizes, form).map(|problem| [problem.planes, problem.rows, problem.cols])
        };
        let mut longer = self.clone();
        for (axis, (rule, input)) in longer.axes.iter_mut().zip(inputs).enumerate() {
            let reach = self.reach(axis);
            if let Padding::Explicit([before, after]) = &mut rule.padding {
                let missing = reach.saturating_sub(input.saturating_add(*before).saturating_add(*after));
                if missing < rule.stride {
                    *after += missing;
                }
            }
        }
        let whole = axes(&longer)?;
        if !rounds_up {
            return Ok(whole);
        }
        let first = whole.len() - inputs.len();
        for (rule, axis) in longer.axes.iter_mut().zip(&whole[first..]) {
            let reach = (axis.kernel - 1) * axis.dilation + 1;
            let left = (axis.pad_before + axis.input + axis.pad_after - reach) % axis.stride;
            let begins_inside = axis.output * axis.stride < axis.input + axis.pad_before;
            let more = if left > 0 && begins_inside { axis.stride - left } else { 0 };
            rule.padding = Padding::Explicit([axis.pad_before, axis.pad_after + more]);
        }
        axes(&longer)
    }

    /// The positions over which the kernel reaches along an axis.
    pub fn reach(&self, axis: usize) -> usize {
        let AxisRule { kernel, dilation, .. } = self.axes[axis];
        kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
    }

    /// Output channels.
    pub fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Axes.
    pub fn dimensions(&self) -> usize {
        self.axes.len()
    }

    /// The problem of an input of these sizes: batch, channels and axes.
    ///
    /// # Errors
    /// If they do not fit the weights, or leave no output.
    pub fn problem(&self, sizes: &[usize], form: Form) -> Result<Problem> {
        let [batch, channels, inputs @ ..] = sizes else {
            return Err(Failure(format!("an input of {} dimensions has no channels", sizes.len())));
        };
        if inputs.len() != self.axes.len() || *channels != self.in_channels {
            return Err(Failure(format!(
                "the input is of sizes {sizes:?}, but the weights are of {} channels and {} axes",
                self.in_channels,
                self.axes.len()
            )));
        }
        let mut axes = [Axis::ONE; 3];
        let first = axes.len() - inputs.len();
        for ((axis, rule), &input) in axes[first..].iter_mut().zip(&self.axes).zip(inputs) {
            *axis = rule.axis(input, self.transposed)?;
        }
        let [planes, rows, cols] = axes;
        let (groups, in_channels, out_channels) = (self.groups, self.in_channels, self.out_channels);
        let Form { data_type, layouts: [src_layout, dst_layout], dst_strides, activation, accumulate } = form;
        Ok(Problem::new(Problem {
            operation: if self.transposed { Operation::ConvTranspose } else { Operation::Conv },
            data_type,
            batch: *batch,
            groups,
            in_channels,
            out_channels,
            planes,
            rows,
            cols,
            src_layout,
            dst_layout,
            dst_strides,
            activation,
            accumulate,
            ..Problem::UNIT
        })?)
    }
}

impl AxisRule {
    /// The axis of so many inputs.
    fn axis(&self, input: usize, transposed: bool) -> Result<Axis> {
        let Self { kernel, stride, dilation, mut output_padding, .. } = *self;
        let reach = kernel
            .checked_sub(1)
            .and_then(|taps| taps.checked_mul(dilation))
            .and_then(|last| last.checked_add(1));
        let too_large = || Failure("a size does not fit".to_string());
        let reach = reach.ok_or_else(too_large)?;
        // What is to be padded on both sides together; of a transposed axis, what is to be cut off.
        let all = match (transposed, self.output, self.padding) {
            (_, None, Padding::Explicit(pads)) => {
                return Ok(self.padded(input, pads, output_padding));
            }
            (false, ..) => (input.div_ceil(stride).saturating_sub(1) * stride + reach).saturating_sub(input),
            (true, output, _) => {
                let full = input
                    .saturating_sub(1)
                    .checked_mul(stride)
                    .and_then(|last| last.checked_add(reach + output_padding));
                let full = full.ok_or_else(too_large)?;
                // The standard has an output for each stride of each input, also where no tap reaches it. ONNX Runtime, of
                // which this is a part, has only what is reached.
                let output = output.unwrap_or_else(|| full.min(input.saturating_mul(stride)));
                // Outputs behind what is reached are padding of the output.
                output_padding += output.saturating_sub(full);
                full.saturating_sub(output)
            }
        };
        let half = all / 2;
        // Of an output_shape without auto_pad the standard says the same as of SAME_LOWER.
        let upper = self.padding == Padding::SameUpper;
        let pads = if upper { [half, all - half] } else { [all - half, half] };
        Ok(self.padded(input, pads, output_padding))
    }

    fn padded(&self, input: usize, [pad_before, pad_after]: [usize; 2], output_padding: usize) -> Axis {
        let Self { kernel, stride, dilation, .. } = *self;
        Axis { input, kernel, output: 0, stride, dilation, pad_before, pad_after, output_padding }
    }
}

/// A size that must not be negative.
fn positive(size: i64) -> Result<usize> {
    usize::try_from(size).map_err(|_| Failure(format!("{size} is no size")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kernel: usize, stride: usize, padding: Padding, output: Option<usize>) -> AxisRule {
        AxisRule { kernel, stride, dilation: 1, padding, output_padding: 0, output }
    }

    fn pads(rule: &AxisRule, input: usize, transposed: bool) -> [usize; 3] {
        let axis = rule.axis(input, transposed).expect("small sizes");
        [axis.pad_before, axis.pad_after, axis.output_padding]
    }

    #[test]
    fn same_is_an_output_for_each_stride() {
        assert_eq!(pads(&rule(3, 2, Padding::SameUpper, None), 6, false), [0, 1, 0]);
        assert_eq!(pads(&rule(3, 2, Padding::SameLower, None), 6, false), [1, 0, 0]);
        assert_eq!(pads(&rule(3, 2, Padding::SameUpper, None), 5, false), [1, 1, 0]);
        assert_eq!(pads(&rule(1, 3, Padding::SameUpper, None), 7, false), [0, 0, 0]);
        assert_eq!(pads(&rule(4, 2, Padding::SameUpper, None), 5, true), [1, 1, 0]);
        assert_eq!(pads(&rule(3, 2, Padding::SameUpper, None), 5, true), [0, 1, 0]);
        // Fewer taps than a stride: what is not reached is left out.
        assert_eq!(pads(&rule(1, 3, Padding::SameUpper, None), 5, true), [0, 0, 0]);
    }

    #[test]
    fn an_output_shape_cuts_the_output() {
        assert_eq!(pads(&rule(3, 3, Padding::Explicit([0, 0]), Some(10)), 3, true), [0, 0, 1]);
        assert_eq!(pads(&rule(3, 3, Padding::Explicit([0, 0]), Some(8)), 3, true), [1, 0, 0]);
        assert_eq!(pads(&rule(3, 3, Padding::SameUpper, Some(8)), 3, true), [0, 1, 0]);
    }
}
