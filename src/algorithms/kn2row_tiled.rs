//! `kn2row-tiled`: for a tile of output pixels × channels and each tap, dst[pixels × M] += src[pixels × C]·weights[C × M],
//! straight on the rows of src, clipped to the columns that the tap sees.
//! Workspace: 0.
//! Wins in NHWC where a GEMM is asked for, rows are long and C is not small: nothing is lowered, dst stays in the cache,
//! padding is never multiplied.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.

use super::taps::{self, TapTile, flattened, tile_size};
use super::{Algorithm, Cost, Limits, Reason, Unit, Workspace, dst_grid, require_layouts};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::MatrixMut;
use crate::problem::{Layout, Problem};

/// The taps of one tile of dst after the other.
pub struct Kn2rowTiled;

impl Algorithm for Kn2rowTiled {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        require_layouts(problem, Layout::Nhwc, Layout::Nhwc)
    }

    fn weight_order(&self, problem: &Problem) -> WeightOrder {
        IJCM.blocked(tile_size(&flattened(problem)).1)
    }

    fn workspace(&self, _: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::none(limits)
    }

    fn cost(&self, problem: &Problem, _: &Workspace) -> Cost {
        let problem = &flattened(problem);
        taps::cost(problem, tile_size(problem))
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, _: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let ((pixels, channels), depth) = (tile_size(problem), problem.depth());
        unit.pool.for_each_tile_plain(dst, dst_grid(problem, pixels, channels), |tile, mut view| {
            let weights = &unit.weights[tile.cols.start * depth..tile.cols.end * depth];
            TapTile { unit, problem, weights, pixels: &tile.rows }.multiply(&mut view);
            unit.finish(&mut view, tile.cols.start);
        });
    }
}
