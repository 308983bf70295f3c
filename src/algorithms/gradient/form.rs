//! [`Form`]: which tensor holds the factors of rows, and which those of lanes.

use std::ops::Range;

use convlow_kernels::gradient::{Extent, lanes_of_tile, lanes_of_vector};
use convlow_kernels::isa::{Length, halves_are_as_fast};

use crate::algorithms::algorithm::{Declined, Limits, ReadyGradient, Roles};
use crate::computed::Computed;
use crate::problem::{Axis, DataType, Kind, Layout, Problem};

/// The gradient of a problem's weights as sums of products over pixels.
///
/// The factors of lanes come from the tensor whose pixels are summed over, those of rows from the one that its windows lie on.
/// In an ordinary convolution these are the gradient of dst and src; in a transposed one src and the gradient of dst. With
/// stride 1 each of both may be either, the taps turned round: the one whose channels fill vectors better holds the lanes.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// A problem whose src is the tensor of rows.
    pub rows: Problem,
    /// A problem whose src is the tensor of lanes.
    pub lanes: Problem,
    /// How the pixels of lanes see those of rows: as outputs of an ordinary convolution see its inputs.
    pub axes: [Axis; 3],
    /// Where the weights lie.
    pub extent: Extent,
    /// Whether taps count from the last one.
    pub turned_round: bool,
    /// Whether each lane has rows of its own: all groups are one, and a lane reads the inputs of its group.
    pub each_lane: bool,
    /// Whether the gradient of dst is the tensor of lanes.
    pub lanes_are_diff_dst: bool,
    /// The vectors that serve.
    pub length: Length,
}

/// The vectors that serve so many lanes: shorter ones where they are as fast, and the last one would be at most half full.
fn length_for(lanes: usize, vector: impl Fn(Length) -> usize) -> Length {
    const MOST_LANES: usize = 96;
    let [whole, half] = [Length::Whole, Length::Half].map(vector);
    let left = lanes % whole;
    let is_half = halves_are_as_fast() && lanes <= MOST_LANES && left > 0 && left <= half;
    if is_half { Length::Half } else { Length::Whole }
}

/// The share of a register tile's time in which it multiplies, for so many lanes of a group.
fn filled(lanes: usize, vector: usize) -> f64 {
    let vectors = lanes.div_ceil(vector);
    let of_tile = match vectors {
        1 => 0.6,
        2 => 0.85,
        3 => 0.95,
        _ => 1.0,
    };
    of_tile * lanes as f64 / (vectors * vector) as f64
}

impl Form {
    /// That of a problem by the definition: the lanes are output channels of the convolution.
    pub fn by_definition(problem: &Problem) -> Self {
        let Computed { problem: computed, source } = Computed::new(problem);
        let extent = Extent {
            groups: computed.groups,
            counts: [computed.group_out(), computed.group_in(), computed.taps()],
            group: source.group,
            steps: [source.output, source.input, source.tap],
        };
        Self {
            rows: computed,
            lanes: computed.exchanged(),
            axes: computed.axes().map(|axis| *axis),
            extent,
            turned_round: false,
            each_lane: false,
            lanes_are_diff_dst: !problem.is(Kind::Transposed),
            length: Length::Whole,
        }
    }

    /// That of a problem which register tiles compute fastest.
    pub fn in_registers(problem: &Problem) -> Self {
        let vector = |length: Length| match problem.data_type {
            DataType::F32 => lanes_of_vector::<f32>(length),
            DataType::F64 => lanes_of_vector::<f64>(length),
        };
        let form = Self::by_definition(problem);
        let form = Self { length: length_for(form.extent.counts[0], vector), ..form };
        let extent = form.extent;
        let [lanes, inputs, taps] = extent.counts;
        if lanes < vector(form.length) && extent.groups > 1 && extent.group == lanes * extent.steps[0] {
            return form.of_each_lane(Length::Whole);
        }
        // Weights whose lanes lie side by side are written fastest.
        let side_by_side = [extent.steps[1] == 1, extent.steps[0] == 1].map(|are| are && taps == 1);
        let gain = match side_by_side {
            [true, false] => 0.97,
            _ => 1.1,
        };
        let of_turned = length_for(inputs, vector);
        let pays = filled(inputs, vector(of_turned)) > gain * filled(lanes, vector(form.length));
        let turned = form.turned().filter(|_| pays);
        turned.map_or(form, |turned| Self { length: of_turned, ..turned })
    }

    /// Whether the factors of rows are read where they lie. A row's need no neighbours, unless each lane has its own.
    pub fn rows_in_place(&self) -> bool {
        match self.each_lane {
            true => self.is_in_place(&self.rows) && self.of_group() == [1, 1],
            false => !self.rows.src_is_slice(),
        }
    }

    /// Lanes of a register tile at most.
    pub fn lanes_of_tile(&self) -> usize {
        match self.rows.data_type {
            DataType::F32 => lanes_of_tile::<f32>(self.length),
            DataType::F64 => lanes_of_tile::<f64>(self.length),
        }
    }

    /// Whether the factors of lanes can be read where they lie, in blocks of whole vectors.
    pub fn lanes_in_place(&self) -> bool {
        self.is_in_place(&self.lanes)
    }

    /// Channels that lie side by side need not be moved.
    fn is_in_place(&self, tensor: &Problem) -> bool {
        tensor.src_layout == Layout::Nhwc && !tensor.src_is_slice()
    }

    /// All groups as one, in which each lane has rows of its own.
    fn of_each_lane(self, length: Length) -> Self {
        let Extent { groups, counts: [lanes, inputs, taps], .. } = self.extent;
        let extent = Extent { groups: 1, counts: [groups * lanes, inputs, taps], ..self.extent };
        Self { extent, each_lane: true, length, ..self }
    }

    /// The same with rows and lanes exchanged, if stride and padding allow it.
    fn turned(&self) -> Option<Self> {
        let [Some(planes), Some(rows), Some(cols)] = self.axes.each_ref().map(turned_axis) else {
            return None;
        };
        let Extent { counts: [lanes, inputs, taps], steps: [of_lane, of_input, of_tap], .. } = self.extent;
        let extent =
            Extent { counts: [inputs, lanes, taps], steps: [of_input, of_lane, of_tap], ..self.extent };
        Some(Self {
            rows: self.lanes,
            lanes: self.rows,
            axes: [planes, rows, cols],
            extent,
            turned_round: !self.turned_round,
            lanes_are_diff_dst: !self.lanes_are_diff_dst,
            ..*self
        })
    }

    /// Which tensor is which.
    pub fn roles(&self) -> Roles<'_> {
        let Self { rows, lanes, lanes_are_diff_dst, .. } = self;
        Roles { rows, lanes, lanes_are_diff_dst: *lanes_are_diff_dst }
    }

    /// Images of both tensors.
    pub fn batch(&self) -> usize {
        self.rows.batch
    }

    /// Whether one of both tensors has no pixel.
    #[cfg(feature = "gemm")]
    pub fn sees_nothing(&self) -> bool {
        self.rows.in_pixels() == 0 || self.lanes.in_pixels() == 0
    }

    /// Channels of dst.
    pub fn channels_of_dst(&self) -> usize {
        if self.lanes_are_diff_dst { self.lanes.in_channels } else { self.rows.in_channels }
    }

    /// Channels of a group in the tensor of lanes, and in that of rows.
    pub fn of_group(&self) -> [usize; 2] {
        [self.lanes.group_in(), self.rows.group_in()]
    }

    /// The pixels that are summed over: images, planes, rows and columns.
    pub fn pixels(&self) -> [usize; 4] {
        let [planes, rows, cols] = &self.axes;
        [self.batch(), planes.output, rows.output, cols.output]
    }

    /// The taps by which the pixels of lanes see those of rows, on each axis, for some neighbouring taps of the weights: whole rows
    /// of the kernel, or taps of one row.
    pub fn taps_of_lanes(&self, taps: &Range<usize>) -> [Range<usize>; 3] {
        let [planes, rows, cols] = self.kernel();
        let start = if self.turned_round { planes * rows * cols - taps.end } else { taps.start };
        let first = [start / (rows * cols), start / cols % rows, start % cols];
        let len = taps.len();
        let counts = [len.div_ceil(rows * cols), len.div_ceil(cols).min(rows), len.min(cols)];
        std::array::from_fn(|at| first[at]..first[at] + counts[at])
    }

    /// Taps of each axis.
    pub fn kernel(&self) -> [usize; 3] {
        self.axes.each_ref().map(|axis| axis.kernel)
    }
}

/// An axis on which what were inputs are outputs.
fn turned_axis(axis: &Axis) -> Option<Axis> {
    let reach = (axis.kernel - 1).checked_mul(axis.dilation)?;
    let pad_before = reach.checked_sub(axis.pad_before).filter(|_| axis.stride == 1)?;
    Some(Axis { input: axis.output, output: axis.input, pad_before, pad_after: 0, ..*axis })
}

/// An algorithm for the gradient of the weights, with its variant fixed.
pub trait GradientAlgorithm: Sync {
    /// Decides once how the gradient is computed within the limits.
    ///
    /// # Errors
    /// The condition that the problem fails.
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn ReadyGradient>, Declined>;
}
