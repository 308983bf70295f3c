//! `kn2row-tiled`: for a tile of output pixels × channels and each tap, dst[pixels × M] += src[pixels × C]·weights[C × M],
//! straight on the rows of src, clipped to the columns that the tap sees. Where a tap is shallow or rows are short, and
//! the GEMM takes overlapping rows, all taps of a kernel row are one product of depth Kw·C: a pixel and the Kw−1 behind
//! it lie in memory as a row of its patch matrix does.
//! Workspace: 0.
//! Wins in NHWC where a GEMM is asked for and C is not tiny: nothing is lowered, dst stays in the cache, padding is never multiplied.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.

use super::tiles::{self, Joining, Rows, TapTile, flattened};
use super::{
    Algorithm, Cost, Limits, Reason, Unit, Workspace, channels_of_group, dst_grid, part_of_channels,
    require_layouts,
};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, MatrixMut};
use crate::problem::{Layout, Problem};

/// The taps of one tile of dst after the other.
pub struct Kn2rowTiled;

impl Kn2rowTiled {
    /// The tiles of dst, each of whole blocks of weights. The problem is flattened.
    fn grid(problem: &Problem) -> Grid {
        let ((pixels, most), block) = (tiles::tile_size(problem), tiles::folded_tile_size(problem).1);
        let channels = problem.group_out();
        dst_grid(problem, pixels, channels_of_group(channels, block, channels.div_ceil(most)))
    }
}

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
        let cost = tiles::cost(problem, tiles::folded_tile_size(problem), Joining::WhereShort);
        Cost { tiles: Self::grid(problem).tiles(), ..cost }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, _: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let src = Rows::of_image(&unit.src, problem);
        let (block, depth) = (tiles::folded_tile_size(problem).1, problem.depth());
        unit.pool.for_each_tile_plain(dst, Self::grid(problem), |tile, mut view| {
            for first in tile.cols.clone().step_by(block) {
                let channels = first..(first + block).min(tile.cols.end);
                let weights = &unit.weights[first * depth..channels.end * depth];
                let in_tile = first - tile.cols.start..channels.end - tile.cols.start;
                let mut part = part_of_channels(problem, &mut view, in_tile);
                TapTile { unit, problem, src: &src, weights, pixels: &tile.rows }.multiply(&mut part);
                unit.finish(&mut part, first);
            }
        });
    }
}
