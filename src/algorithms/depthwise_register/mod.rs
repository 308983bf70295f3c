//! `depthwise-register`: for a few output pixels × channels, the sum over all taps of
//! src[pixels × C]∘weights[taps × C], channel by channel in registers. The last step (bias, residual, activation) is
//! done there, and dst is written once.
//! Workspace: 0 for an NHWC src. For an NCHW src whose rows are moved and do not fit the stack, W·R·Cd elements for each
//! thread: what some rows see of Cd channels, 128 KiB at most. W and R are the columns and rows that they see. 0 if the
//! limit is less than 16 KiB; then the copies are on the stack.
//! Wins if each group has one input channel: no group is computed alone.
//! Source: convlow.
//!
//! Channels that lie side by side are vectors: in an NHWC src, or in pixels to which a few rows of planes are moved.
//! Planes are moved if their rows are short for their taps, or if they are deep or transposed. Other planes are taken one
//! by one, as a padded copy of some rows. In this copy every tap reads at a fixed distance from its output, so that vectors
//! go along the rows and over their ends.

mod by_taps;
mod moved_rows;
mod planes;
mod prepared;
mod steps;
mod words;

use std::ops::Range;

use convlow_kernels::depthwise_tile::DepthwiseTile;
use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::moves::KEPT_BYTES;
use convlow_kernels::register::channels_of_register_tile;

use self::prepared::{PreparedDepthwiseRegister, SrcReading};
use self::words::{WORD, Words};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready, require,
    require_countable_taps,
};
use crate::algorithms::cost::{Cost, work};
use crate::algorithms::tiling::{
    boxes, channels_of_tile, count, dst_grid, largest_window, part_of_pixels, pixels_and_channels,
    pixels_of_tile,
};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::problem::{Layout, Problem};
use crate::tiles::{EachTile, Grid};

/// Taps of a register tile of channels that each have their own input.
pub struct DepthwiseRegister;

/// Output pixels of a tile, if there are more.
const PIXELS: usize = 240;

impl Algorithm for DepthwiseRegister {
    fn prepare(&self, problem: &Problem, limits: Limits) -> Result<Box<dyn Ready>, Declined> {
        let is_depthwise = problem.groups > 1 && problem.group_in() == 1;
        require(is_depthwise, c"needs several groups of one input channel each")?;
        require_countable_taps(problem)?;
        let block = channels_of_register_tile(problem.data_type);
        let reading = SrcReading::new(problem, block, limits.of_tile())?;
        let (all, channels) = (problem.out_pixels(), problem.out_channels);
        let (pixels, least) = match &reading {
            // Whole rows, in parts that a thread takes one after the other.
            SrcReading::Planes(phases) => (phases.part()[0] * problem.cols.output, 1),
            // What is moved at once is a tile.
            SrcReading::MovedRows(moved) if !moved.fits_stack(problem) => {
                (moved.size.iter().product(), block)
            }
            _ => (pixels_of_tile(&problem.geometry(), PIXELS), block),
        };
        let of_tile = channels_of_tile(channels, least, all.div_ceil(pixels), limits.threads, 0.01);
        let grid = dst_grid(problem.dst_layout, (all, channels), (pixels, of_tile));
        let scratch = match &reading {
            SrcReading::MovedRows(moved) if !moved.fits_stack(problem) => {
                let window = largest_window(&problem.geometry(), pixels).ok_or(Scratch::OVERFLOW)?;
                Scratch::of_tiles(window * moved.channels.min(of_tile), grid.tiles(), limits)?
            }
            _ => Scratch::NONE,
        };
        ready(PreparedDepthwiseRegister { problem: *problem, block, reading, grid, scratch })
    }
}

impl PreparedDepthwiseRegister {
    /// One tile: some channels of some pixels.
    fn run_tile<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        (pixels, channels): (Range<usize>, Range<usize>),
        mut dst: MatrixMut<'_, T>,
        scratch: &mut [T],
    ) {
        let problem = &self.problem;
        for (first, outputs) in boxes(&problem.geometry(), &pixels) {
            let part = part_of_pixels(problem.dst_layout, &mut dst, first..first + count(&outputs));
            match &self.reading {
                SrcReading::Planes(phases) => {
                    self.run_planes(unit, phases, outputs[1].start, &channels, part)
                }
                SrcReading::InPlace => self.run_in_place(unit, outputs, &channels, part),
                SrcReading::MovedRows(moved) if scratch.is_empty() => {
                    self.run_on_stack(unit, *moved, &outputs, &channels, part);
                }
                SrcReading::MovedRows(moved) => {
                    self.run_moved_rows(unit, *moved, (&outputs, &channels), part, scratch);
                }
                SrcReading::ByTaps(steps) => self.run_by_taps(unit, *steps, &outputs, &channels, part),
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
}

/// Runs a tile whose dst is planes. Apart, since its array is on the stack.
#[inline(never)]
fn run_to_planes<T: Element>(tile: DepthwiseTile<'_, '_, T>) {
    let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
    T::depthwise_tile(tile, kept.elements());
}

impl Prepared for PreparedDepthwiseRegister {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn groups_at_once(&self) -> usize {
        self.problem.groups
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
        let planes = matches!(self.reading, SrcReading::Planes(_));
        let moved = match self.reading {
            SrcReading::ByTaps(_) | SrcReading::MovedRows(..) => work(&[problem.in_pixels(), channels]),
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

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let slots = if scratch.is_empty() { unit.pool.threads() } else { self.scratch.slots };
        unit.pool.for_each_tile(dst, self.grid, scratch, slots, |tile, view, scratch| {
            self.run_tile(unit, pixels_and_channels(unit.problem.dst_layout, tile), view, scratch);
        });
    }
}
