//! [`Problem`]: a convolution that is valid by construction. All arithmetic of sizes is here.

mod axis;
mod extent;

pub(crate) use convlow_kernels::axis::{common, most_fitting};
use convlow_kernels::geometry::Geometry;
pub use convlow_kernels::{
    activation::Activation,
    axis::{Axis, Operation},
    data_type::{DataType, Layout},
};

use convlow_base::error::{Error, Result, invalid, text};

use self::axis::complete;
pub(crate) use self::axis::{AxisNames, with_outputs};
pub use self::extent::Strides;
use self::extent::{Extent, checked};

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

/// Which tensor of a convolution is computed from the others. A problem always describes the forward convolution: gradients
/// lie as the tensors whose gradients they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Propagation {
    /// dst from src, weights and bias.
    #[default]
    Forward,
    /// The gradient of src from the gradient of dst and the weights.
    BackwardData,
    /// The gradients of the weights and of the bias from src and the gradient of dst.
    BackwardWeights,
}

impl Propagation {
    /// The constant's name, without what all have in common.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Propagation::Forward => "FORWARD",
            Propagation::BackwardData => "BACKWARD_DATA",
            Propagation::BackwardWeights => "BACKWARD_WEIGHTS",
        }
    }
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
    /// Whether the taps are read from the last one to the first.
    pub turned_round: bool,
    /// Whether these outputs are the caller's input channels, and these inputs its output channels.
    pub exchanged: bool,
}

/// What a convolution may be beyond the plain one, which is two-dimensional, of packed tensors, and whose outputs see
/// all channels: each algorithm names the kinds that it computes.
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

/// A convolution of one, two or three dimensions whose fields agree and whose sizes fit memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Problem {
    /// What is computed.
    pub operation: Operation,
    /// Which of its tensors is computed.
    pub propagation: Propagation,
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
    pub activation: Activation,
    /// dst = activation(convolution + bias + dst); a gradient is added to what its tensor holds.
    pub accumulate: bool,
}

impl Problem {
    /// One channel of one pixel under one tap, float32, NCHW and OIHW: what others differ from.
    pub const UNIT: Self = Self {
        operation: Operation::Conv,
        propagation: Propagation::Forward,
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
        activation: Activation::None,
        accumulate: false,
    };

    /// Checks the fields against each other, computes the output size and makes sure that every tensor's
    /// bytes and the number of multiplications can be counted. The axes' `output` is ignored.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::Error::InvalidArgument) names the field that makes no sense;
    /// [`Overflow`](crate::Error::Overflow) the size that does not fit.
    pub fn new(problem: Problem) -> Result<Self> {
        Self::named(problem, AxisNames::NAMED)
    }

    /// [`Problem::new`] with other names of the axes in refusals.
    pub(crate) fn named(mut problem: Problem, names: [&AxisNames; 3]) -> Result<Self> {
        for (field, value) in [
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
        problem.planes = complete(problem.planes, problem.operation, names[0])?;
        problem.rows = complete(problem.rows, problem.operation, names[1])?;
        problem.cols = complete(problem.cols, problem.operation, names[2])?;
        check_parameters(problem.activation)?;
        if let Activation::Clamp { min, max } = problem.activation {
            if min.is_nan() || max.is_nan() || min > max {
                return invalid!("activation_min = {min} and activation_max = {max} do not enclose a range");
            }
        }
        if problem.propagation != Propagation::Forward && problem.activation != Activation::None {
            let name = problem.propagation.name();
            return Err(Error::Unsupported(text!("propagation = {name}, but activation is not NONE")));
        }
        problem.with_checked_sizes(names)
    }

    /// The same problem with its axes as they are, outputs among them, where its sizes and strides fit.
    pub(crate) fn with_checked_sizes(self, names: [&AxisNames; 3]) -> Result<Self> {
        let problem = self;
        let (batch, input, output) = (
            ("batch", problem.batch),
            ("in_channels", problem.in_channels),
            ("out_channels", problem.out_channels),
        );
        let of_group = ("in_channels / groups", problem.group_in());
        let axes = problem.axes();
        let skipped = usize::from(!problem.is(Kind::Volume));
        let inputs = &[0, 1, 2].map(|at| (names[at].input, axes[at].input))[skipped..];
        let kernel = &[0, 1, 2].map(|at| (names[at].kernel, axes[at].kernel))[skipped..];
        let outputs = &[0, 1, 2].map(|at| (names[at].output, axes[at].output))[skipped..];
        let most = isize::MAX as usize / problem.data_type.bytes();
        checked("bytes of src do", most, &[&[batch, input], inputs])?;
        checked("bytes of dst do", most, &[&[batch, output], outputs])?;
        checked("bytes of the weights do", most, &[&[output, of_group], kernel])?;
        let factors = &[batch, output, of_group];
        checked("number of multiplications does", usize::MAX, &[factors, kernel, outputs])?;
        if problem.is(Kind::Transposed) {
            checked("number of multiplications does", usize::MAX, &[factors, kernel, inputs])?;
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
            Kind::Transposed => self.operation == Operation::ConvTranspose,
            Kind::Volume => self.planes != Axis::ONE,
            Kind::Strided => (self.src_strides, self.dst_strides) != (Strides::PACKED, Strides::PACKED),
            Kind::Float64 => self.data_type == DataType::F64,
        }
    }

    /// Its axes, and how outputs map to inputs along them.
    pub fn geometry(&self) -> Geometry {
        Geometry { operation: self.operation, axes: [self.planes, self.rows, self.cols] }
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
        WeightStrides { group, output, input, tap, turned_round: false, exchanged: false }
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

    /// Whether a src and a dst at these addresses are slices of one tensor that take turns in memory without a common
    /// element: they lie with the same period, and within one the one ends before the other begins.
    pub(crate) fn interleave(&self, src: usize, dst: usize) -> bool {
        if self.sums_nothing() {
            return false;
        }
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

    /// Whether src is a slice of a wider tensor.
    #[cfg(feature = "training")]
    pub(crate) fn src_is_slice(&self) -> bool {
        self.src_len() != self.batch * self.in_channels * self.in_pixels()
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

    /// Whether no output sees any input: there are no outputs, or none of the input.
    pub fn sums_nothing(&self) -> bool {
        self.src_len() == 0 || self.dst_len() == 0
    }

    /// The same layer on an image, where this one has none: of one output on axes of none, and of the least input
    /// that these see. What is prepared for it packs the weights as for any image.
    ///
    /// # Errors
    /// [`Overflow`](crate::Error::Overflow) if such an image does not fit.
    pub(crate) fn on_some_image(&self) -> Result<Self> {
        let axis = |axis: &Axis| match axis.input {
            0 => with_outputs(axis, self.operation, axis.output.max(1)),
            _ => *axis,
        };
        Self::new(self.on_other_images(self.batch.max(1), axis))
    }

    /// The same layer on so many packed images with other axes, unchecked.
    pub(crate) fn on_other_images(&self, batch: usize, axis: impl Fn(&Axis) -> Axis) -> Self {
        let [planes, rows, cols] = self.axes().map(axis);
        Self {
            batch,
            planes,
            rows,
            cols,
            src_strides: Strides::PACKED,
            dst_strides: Strides::PACKED,
            ..*self
        }
    }

    /// Whether there are fewer outputs than windows of the input, as in the gradient of the data of a transposed convolution
    /// whose output padding is no less than its stride.
    pub(crate) fn leaves_out_windows(&self) -> bool {
        let windows = |axis: &Axis| {
            let padded = axis.input + axis.pad_before + axis.pad_after;
            let left = padded.checked_sub((axis.kernel - 1) * axis.dilation + 1);
            left.map_or(0, |left| left / axis.stride + 1)
        };
        self.operation == Operation::Conv && self.axes().iter().any(|axis| axis.output < windows(axis))
    }

    /// Whether all strides are 1.
    pub fn unit_stride(&self) -> bool {
        self.axes().iter().all(|axis| axis.stride == 1)
    }
}

/// Makes sure that an activation's parameters are numbers.
fn check_parameters(activation: Activation) -> Result<()> {
    let [alpha, beta] = activation.alpha_and_beta();
    for (name, value) in [("activation_alpha", alpha), ("activation_beta", beta)] {
        if !value.is_finite() {
            return invalid!("{name} = {value}, but it must be finite");
        }
    }
    Ok(())
}

/// The product of sizes, or `None` if it does not fit.
pub(crate) fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size))
}
