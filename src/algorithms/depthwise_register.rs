//! `depthwise-register`: for a few output pixels × channels, the sum over all taps of src[pixels × C]∘weights[taps × C] in
//! registers, channel by channel, finished there with bias, residual and clamp, and written once.
//! Channels are vectors where they lie side by side: in an NHWC src, or in the pixels that a few rows of planes are moved to,
//! if these are short, deep or transposed. Other planes are taken one by one: a padded copy of some rows on the stack, in
//! which every tap reads at a fixed distance from its output, so that vectors go along the rows and over their ends.
//! Workspace: 0. What is copied, or moved from planes to pixels of a vector of channels, is on the stack.
//! Wins wherever each group has one input channel: no group is computed alone.
//! Source: convlow.

use std::ops::Range;

use super::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Unit, ready, require, require_countable_taps,
};
use super::cost::{Cost, work};
use super::tiling::{
    boxes, channels_of_tile, count, dst_grid, part_of_channels, part_of_pixels, pixels_and_channels,
    pixels_of_tile,
};
use crate::kernels::{DepthwiseTile, FlatTile, KEPT_BYTES, channels_of_block};
use crate::lowering::epilogue;
use crate::lowering::image::Image;
use crate::lowering::moves::{moved, transpose};
use crate::lowering::phases::{self, Phases};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, Matrix, MatrixMut};
use crate::problem::{Axis, Kind, Layout, Problem, common, most_fitting};
use crate::tiles::EachTile;

/// Taps of a register tile of channels that each have their own input.
pub struct DepthwiseRegister;

/// Bytes of src that are moved at once, on the stack.
const MOVED_BYTES: usize = 8 << 10;
/// Bytes of the pixels that are moved for whole rows, and of their outputs, on the stack.
const PART_BYTES: usize = 16 << 10;
/// Outputs of a row up to which pixels are moved rather than planes computed where they lie.
const SHORT_ROW: usize = 14;
/// Bytes of the phases of a plane, on the stack.
const PHASE_BYTES: usize = 18 << 10;
/// The same of their outputs.
const SUM_BYTES: usize = 10 << 10;
/// Bytes of the outputs that are computed at once by the widest vectors.
const AT_ONCE_BYTES: usize = 128;
/// Output pixels of a tile, if there are more.
const PIXELS: usize = 240;
/// Outputs of a row that are worth moving what lies between their taps.
const FEW: usize = 8;

/// Bytes of a word of memory on the stack.
const WORD: usize = size_of::<u64>();

/// Memory on the stack for elements of either type, on lines of the cache: vectors that lie in two of them take twice as long.
#[repr(align(64))]
struct Words<const COUNT: usize>([u64; COUNT]);

impl<const COUNT: usize> Words<COUNT> {
    const ZEROS: Self = Self([0; COUNT]);

    fn elements<T: Element>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

/// How an axis is taken where its input is moved.
#[derive(Debug, Clone, Copy)]
struct Steps {
    /// Outputs at once, with all that lies between their taps; or one, whose taps alone are moved.
    outputs: usize,
    /// Taps at once.
    taps: usize,
    /// Whether taps alone are moved.
    apart: bool,
}

impl Steps {
    fn window(axis: &Axis, outputs: usize) -> Self {
        Self { outputs, taps: axis.kernel, apart: false }
    }

    fn taps(taps: usize) -> Self {
        Self { outputs: 1, taps, apart: true }
    }

    /// Rows and columns so that at most so many positions are moved at once: whole rows of outputs, or parts of one.
    fn of_axes(Problem { rows, cols, .. }: &Problem, positions: usize) -> [Self; 2] {
        let fits = |rows: usize, cols: usize| rows.saturating_mul(cols) <= positions;
        let width = cols.largest_window(cols.output);
        let whole = most_fitting(rows.output, |outputs| fits(rows.largest_window(outputs), width));
        if whole > 0 {
            return [Self::window(rows, whole), Self::window(cols, cols.output)];
        }
        let (height, few) = (rows.largest_window(1), cols.largest_window(FEW.min(cols.output)));
        if fits(height, few) {
            let part = most_fitting(cols.output, |outputs| fits(height, cols.largest_window(outputs)));
            return [Self::window(rows, 1), Self::window(cols, part)];
        }
        if fits(1, few) {
            let taps = rows.kernel.min(positions / few);
            let part = most_fitting(cols.output, |outputs| fits(taps, cols.largest_window(outputs)));
            return [Self::taps(taps), Self::window(cols, part)];
        }
        let taps = cols.kernel.min(positions);
        [Self::taps(rows.kernel.min(positions / taps)), Self::taps(taps)]
    }
}

/// Input positions that are moved, and the axis along which the kernel then finds them.
struct Moved {
    axis: Axis,
    /// The outputs, as the axis counts them.
    outputs: Range<usize>,
    /// Where on the axis the first position lies.
    origin: usize,
    /// The first position, how far they lie apart, and how many there are.
    first: usize,
    step: usize,
    len: usize,
}

impl Moved {
    fn new(axis: &Axis, outputs: Range<usize>, taps: Range<usize>, apart: bool) -> Self {
        if !apart {
            let window = axis.window(&outputs);
            return Self {
                axis: *axis,
                outputs,
                origin: window.start,
                first: window.start,
                step: 1,
                len: window.len(),
            };
        }
        // The taps of this output that are there lie side by side, and all others are padding.
        let seen = common(&axis.taps_of_output(outputs.start), &taps);
        let (first, pad_before) = match seen.is_empty() {
            true => (0, axis.kernel),
            false => (axis.input_of(outputs.start, seen.start), seen.start),
        };
        let len = seen.len();
        let axis_of_taps = Axis { output: 1, pad_before, ..Axis::dense(len, axis.kernel) };
        Self { axis: axis_of_taps, outputs: 0..1, origin: 0, first, step: axis.dilation, len }
    }
}

struct PreparedDepthwiseRegister {
    /// All groups side by side: one input channel, and all output channels.
    problem: Problem,
    groups: usize,
    /// Output channels of an input channel.
    multiplier: usize,
    /// Output channels of a block of weights.
    block: usize,
    reading: Reading,
    grid: Grid,
}

/// How src is read.
#[expect(clippy::large_enum_variant, reason = "one is held for each plan, on the heap")]
enum Reading {
    /// Pixels where they lie.
    InPlace,
    /// Pixels that are moved from planes, so many output rows and columns of so many channels at a time.
    MovedRows([usize; 2], usize),
    /// The same by taps where a row does not fit, or pixels whose channels are repeated.
    Moved([Steps; 2]),
    /// Plane by plane, some rows at a time.
    Planes(Phases),
}

impl Reading {
    fn new(problem: &Problem, multiplier: usize, block: usize) -> Result<Self, Declined> {
        if problem.src_layout == Layout::Nhwc && multiplier == 1 {
            return Ok(Reading::InPlace);
        }
        let is_plane = !problem.is(Kind::Volume) && !problem.is(Kind::Transposed);
        let of_planes = (problem.src_layout, problem.dst_layout) == (Layout::Nchw, Layout::Nchw);
        // Short rows leave vectors along them empty.
        let short = problem.cols.output <= SHORT_ROW;
        let least = if is_plane { FEW } else { 1 };
        let moved = (multiplier == 1 && (short || !of_planes || !is_plane))
            .then(|| part_of_moved(problem, problem.elements(PART_BYTES) / block, least));
        if let Some(part) = moved.flatten() {
            let channels = problem.elements(PART_BYTES) / pixels_seen(problem, part) / block * block;
            return Ok(Reading::MovedRows(part, channels));
        }
        require(is_plane, c"needs smaller rows, or src_layout NHWC and one output channel a group here")?;
        let phases = of_planes.then(|| {
            Phases::new(problem, [PHASE_BYTES, SUM_BYTES].map(|bytes| problem.elements(bytes)), block)
        });
        Ok(match phases.flatten() {
            Some(phases) => Reading::Planes(phases),
            None => Reading::Moved(Steps::of_axes(problem, problem.elements(MOVED_BYTES) / block)),
        })
    }
}

/// The most pixels that so many output rows and columns of a plane see.
fn pixels_seen(Problem { planes, rows, cols, .. }: &Problem, [height, width]: [usize; 2]) -> usize {
    let of_plane = rows.largest_window(height).saturating_mul(cols.largest_window(width));
    of_plane.saturating_mul(planes.largest_window(1))
}

/// Output rows and columns that see at most so many pixels: whole rows, or a part of one that is not shorter than this.
fn part_of_moved(problem: &Problem, most: usize, least: usize) -> Option<[usize; 2]> {
    let Problem { rows, cols, .. } = problem;
    let fits = |height: usize, width: usize| pixels_seen(problem, [height, width]) <= most;
    // Parts of about the same size.
    let evenly = |all: usize, fitting: usize| all.div_ceil(all.div_ceil(fitting));
    match most_fitting(rows.output, |height| fits(height, cols.output)) {
        0 => {
            let width = most_fitting(cols.output, |width| fits(1, width));
            (width >= least).then(|| [1, evenly(cols.output, width)])
        }
        height => Some([evenly(rows.output, height), cols.output]),
    }
}

impl Algorithm for DepthwiseRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        let (groups, multiplier, block) =
            (problem.groups, problem.group_out(), channels_of_block(problem.data_type));
        require(groups > 1 && problem.group_in() == 1, c"needs several groups of one input channel each")?;
        let problem = Problem { groups: 1, in_channels: 1, ..*problem };
        require_countable_taps(&problem)?;
        let reading = Reading::new(&problem, multiplier, block)?;
        let grid = match &reading {
            Reading::Planes(phases) => {
                // Whole rows, in parts that a thread takes one after the other.
                let [height, _] = phases.part();
                let strips = problem.rows.output.div_ceil(height);
                let channels = channels_of_tile(problem.out_channels, 1, strips, limits.threads, 0.01);
                dst_grid(&problem, height * problem.cols.output, channels)
            }
            _ => {
                let pixels = pixels_of_tile(&problem, PIXELS);
                let strips = problem.out_pixels().div_ceil(pixels);
                let channels = channels_of_tile(problem.out_channels, block, strips, limits.threads, 0.01);
                dst_grid(&problem, pixels, channels)
            }
        };
        ready(PreparedDepthwiseRegister { problem, groups, multiplier, block, reading, grid })
    }
}

impl PreparedDepthwiseRegister {
    /// One tile: some channels of some pixels.
    fn run_tile<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        (pixels, channels): (Range<usize>, Range<usize>),
        mut dst: MatrixMut<'_, T>,
    ) {
        let problem = &self.problem;
        for (first, outputs) in boxes(problem, &pixels) {
            let part = part_of_pixels(problem, &mut dst, first..first + count(&outputs));
            match &self.reading {
                Reading::Planes(phases) => self.run_planes(unit, phases, outputs[1].start, &channels, part),
                Reading::InPlace => {
                    let tile = DepthwiseTile {
                        problem,
                        image: &unit.src.channels_from(channels.start),
                        origin: [0; 3],
                        weights: self.weights(unit, &channels),
                        bias: unit.bias.map(|bias| &bias[channels.clone()]),
                        accumulate: problem.accumulate,
                        clamp: problem.clamp,
                        outputs,
                        dst: part,
                    };
                    match problem.dst_layout {
                        Layout::Nhwc => tile.run(&mut []),
                        Layout::Nchw => run_to_planes(tile),
                    }
                }
                Reading::MovedRows(of_part, at_once) => {
                    self.run_moved_rows(unit, (*of_part, *at_once), &outputs, &channels, part);
                }
                Reading::Moved(steps) => self.run_moved(unit, *steps, &outputs, &channels, part),
            }
        }
    }

    fn weights<'a, T: Element>(&self, unit: &Unit<'a, T>, channels: &Range<usize>) -> &'a [T] {
        let taps = self.problem.taps();
        &unit.weights[channels.start * taps..channels.end * taps]
    }

    /// Whole output rows from this one on, a plane after the other. Apart, since its arrays are on the stack.
    #[inline(never)]
    fn run_planes<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        phases: &Phases,
        first_row: usize,
        channels: &Range<usize>,
        mut dst: MatrixMut<'_, T>,
    ) {
        let problem = &self.problem;
        let (taps, all) = (problem.taps(), problem.cols.output);
        let mut of_phases = Words::<{ PHASE_BYTES / WORD }>::ZEROS;
        let of_phases: &mut [T] = of_phases.elements();
        let mut sums = Words::<{ SUM_BYTES / WORD }>::ZEROS;
        let sums = &mut sums.elements()[..phases.outputs_len(self.block)];
        let mut weights = Words::<{ phases::MOST_TAPS * AT_ONCE_BYTES / WORD }>::ZEROS;
        let weights: &mut [T] = weights.elements();
        let height = dst.cols() / all;
        for xs in steps(&(0..all), phases.part()[1]) {
            if xs.start > 0 {
                // What lies outside the input is no longer where it was.
                of_phases.fill(T::ZERO);
            }
            let copies = phases.copies([first_row, xs.start], unit.src.row);
            let outputs = phases.outputs([height, xs.len()], all);
            for channel in channels.clone() {
                // 1. Copy what the rows see.
                copies.fill(unit.src.at(channel / self.multiplier, 0, 0), of_phases);
                // 2. Sum all taps.
                let block = channel / self.block * self.block;
                let of_block = self.block.min(problem.out_channels - block);
                let packed = unit.weights[block * taps + channel - block..].iter().step_by(of_block);
                for (packed, weights) in packed.zip(weights.chunks_exact_mut(self.block)).take(taps) {
                    weights.fill(*packed);
                }
                let tile = FlatTile {
                    src: of_phases,
                    runs: phases.runs(),
                    step: phases.step(),
                    weights,
                    bias: unit.bias.map_or(T::ZERO, |bias| bias[channel]),
                    clamp: problem.clamp.filter(|_| !problem.accumulate),
                    dst: sums,
                };
                tile.run();
                // 3. Write them.
                let row = channel - channels.start;
                if !problem.accumulate {
                    outputs.copy(sums, &mut dst.row_mut(row)[xs.start..]);
                    continue;
                }
                for y in 0..height {
                    let sums = &sums[y * phases.pitch()..];
                    let mut dst = dst.part(row..row + 1, y * all + xs.start..y * all + xs.end);
                    dst.fill_with_addend();
                    dst.row_mut(0).iter_mut().zip(sums).for_each(|(dst, sum)| *dst += *sum);
                    epilogue::finish(&mut dst, Layout::Nchw, None, problem.clamp);
                }
            }
        }
    }

    /// Some outputs, so many rows and columns of so many channels at a time. Apart, since its arrays are on the
    /// stack.
    #[inline(never)]
    fn run_moved_rows<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        ([height, width], at_once): ([usize; 2], usize),
        [planes, rows, cols]: &[Range<usize>; 3],
        channels: &Range<usize>,
        mut dst: MatrixMut<'_, T>,
    ) {
        let problem = &self.problem;
        let mut pixels = Words::<{ PART_BYTES / WORD }>::ZEROS;
        let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
        let parts = || {
            let rows = planes.clone().flat_map(|z| steps(rows, height).map(move |y| (z, y)));
            rows.flat_map(|(z, y)| steps(cols, width).map(move |x| [z..z + 1, y.clone(), x]))
        };
        for part in steps(channels, at_once) {
            let of_dst = part.start - channels.start..part.end - channels.start;
            let mut dst = part_of_channels(problem, &mut dst, of_dst);
            let src = unit.src.channels_from(part.start);
            let mut first = 0;
            for outputs in parts() {
                let of_part = first..first + count(&outputs);
                first = of_part.end;
                // 1. Move what these pixels see.
                let (image, origin) = moved(&src, problem, &outputs, part.len(), pixels.elements());
                // 2. Sum all taps, 3. and finish.
                let tile = DepthwiseTile {
                    problem,
                    image: &image,
                    origin,
                    weights: self.weights(unit, &part),
                    bias: unit.bias.map(|bias| &bias[part.clone()]),
                    accumulate: problem.accumulate,
                    clamp: problem.clamp,
                    outputs,
                    dst: part_of_pixels(problem, &mut dst, of_part),
                };
                tile.run(kept.elements());
            }
        }
    }

    /// Some output rows and columns, a vector of channels after the other and so many of them at once as can be moved.
    #[inline(never)]
    fn run_moved<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        [of_rows, of_cols]: [Steps; 2],
        [_, rows, cols]: &[Range<usize>; 3],
        channels: &Range<usize>,
        mut dst: MatrixMut<'_, T>,
    ) {
        let mut storage = Words::<{ MOVED_BYTES / WORD }>::ZEROS;
        let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
        let elements: &mut [T] = storage.elements();
        let problem = &self.problem;
        for first in channels.clone().step_by(self.block) {
            let block = first..(first + self.block).min(channels.end);
            let of_block = block.start - channels.start..block.end - channels.start;
            let mut dst = part_of_channels(problem, &mut dst, of_block);
            for (y, x) in steps(rows, of_rows.outputs)
                .flat_map(|y| steps(cols, of_cols.outputs).map(move |x| (y.clone(), x)))
            {
                let first_pixel = (y.start - rows.start) * cols.len() + x.start - cols.start;
                let mut dst = part_of_pixels(problem, &mut dst, first_pixel..first_pixel + y.len() * x.len());
                for i in steps(&(0..problem.rows.kernel), of_rows.taps) {
                    for j in steps(&(0..problem.cols.kernel), of_cols.taps) {
                        let (begins, ends) = (
                            (i.start, j.start) == (0, 0),
                            (i.end, j.end) == (problem.rows.kernel, problem.cols.kernel),
                        );
                        let moved_rows = Moved::new(&problem.rows, y.clone(), i.clone(), of_rows.apart);
                        let moved_cols = Moved::new(&problem.cols, x.clone(), j.clone(), of_cols.apart);
                        // 1. Move what these pixels see.
                        let image = self.moved(&unit.src, &block, (&moved_rows, &moved_cols), elements);
                        // 2. Sum all taps, 3. and finish, if these are the last ones.
                        let tile = DepthwiseTile {
                            problem: &Problem { rows: moved_rows.axis, cols: moved_cols.axis, ..*problem },
                            image: &image,
                            origin: [0, moved_rows.origin, moved_cols.origin],
                            weights: self.weights(unit, &block),
                            bias: unit.bias.filter(|_| begins).map(|bias| &bias[block.clone()]),
                            accumulate: problem.accumulate || !begins,
                            clamp: problem.clamp.filter(|_| ends),
                            outputs: [0..1, moved_rows.outputs, moved_cols.outputs],
                            dst: if begins { dst.reborrow() } else { dst.reborrow().added_to_itself() },
                        };
                        tile.run(kept.elements());
                    }
                }
            }
        }
    }

    /// Moves these positions of the input channels of some output channels to NHWC, an input channel for each of them.
    fn moved<'a, T: Element>(
        &self,
        src: &Image<'_, T>,
        channels: &Range<usize>,
        (rows, cols): (&Moved, &Moved),
        to: &'a mut [T],
    ) -> Image<'a, T> {
        let (width, depth) = (cols.len, channels.len());
        let runs = self.multiplier == 1 && cols.step == 1 && src.pixel == 1 && width > 0;
        for row in 0..rows.len {
            let y = rows.first + row * rows.step;
            let to = &mut to[row * width * depth..][..width * depth];
            if runs {
                let from = Matrix::new(src.at(channels.start, y, cols.first), depth, width, src.channel);
                transpose(&from, &mut MatrixMut::new(to, width, depth, depth), false);
                continue;
            }
            for (col, pixel) in to.chunks_exact_mut(depth).enumerate() {
                for (channel, value) in channels.clone().zip(pixel) {
                    *value = src.at(channel / self.multiplier, y, cols.first + col * cols.step)[0];
                }
            }
        }
        Image { data: to, channel: 1, plane: 0, row: width * depth, pixel: depth }
    }
}

/// Runs a tile whose dst is planes. Apart, since its array is on the stack.
#[inline(never)]
fn run_to_planes<T: Element>(tile: DepthwiseTile<'_, '_, T>) {
    let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
    tile.run(kept.elements());
}

/// A range in steps.
fn steps(range: &Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(step).map(move |at| at..(at + step).min(end))
}

impl Prepared for PreparedDepthwiseRegister {
    fn groups_at_once(&self) -> usize {
        self.groups
    }

    fn weight_order(&self) -> WeightOrder {
        IJCM.blocked(self.block)
    }

    fn takes_addend(&self) -> bool {
        true
    }

    fn cost(&self) -> Cost {
        /// A product reads a factor of its own, which takes as long as the product.
        const LOADED: usize = 2;
        let Self { problem, grid, .. } = self;
        let (pixels, channels) = (problem.out_pixels(), problem.out_channels);
        let planes = matches!(self.reading, Reading::Planes(_));
        let moved = match self.reading {
            Reading::Moved(_) | Reading::MovedRows(..) => work(&[problem.in_pixels(), channels]),
            _ => 0.0,
        };
        let stored = match problem.dst_layout {
            Layout::Nchw if !planes => work(&[pixels, channels]),
            _ => 0.0,
        };
        Cost {
            register_macs: work(&[
                problem.planes.count_inside(),
                problem.rows.count_inside(),
                problem.cols.count_inside(),
                channels.next_multiple_of(8),
                LOADED,
            ]),
            finished: work(&[pixels, channels]),
            cached: if planes { work(&[problem.in_pixels() + pixels, channels]) } else { 0.0 },
            moved: moved + stored,
            tiles: grid.tiles(),
            ..Cost::default()
        }
    }

    fn grid(&self) -> Option<Grid> {
        Some(self.grid)
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, _: &mut [T]) {
        unit.pool.for_each_tile_plain(dst, self.grid, |tile, view| {
            self.run_tile(unit, pixels_and_channels(&self.problem, tile), view);
        });
    }
}
