//! `kn2row-flat`: kn2row-tiled with the rows of a tile always joined: for each tap one GEMM over all its pixels. Columns
//! that wrap around the row end receive junk; those that hold sums already are saved and put back.
//! Workspace: for each thread (Kw−1)·d−pad_left columns (with `accumulate` the wider side's) × R rows × Mb channels of a
//! tile; as few as one row where the limit says so.
//! Wins in NHWC with a GEMM that wants large calls, and where dst is added to.
//! Source: convlow; the column repair is that of kn2row-aa.

use super::tiles::{self, Joining, Rows, TapTile, flattened, saved_cols};
use super::{
    Algorithm, Cost, Limits, Reason, Unit, Workspace, dst_grid, require, require_layouts, require_unit_stride,
};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, MatrixMut};
use crate::problem::{Layout, Problem, product};

/// The taps of one tile of dst after the other, all rows at once.
pub struct Kn2rowFlat;

impl Kn2rowFlat {
    fn grid(problem: &Problem, workspace: &Workspace) -> Grid {
        let (_, channels) = tiles::tile_size(problem);
        dst_grid(problem, workspace.strip, channels)
    }
}

impl Algorithm for Kn2rowFlat {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        require_layouts(problem, Layout::Nhwc, Layout::Nhwc)?;
        require_unit_stride(problem)?;
        require(problem.cols.output == problem.cols.input, c"needs output rows as long as the input's")
    }

    fn weight_order(&self, problem: &Problem) -> WeightOrder {
        IJCM.blocked(tiles::tile_size(&flattened(problem)).1)
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        let problem = &flattened(problem);
        let (pixels, channels) = tiles::tile_size(problem);
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
        let joining = if problem.rows.output == 1 { Joining::WhereShort } else { Joining::Always };
        let cost = tiles::cost(problem, (workspace.strip, tiles::tile_size(problem).1), joining);
        // Every saved column is read and written for each kernel column that needs it.
        let taps = problem.cols.count_taps_inside() as f64;
        Cost { cached: 2.0 * taps * workspace.floats as f64, ..cost }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, workspace: &Workspace, scratch: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let src = Rows::of_image(&unit.src, problem);
        let grid = Self::grid(problem, workspace);
        unit.pool.for_each_tile(dst, grid, scratch, workspace.slots, |tile, mut view, saved| {
            let (first, depth) = (tile.cols.start, problem.depth());
            let weights = &unit.weights[first * depth..][..tile.cols.len() * depth];
            let taps = TapTile { unit, problem, src: &src, weights, pixels: &tile.rows };
            if problem.rows.output == 1 {
                taps.multiply(&mut view); // There is nothing to join.
            } else {
                taps.multiply_saving(&mut view, saved);
            }
            unit.finish(&mut view, first);
        });
    }
}
