//! `kn2row-flat`: kn2row-tiled with the rows of a tile always joined: for each tap one GEMM over all its pixels. Columns
//! that wrap around the row end receive junk; those that hold sums already are saved and put back.
//! Workspace: for each thread (Kw−1)·d−pad_left columns (with `accumulate` the wider side's) × R rows × Mb channels of a
//! tile; as few as one row where the limit says so.
//! Wins in NHWC with a GEMM that wants large calls, and where dst is added to.
//! Source: convlow; the column repair is that of kn2row-aa.

use std::ops::Range;

use super::taps::{self, TapTile, flattened, rows_and_columns, tile_size};
use super::wrapping::{flat_run, junk_of, must_save, saved_cols};
use super::{
    Algorithm, Calls, Cost, Limits, Reason, Unit, Workspace, dst_grid, require, require_layouts,
    require_unit_stride, work,
};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, MatrixMut};
use crate::problem::{Layout, Problem, common, product};

/// The taps of one tile of dst after the other, all rows at once.
pub struct Kn2rowFlat;

impl Kn2rowFlat {
    fn grid(problem: &Problem, workspace: &Workspace) -> Grid {
        let (_, channels) = tile_size(problem);
        dst_grid(problem, workspace.strip, channels)
    }
}

/// dst ← all taps of a tile of whole rows, one kernel column after the other. `saved` has [`saved_cols`] × rows ×
/// channels floats.
fn multiply_joined(taps: &TapTile<'_>, dst: &mut MatrixMut<'_>, saved: &mut [f32]) {
    let (problem, cols) = (taps.problem, &taps.problem.cols);
    if !problem.accumulate {
        dst.fill(0.0);
    }
    for j in (0..cols.kernel).filter(|&j| !cols.outputs_of_tap(j).is_empty()) {
        let (junk, save) = (junk_of(problem, j), must_save(problem, j));
        // 1. Save what junk would spoil.
        if save {
            for_each_pixel(cols.output, &junk, dst, saved, |pixel, saved| saved.copy_from_slice(pixel));
        }
        // 2. One GEMM for each tap of the column.
        add_column(taps, j, dst);
        // 3. Put it back.
        if save {
            for_each_pixel(cols.output, &junk, dst, saved, |pixel, saved| pixel.copy_from_slice(saved));
        } else {
            for y in 0..dst.rows() / cols.output {
                junk.clone().for_each(|x| dst.row_mut(y * cols.output + x).fill(0.0));
            }
        }
    }
}

/// The taps of one kernel column, rows joined.
fn add_column(taps: &TapTile<'_>, j: usize, dst: &mut MatrixMut<'_>) {
    let (problem, src, channels) = (taps.problem, &taps.unit.src, dst.cols());
    let (ys, _) = rows_and_columns(problem, taps.pixels);
    for i in 0..problem.rows.kernel {
        let inside = common(&ys, &problem.rows.outputs_of_tap(i));
        if !inside.is_empty() {
            let (to, from) = flat_run(problem, &ys, (i, j), &inside);
            taps.add((i, j), src.at(0, 0, from), src.pixel, 1.0, dst.part(to, 0..channels));
        }
    }
}

/// Calls `f` with the channels of these columns of all rows, and their place in `saved`.
fn for_each_pixel(
    width: usize,
    xs: &Range<usize>,
    dst: &mut MatrixMut<'_>,
    saved: &mut [f32],
    f: impl Fn(&mut [f32], &mut [f32]),
) {
    let mut saved = saved.chunks_exact_mut(dst.cols());
    for y in 0..dst.rows() / width {
        for (x, saved) in xs.clone().zip(&mut saved) {
            f(dst.row_mut(y * width + x), saved);
        }
    }
}

impl Algorithm for Kn2rowFlat {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        require_layouts(problem, Layout::Nhwc, Layout::Nhwc)?;
        require_unit_stride(problem)?;
        require(problem.cols.output == problem.cols.input, c"needs output rows as long as the input's")
    }

    fn weight_order(&self, problem: &Problem) -> WeightOrder {
        IJCM.blocked(tile_size(&flattened(problem)).1)
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        let problem = &flattened(problem);
        let (pixels, channels) = tile_size(problem);
        let saved_row = product(&[saved_cols(problem), channels])?;
        if saved_row == 0 || problem.rows.output == 1 {
            return Some(Workspace { floats: 0, slots: limits.threads, strip: pixels });
        }
        // The strip follows from the limit alone; threads take what room is left.
        let width = problem.cols.output;
        let rows = (pixels / width).min(limits.floats / saved_row).max(1);
        let workspace = Workspace { floats: 0, slots: 1, strip: rows * width };
        let floats = product(&[rows, saved_row])?;
        let tiles = Self::grid(problem, &workspace).tiles();
        Workspace::of_tiles(floats, tiles, workspace.strip, limits)
    }

    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost {
        let problem = &flattened(problem);
        let Problem { rows, cols, .. } = problem;
        let tile = (workspace.strip, tile_size(problem).1);
        if rows.output == 1 {
            return taps::cost(problem, tile);
        }
        let taps = cols.count_taps_inside();
        let calls = Calls {
            shape: [tile.0, tile.1, problem.group_in()],
            count: rows.count_taps_of_strips(tile.0 / cols.output).saturating_mul(taps),
            macs: work(&[rows.count_inside(), cols.output, taps, problem.group_in(), problem.group_out()]),
            plane: 0,
        };
        let cost = taps::cost_of_calls(problem, tile, calls);
        Cost {
            // The zeros with which dst begins.
            streamed: cost.streamed + work(&[problem.out_pixels(), problem.group_out()]),
            // Every saved column is read and written for each kernel column that needs it.
            cached: 2.0 * taps as f64 * workspace.floats as f64,
            ..cost
        }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, workspace: &Workspace, scratch: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let grid = Self::grid(problem, workspace);
        unit.pool.for_each_tile(dst, grid, scratch, workspace.slots, |tile, mut view, saved| {
            let (first, depth) = (tile.cols.start, problem.depth());
            let weights = &unit.weights[first * depth..][..tile.cols.len() * depth];
            let taps = TapTile { unit, problem, weights, pixels: &tile.rows };
            if problem.rows.output == 1 {
                taps.multiply(&mut view); // There is nothing to join.
            } else {
                multiply_joined(&taps, &mut view, saved);
            }
            unit.finish(&mut view, first);
        });
    }
}
