//! `kn2row-aa-*`: per tap, dst[M × shifted pixels] += weights[M × C]·src[C × pixels], one GEMM with β = 1
//! straight into dst.
//! Workspace: (Kw−1)·d−pad_left columns (one side's wrapped columns; with `accumulate` the wider side's) of M
//! channels × the rows of a strip, at most 64 KiB for one thread; 0 where OW ≠ W.
//! Wins on stride-1 layers with many channels: no patches, no scratch plane.
//! Source: arXiv 1709.03395 (accumulating with holes); the column repair, which leaves src untouched and
//! writes nothing outside dst, is convlow's.
//!
//! Where OW = W, the pixels of a tap are one flat run at a fixed distance in src and dst. Whole rows are
//! multiplied at once; only the columns that wrap around the row end receive junk: |dx| on one side. Columns
//! of taps with dx < 0, taken first and widest first, hold nothing valid yet, so they are set back to their
//! start value; those of taps with dx > 0 are saved and put back. Where OW ≠ W, or no scratch is allowed,
//! each row is a GEMM of its own, clipped to the columns that exist.

use std::ops::Range;

use super::product::{Form, tile_size};
use super::wrapping::{flat_run, junk_of, must_save, saved_cols};
use super::{
    Algorithm, Calls, Cost, Limits, Reason, Unit, Workspace, require_layouts, require_unit_stride,
    weights_streamed, work,
};
use crate::lowering::weights::{IJCM, IJMC, WeightOrder};
use crate::matrix::{Grid, MatrixMut, Tile};
use crate::problem::{Layout, Problem};

/// The form of each tap's product; image stored C × H·W (NCHW) or H·W × C (NHWC).
pub struct Kn2rowAa(pub Form);

/// Floats of saved columns for one thread, unless the limit is lower: 64 KiB.
const SAVED_FLOATS: usize = 16 * 1024;
/// Pixels of a strip: its dst stays in the cache for all taps, and a GEMM call is still worth its packing.
const STRIP_PIXELS: usize = 512;

impl Kn2rowAa {
    /// Output channels × pixels of a tile: whole rows of a strip.
    fn grid(&self, problem: &Problem, workspace: &Workspace) -> Grid {
        let (channels, width) = (problem.group_out(), problem.cols.output);
        let rows = match workspace.strip {
            0 => strip_rows(problem),
            rows => rows,
        };
        // A strip that is alone is shared by two threads.
        let most = if strip_rows(problem) == problem.rows.output { channels.div_ceil(2) } else { channels };
        let (_, channel_block) = tile_size(problem.out_pixels(), channels);
        let channel_block = channel_block.min(most.next_multiple_of(16));
        Grid::new(channels, problem.out_pixels(), channel_block, rows * width)
    }

    /// The strip's rows that tap row `i` reaches, cut into the rows of one GEMM call each.
    fn calls(
        problem: &Problem,
        workspace: &Workspace,
        strip: &Range<usize>,
        i: usize,
    ) -> impl Iterator<Item = Range<usize>> {
        let inside = problem.rows.outputs_of_tap(i);
        let inside = inside.start.max(strip.start)..inside.end.min(strip.end);
        let rows = if workspace.strip > 0 { inside.len().max(1) } else { 1 };
        let end = inside.end;
        inside.step_by(rows).map(move |y| y..(y + rows).min(end))
    }

    /// One tile: the taps of one kernel column after the other, the leftmost first.
    fn run_tile(
        &self,
        unit: &Unit<'_>,
        workspace: &Workspace,
        tile: &Tile,
        dst: &mut MatrixMut<'_>,
        saved: &mut [f32],
    ) {
        let problem = unit.problem;
        let width = problem.cols.output;
        let strip = tile.cols.start / width..tile.cols.end / width;
        if !problem.accumulate {
            dst.fill(0.0);
        }
        for j in 0..problem.cols.kernel {
            let xs = problem.cols.outputs_of_tap(j);
            if xs.is_empty() {
                continue;
            }
            let junk = if workspace.strip > 0 { junk_of(problem, j) } else { 0..0 };
            let save = must_save(problem, j);
            // 1. Save what junk would spoil.
            if save {
                for_each_run(dst, width, &junk, saved, |columns, saved| saved.copy_from_slice(columns));
            }
            // 2. One GEMM for each tap of the column.
            for i in 0..problem.rows.kernel {
                for ys in Self::calls(problem, workspace, &strip, i) {
                    let (to, from) = if workspace.strip > 0 {
                        flat_run(problem, &strip, (i, j), &ys)
                    } else {
                        let to = (ys.start - strip.start) * width + xs.start;
                        let from = problem.rows.input_of(ys.start, i) * problem.cols.input
                            + problem.cols.input_of(xs.start, j);
                        (to..to + xs.len(), from)
                    };
                    self.multiply(
                        unit,
                        tile,
                        i * problem.cols.kernel + j,
                        from,
                        dst.part(0..tile.rows.len(), to),
                    );
                }
            }
            // 3. Put it back.
            for_each_run(dst, width, &junk, saved, |columns, saved| {
                if save { columns.copy_from_slice(saved) } else { columns.fill(0.0) }
            });
        }
        unit.finish(dst, tile.rows.start);
    }

    /// dst += weights of one tap · src pixels `from`, `from` + 1, …
    fn multiply(&self, unit: &Unit<'_>, tile: &Tile, tap: usize, from: usize, dst: MatrixMut<'_>) {
        let (m, c) = (unit.problem.group_out(), unit.problem.group_in());
        let kernel = self.0.kernel(&unit.weights[tap * m * c..], m, c);
        let image = self.0.image(unit.src.matrix(unit.problem));
        let b = image.part(0..c, from..from + dst.cols());
        unit.gemm.multiply(dst, kernel.part(tile.rows.clone(), 0..c), b, 1.0);
    }
}

/// Calls `f` with the columns `junk` of every row of every channel of a tile, and their place in `saved`.
fn for_each_run(
    dst: &mut MatrixMut<'_>,
    width: usize,
    junk: &Range<usize>,
    saved: &mut [f32],
    mut f: impl FnMut(&mut [f32], &mut [f32]),
) {
    if junk.is_empty() {
        return;
    }
    let rows = dst.cols() / width;
    dst.for_each_row(|channel, pixels| {
        for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
            let place = (channel * rows + y) * junk.len();
            // Where nothing is saved there may be no scratch either.
            let saved = saved.get_mut(place..place + junk.len()).unwrap_or_default();
            f(&mut row[junk.clone()], saved);
        }
    });
}

/// Rows of a strip as the problem alone would have them.
fn strip_rows(problem: &Problem) -> usize {
    let strips = (problem.out_pixels() / STRIP_PIXELS).max(1);
    problem.rows.output.div_ceil(strips)
}

impl Algorithm for Kn2rowAa {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        let src = if self.0.image_by_depth() { Layout::Nchw } else { Layout::Nhwc };
        require_layouts(problem, src, Layout::Nchw)?;
        require_unit_stride(problem)
    }

    fn weight_order(&self, _: &Problem) -> WeightOrder {
        if self.0.kernel_by_output() { IJMC } else { IJCM }
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        let row_by_row = Workspace { floats: 0, slots: limits.threads, strip: 0 };
        if problem.cols.output != problem.cols.input {
            return Some(row_by_row);
        }
        let rows = strip_rows(problem);
        let whole = Workspace { strip: rows, ..row_by_row };
        let channels = self.grid(problem, &whole).tile(0).rows.len();
        let saved_row = saved_cols(problem) * channels;
        if saved_row == 0 {
            return Some(whole);
        }
        let strip_rows = rows.min(limits.floats.min(SAVED_FLOATS) / saved_row);
        if strip_rows == 0 {
            return Some(row_by_row);
        }
        // The strip follows from the limit alone; threads take what room is left.
        let slot = strip_rows * saved_row;
        let tiles = self.grid(problem, &Workspace { strip: strip_rows, ..whole }).tiles();
        Workspace::of_tiles(slot, tiles, strip_rows, limits)
    }

    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost {
        let Problem { rows, cols, .. } = problem;
        let grid = self.grid(problem, workspace);
        let tile = grid.tile(0);
        let channel_tiles = problem.group_out().div_ceil(tile.rows.len());
        let strip = tile.cols.len() / cols.output;
        let reached_cols = cols.count_taps_inside();
        let count_rows =
            if workspace.strip > 0 { rows.count_taps_of_strips(strip) } else { rows.count_inside() };
        let pixels = if workspace.strip > 0 { strip * cols.output } else { cols.output };
        let calls = Calls {
            shape: [tile.rows.len(), pixels, problem.group_in()],
            count: channel_tiles.saturating_mul(count_rows).saturating_mul(reached_cols),
            macs: work(&[
                problem.group_out(),
                rows.count_inside(),
                cols.output,
                reached_cols,
                problem.group_in(),
            ]),
            plane: problem.in_pixels(),
        };
        let largest_size =
            problem.in_channels.max(problem.in_pixels()).max(problem.out_pixels()).max(problem.group_out());
        // Saving and putting back, and the zeros dst begins with.
        let streamed = 4.0 * workspace.floats as f64
            + work(&[problem.group_out(), problem.out_pixels()])
            + weights_streamed(problem, problem.out_pixels().div_ceil(tile.cols.len()));
        Cost { calls: Some(calls), largest_size, tiles: grid.tiles(), streamed, ..Cost::default() }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, workspace: &Workspace, scratch: &mut [f32]) {
        let grid = self.grid(unit.problem, workspace);
        unit.pool.for_each_tile(dst, grid, scratch, workspace.slots, |tile, mut view, saved| {
            self.run_tile(unit, workspace, &tile, &mut view, saved);
        });
    }
}
