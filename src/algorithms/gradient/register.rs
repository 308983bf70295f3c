//! `gradient-register`: dw\[block\] = Σ of products over the pixels of a strip in registers, strip after strip. A block of the
//! gradient, some output channels × input channels × taps, belongs to one thread, whose sums lie in scratch until the last
//! strip. The output channels of a register tile are moved to scratch, too, for the pixels of a strip, so that they lie side by
//! side in the first cache level; input channels are read where they lie, unless the tensor is a slice.
//! Workspace: (T·Cb+1)·Mb + P·Mb + W·Cb for each thread, T the taps of a block, Cb × Mb its channels, P the pixels of a strip
//! and W those that they see; at most 256 KiB. W = 0 for input channels in place, and P = 0 for the output channels of a dense
//! NHWC tensor where Mb is one register tile. Of a few channels a group each output channel has input channels of its own: P = W =
//! 0 for dense NHWC tensors of one channel a group alone. Blocks shrink if the limit requires it, to what the stack has room for.
//! Source: kn2row's product a tap, turned round; the register tiles are this library's own.

use std::ops::Range;

use convlow_kernels::gradient::{
    BlockMut, LanePlaces, ProductSums, Rows, Run, WeightsMut, lanes_of_tile, lanes_of_vector,
};
use convlow_kernels::isa::Length;
use convlow_kernels::matrix::MatrixMut;

use super::bias::{add_bias, bias, nothing, partition};
use super::blocks::{Blocks, STACK};
use super::form::{Form, GradientAlgorithm};
use super::moved::{move_for_lanes, move_pixels};
use super::strips::{RunList, Seen, Window, whole};
use crate::algorithms::algorithm::{
    Declined, Element, GradientUnit, Limits, PreparedGradient, ReadyGradient, Roles, Scratch, boxed_gradient,
};
use crate::algorithms::cost::{Cost, work};
use crate::problem::{DataType, Layout, Problem};
use crate::tiles::for_each_block;

/// Register tiles over the pixels of strips.
pub struct GradientRegister;

/// Bytes of scratch of a thread.
const MOST_BYTES: usize = 256 << 10;

struct PreparedGradientRegister {
    form: Form,
    blocks: Blocks,
    scratch: Scratch,
}

impl GradientAlgorithm for GradientRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn ReadyGradient>, Declined> {
        let form = &Form::in_registers(problem);
        let data_type = form.rows.data_type;
        let vector = match data_type {
            DataType::F32 => lanes_of_vector::<f32>(form.length),
            DataType::F64 => lanes_of_vector::<f64>(form.length),
        };
        let most = (MOST_BYTES / data_type.bytes()).min(limits.elements);
        let in_scratch = Blocks::largest(form, vector, most).filter(|_| limits.elements > STACK);
        let (blocks, has_scratch) = match in_scratch {
            Some(blocks) => (blocks, true),
            None => (Blocks::largest(form, vector, STACK).ok_or(Scratch::OVERFLOW)?, false),
        };
        let blocks = blocks.for_threads(form, vector, limits.threads);
        let scratch = match has_scratch {
            true => Scratch::of_tiles(blocks.all(), blocks.partition.blocks(), limits)?,
            false => Scratch { elements: 0, slots: limits.threads },
        };
        boxed_gradient(PreparedGradientRegister { form: *form, blocks, scratch })
    }
}

/// Parts of the scratch of a block.
struct Parts<'a, T> {
    sums: &'a mut [T],
    of_bias: &'a mut [T],
    of_lanes: &'a mut [T],
    of_rows: &'a mut [T],
}

/// The block that is computed, and the tensors that it is computed of.
struct Job<'a, 'b, T> {
    unit: &'a GradientUnit<'b, T>,
    group: usize,
    lanes: Range<usize>,
    inputs: Range<usize>,
    /// Taps on each axis.
    taps: [Range<usize>; 3],
    /// Rows of sums from one input and from one tap to the next.
    sum_steps: [usize; 2],
    /// Lanes in whole vectors.
    ld: usize,
    /// Whether the factors are read where they lie: of rows, and of lanes.
    in_place: [bool; 2],
    /// What a sum of no products is: added to any number, it leaves its bits.
    nothing: T,
}

impl<T> Job<'_, '_, T> {
    /// Elements of a pixel of the factors of rows that are moved.
    fn of_pixel(&self, each_lane: bool) -> usize {
        self.inputs.len() * if each_lane { self.ld } else { 1 }
    }
}

impl PreparedGradientRegister {
    fn parts<'a, T: Element>(&self, scratch: &'a mut [T]) -> Parts<'a, T> {
        let [sums, of_lanes, _] = self.blocks.elements;
        let (sums, rest) = scratch.split_at_mut(sums);
        let (of_lanes, of_rows) = rest.split_at_mut(of_lanes);
        let (of_bias, sums) = sums.split_at_mut(self.blocks.lanes);
        Parts { sums, of_bias, of_lanes, of_rows }
    }

    /// Computes a block, and the bias of its lanes if there is one to be written.
    fn block<T: Element>(
        &self,
        unit: &GradientUnit<'_, T>,
        weights: &mut BlockMut<'_, T>,
        bias: Option<BlockMut<'_, T>>,
        scratch: &mut [T],
    ) {
        let Parts { sums, of_bias, of_lanes, of_rows } = self.parts(scratch);
        let [lanes, inputs, taps] = weights.block.ranges.clone();
        let ld = lanes.len().next_multiple_of(lanes_of_vector::<T>(self.form.length));
        let whole_vectors = ld == lanes.len();
        let job = Job {
            unit,
            group: weights.block.group,
            taps: self.form.taps_of_lanes(&taps),
            sum_steps: weights.block.sum_steps(),
            nothing: nothing(weights.is_added()),
            ld,
            in_place: [
                self.form.rows_in_place() && (whole_vectors || !self.form.each_lane),
                self.blocks.lanes_in_place(),
            ],
            lanes,
            inputs,
        };
        let rows = job.inputs.len() * taps.len();
        if !whole_vectors {
            // What no channel has a place for.
            of_lanes.fill(T::ZERO);
            of_rows.fill(T::ZERO);
        }
        let mut bias = bias;
        // Without a part that sums something, one that sums nothing.
        let nothing = [0..0, 0..0, 0..0, 0..0];
        let mut parts = self.blocks.parts.each().peekable();
        let none = parts.peek().is_none().then_some(nothing);
        for part in parts.chain(none) {
            of_bias.fill(job.nothing);
            let of_weights = if self.blocks.sums_in_place { weights.matrix() } else { None };
            let mut matrix = of_weights.unwrap_or_else(|| MatrixMut::new(&mut *sums, rows, ld, ld));
            let mut is_first = true;
            for strip in self.blocks.strips.of(&part) {
                let factors = [&mut *of_lanes, &mut *of_rows];
                let bias = bias.is_some().then_some(&mut *of_bias);
                self.strip(&job, &strip, is_first, bias, factors, matrix.reborrow());
                is_first = false;
            }
            if is_first {
                matrix.fill(job.nothing);
            }
            if !self.blocks.sums_in_place {
                weights.write(sums, ld);
            }
            if let Some(bias) = &mut bias {
                bias.write(of_bias, ld);
            }
        }
    }

    /// Adds a strip to the sums, which hold anything where it is the first.
    fn strip<T: Element>(
        &self,
        job: &Job<'_, '_, T>,
        strip: &[Range<usize>; 4],
        is_first: bool,
        of_bias: Option<&mut [T]>,
        [of_lanes, of_rows]: [&mut [T]; 2],
        sums: MatrixMut<'_, T>,
    ) {
        let axes = &self.form.axes;
        let [rows_in_place, lanes_in_place] = job.in_place;
        let (first, sizes) = match lanes_in_place {
            true => ([0; 4], axes.each_ref().map(|axis| axis.output)),
            false => {
                self.move_lanes(job, strip, of_lanes);
                let [_, planes, rows, cols] = strip.each_ref().map(ExactSizeIterator::len);
                (strip.each_ref().map(|range| range.start), [planes, rows, cols])
            }
        };
        let (seen, first_image) = match rows_in_place {
            true => (whole(axes.each_ref().map(|axis| 0..axis.input)), 0),
            false => {
                let seen = std::array::from_fn(|at| Seen::new(&axes[at], &strip[1 + at], &job.taps[at]));
                self.move_rows(job, &strip[0], &seen, of_rows);
                (seen, strip[0].start)
            }
        };
        let [of_group, inputs_of_group] = self.form.of_group();
        let of_lanes: &[T] = match lanes_in_place {
            true => job.unit.lanes.all_from(self.first_lane(job, of_group)),
            false => of_lanes,
        };
        let of_rows: &[T] = match (rows_in_place, self.form.each_lane) {
            (true, true) => job.unit.rows.all_from(job.lanes.start),
            (true, false) => job.unit.rows.all_from(job.group * inputs_of_group + job.inputs.start),
            _ => of_rows,
        };
        let (ld, image_step) = self.steps_of_rows(job, &seen);
        let lane_places = match (lanes_in_place, self.form.each_lane) {
            (true, _) => LanePlaces::ByPixel(job.unit.lanes.problem().in_channels),
            (false, true) => LanePlaces::ByPixel(job.ld),
            (false, false) => LanePlaces::ByTile(strip.iter().map(ExactSizeIterator::len).product()),
        };
        let window = Window { axes, strip, seen, first_image, first, sizes, ld, image_step };
        if let Some(of_bias) = of_bias {
            let [_, rows, cols] = [&strip[1], &strip[2], &strip[3]];
            let mut list = RunList::EMPTY;
            window.lane_runs([rows, cols], &mut list, |runs| {
                add_bias(of_lanes, lane_places, runs, (job.ld, self.form.length), of_bias);
            });
        }
        self.add_strip(job, &window, is_first, [of_rows, of_lanes], lane_places, sums);
    }

    /// Elements from one pixel to the next in the factors of rows, and from one image to the next.
    fn steps_of_rows<T: Element>(&self, job: &Job<'_, '_, T>, [zs, ys, xs]: &[Seen; 3]) -> (usize, usize) {
        let (tensor, of_pixel) = (job.unit.rows.problem(), job.of_pixel(self.form.each_lane));
        match (job.in_place[0], tensor.src_layout) {
            (true, Layout::Nhwc) => (tensor.in_channels, tensor.batch_strides()[0]),
            (true, Layout::Nchw) => (1, tensor.batch_strides()[0]),
            (false, _) => (of_pixel, zs.count * ys.count * xs.count * of_pixel),
        }
    }

    /// The channel of a block's first lane.
    fn first_lane<T>(&self, job: &Job<'_, '_, T>, of_group: usize) -> usize {
        job.lanes.start + if self.form.each_lane { 0 } else { job.group * of_group }
    }

    /// Moves the factors of lanes of a strip.
    fn move_lanes<T: Element>(&self, job: &Job<'_, '_, T>, strip: &[Range<usize>; 4], to: &mut [T]) {
        let images = &job.unit.lanes;
        let [of_group, _] = self.form.of_group();
        let first = self.first_lane(job, of_group);
        let [batch, at @ ..] = strip;
        let seen = whole(at.clone());
        let of_image: usize = at.iter().map(ExactSizeIterator::len).product();
        let of_tile = if self.form.each_lane { job.ld } else { lanes_of_tile::<T>(self.form.length) };
        let tiles = (0..job.ld).step_by(of_tile).zip(to.chunks_mut(of_tile * of_image * batch.len()));
        for (lane, to) in tiles {
            let ld = of_tile.min(job.ld - lane);
            let channels = ld.min(job.lanes.len() - lane);
            for (image, to) in batch.clone().zip(to.chunks_mut(of_image * ld)) {
                let image = images.image(image, &(0..images.problem().groups)).channels_from(first + lane);
                move_pixels(&image, images.problem().src_layout, &seen, (channels, ld), to);
            }
        }
    }

    /// Moves what a strip sees of the factors of rows.
    fn move_rows<T: Element>(
        &self,
        job: &Job<'_, '_, T>,
        batch: &Range<usize>,
        seen: &[Seen; 3],
        to: &mut [T],
    ) {
        let images = &job.unit.rows;
        let [group_out, group_in] = self.form.of_group();
        let of_image =
            seen.iter().map(|seen| seen.count).product::<usize>() * job.of_pixel(self.form.each_lane);
        if of_image == 0 {
            return;
        }
        let Job { lanes, inputs, ld, .. } = job;
        let layout = images.problem().src_layout;
        for (image, to) in batch.clone().zip(to.chunks_mut(of_image)) {
            if !self.form.each_lane {
                let image = images.image(image, &(job.group..job.group + 1)).channels_from(inputs.start);
                move_pixels(&image, layout, seen, (inputs.len(), inputs.len()), to);
                continue;
            }
            let groups = lanes.start / group_out..(lanes.end - 1) / group_out + 1;
            let image = images.image(image, &groups);
            match (group_in, group_out) {
                (1, 1) => move_pixels(&image, layout, seen, (lanes.len(), *ld), to),
                _ => move_for_lanes((&image, layout), seen, (lanes, *ld), (inputs, group_in, group_out), to),
            }
        }
    }

    /// Adds the products of a strip.
    fn add_strip<T: Element>(
        &self,
        job: &Job<'_, '_, T>,
        window: &Window<'_>,
        is_first: bool,
        [of_rows, of_lanes]: [&[T]; 2],
        lane_places: LanePlaces,
        mut sums: MatrixMut<'_, T>,
    ) {
        let sums = &mut sums;
        let [planes, rows, cols] = &job.taps;
        let mut adding =
            Adding { of: self, job, window, of_rows, of_lanes, lane_places, list: RunList::EMPTY };
        for plane in planes.clone() {
            if !self.blocks.taps_together {
                for (row, col) in rows.clone().flat_map(|row| cols.clone().map(move |col| (row, col))) {
                    let outputs = [window.outputs_of_tap(1, row), window.outputs_of_tap(2, col)];
                    adding.add([plane, row, col], [1, 1], outputs.each_ref(), is_first, sums);
                }
                continue;
            }
            // Whether the sums of all taps of the plane hold something.
            let mut is_begun = !is_first;
            for row in window.classes(1, rows) {
                for col in window.classes(2, cols) {
                    let is_whole = (row.taps.len(), col.taps.len()) == (rows.len(), cols.len());
                    if !is_begun && !is_whole {
                        adding.begin([plane, rows.start, cols.start], [rows.len(), cols.len()], sums);
                    }
                    let (first, counts) =
                        ([plane, row.taps.start, col.taps.start], [row.taps.len(), col.taps.len()]);
                    adding.add(first, counts, [&row.outputs, &col.outputs], !is_begun && is_whole, sums);
                    is_begun = true;
                }
            }
            if !is_begun {
                adding.begin([plane, rows.start, cols.start], [rows.len(), cols.len()], sums);
            }
        }
    }
}

/// What is added to the sums of a block.
struct Adding<'a, 'b, 'c, T> {
    of: &'a PreparedGradientRegister,
    job: &'a Job<'b, 'c, T>,
    window: &'a Window<'a>,
    of_rows: &'a [T],
    of_lanes: &'a [T],
    lane_places: LanePlaces,
    list: RunList,
}

impl<T: Element> Adding<'_, '_, '_, T> {
    /// Adds the products of some rows and columns of outputs by some neighbouring taps of a plane of the kernel, the first of
    /// which is `tap`. `is_first`: the sums hold anything.
    fn add(
        &mut self,
        tap: [usize; 3],
        counts: [usize; 2],
        outputs: [&Range<usize>; 2],
        is_first: bool,
        sums: &mut MatrixMut<'_, T>,
    ) {
        let (form, job, window) = (&self.of.form, self.job, self.window);
        let (rows, mut is_first) = (self.rows(tap, counts), is_first);
        window.runs(tap, outputs, &mut self.list, |runs: &[Run]| {
            T::product_sums(ProductSums {
                length: form.length,
                is_first,
                of_rows: self.of_rows,
                row_step: window.row_step(),
                each_lane: form.each_lane,
                of_lanes: self.of_lanes,
                lane_places: self.lane_places,
                runs,
                rows,
                lanes: job.ld,
                sums: sums.reborrow(),
            });
            is_first = false;
        });
        if is_first {
            // None of the outputs sees an input.
            self.begin(tap, counts, sums);
        }
    }

    /// Elements from the factor of an input to that of the next.
    fn input_step(&self) -> usize {
        let (form, rows) = (&self.of.form, self.job.unit.rows.problem());
        match (form.each_lane, self.job.in_place[0], rows.src_layout) {
            (true, ..) => self.job.ld,
            (false, true, Layout::Nchw) => rows.in_pixels(),
            _ => 1,
        }
    }

    /// Some neighbouring taps of a plane of the kernel as rows.
    fn rows(&self, tap: [usize; 3], [rows, cols]: [usize; 2]) -> Rows {
        let (form, job, window) = (&self.of.form, self.job, self.window);
        let [of_input, of_tap] = job.sum_steps;
        let [_, of_row, of_col] = job.taps.each_ref().map(ExactSizeIterator::len);
        let [z, y, x] = std::array::from_fn(|at| tap[at] - job.taps[at].start);
        let number = (z * of_row + y) * of_col + x;
        let all = job.taps[0].len() * of_row * of_col;
        // The tap's number among those of the weights.
        let (number, sign) = if form.turned_round { (all - 1 - number, -1) } else { (number, 1) };
        let of_tap_signed = sign * of_tap as isize;
        let [from_col, from_row] = window.tap_steps();
        Rows {
            counts: [job.inputs.len(), cols, rows],
            factors: [self.input_step(), from_col, from_row],
            sums: [of_input as isize, of_tap_signed, of_tap_signed * of_col as isize],
            first: number * of_tap,
        }
    }

    /// Makes the sums of some neighbouring taps nothing.
    fn begin(&mut self, tap: [usize; 3], [rows, cols]: [usize; 2], sums: &mut MatrixMut<'_, T>) {
        let places = self.rows(tap, [rows, cols]);
        for row in 0..rows {
            for col in 0..cols {
                for input in 0..self.job.inputs.len() {
                    sums.row_mut(places.sums_of([input, col, row])).fill(self.job.nothing);
                }
            }
        }
    }
}

impl PreparedGradient for PreparedGradientRegister {
    fn roles(&self) -> Roles<'_> {
        self.form.roles()
    }

    fn length(&self) -> Length {
        self.form.length
    }

    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn cost(&self) -> Cost {
        let Self { form, blocks, .. } = self;
        let [lanes, inputs, taps] = form.extent.counts;
        let pixels = work(&form.pixels());
        let parts = blocks.partition.parts().map(|parts| parts as f64);
        let groups = form.extent.groups;
        let moved_lanes = work(&[groups, lanes]) * parts[1] * parts[2];
        let of_row = if form.each_lane { lanes } else { groups };
        let moved_rows = work(&[of_row, inputs]) * parts[0] * parts[2];
        // In whole vectors of AVX2, whose speed the model is of.
        let in_vectors = lanes.next_multiple_of(8);
        Cost {
            register_macs: pixels * work(&[groups, in_vectors, inputs, taps]),
            finished: work(&[groups, lanes, inputs, taps]),
            cached: pixels * (moved_lanes + moved_rows),
            tiles: blocks.partition.blocks(),
            ..Cost::default()
        }
    }

    fn run<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T]) {
        let in_pass = self.form.lanes_are_diff_dst && unit.diff_weights.is_some();
        let slots = self.scratch.slots;
        if !in_pass {
            bias(unit, (self.blocks.lanes, self.form.length), scratch, slots);
        }
        let Some(weights) = unit.diff_weights.take() else { return };
        let weights = WeightsMut::new(weights, self.blocks.partition, unit.accumulate);
        let of_bias =
            partition(self.form.channels_of_dst(), self.form.extent.groups, self.blocks.partition.block[0]);
        let bias = unit.diff_bias.take().map(|bias| WeightsMut::new(bias, of_bias, unit.accumulate));
        let unit = &*unit;
        for_each_block(unit.pool, &weights, bias.as_ref(), scratch, slots, |mut block, bias, scratch| {
            let mut stack = [T::ZERO; STACK];
            let scratch = if scratch.is_empty() { &mut stack } else { scratch };
            self.block(unit, &mut block, bias, scratch);
        });
    }
}
