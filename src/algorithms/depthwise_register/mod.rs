//! `depthwise-register`: for a few output pixels × channels, the sum over all taps of src[pixels × C]∘weights[taps × C] in
//! registers, channel by channel, finished there with bias, residual and clamp, and written once.
//! Channels are vectors where they lie side by side: in an NHWC src, or in the pixels that a few rows of planes are moved to,
//! if these are short, deep or transposed. Other planes are taken one by one: a padded copy of some rows on the stack, in
//! which every tap reads at a fixed distance from its output, so that vectors go along the rows and over their ends.
//! Workspace: 0. What is copied, or moved from planes to pixels of a vector of channels, is on the stack.
//! Wins wherever each group has one input channel: no group is computed alone.
//! Source: convlow.

mod by_taps;
mod moved_rows;
mod planes;
mod words;

use std::ops::Range;

use convlow_kernels::depthwise_tile::DepthwiseTile;
use convlow_kernels::geometry::Geometry;
use convlow_kernels::moves::KEPT_BYTES;
use convlow_kernels::phases::Phases;
use convlow_kernels::register::channels_of_register_tile;

use self::by_taps::Steps;
use self::words::{WORD, Words};
use super::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Unit, ready, require, require_countable_taps,
};
use super::cost::{Cost, work};
use super::tiling::{
    boxes, channels_of_tile, count, dst_grid, part_of_pixels, pixels_and_channels, pixels_of_tile,
};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::MatrixMut;
use crate::problem::{Kind, Layout, Problem, most_fitting};
use crate::tiles::{EachTile, Grid};

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
/// Output pixels of a tile, if there are more.
const PIXELS: usize = 240;
/// Outputs of a row that are worth moving what lies between their taps.
const FEW: usize = 8;

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
    ByTaps([Steps; 2]),
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
            let channels =
                problem.elements(PART_BYTES) / pixels_seen(&problem.geometry(), part) / block * block;
            return Ok(Reading::MovedRows(part, channels));
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
            Some(phases) => Reading::Planes(phases),
            None => Reading::ByTaps(Steps::of_axes(problem, problem.elements(MOVED_BYTES) / block)),
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

impl Algorithm for DepthwiseRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        let (groups, multiplier, block) =
            (problem.groups, problem.group_out(), channels_of_register_tile(problem.data_type));
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
                Reading::InPlace => self.run_in_place(unit, outputs, &channels, part),
                Reading::MovedRows(of_part, at_once) => {
                    self.run_moved_rows(unit, (*of_part, *at_once), &outputs, &channels, part);
                }
                Reading::ByTaps(steps) => self.run_by_taps(unit, *steps, &outputs, &channels, part),
            }
        }
    }

    /// Some outputs, whose pixels are read where they lie.
    fn run_in_place<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        outputs: [Range<usize>; 3],
        channels: &Range<usize>,
        dst: MatrixMut<'_, T>,
    ) {
        let layout = self.problem.dst_layout;
        let tile = DepthwiseTile {
            geometry: &self.problem.geometry(),
            image: &unit.src.channels_from(channels.start),
            origin: [0; 3],
            weights: self.weights(unit, channels),
            end: unit.end().of_channels(channels.clone()),
            outputs,
            layout,
            dst,
        };
        match layout {
            Layout::Nhwc => T::depthwise_tile(tile, &mut []),
            Layout::Nchw => run_to_planes(tile),
        }
    }

    /// The weights of some channels.
    fn weights<'a, T: Element>(&self, unit: &Unit<'a, T>, channels: &Range<usize>) -> &'a [T] {
        let taps = self.problem.taps();
        &unit.weights[channels.start * taps..channels.end * taps]
    }
}

/// Runs a tile whose dst is planes. Apart, since its array is on the stack.
#[inline(never)]
fn run_to_planes<T: Element>(tile: DepthwiseTile<'_, '_, T>) {
    let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
    T::depthwise_tile(tile, kept.elements());
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
            Reading::ByTaps(_) | Reading::MovedRows(..) => work(&[problem.in_pixels(), channels]),
            _ => 0.0,
        };
        let stored = match problem.dst_layout {
            Layout::Nchw if !planes => work(&[pixels, channels]),
            _ => 0.0,
        };
        Cost {
            register_macs: work(&[
                problem.geometry().count_inside(0),
                problem.geometry().count_inside(1),
                problem.geometry().count_inside(2),
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
