//! [`PreparedDepthwiseRegister`]: the way in which src is read, and the tiles.

use std::ops::Range;

use convlow_kernels::geometry::Geometry;
use convlow_kernels::phases::Phases;

use super::steps::{LEAST_OUTPUTS, Steps};
use crate::algorithms::algorithm::{Declined, Element, Scratch, Unit, require};
use crate::problem::{Kind, Layout, Problem, most_fitting};
use crate::tiles::Grid;

/// Bytes of src that are moved at once, on the stack.
pub const MOVED_BYTES: usize = 8 << 10;
/// Bytes of the pixels that are moved for whole rows, on the stack.
pub const PART_BYTES: usize = 16 << 10;
/// The same in the workspace, where the stack has no room for a plane's: they stay in the second cache level.
const ROWS_BYTES: usize = 128 << 10;
/// Outputs of a row up to which pixels are moved rather than planes computed where they lie.
const SHORT_ROW: usize = 14;
/// The same for each tap: 28 outputs of 5x5 taps, 56 of 7x7.
const ROW_OF_TAP: [usize; 2] = [8, 7];
/// Bytes of the phases of a plane, on the stack.
pub const PHASE_BYTES: usize = 18 << 10;
/// The same of their outputs.
pub const SUM_BYTES: usize = 10 << 10;

pub struct PreparedDepthwiseRegister {
    /// Its groups, each of one input channel, are computed side by side.
    pub problem: Problem,
    /// Output channels of a block of weights.
    pub block: usize,
    pub reading: SrcReading,
    pub grid: Grid,
    pub scratch: Scratch,
}

/// How src is read.
#[expect(clippy::large_enum_variant, reason = "one is held for each plan, on the heap")]
pub enum SrcReading {
    /// Pixels where they lie.
    InPlace,
    /// Pixels that are moved from planes.
    MovedRows(MovedRows),
    /// The same by taps where a row does not fit, or pixels whose channels are repeated.
    ByTaps([Steps; 2]),
    /// Plane by plane, some rows at a time.
    Planes(Phases),
}

/// What is moved at once.
#[derive(Clone, Copy)]
pub struct MovedRows {
    /// Output rows and columns.
    pub size: [usize; 2],
    pub channels: usize,
}

impl MovedRows {
    /// Whether the stack has room for what is moved.
    pub fn fits_stack(&self, problem: &Problem) -> bool {
        let channels = self.channels.min(problem.out_channels);
        pixels_seen(&problem.geometry(), self.size) * channels <= problem.elements(PART_BYTES)
    }
}

impl SrcReading {
    /// That of a problem, with at most so many elements of scratch.
    pub fn new(problem: &Problem, block: usize, elements: usize) -> Result<Self, Declined> {
        let alone = problem.group_out() == 1;
        if problem.src_layout == Layout::Nhwc && alone {
            return Ok(SrcReading::InPlace);
        }
        let is_plane = !problem.is(Kind::Volume) && !problem.is(Kind::Transposed);
        let of_planes = (problem.src_layout, problem.dst_layout) == (Layout::Nchw, Layout::Nchw);
        // Short rows leave vectors along them empty, and many taps read a moved pixel often, if its channels fill vectors.
        let channels = problem.out_channels;
        let are_filled = channels.next_multiple_of(block) - channels <= channels / 8;
        let many_taps = problem.cols.output <= problem.taps() * ROW_OF_TAP[0] / ROW_OF_TAP[1];
        let short = problem.cols.output <= SHORT_ROW || are_filled && many_taps;
        let least = if is_plane { LEAST_OUTPUTS } else { 1 };
        let moved = (alone && (short || !of_planes || !is_plane)).then(|| {
            let on_stack = problem.elements(PART_BYTES);
            let in_scratch = problem.elements(ROWS_BYTES).min(elements);
            let whole = [problem.rows.output, problem.cols.output];
            let of = |elements: usize| Some((part_of_moved(problem, elements / block, least)?, elements));
            let small = of(on_stack);
            match small {
                Some((part, _)) if part == whole => small,
                _ => of(in_scratch.max(on_stack)).or(small),
            }
        });
        if let Some((size, elements)) = moved.flatten() {
            let channels = elements / pixels_seen(&problem.geometry(), size) / block * block;
            return Ok(SrcReading::MovedRows(MovedRows { size, channels }));
        }
        require(is_plane, c"needs smaller rows, or src_layout NHWC and one output channel a group here")?;
        let phases = of_planes.then(|| {
            Phases::new(
                &problem.geometry(),
                [PHASE_BYTES, SUM_BYTES].map(|bytes| problem.elements(bytes)),
                block,
            )
        });
        Ok(match phases.flatten() {
            Some(phases) => SrcReading::Planes(phases),
            None => SrcReading::ByTaps(Steps::of_axes(problem, problem.elements(MOVED_BYTES) / block)),
        })
    }
}

/// The most pixels that so many output rows and columns of a plane see.
fn pixels_seen(geometry: &Geometry, [height, width]: [usize; 2]) -> usize {
    let of_plane = geometry.largest_window(1, height).saturating_mul(geometry.largest_window(2, width));
    of_plane.saturating_mul(geometry.largest_window(0, 1))
}

/// Output rows and columns that see at most so many pixels: whole rows, or a part of one that is not shorter than this.
fn part_of_moved(problem: &Problem, most: usize, least: usize) -> Option<[usize; 2]> {
    let Problem { rows, cols, .. } = problem;
    let geometry = problem.geometry();
    let fits = |height: usize, width: usize| pixels_seen(&geometry, [height, width]) <= most;
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

impl PreparedDepthwiseRegister {
    /// The weights of some channels, and all that lies behind them.
    pub fn weights<'a, T: Element>(&self, unit: &Unit<'a, T>, channels: &Range<usize>) -> &'a [T] {
        &unit.weights[channels.start * self.problem.taps()..]
    }
}

/// A range in steps.
pub fn parts_of(range: &Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *range;
    (start..end).step_by(step).map(move |at| at..(at + step).min(end))
}
