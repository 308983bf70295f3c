//! `kn2row-tiled`: for a tile of output pixels × channels and each tap,
//! dst[pixels × M] += src[pixels × C]·weights[C × M], straight on the rows of src, clipped to the columns that the tap
//! sees.
//! Workspace: 0.
//! Wins in NHWC if a GEMM is required, rows are long and C is not small: it lowers nothing, dst stays in the cache,
//! and padding is never multiplied. In a transposed convolution the taps of an input row add to every s-th pixel of dst.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.

use convlow_kernels::geometry::Geometry;
use convlow_kernels::matrix::MatrixMut;

use super::strips::strip_tile;
use super::taps::{self, TapTile};
use crate::algorithms::algorithm::{Algorithm, Declined, Element, Limits, Prepared, Ready, Unit, ready};
use crate::algorithms::cost::Cost;
use crate::algorithms::tiling::{dst_grid, flattened};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::problem::Problem;
use crate::tiles::{EachTile, Grid};

/// The taps of one tile of dst after the other.
pub struct Kn2rowTiled;

struct PreparedKn2rowTiled {
    problem: Problem,
    /// Its axes, flattened.
    geometry: Geometry,
    /// Output pixels and channels of a tile.
    tile: (usize, usize),
    grid: Grid,
}

impl Algorithm for Kn2rowTiled {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        let (geometry, channels) = (flattened(problem), problem.group_out());
        let tile = strip_tile(&geometry, problem.group_in(), channels);
        let grid = dst_grid(problem.dst_layout, (problem.out_pixels(), channels), tile);
        ready(PreparedKn2rowTiled { problem: *problem, geometry, tile, grid })
    }
}

impl Prepared for PreparedKn2rowTiled {
    fn weight_order(&self) -> WeightOrder {
        IJCM.blocked(self.tile.1)
    }

    fn cost(&self) -> Cost {
        taps::cost(&self.problem, &self.geometry, self.tile)
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, _: &mut [T]) {
        let (geometry, depth) = (&self.geometry, self.problem.depth());
        unit.pool.for_each_tile_plain(dst, self.grid, |tile, mut view| {
            let weights = &unit.weights[tile.cols.start * depth..tile.cols.end * depth];
            TapTile { unit, geometry, weights, pixels: &tile.rows }.multiply(&mut view);
            unit.finish(&mut view, tile.cols.start);
        });
    }
}
