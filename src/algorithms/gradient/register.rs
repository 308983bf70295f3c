//! `gradient-register`: dw\[block\] = Σ of products over the pixels of a strip in registers, strip after strip. A block of the
//! gradient, some output channels × input channels × taps, belongs to one thread, whose sums lie in scratch until the last
//! strip. The factors of a strip are moved to scratch, too: pixel by pixel, in any layout of the tensors.
//! Workspace: T·Cb·Mb + P·Mb + W·Cb for each thread, T the taps of a block, Cb × Mb its channels, P the pixels of a strip and
//! W those that they see; at most 256 KiB. Blocks shrink if the limit requires it, to what the stack has room for.
//! Source: kn2row's product a tap, turned round; the register tiles are this library's own.

use std::ops::Range;

use convlow_kernels::gradient::{
    BlockMut, Extent, Partition, ProductSums, Rows, Run, WeightsMut, lanes_of_vector,
};

use super::moved::{move_for_lanes, move_pixels};
use super::strips::{RunList, Seen, Strips, Window};
use super::{Form, GradientAlgorithm, GradientUnit, PreparedGradient, ReadyGradient};
use crate::algorithms::algorithm::{Declined, Element, Limits, Scratch, boxed_gradient};
use crate::algorithms::cost::{Cost, work};
use crate::lowering::image::Images;
use crate::problem::{DataType, common};
use crate::tiles::for_each_block;

/// Register tiles over the pixels of strips.
pub struct GradientRegister;

/// Bytes of scratch of a thread.
const MOST_BYTES: usize = 256 << 10;
/// Elements of scratch that lie on the stack where the limit leaves none.
const STACK: usize = 1024;
/// Bytes of the lanes of a block, if there are more.
const LANE_BYTES: usize = 256;
/// Bytes of a strip's factors of lanes: half of the first cache level.
const STRIP_BYTES: usize = 16 << 10;
/// Pixels of a strip at most, and where there is hardly any scratch.
const MOST_PIXELS: usize = 512;
const FEW_PIXELS: usize = 16;
/// Inputs of a block that are enough.
const ENOUGH_INPUTS: usize = 48;
/// Inputs up to which the taps of a row are rows of one register tile.
const FEW_INPUTS: usize = 24;
/// Rows of a register tile.
const ROWS: usize = 6;

/// What is computed at once, and the scratch that it takes.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    partition: Partition,
    /// Lanes of a block in whole vectors.
    lanes: usize,
    strips: Strips,
    /// Elements of the sums, of a strip's factors of lanes, and of its factors of rows.
    elements: [usize; 3],
}

struct PreparedGradientRegister {
    form: Form,
    blocks: Blocks,
    /// Whether the taps of a row are rows of one register tile.
    taps_together: bool,
    scratch: Scratch,
}

/// A divisor that is not less than a share of a size: how many parts the size may be divided into.
fn divisors(size: usize) -> impl Iterator<Item = usize> {
    (1..=size).rev().filter(move |&part| size.is_multiple_of(part))
}

impl Blocks {
    /// The largest blocks within so many elements.
    fn largest(form: &Form, vector: usize, element: usize, room: usize) -> Option<Self> {
        let lanes = form.extent.counts[0];
        let most = LANE_BYTES / element;
        let wide = lanes.div_ceil(lanes.div_ceil(most)).next_multiple_of(vector);
        let mut best: Option<(usize, Self)> = None;
        for (lanes, few) in [(wide, false), (vector, false), (vector, true)] {
            let pixels = if few { FEW_PIXELS } else { (STRIP_BYTES / element / lanes).min(MOST_PIXELS) };
            let strips = Strips::new(form.pixels(), pixels);
            for taps in boxes(form.kernel()) {
                let Some(blocks) = Self::of_taps(form, lanes, strips, taps, room) else { continue };
                let [_, inputs, _] = blocks.partition.block;
                if inputs >= ENOUGH_INPUTS.min(form.extent.counts[1]) {
                    return Some(blocks);
                }
                let products = inputs * taps.iter().product::<usize>() * lanes;
                if best.is_none_or(|(most, _)| products > most) {
                    best = Some((products, blocks));
                }
            }
        }
        best.map(|(_, blocks)| blocks)
    }

    /// Blocks of these taps and of as many inputs as there is room for.
    fn of_taps(form: &Form, lanes: usize, strips: Strips, taps: [usize; 3], room: usize) -> Option<Self> {
        let [images, sizes @ ..] = strips.sizes();
        let seen = (0..3)
            .try_fold(images, |all, at| all.checked_mul(Seen::most(&form.axes[at], sizes[at], taps[at])))?;
        let all_taps: usize = taps.iter().product();
        let of_row = if form.each_lane { lanes } else { 1 };
        let of_lanes = strips.pixels() * lanes;
        let of_input = seen.checked_mul(of_row)?.checked_add(all_taps.checked_mul(lanes)?)?;
        // The sums of the bias are a row of sums.
        let inputs = (room.checked_sub(of_lanes + lanes)? / of_input).min(form.extent.counts[1]);
        let block = [lanes.min(form.extent.counts[0]), inputs, all_taps];
        let partition = Partition { of: form.extent, block };
        let elements = [(all_taps * inputs + 1) * lanes, of_lanes, seen * of_row * inputs];
        (inputs > 0).then_some(Self { partition, lanes, strips, elements })
    }

    /// The same in smaller blocks of the same strips, so that all threads have about as much to do.
    fn for_threads(self, form: &Form, threads: usize, taps_together: bool) -> Self {
        /// Of the time of all threads.
        const IDLE: f64 = 0.06;
        let idle = |blocks: &Self| {
            let count = blocks.partition.blocks();
            1.0 - count as f64 / (count.div_ceil(threads) * threads) as f64
        };
        let mut best = self;
        let [_, inputs, taps] = self.partition.block;
        // The sums of taps that are rows of one tile are built in another order.
        let [_, _, cols] = form.kernel();
        let fits = |&[_, _, taps]: &[usize; 3]| taps == cols || !taps_together;
        let boxes = boxes(form.kernel()).filter(fits).map(|taps| taps.iter().product::<usize>());
        for of_taps in boxes.filter(|of_taps| *of_taps <= taps) {
            for parts in [1, 2, 3, 4, 6, 8, 12, 16] {
                if idle(&best) <= IDLE {
                    return best;
                }
                let mut smaller = self;
                smaller.partition.block[1] = inputs.div_ceil(parts);
                smaller.partition.block[2] = of_taps;
                if idle(&smaller) < idle(&best) {
                    best = smaller;
                }
            }
        }
        best
    }

    /// Elements of scratch.
    fn all(&self) -> usize {
        self.elements.iter().sum()
    }
}

/// Taps that a block may have: all; those of a plane; some rows of a plane; some of a row. Each divides the one before.
fn boxes([planes, rows, cols]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    let of_planes = divisors(planes).map(move |planes| [planes, rows, cols]);
    let of_rows = divisors(rows).skip(1).map(move |rows| [1, rows, cols]);
    of_planes.chain(of_rows).chain(divisors(cols).skip(1).map(|cols| [1, 1, cols]))
}

impl GradientAlgorithm for GradientRegister {
    fn prepare(&self, form: &Form, limits: Limits) -> Result<Box<dyn ReadyGradient>, Declined> {
        let data_type = form.rows.data_type;
        let vector = match data_type {
            DataType::F32 => lanes_of_vector::<f32>(),
            DataType::F64 => lanes_of_vector::<f64>(),
        };
        let element = data_type.bytes();
        let largest = |room: usize| Blocks::largest(form, vector, element, room);
        let on_stack = || largest(STACK).ok_or(Scratch::OVERFLOW);
        let most = MOST_BYTES / element;
        let (blocks, has_scratch) = match largest(most.min(limits.elements)) {
            Some(blocks) if limits.elements > STACK => (blocks, true),
            _ => (on_stack()?, false),
        };
        let [_, inputs, _] = form.extent.counts;
        let taps_together = inputs < FEW_INPUTS && !inputs.is_multiple_of(ROWS);
        let blocks = blocks.for_threads(form, limits.threads, taps_together);
        let scratch = match has_scratch {
            true => Scratch::of_tiles(blocks.all(), blocks.partition.blocks(), limits)?,
            false => Scratch { elements: 0, slots: limits.threads },
        };
        boxed_gradient(PreparedGradientRegister { form: *form, blocks, taps_together, scratch })
    }
}

/// Parts of the scratch of a block.
struct Parts<'a, T> {
    sums: &'a mut [T],
    of_bias: &'a mut [T],
    of_lanes: &'a mut [T],
    of_rows: &'a mut [T],
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
        let ld = lanes.len().next_multiple_of(lanes_of_vector::<T>());
        let sums = &mut sums[..inputs.len() * taps.len() * ld];
        sums.fill(T::ZERO);
        of_bias.fill(T::ZERO);
        // What no channel has a place for.
        of_lanes.fill(T::ZERO);
        of_rows.fill(T::ZERO);
        let taps = self.form.taps_of_lanes(&taps);
        let group = weights.block.group;
        for strip in self.blocks.strips.each() {
            let moved = &mut of_lanes[..self.blocks.strips.pixels() * ld];
            self.move_lanes(&unit.lanes, group, &lanes, &strip, (moved, ld));
            if bias.is_some() {
                add_bias(moved, strip.iter().map(ExactSizeIterator::len).product(), ld, of_bias);
            }
            let seen = std::array::from_fn(|at| Seen::new(&self.form.axes[at], &strip[1 + at], &taps[at]));
            let of_pixel = inputs.len() * if self.form.each_lane { ld } else { 1 };
            self.move_rows(&unit.rows, group, [&lanes, &inputs], (&strip[0], &seen), (of_rows, ld));
            let window = Window { axes: &self.form.axes, strip: &strip, seen, lds: [of_pixel, ld] };
            let steps = weights.block.sum_steps();
            self.add_strip(&window, &taps, inputs.len(), steps, [of_rows, moved], sums);
        }
        weights.write(sums, ld);
        if let Some(mut bias) = bias {
            bias.write(of_bias, ld);
        }
    }

    /// Moves the factors of lanes of a strip.
    fn move_lanes<T: Element>(
        &self,
        images: &Images<'_, T>,
        group: usize,
        lanes: &Range<usize>,
        strip: &[Range<usize>; 4],
        (to, ld): (&mut [T], usize),
    ) {
        let groups = if self.form.each_lane { 0..images.problem().groups } else { group..group + 1 };
        let [batch, at @ ..] = strip;
        let seen = at.each_ref().map(|range| Seen { first: range.start, count: range.len(), step: 1 });
        let of_image = at.iter().map(ExactSizeIterator::len).product::<usize>() * ld;
        for (image, to) in batch.clone().zip(to.chunks_mut(of_image)) {
            let image = images.image(image, &groups).channels_from(lanes.start);
            move_pixels(&image, images.problem().src_layout, &seen, (lanes.len(), ld), to);
        }
    }

    /// Moves what a strip sees of the factors of rows.
    fn move_rows<T: Element>(
        &self,
        images: &Images<'_, T>,
        group: usize,
        [lanes, inputs]: [&Range<usize>; 2],
        (batch, seen): (&Range<usize>, &[Seen; 3]),
        (to, ld): (&mut [T], usize),
    ) {
        let [group_out, group_in] = self.form.of_group();
        let of_pixel = inputs.len() * if self.form.each_lane { ld } else { 1 };
        let of_image = seen.iter().map(|seen| seen.count).product::<usize>() * of_pixel;
        if of_image == 0 {
            return;
        }
        let layout = images.problem().src_layout;
        for (image, to) in batch.clone().zip(to.chunks_mut(of_image)) {
            if !self.form.each_lane {
                let image = images.image(image, &(group..group + 1)).channels_from(inputs.start);
                move_pixels(&image, layout, seen, (inputs.len(), inputs.len()), to);
                continue;
            }
            let groups = lanes.start / group_out..(lanes.end - 1) / group_out + 1;
            let image = images.image(image, &groups);
            match (group_in, group_out) {
                (1, 1) => move_pixels(&image, layout, seen, (lanes.len(), ld), to),
                _ => move_for_lanes(&image, seen, (lanes, ld), (inputs, group_in, group_out), to),
            }
        }
    }

    /// Adds the products of a strip.
    fn add_strip<T: Element>(
        &self,
        window: &Window<'_>,
        taps: &[Range<usize>; 3],
        inputs: usize,
        [of_input, of_tap]: [usize; 2],
        [of_rows, of_lanes]: [&[T]; 2],
        sums: &mut [T],
    ) {
        let ld = window.lds[1];
        let all: usize = taps.iter().map(ExactSizeIterator::len).product();
        let signed = if self.form.turned_round { -(of_tap as isize) } else { of_tap as isize };
        let mut list = RunList::EMPTY;
        for (row, tap) in taps[0].clone().flat_map(|z| taps[1].clone().map(move |y| [z, y])).enumerate() {
            let mut add = |first: usize, count: usize, cols: &Range<usize>| {
                // The row of sums of the first tap.
                let number = row * taps[2].len() + first - taps[2].start;
                let number = if self.form.turned_round { all - 1 - number } else { number };
                let rows = Rows {
                    counts: [inputs, count],
                    factors: [if self.form.each_lane { ld } else { 1 }, window.tap_step()],
                    sums: [of_input as isize, signed],
                    first: number * of_tap,
                };
                window.runs([tap[0], tap[1], first], cols, &mut list, |runs: &[Run]| {
                    T::product_sums(ProductSums {
                        of_rows,
                        row_step: window.row_step(),
                        each_lane: self.form.each_lane,
                        of_lanes,
                        lane_step: ld,
                        runs,
                        rows,
                        lanes: ld,
                        sums,
                    });
                });
            };
            let columns = |tap: usize| window.columns_of_tap(tap);
            let together = match self.taps_together && taps[2].len() > 1 {
                true => common(&columns(taps[2].start), &columns(taps[2].end - 1)),
                false => 0..0,
            };
            add(taps[2].start, taps[2].len(), &together);
            for tap in taps[2].clone() {
                let cols = columns(tap);
                if together.is_empty() {
                    add(tap, 1, &cols);
                } else {
                    add(tap, 1, &(cols.start..together.start.max(cols.start)));
                    add(tap, 1, &(together.end.min(cols.end)..cols.end));
                }
            }
        }
    }

    /// Computes the gradient of the bias alone.
    fn bias<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T]) {
        let (problem, accumulate) = (unit.diff_dst.problem(), unit.accumulate);
        let partition = self.bias_partition(1, self.blocks.lanes);
        let axes = problem.axes().map(|axis| axis.input);
        let ld = self.blocks.lanes;
        let strips = Strips::new([problem.batch, axes[0], axes[1], axes[2]], self.blocks.strips.pixels());
        let images = unit.diff_dst;
        let Some(bias) = unit.diff_bias.as_deref_mut() else { return };
        let bias = WeightsMut::new(bias, partition, accumulate);
        for_each_block(unit.pool, &bias, None, scratch, self.scratch.slots, |mut block, _, scratch| {
            let mut stack = [T::ZERO; STACK];
            let scratch = if scratch.is_empty() { &mut stack } else { scratch };
            let Parts { of_bias, of_lanes, .. } = self.parts(scratch);
            of_bias.fill(T::ZERO);
            of_lanes.fill(T::ZERO);
            let [lanes, ..] = &block.block.ranges;
            for strip in strips.each() {
                let seen = std::array::from_fn(|at| {
                    let range = &strip[1 + at];
                    Seen { first: range.start, count: range.len(), step: 1 }
                });
                let pixels: usize = strip[1..].iter().map(ExactSizeIterator::len).product();
                for (image, to) in strip[0].clone().zip(of_lanes.chunks_mut(pixels * ld)) {
                    let image = images.image(image, &(0..problem.groups)).channels_from(lanes.start);
                    move_pixels(&image, problem.src_layout, &seen, (lanes.len(), ld), to);
                }
                add_bias(of_lanes, strip[0].len() * pixels, ld, of_bias);
            }
            block.write(of_bias, ld);
        });
    }

    /// The bias of so many groups, in blocks of so many channels.
    fn bias_partition(&self, groups: usize, block: usize) -> Partition {
        let channels = self.form.channels_of_dst() / groups;
        let of = Extent { groups, counts: [channels, 1, 1], group: channels, steps: [1, 1, 1] };
        Partition { of, block: [block, 1, 1] }
    }
}

/// Adds the factors of lanes of so many pixels to the sums of the bias.
fn add_bias<T: Element>(of_lanes: &[T], pixels: usize, ld: usize, sums: &mut [T]) {
    T::product_sums(ProductSums {
        of_rows: &[T::ONE],
        row_step: 0,
        each_lane: false,
        of_lanes,
        lane_step: ld,
        runs: &[Run { rows: 0, lanes: 0, pixels }],
        rows: Rows { counts: [1, 1], factors: [0, 0], sums: [0, 0], first: 0 },
        lanes: ld,
        sums,
    });
}

impl PreparedGradient for PreparedGradientRegister {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn cost(&self) -> Cost {
        let Self { form, blocks, .. } = self;
        let [lanes, inputs, taps] = form.extent.counts;
        let pixels = form.pixels();
        let pixels = work(&pixels);
        let parts = blocks.partition.parts().map(|parts| parts as f64);
        let moved_lanes = work(&[form.extent.groups, lanes]) * parts[1] * parts[2];
        let of_row = if form.each_lane { lanes } else { form.extent.groups };
        let moved_rows = work(&[of_row, inputs]) * parts[0] * parts[2];
        Cost {
            register_macs: pixels
                * work(&[form.extent.groups, lanes.next_multiple_of(blocks.lanes.min(8)), inputs, taps]),
            finished: work(&[form.extent.groups, lanes, inputs, taps]),
            cached: pixels * (moved_lanes + moved_rows),
            tiles: blocks.partition.blocks(),
            ..Cost::default()
        }
    }

    fn run<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T]) {
        let in_pass = self.form.lanes_are_diff_dst && unit.diff_weights.is_some();
        if !in_pass {
            self.bias(unit, scratch);
        }
        let Some(weights) = unit.diff_weights.take() else { return };
        let weights = WeightsMut::new(weights, self.blocks.partition, unit.accumulate);
        let bias = unit.diff_bias.take().filter(|_| in_pass);
        let of_bias = self.bias_partition(self.form.extent.groups, self.blocks.partition.block[0]);
        let bias = bias.map(|bias| WeightsMut::new(bias, of_bias, unit.accumulate));
        let (unit, slots) = (&*unit, self.scratch.slots);
        for_each_block(unit.pool, &weights, bias.as_ref(), scratch, slots, |mut block, bias, scratch| {
            let mut stack = [T::ZERO; STACK];
            let scratch = if scratch.is_empty() { &mut stack } else { scratch };
            self.block(unit, &mut block, bias, scratch);
        });
    }
}
