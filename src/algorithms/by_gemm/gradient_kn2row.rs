//! `gradient-kn2row`: dw\[·, ·, i, j\] = Σ of x\[pixels × C\]ᵀ·dy\[pixels × M\] over runs of output pixels, straight on the rows
//! of both tensors, clipped to the columns that the tap sees, one tap after the other.
//! Workspace: 0 where the gradient of a tap is a matrix of the caller's weights (HWIO, OHWI, a single tap); else Cb·Mb for that
//! of a block of channels. Columns of an NCHW src that lie a stride apart are copied, P pixels at a time: P·Cb.
//! Wins in NHWC if a GEMM is required, rows are long, and there are many channels.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), clipped as in arXiv 1709.03395, the product turned round.

use convlow_kernels::gradient::{BlockMut, Extent, Partition, WeightsMut};
use convlow_kernels::image::Image;
use convlow_kernels::matrix::{Matrix, MatrixMut, Operand};

use crate::algorithms::algorithm::{
    Declined, Element, GradientUnit, Limits, PreparedGradient, ReadyGradient, Roles, Scratch, boxed_gradient,
};
use crate::algorithms::cost::{Calls, Cost, work};
use crate::algorithms::gradient::{Form, GradientAlgorithm, PIXELS_OF_PART, bias};
use crate::algorithms::tiling::channels_of_block;
use crate::lowering::patches::gather;
use crate::problem::{Layout, Problem};
use crate::tiles::for_each_block;

/// One GEMM a tap and run of pixels.
pub struct GradientKn2row;

/// Bytes of the lanes of a block of a tap's gradient, and its rows, if there are more.
const LANE_BYTES: usize = 1024;
const ROWS: usize = 128;
/// Bytes of the columns that are copied at once.
const COLUMN_BYTES: usize = 64 << 10;
/// Blocks to have, if the sizes allow: enough for several threads to finish together.
const BLOCKS: usize = 8;
/// The fewest lanes to which a block is reduced for that.
const LEAST_LANES: usize = 64;
/// Lanes of a block of the bias, whose sums and pixels lie on the stack.
pub const BIAS_LANES: usize = 64;

struct PreparedGradientKn2row {
    form: Form,
    /// Whether lanes are input channels, which lie side by side in the weights.
    lanes_are_inputs: bool,
    partition: Partition,
    /// The most pixels of a call.
    most_pixels: usize,
    /// Elements of the columns that are copied for a call.
    columns: usize,
    scratch: Scratch,
}

/// Output pixels whose tap reads pixels that lie evenly apart.
struct Pixels {
    /// The first output pixel: plane, row and column.
    first: [usize; 3],
    count: usize,
}

impl GradientAlgorithm for GradientKn2row {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn ReadyGradient>, Declined> {
        let form = Form::by_definition(problem);
        let Extent { counts: [outputs, inputs, taps], steps: [of_output, of_input, of_tap], .. } =
            form.extent;
        let lanes_are_inputs = of_output != 1 && of_input == 1;
        let (counts, mut steps) = match lanes_are_inputs {
            true => ([inputs, outputs, taps], [of_input, of_output, of_tap]),
            false => ([outputs, inputs, taps], [of_output, of_input, of_tap]),
        };
        if counts[0] == 1 {
            steps[0] = 1;
        }
        let extent = Extent { counts, steps, ..form.extent };
        let of_lane = form.extent.groups.saturating_mul(taps);
        let most = (BLOCKS / of_lane.clamp(1, BLOCKS)).min(counts[0] / LEAST_LANES);
        let most_lanes = LANE_BYTES / problem.data_type.bytes();
        let lanes = channels_of_block(counts[0], counts[0].div_ceil(most_lanes).max(most));
        let block = [lanes, channels_of_block(counts[1], counts[1].div_ceil(ROWS)), 1];
        let partition = Partition { of: extent, block };
        let is_matrix = steps[0] == 1;
        let cols = &form.axes[2];
        let is_copied = form.rows.src_layout == Layout::Nchw && cols.step() > 1 && cols.output > 1;
        let read = block[usize::from(!lanes_are_inputs)];
        let most_pixels = match is_copied {
            true => (problem.elements(COLUMN_BYTES) / read).clamp(1, cols.output),
            false => PIXELS_OF_PART,
        };
        let columns = if is_copied { most_pixels * read } else { 0 };
        let elements = columns + if is_matrix { 0 } else { block[0] * block[1] };
        let scratch = Scratch::of_tiles(elements, partition.blocks(), limits)?;
        boxed_gradient(PreparedGradientKn2row {
            form,
            lanes_are_inputs,
            partition,
            most_pixels,
            columns,
            scratch,
        })
    }
}

impl PreparedGradientKn2row {
    /// Whether all columns see the tap, and rows lie in both tensors as if they were one.
    fn joins_rows(&self, tap: usize) -> bool {
        let [_, rows, cols] = &self.form.axes;
        let is_whole = cols.outputs_of_tap(tap).len() == cols.output;
        let is_even =
            cols.stride == 1 || self.form.rows.src_layout == Layout::Nhwc && cols.step() == cols.stride;
        is_whole && is_even && cols.output.checked_mul(cols.stride) == rows.stride.checked_mul(cols.input)
    }

    /// The runs of pixels that see a tap.
    fn runs(&self, [h, i, j]: [usize; 3]) -> impl Iterator<Item = Pixels> {
        let [planes, rows, cols] = self.form.axes;
        let (ys, xs) = (rows.outputs_of_tap(i), cols.outputs_of_tap(j));
        let (count, ys) = match self.joins_rows(j) && !ys.is_empty() {
            true => (ys.len() * xs.len(), ys.start..ys.start + 1),
            false => (xs.len(), if xs.is_empty() { 0..0 } else { ys }),
        };
        let at = move |z: usize| ys.clone().map(move |y| Pixels { first: [z, y, xs.start], count });
        planes.outputs_of_tap(h).flat_map(at)
    }

    /// Computes a block of the gradient of one tap.
    fn block<T: Element>(&self, unit: &GradientUnit<'_, T>, mut block: BlockMut<'_, T>, scratch: &mut [T]) {
        let [lanes, rows, taps] = block.block.ranges.clone();
        let group = block.block.group..block.block.group + 1;
        let (inputs, outputs) =
            if self.lanes_are_inputs { (lanes.clone(), rows.clone()) } else { (rows.clone(), lanes.clone()) };
        let (columns, sums) = scratch.split_at_mut(self.columns);
        let (tap, is_added) = (self.tap(taps.start), block.is_added());
        let matrix = block.matrix();
        let in_weights = matrix.is_some();
        let mut matrix =
            matrix.unwrap_or_else(|| MatrixMut::new(&mut *sums, rows.len(), lanes.len(), lanes.len()));
        let mut beta = if in_weights && is_added { T::ONE } else { T::ZERO };
        let images = if self.form.sees_nothing() { 0 } else { self.form.batch() };
        for (image, pixels) in (0..images).flat_map(|image| self.runs(tap).map(move |pixels| (image, pixels)))
        {
            let x = unit.rows.image(image, &group).channels_from(inputs.start);
            let dy = unit.lanes.image(image, &group).channels_from(outputs.start);
            for from in (0..pixels.count).step_by(self.most_pixels) {
                let [z, y, first] = pixels.first;
                let pixels =
                    Pixels { first: [z, y, first + from], count: self.most_pixels.min(pixels.count - from) };
                let x = self.inputs(&x, (tap, &pixels), inputs.len(), columns);
                let layout = self.form.lanes.src_layout;
                let dy = operand(&dy, layout, (pixels.first, pixels.count), outputs.len(), 1);
                let (first, second) = if self.lanes_are_inputs { (dy, x) } else { (x, dy) };
                unit.multiply(matrix.reborrow(), first.t(), second, beta);
                beta = T::ONE;
            }
        }
        if beta == T::ZERO {
            matrix.fill(T::ZERO);
        }
        if !in_weights {
            block.write(sums, lanes.len());
        }
    }

    /// The pixels that a run sees by a tap × channels.
    fn inputs<'a, T: Element>(
        &self,
        image: &Image<'a, T>,
        (tap, pixels): ([usize; 3], &Pixels),
        channels: usize,
        columns: &'a mut [T],
    ) -> Operand<'a, T> {
        let cols = &self.form.axes[2];
        let first = std::array::from_fn(|at| self.form.axes[at].input_of(pixels.first[at], tap[at]));
        if self.columns == 0 || pixels.count == 1 {
            let layout = self.form.rows.src_layout;
            return operand(image, layout, (first, pixels.count), channels, cols.step());
        }
        let [z, y, x] = first;
        for (channel, to) in columns.chunks_exact_mut(pixels.count).take(channels).enumerate() {
            let from = image.planes_from(z).at(channel, y, x).run(0, (pixels.count - 1) * cols.stride + 1);
            gather(to, from, cols.stride);
        }
        Matrix::new(&*columns, channels, pixels.count, pixels.count).t()
    }

    /// A tap of all axes as one of each.
    fn tap(&self, tap: usize) -> [usize; 3] {
        let [_, rows, cols] = self.form.kernel();
        [tap / (rows * cols), tap / cols % rows, tap % cols]
    }

    /// How many calls each block and image takes, for all taps.
    fn calls(&self) -> usize {
        let [planes, rows, cols] = &self.form.axes;
        let of_run = |pixels: usize| pixels.div_ceil(self.most_pixels);
        let of_rows = |tap: usize| match self.joins_rows(tap) {
            true => (0..rows.kernel).map(|row| of_run(rows.outputs_of_tap(row).len() * cols.output)).sum(),
            false => rows.count_inside() * of_run(cols.outputs_of_tap(tap).len()),
        };
        planes.count_inside().saturating_mul((0..cols.kernel).map(of_rows).sum())
    }
}

/// Some pixels × channels of an image from one pixel on, `step` pixels of a row apart: in planes, they lie side by side.
fn operand<'a, T: Element>(
    image: &Image<'a, T>,
    layout: Layout,
    ([z, y, x], pixels): ([usize; 3], usize),
    channels: usize,
    step: usize,
) -> Operand<'a, T> {
    let from = image.planes_from(z).at(0, y, x);
    match layout {
        Layout::Nchw => Matrix::new(from, channels, pixels, image.channel).t(),
        Layout::Nhwc => Matrix::new(from, pixels, channels, step * image.pixel).into(),
    }
}

impl PreparedGradient for PreparedGradientKn2row {
    fn roles(&self) -> Roles<'_> {
        self.form.roles()
    }

    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn cost(&self) -> Cost {
        let Self { form, partition, .. } = self;
        let [lanes, rows, _] = partition.block;
        let blocks = partition.blocks() / partition.of.counts[2].max(1);
        let macs = form.axes.iter().map(|axis| axis.count_inside() as f64).product::<f64>();
        let calls = Calls {
            shape: [rows, lanes, form.axes[2].output.min(self.most_pixels)],
            count: self.calls().saturating_mul(blocks).saturating_mul(form.batch()),
            macs: macs
                * work(&[form.batch(), form.extent.groups, partition.of.counts[0], partition.of.counts[1]]),
            plane: 0,
        };
        let largest = [&form.rows, &form.lanes].map(|tensor| tensor.channel_strides()[0]);
        Cost {
            calls: Some(calls),
            largest_size: largest[0].saturating_mul(form.axes[2].step()).max(largest[1]).max(PIXELS_OF_PART),
            tiles: partition.blocks(),
            scattered: if self.scratch.elements == self.columns { 0.0 } else { work(&partition.of.counts) },
            ..Cost::default()
        }
    }

    fn run<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T]) {
        bias(unit, (BIAS_LANES, self.form.length), &mut [], unit.pool.threads());
        let Some(weights) = unit.diff_weights.take() else { return };
        let weights = WeightsMut::new(weights, self.partition, unit.accumulate);
        let unit = &*unit;
        for_each_block(unit.pool, &weights, None, scratch, self.scratch.slots, |block, _, scratch| {
            self.block(unit, block, scratch);
        });
    }
}
