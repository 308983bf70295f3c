//! `kn2row-tiled`: for a tile of output pixels × channels and each tap, dst[pixels × M] += src[pixels × C]·weights[C × M],
//! straight on the rows of src, clipped to the columns that the tap sees. Where a tap is shallow or rows are short, and
//! the GEMM takes overlapping rows, all taps of a kernel row are one product of depth Kw·C: a pixel and the Kw−1 behind
//! it lie in memory as a row of its patch matrix does.
//! Workspace: 0.
//! Wins in NHWC wherever C is not tiny: nothing is lowered, dst stays in the cache, padding is never multiplied.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.

use super::tiles::{self, Joining, Rows, TapTile, flattened};
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
        IJCM.blocked(tiles::folded_tile_size(&flattened(problem)).1)
    }

    fn workspace(&self, _: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::none(limits)
    }

    fn cost(&self, problem: &Problem, _: &Workspace) -> Cost {
        let problem = &flattened(problem);
        tiles::cost(problem, tiles::folded_tile_size(problem), Joining::WhereShort)
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, _: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let src = Rows::of_image(&unit.src, problem);
        let (pixels, channels) = tiles::folded_tile_size(problem);
        let grid = dst_grid(problem, pixels, channels);
        unit.pool.for_each_tile_plain(dst, grid, |tile, mut view| {
            let first_channel = tile.cols.start;
            let weights =
                &unit.weights[first_channel * problem.depth()..][..tile.cols.len() * problem.depth()];
            TapTile { unit, problem, src: &src, weights, pixels: &tile.rows }.multiply(&mut view);
            unit.finish(&mut view, first_channel);
        });
    }
}
