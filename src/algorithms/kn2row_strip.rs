//! `kn2row-strip`: kn2row-tiled for NCHW on either side: the input rows of a tile are moved to NHWC scratch, a finished
//! tile is moved from it to NCHW.
//! Workspace: for each thread ((R−1)·s+(Kh−1)·d+1)·W·C floats for an NCHW src and R·OW·Mb for an NCHW dst, R rows and
//! Mb channels a tile; as few as one row where the limit says so.
//! Wins in NCHW where a tap is more than one: rows of NHWC pixels make better GEMMs than planes far apart.
//! Source: convlow.

use std::ops::Range;

use super::tiles::{self, Joining, Rows, TapTile, channel_block, flattened};
use super::{Algorithm, Cost, Limits, Reason, Unit, Workspace, require, work};
use crate::lowering::moves::transpose;
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, Matrix, MatrixMut};
use crate::problem::{Axis, Layout, Problem, product};

/// The taps of one tile of dst after the other, from and to scratch.
pub struct Kn2rowStrip;

/// Floats of scratch of a thread, unless a single row needs more: 448 KiB.
const SCRATCH_FLOATS: usize = 112 * 1024;
/// Tiles to have, so that several threads finish together.
const TILES: usize = 8;

/// Input positions that these outputs see, taps between them included; possibly empty.
fn window(axis: &Axis, outputs: &Range<usize>) -> Range<usize> {
    let start = (outputs.start * axis.stride).saturating_sub(axis.pad_before).min(axis.input);
    let end = (outputs.end - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
    start..end.saturating_sub(axis.pad_before).clamp(start, axis.input)
}

/// The most input positions that `outputs` neighbouring outputs see.
fn largest_window(axis: &Axis, outputs: usize) -> usize {
    ((outputs - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1).min(axis.input)
}

/// Floats of the moved input and of the tile, for strips of so many output pixels.
fn scratch(problem: &Problem, pixels: usize) -> Option<[usize; 2]> {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let (height, width) = (pixels.div_ceil(cols.output), pixels.min(cols.output));
    let moved = match problem.src_layout {
        Layout::Nchw => {
            product(&[largest_window(rows, height), largest_window(cols, width), problem.group_in()])?
        }
        Layout::Nhwc => 0,
    };
    let tile = match problem.dst_layout {
        Layout::Nchw => product(&[pixels, channel_block(problem)])?,
        Layout::Nhwc => 0,
    };
    Some([moved, tile])
}

/// Output pixels of a strip within so many floats of scratch; whole rows unless there is but one.
fn strip_pixels(problem: &Problem, floats: usize) -> Option<usize> {
    let step = if problem.rows.output == 1 { 1 } else { problem.cols.output };
    let fits = |steps: usize| Some(scratch(problem, steps * step)?.iter().sum::<usize>() <= floats);
    let mut steps = tiles::tile_size(problem).0 / step;
    while steps > 1 && fits(steps) != Some(true) {
        steps -= 1;
    }
    // Strips of about the same size.
    let all = problem.out_pixels() / step;
    Some(all.div_ceil(all.div_ceil(steps)) * step)
}

impl Kn2rowStrip {
    /// Channels × pixels of a tile, as dst lies.
    fn grid(problem: &Problem, strip: usize) -> Grid {
        let (pixels, channels) = (problem.out_pixels(), problem.group_out());
        let block = channel_block(problem);
        // Where strips are few, each is moved again for several groups of channel blocks.
        let groups = (TILES / pixels.div_ceil(strip)).clamp(1, channels.div_ceil(block));
        let channel_group = (channels.div_ceil(block).div_ceil(groups) * block).min(channels);
        match problem.dst_layout {
            Layout::Nchw => Grid::new(channels, pixels, channel_group, strip),
            Layout::Nhwc => Grid::new(pixels, channels, strip, channel_group),
        }
    }

    fn run_tile(
        unit: &Unit<'_>,
        problem: &Problem,
        (pixels, channels): (Range<usize>, Range<usize>),
        dst: &mut MatrixMut<'_>,
        [moved, tile]: [&mut [f32]; 2],
    ) {
        // 1. Move the input rows.
        let src = match problem.src_layout {
            Layout::Nchw => gather(unit, problem, &pixels, moved),
            Layout::Nhwc => Rows::of_image(&unit.src, problem),
        };
        let (block, depth) = (channel_block(problem), problem.depth());
        for first in channels.clone().step_by(block) {
            let part = first..(first + block).min(channels.end);
            let weights = &unit.weights[first * depth..part.end * depth];
            let in_dst = first - channels.start..part.end - channels.start;
            let mut to = match problem.dst_layout {
                Layout::Nchw => dst.part(in_dst, 0..pixels.len()),
                Layout::Nhwc => dst.part(0..pixels.len(), in_dst),
            };
            // 2. Multiply, 3. move the tile, which is added where the problem accumulates.
            match problem.dst_layout {
                Layout::Nchw => {
                    let fresh = Problem { accumulate: false, ..*problem };
                    let tile = &mut tile[..pixels.len() * part.len()];
                    let mut sums = MatrixMut::new(tile, pixels.len(), part.len(), part.len());
                    TapTile { unit, problem: &fresh, src: &src, weights, pixels: &pixels }
                        .multiply(&mut sums);
                    let sums = Matrix::new(tile, pixels.len(), part.len(), part.len());
                    transpose(&sums, &mut to, problem.accumulate);
                }
                Layout::Nhwc => {
                    TapTile { unit, problem, src: &src, weights, pixels: &pixels }.multiply(&mut to);
                }
            }
            unit.finish(&mut to, first);
        }
    }
}

/// Moves the part of an NCHW input that these output pixels see.
fn gather<'a>(unit: &Unit<'_>, problem: &Problem, pixels: &Range<usize>, moved: &'a mut [f32]) -> Rows<'a> {
    let (rows, cols) = (&problem.rows, &problem.cols);
    let (ys, xs) = tiles::rows_and_columns(problem, pixels);
    let (hs, ws) = (window(rows, &ys), window(cols, &xs));
    let (channels, plane) = (problem.group_in(), problem.in_pixels());
    let row = ws.len() * channels;
    if !ws.is_empty() {
        for (h, to) in hs.clone().zip(moved.chunks_exact_mut(row)) {
            let from = &unit.src.data[h * cols.input + ws.start..];
            let from = Matrix::new(from, channels, ws.len(), plane);
            transpose(&from, &mut MatrixMut::new(to, ws.len(), channels, channels), false);
        }
    }
    Rows::moved(moved, &hs, &ws, channels)
}

impl Algorithm for Kn2rowStrip {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        let native = (problem.src_layout, problem.dst_layout) == (Layout::Nhwc, Layout::Nhwc);
        require(!native, c"needs src_layout NCHW or dst_layout NCHW: else there is nothing to move")
    }

    fn weight_order(&self, problem: &Problem) -> WeightOrder {
        IJCM.blocked(channel_block(problem))
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        let problem = &flattened(problem);
        // The strip follows from the limit alone; threads take what room is left.
        let strip = strip_pixels(problem, SCRATCH_FLOATS.min(limits.floats))?;
        let floats: usize =
            scratch(problem, strip)?.iter().try_fold(0, |sum: usize, &x| sum.checked_add(x))?;
        Workspace::of_tiles(floats, Self::grid(problem, strip).tiles(), strip, limits)
    }

    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost {
        let problem = &flattened(problem);
        let cost = tiles::cost(
            &Problem { accumulate: problem.accumulate && problem.dst_layout == Layout::Nhwc, ..*problem },
            workspace.strip,
            Joining::WhereShort,
        );
        let strips = work(&[problem.out_pixels()]) / work(&[workspace.strip]);
        let groups = (Self::grid(problem, workspace.strip).tiles() as f64 / strips.ceil()).max(1.0);
        let [moved, _] = scratch(problem, workspace.strip).unwrap_or_default();
        let stored = match problem.dst_layout {
            Layout::Nchw => work(&[problem.out_pixels(), problem.group_out()]),
            Layout::Nhwc => 0.0,
        };
        Cost { moved: strips * groups * moved as f64 + stored, ..cost }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, workspace: &Workspace, scratch_floats: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let grid = Self::grid(problem, workspace.strip);
        let [moved, _] = scratch(problem, workspace.strip).unwrap_or_default();
        unit.pool.for_each_tile(dst, grid, scratch_floats, workspace.slots, |tile, mut view, scratch| {
            let place = match problem.dst_layout {
                Layout::Nchw => (tile.cols, tile.rows),
                Layout::Nhwc => (tile.rows, tile.cols),
            };
            Self::run_tile(unit, problem, place, &mut view, scratch.split_at_mut(moved).into());
        });
    }
}
