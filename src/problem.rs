//! [`Problem`]: a convolution that is valid by construction. All size arithmetic lives here.

use std::fmt;
use std::ops::Range;

use crate::error::{Error, Result, invalid, text};
use crate::number::Number;

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

/// The order in which the caller's weights lie in memory; K stands for the kernel's axes, outermost first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightsLayout {
    /// M × C/groups × K, as PyTorch and ONNX; transposed: C × M/groups × K, as the same two.
    Oihw,
    /// K × C/groups × M, as TensorFlow; transposed: K × M/groups × C.
    Hwio,
    /// M × K × C/groups, as TensorFlow Lite, transposed too.
    Ohwi,
}

/// Where the weight of a group's output channel, input channel and tap lies in the caller's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WeightStrides {
    /// From one group to the next.
    pub group: usize,
    /// From one output channel of a group to the next.
    pub output: usize,
    /// From one input channel of a group to the next.
    pub input: usize,
    /// From one tap to the next, all axes as one.
    pub tap: usize,
}

/// What the elements of all tensors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum DataType {
    /// Float32.
    #[default]
    F32,
    /// Float64.
    F64,
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl DataType {
    /// Those that this build computes with.
    pub const BUILT: &[Self] = &[
        DataType::F32,
        #[cfg(feature = "f64")]
        DataType::F64,
    ];

    /// The word of problem lists: `f32` or `f64`.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::F32 => "f32",
            DataType::F64 => "f64",
        }
    }

    /// The type of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [DataType::F32, DataType::F64].into_iter().find(|data_type| data_type.name() == name)
    }

    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            DataType::F32 => size_of::<f32>(),
            DataType::F64 => size_of::<f64>(),
        }
    }
}

/// `min(max(y, min), max)`; a NaN stays a NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp<T = f64> {
    /// The smallest output; 0 for ReLU.
    pub min: T,
    /// The largest output; infinity for ReLU, 6 for ReLU6.
    pub max: T,
}

impl Clamp {
    /// The same for outputs of this type, whose nearest values the bounds become.
    pub(crate) fn of<T: Number>(self) -> Clamp<T> {
        Clamp { min: T::from_f64(self.min), max: T::from_f64(self.max) }
    }
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
/// Output `o` and tap `t` read input position `o·stride + t·dilation − pad_before`, which may lie outside. A transposed axis
/// is the same with the roles of input and output exchanged: output `o` and tap `t` read the input position `i` with
/// `o = i·stride + t·dilation − pad_before`, if there is one.
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
    /// Whether this is the axis of a transposed convolution. The paddings are then cut off its output.
    pub transposed: bool,
    /// Outputs behind the last one that a transposed axis reaches; else 0.
    pub output_padding: usize,
}

/// Some outputs of an axis that are those of an ordinary convolution: all of them, or of a transposed axis those that lie a
/// stride apart, which see the same taps but for what is cut off at the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    /// What they compute; not transposed.
    pub axis: Axis,
    /// The first of them, and how far they lie apart.
    pub first_output: usize,
    pub output_step: usize,
    /// The input position that is the class's first.
    pub first_input: usize,
    /// The tap that is the class's first.
    pub first_tap: usize,
}

impl Class {
    /// Those of its outputs that are among these, as it counts them.
    pub fn outputs(&self, outputs: &Range<usize>) -> Range<usize> {
        let number = |output: usize| steps(output.saturating_sub(self.first_output), self.output_step);
        number(outputs.start)..number(outputs.end)
    }
}

/// Steps of so many positions that a distance takes, the last one begun. Most steps are 1, and dividing takes long.
fn steps(distance: usize, step: usize) -> usize {
    if step == 1 { distance } else { distance.div_ceil(step) }
}

/// The greatest common divisor.
fn common_divisor(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
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
            transposed: false,
            output_padding: 0,
        }
    }

    /// One position under one tap: an axis that a problem does not have.
    pub const ONE: Self = Self { output: 1, ..Self::dense(1, 1) };

    /// The first of the classes that outputs from `first` on belong to, and so many after it that all are met.
    pub(crate) fn classes(&self, outputs: &Range<usize>) -> impl Iterator<Item = Class> + use<> {
        let (axis, first) = (*self, outputs.start);
        let count = if axis.transposed { axis.stride.min(outputs.len()) } else { 1 };
        (0..count).map(move |next| axis.class_of(first + next))
    }

    /// The same axis with so many outputs, padded and strided as before, over the input that they need. Padding is cut only
    /// where there is no input left to cut; of a transposed axis more is cut off its output then.
    pub(crate) fn with_outputs(&self, outputs: usize) -> Self {
        let Self { stride, pad_before, pad_after, .. } = *self;
        let reach = (self.kernel - 1).saturating_mul(self.dilation).saturating_add(1);
        if self.transposed {
            if outputs == self.output {
                return *self;
            }
            let cut = pad_before.saturating_add(pad_after).saturating_add(outputs);
            let steps = cut.saturating_sub(reach);
            let (input, output_padding) = (steps / stride + 1, steps % stride);
            let pad_after = pad_after + reach.saturating_sub(cut);
            return Self { input, output: outputs, pad_after, output_padding, ..*self };
        }
        let read = (outputs - 1).saturating_mul(stride).saturating_add(reach);
        let input = read.saturating_sub(pad_before).saturating_sub(pad_after).max(1);
        let pad_before = pad_before.min(read - input);
        let pad_after = pad_after.min(read - input - pad_before);
        Self { input, output: outputs, pad_before, pad_after, ..*self }
    }

    /// How many classes its outputs fall into.
    pub(crate) fn count_classes(&self) -> usize {
        if self.transposed { self.stride.min(self.output) } else { 1 }
    }

    /// From one tap of a class to the next: input positions, and taps (which wrap around where they run backwards).
    pub(crate) fn class_steps(&self) -> (usize, usize) {
        if !self.transposed {
            return (self.dilation, 1);
        }
        let divisor = common_divisor(self.stride, self.dilation);
        (self.dilation / divisor, (self.stride / divisor).wrapping_neg())
    }

    /// The class of an output.
    pub(crate) fn class_of(&self, output: usize) -> Class {
        if !self.transposed {
            let (first_output, output_step, first_input) = (0, 1, 0);
            return Class { axis: *self, first_output, output_step, first_input, first_tap: 0 };
        }
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

    /// The outputs whose tap `tap` lies inside the input; possibly empty.
    pub fn outputs_of_tap(&self, tap: usize) -> Range<usize> {
        let offset = tap * self.dilation;
        let first = steps(self.pad_before.saturating_sub(offset), self.stride);
        let end = steps((self.input + self.pad_before).saturating_sub(offset), self.stride);
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
        let first = steps(self.pad_before.saturating_sub(start), self.dilation);
        let end = steps((self.input + self.pad_before).saturating_sub(start), self.dilation);
        let end = end.min(self.kernel);
        first.min(end)..end
    }

    /// Pairs of an output and a tap inside the input. Over 65,536 of both it is the bound outputs × taps, so
    /// that planning stays quick whatever the sizes.
    pub fn count_inside(&self) -> usize {
        if self.transposed {
            // The same pairs with input and output exchanged.
            let Self { input, output, .. } = *self;
            return Self { input: output, output: input, transposed: false, ..*self }.count_inside();
        }
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

    /// Input positions from what a tap reads for one output to what it reads for the next. Beyond the whole input there is
    /// no next, and a stride of any size would not fit products with it.
    pub(crate) fn step(&self) -> usize {
        self.stride.min(self.input)
    }

    /// The input positions that these outputs see, those between their taps included; possibly empty.
    pub fn window(&self, outputs: &Range<usize>) -> Range<usize> {
        let end = self.input + self.pad_before;
        if self.transposed {
            let reach = (self.kernel - 1) * self.dilation;
            let first = (outputs.start + self.pad_before).saturating_sub(reach).div_ceil(self.stride);
            let last = (outputs.end - 1 + self.pad_before) / self.stride;
            let first = first.min(self.input);
            return first..(last + 1).clamp(first, self.input);
        }
        let start = outputs.start.saturating_mul(self.stride).clamp(self.pad_before, end);
        let last = (outputs.end - 1).saturating_mul(self.stride);
        let last = last.saturating_add((self.kernel - 1) * self.dilation).saturating_add(1);
        start - self.pad_before..last.clamp(start, end) - self.pad_before
    }

    /// The most input positions that `outputs` neighbouring outputs see.
    pub fn largest_window(&self, outputs: usize) -> usize {
        if self.transposed {
            let reach = (self.kernel - 1).saturating_mul(self.dilation).saturating_add(outputs - 1);
            return (reach / self.stride + 1).min(self.input);
        }
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
        let divisor = common_divisor(self.stride, self.dilation);
        (self.stride / divisor, self.dilation / divisor)
    }

    /// The axis with its output size. Its fields are named in refusals as the descriptor that it came from has them.
    fn complete(mut self, names: &AxisNames) -> Result<Self> {
        let too_large = || {
            Error::Overflow(text!(
                "{} = {} with {} = {} and {} = {} does not fit size_t",
                names.input,
                self.input,
                names.pad_before,
                self.pad_before,
                names.pad_after,
                self.pad_after
            ))
        };
        for (field, value) in [
            (names.input, self.input),
            (names.kernel, self.kernel),
            (names.stride, self.stride),
            (names.dilation, self.dilation),
        ] {
            if value == 0 {
                return invalid!("{field} = 0, but it must be at least 1");
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
                    "{} = {} with {} = {} does not fit size_t",
                    names.kernel,
                    self.kernel,
                    names.dilation,
                    self.dilation
                ))
            })?;
        if self.transposed {
            return self.complete_transposed(names, reach);
        }
        if self.output_padding != 0 {
            return invalid!(
                "{} = {}, but only a transposed convolution has any",
                names.output_padding,
                self.output_padding
            );
        }
        if reach > padded {
            return invalid!(
                "{} = {} with {} = {} reaches over {reach} positions, but the padded input has {padded} ({} = {}, \
                 padding {} + {})",
                names.kernel,
                self.kernel,
                names.dilation,
                self.dilation,
                names.input,
                self.input,
                self.pad_before,
                self.pad_after
            );
        }
        self.output = (padded - reach) / self.stride + 1;
        Ok(self)
    }

    /// The same of a transposed axis whose kernel reaches over so many positions.
    fn complete_transposed(mut self, names: &AxisNames, reach: usize) -> Result<Self> {
        if self.output_padding >= self.stride.max(self.dilation) {
            return invalid!(
                "{} = {} must be less than {} = {} or {} = {}",
                names.output_padding,
                self.output_padding,
                names.stride,
                self.stride,
                names.dilation,
                self.dilation
            );
        }
        let reached = (self.input - 1)
            .checked_mul(self.stride)
            .and_then(|last| last.checked_add(reach))
            .and_then(|reached| reached.checked_add(self.output_padding))
            .filter(|&reached| reached <= isize::MAX as usize)
            .ok_or_else(|| {
                Error::Overflow(text!(
                    "the output of {} = {} with {} = {} and {} = {} does not fit size_t",
                    names.input,
                    self.input,
                    names.stride,
                    self.stride,
                    names.kernel,
                    self.kernel
                ))
            })?;
        // The sum fits: that of the input and both does.
        if self.pad_before + self.pad_after >= reached {
            return invalid!(
                "{} = {} and {} = {} cut off all {reached} output positions",
                names.pad_before,
                self.pad_before,
                names.pad_after,
                self.pad_after
            );
        }
        self.output = reached - self.pad_before - self.pad_after;
        Ok(self)
    }
}

/// What refusals call the fields of an axis.
#[derive(Debug)]
pub(crate) struct AxisNames {
    input: &'static str,
    kernel: &'static str,
    stride: &'static str,
    dilation: &'static str,
    pad_before: &'static str,
    pad_after: &'static str,
    output_padding: &'static str,
    output: &'static str,
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
    const PLANES: Self = axis_names!("depth", "pad_front", "pad_back");
    const ROWS: Self = axis_names!("height", "pad_top", "pad_bottom");
    const COLS: Self = axis_names!("width", "pad_left", "pad_right");

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

/// What a convolution may be beyond the plain one, which is two-dimensional, of packed tensors, and whose outputs see all
/// channels: each algorithm names the kinds that it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In groups of channels.
    Grouped,
    /// Transposed.
    Transposed,
    /// Three-dimensional.
    Volume,
    /// On tensors that are slices of wider ones.
    Strided,
    /// Of float64.
    Float64,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Grouped, Kind::Transposed, Kind::Volume, Kind::Strided, Kind::Float64];
}

/// How far apart the elements of a tensor lie that is a slice of a wider one, in elements; 0 where it is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Strides {
    /// With channels last from pixel to pixel, with channels first from plane to plane (a plane's rows are dense).
    pub channel: usize,
    /// From image to image.
    pub batch: usize,
}

impl Strides {
    /// No slice.
    pub const PACKED: Self = Self { channel: 0, batch: 0 };
}

/// The sizes of a tensor, and how it lies.
struct Extent {
    batch: usize,
    channels: usize,
    pixels: usize,
    layout: Layout,
    strides: Strides,
}

impl Extent {
    /// What lies dense in each step of `strides.channel`, and how many such steps an image has.
    fn runs(&self) -> (usize, usize) {
        match self.layout {
            Layout::Nhwc => (self.channels, self.pixels),
            Layout::Nchw => (self.pixels, self.channels),
        }
    }

    fn channel_stride(&self) -> usize {
        if self.strides.channel == 0 { self.runs().0 } else { self.strides.channel }
    }

    fn batch_stride(&self) -> usize {
        if self.strides.batch == 0 { self.channel_stride() * self.runs().1 } else { self.strides.batch }
    }

    /// Elements of an image from the first to behind the last.
    fn image_len(&self) -> usize {
        let (run, runs) = self.runs();
        (runs - 1) * self.channel_stride() + run
    }

    /// The same of all images.
    fn len(&self) -> usize {
        (self.batch - 1) * self.batch_stride() + self.image_len()
    }

    /// The strides, checked; those that are as packed tensors have them are 0.
    fn checked(&self, name: &str, data_type: DataType) -> Result<Strides> {
        let (run, runs) = self.runs();
        let Strides { channel, batch } = self.strides;
        let (what, count) = match self.layout {
            Layout::Nhwc => ("channels of a pixel", self.channels),
            Layout::Nchw => ("pixels of a plane", self.pixels),
        };
        if channel != 0 && channel < run {
            return invalid!("{name}_channel_stride = {channel} is less than the {count} {what}");
        }
        let overflow = || {
            Error::Overflow(text!(
                "the bytes of {name} do not fit size_t ({name}_channel_stride = {channel}, {name}_batch_stride = {batch})"
            ))
        };
        let image = (runs - 1)
            .checked_mul(self.channel_stride())
            .and_then(|last| last.checked_add(run))
            .ok_or_else(overflow)?;
        if batch != 0 && batch < image {
            return invalid!("{name}_batch_stride = {batch} is less than the {image} elements of an image");
        }
        let packed = self.channel_stride().checked_mul(runs).ok_or_else(overflow)?;
        let last = (self.batch - 1).checked_mul(if batch == 0 { packed } else { batch });
        last.and_then(|last| last.checked_add(image))
            .filter(|&len| len <= isize::MAX as usize / data_type.bytes())
            .ok_or_else(overflow)?;
        let unless = |value: usize, packed: usize| if value == packed { 0 } else { value };
        Ok(Strides { channel: unless(channel, run), batch: unless(batch, packed) })
    }
}

/// A convolution of one, two or three dimensions whose fields agree and whose sizes fit memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// What the elements are.
    pub data_type: DataType,
    /// N: images.
    pub batch: usize,
    /// C: input channels of all groups.
    pub in_channels: usize,
    /// M: output channels of all groups.
    pub out_channels: usize,
    /// Groups, each a convolution of C/groups to M/groups channels of its own.
    pub groups: usize,
    /// The axis of planes, outermost; [`Axis::ONE`] in two dimensions.
    pub planes: Axis,
    /// The vertical axis: H, Kh, OH; [`Axis::ONE`] in one dimension.
    pub rows: Axis,
    /// The horizontal axis: W, Kw, OW.
    pub cols: Axis,
    /// Layout of the input.
    pub src_layout: Layout,
    /// Layout of the output.
    pub dst_layout: Layout,
    /// Layout of the weights before packing.
    pub weights_layout: WeightsLayout,
    /// Where the input is a slice.
    pub src_strides: Strides,
    /// Where the output is a slice.
    pub dst_strides: Strides,
    /// Applied last.
    pub clamp: Option<Clamp>,
    /// dst = clamp(convolution + bias + dst).
    pub accumulate: bool,
}

impl Problem {
    /// One channel of one pixel under one tap, float32, NCHW and OIHW: what others differ from.
    pub const UNIT: Self = Self {
        data_type: DataType::F32,
        batch: 1,
        in_channels: 1,
        out_channels: 1,
        groups: 1,
        planes: Axis::ONE,
        rows: Axis::ONE,
        cols: Axis::ONE,
        src_layout: Layout::Nchw,
        dst_layout: Layout::Nchw,
        weights_layout: WeightsLayout::Oihw,
        src_strides: Strides::PACKED,
        dst_strides: Strides::PACKED,
        clamp: None,
        accumulate: false,
    };

    /// Checks the fields against each other, computes the output size and makes sure that every tensor's
    /// bytes and the number of multiplications can be counted. The axes' `output` is ignored.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names the field that makes no sense; [`Error::Overflow`] the size that
    /// does not fit.
    pub fn new(problem: Problem) -> Result<Self> {
        Self::named(problem, AxisNames::NAMED)
    }

    /// [`Problem::new`] with other names of the axes in refusals.
    pub(crate) fn named(mut problem: Problem, names: [&AxisNames; 3]) -> Result<Self> {
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
        problem.planes.transposed = problem.cols.transposed;
        problem.rows.transposed = problem.cols.transposed;
        problem.planes = problem.planes.complete(names[0])?;
        problem.rows = problem.rows.complete(names[1])?;
        problem.cols = problem.cols.complete(names[2])?;
        if let Some(Clamp { min, max }) = problem.clamp {
            if min.is_nan() || max.is_nan() || min > max {
                return invalid!("activation_min = {min} and activation_max = {max} do not enclose a range");
            }
        }
        let (batch, input, output) = (
            ("batch", problem.batch),
            ("in_channels", problem.in_channels),
            ("out_channels", problem.out_channels),
        );
        let of_group = ("in_channels / groups", problem.group_in());
        let axes = || names.into_iter().zip(problem.axes()).skip(usize::from(!problem.is(Kind::Volume)));
        let inputs = axes().map(|(names, axis)| (names.input, axis.input));
        let kernel = axes().map(|(names, axis)| (names.kernel, axis.kernel));
        let outputs = axes().map(|(names, axis)| (names.output, axis.output));
        let most = isize::MAX as usize / problem.data_type.bytes();
        checked("bytes of src do", most, [batch, input].into_iter().chain(inputs.clone()))?;
        checked("bytes of dst do", most, [batch, output].into_iter().chain(outputs.clone()))?;
        checked("bytes of the weights do", most, [output, of_group].into_iter().chain(kernel.clone()))?;
        let factors = [batch, output, of_group].into_iter().chain(kernel);
        checked("number of multiplications does", usize::MAX, factors.clone().chain(outputs))?;
        if problem.is(Kind::Transposed) {
            checked("number of multiplications does", usize::MAX, factors.chain(inputs))?;
        }
        let src_strides = problem.src_extent().checked("src", problem.data_type)?;
        let dst_strides = problem.dst_extent().checked("dst", problem.data_type)?;
        Ok(Self { src_strides, dst_strides, ..problem })
    }

    /// So many bytes in elements.
    pub(crate) const fn elements(&self, bytes: usize) -> usize {
        bytes / self.data_type.bytes()
    }

    /// Whether it is of this kind.
    pub fn is(&self, kind: Kind) -> bool {
        match kind {
            Kind::Grouped => self.groups > 1,
            Kind::Transposed => self.cols.transposed,
            Kind::Volume => self.planes != Axis { transposed: self.planes.transposed, ..Axis::ONE },
            Kind::Strided => (self.src_strides, self.dst_strides) != (Strides::PACKED, Strides::PACKED),
            Kind::Float64 => self.data_type == DataType::F64,
        }
    }

    /// Taps from one of an axis to the next, where all are counted as one row.
    fn tap_strides(&self) -> [usize; 3] {
        [self.rows.kernel * self.cols.kernel, self.cols.kernel, 1]
    }

    /// The first tap of a class, counted so.
    pub(crate) fn first_tap(&self, classes: [&Class; 3]) -> usize {
        self.tap_strides().iter().zip(classes).map(|(stride, class)| class.first_tap * stride).sum()
    }

    /// From one tap of a class to the next on each axis: input positions, and taps counted so. Places wrap around where
    /// taps run backwards.
    pub(crate) fn class_steps(&self) -> [(usize, usize); 3] {
        let (axes, strides) = (self.axes(), self.tap_strides());
        std::array::from_fn(|at| {
            let (positions, taps) = axes[at].class_steps();
            (positions, taps.wrapping_mul(strides[at]))
        })
    }

    /// How the caller's weights lie.
    pub(crate) fn weight_strides(&self) -> WeightStrides {
        let (taps, all_in, all_out) = (self.taps(), self.in_channels, self.out_channels);
        let (c, m) = (self.group_in(), self.group_out());
        let [group, output, input, tap] = match (self.weights_layout, self.is(Kind::Transposed)) {
            (WeightsLayout::Oihw, false) => [m * c * taps, c * taps, taps, 1],
            (WeightsLayout::Oihw, true) => [c * m * taps, taps, m * taps, 1],
            (WeightsLayout::Hwio, false) => [m, 1, all_out, c * all_out],
            (WeightsLayout::Hwio, true) => [c, all_in, 1, m * all_in],
            (WeightsLayout::Ohwi, _) => [m * taps * c, taps * c, 1, c],
        };
        WeightStrides { group, output, input, tap }
    }

    /// Its axes, outermost first.
    pub fn axes(&self) -> [&Axis; 3] {
        [&self.planes, &self.rows, &self.cols]
    }

    fn src_extent(&self) -> Extent {
        Extent {
            batch: self.batch,
            channels: self.in_channels,
            pixels: self.in_pixels(),
            layout: self.src_layout,
            strides: self.src_strides,
        }
    }

    fn dst_extent(&self) -> Extent {
        Extent {
            batch: self.batch,
            channels: self.out_channels,
            pixels: self.out_pixels(),
            layout: self.dst_layout,
            strides: self.dst_strides,
        }
    }

    /// Elements of src and of dst from pixel to pixel with channels last, from plane to plane with channels first.
    pub fn channel_strides(&self) -> [usize; 2] {
        [self.src_extent().channel_stride(), self.dst_extent().channel_stride()]
    }

    /// Whether a src and a dst at these addresses are slices of one tensor that take turns in memory without a common element:
    /// they lie with the same period, and within one the one ends before the other begins.
    pub(crate) fn interleave(&self, src: usize, dst: usize) -> bool {
        let (of_src, of_dst) = (self.src_extent(), self.dst_extent());
        let ([src_step, dst_step], [src_image, dst_image]) = (self.channel_strides(), self.batch_strides());
        let evenly =
            self.batch == 1 || src_image.is_multiple_of(src_step) && dst_image.is_multiple_of(src_step);
        let (period, src_len, dst_len) = match (self.src_layout, self.dst_layout) {
            (Layout::Nhwc, Layout::Nhwc) if src_step == dst_step && evenly => {
                (src_step, self.in_channels, self.out_channels)
            }
            (Layout::Nchw, Layout::Nchw) if src_image == dst_image => {
                (src_image, of_src.image_len(), of_dst.image_len())
            }
            _ => return false,
        };
        let bytes = dst.wrapping_sub(src) as isize;
        let element = self.data_type.bytes() as isize;
        let between = (bytes / element).rem_euclid(period as isize) as usize;
        bytes % element == 0 && src_len <= between && between + dst_len <= period
    }

    /// Elements of src and of dst from image to image.
    pub fn batch_strides(&self) -> [usize; 2] {
        [self.src_extent().batch_stride(), self.dst_extent().batch_stride()]
    }

    /// C/groups: input channels of one group.
    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    /// M/groups: output channels of one group.
    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Kernel planes·Kh·Kw.
    pub fn taps(&self) -> usize {
        self.planes.kernel * self.rows.kernel * self.cols.kernel
    }

    /// C/groups·taps: products in one output, the depth of the patch matrix.
    pub fn depth(&self) -> usize {
        self.group_in() * self.taps()
    }

    /// Input planes·H·W.
    pub fn in_pixels(&self) -> usize {
        self.planes.input * self.rows.input * self.cols.input
    }

    /// Output planes·OH·OW.
    pub fn out_pixels(&self) -> usize {
        self.planes.output * self.rows.output * self.cols.output
    }

    /// Floats of src, with what lies between them if it is a slice.
    pub fn src_len(&self) -> usize {
        self.src_extent().len()
    }

    /// Floats of dst, with what lies between them if it is a slice.
    pub fn dst_len(&self) -> usize {
        self.dst_extent().len()
    }

    /// Floats of the weights.
    pub fn weights_len(&self) -> usize {
        self.out_channels * self.depth()
    }

    /// Multiplications of the definition, padding counted; of a transposed convolution what is cut off, too.
    pub fn macs(&self) -> usize {
        let pixels = if self.is(Kind::Transposed) { self.in_pixels() } else { self.out_pixels() };
        self.batch * self.out_channels * pixels * self.depth()
    }

    /// Whether all strides are 1.
    pub fn unit_stride(&self) -> bool {
        self.axes().iter().all(|axis| axis.stride == 1)
    }
}

/// Makes sure that the product of named sizes is at most `most`.
fn checked(
    what: &str,
    most: usize,
    sizes: impl Iterator<Item = (&'static str, usize)> + Clone,
) -> Result<()> {
    struct Product<I>(I);
    impl<I: Iterator<Item = (&'static str, usize)> + Clone> fmt::Display for Product<I> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for (index, (name, size)) in self.0.clone().enumerate() {
                write!(f, "{}{name} = {size}", if index > 0 { ", " } else { "" })?;
            }
            Ok(())
        }
    }
    let product = sizes.clone().try_fold(1usize, |all, (_, size)| all.checked_mul(size));
    if product.is_none_or(|product| product > most) {
        return Err(Error::Overflow(text!("the {what} not fit size_t ({})", Product(sizes))));
    }
    Ok(())
}

/// The largest size up to `all` that fits, 0 if none does. Larger ones take more.
pub(crate) fn most_fitting(all: usize, fits: impl Fn(usize) -> bool) -> usize {
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
                            let axis = Axis {
                                stride,
                                dilation,
                                pad_before,
                                pad_after,
                                ..Axis::dense(input, kernel)
                            };
                            let Ok(axis) = axis.complete(&AxisNames::ROWS) else {
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
                for transposed in [false, true] {
                    let output_padding = if transposed { output_padding } else { 0 };
                    let axis = Axis {
                        stride,
                        dilation,
                        pad_before,
                        pad_after,
                        transposed,
                        output_padding,
                        ..Axis::dense(input, kernel)
                    };
                    let Ok(axis) = axis.complete(&AxisNames::ROWS) else { continue };
                    axes += 1;
                    for outputs in 1..12 {
                        let other = axis.with_outputs(outputs);
                        assert_eq!(other.complete(&AxisNames::ROWS), Ok(other), "{axis:?}, {outputs}");
                        assert_eq!((other.output, other.kernel, other.stride), (outputs, kernel, stride));
                        let again = other.with_outputs(outputs);
                        assert_eq!(again, other, "{axis:?}, {outputs}");
                    }
                }
            }
        }
        assert!(axes > 500, "only {axes} axes were valid");
    }
}
