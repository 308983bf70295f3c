//! `kn2row-register`: for a few output pixels × channels, the sum over all taps of src[pixels × C]·weights[C × M] in
//! registers, finished there with bias, residual and clamp, and written once.
//! Workspace: 0.
//! Wins in NHWC: no tap reads or writes what another one left in dst, nothing is packed or lowered at run time, and
//! nothing is allocated. Shallow sums, as of 1×1 kernels over 64 channels, are its weakest.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.

use super::algorithm::{Algorithm, Declined, Limits, Prepared, Unit, ready};
use super::cost::{Cost, weights_streamed, work};
use super::tiling::{channels_of_group, dst_grid, flattened, rows_and_columns, tile_size};
use crate::kernels::{PixelTile, channels_of_block};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, MatrixMut};
use crate::problem::Problem;

/// All taps of a register tile after the other.
pub struct Kn2rowRegister;

struct PreparedKn2rowRegister {
    /// Flattened.
    problem: Problem,
    /// Output channels of a block of weights.
    block: usize,
    /// Output pixels of a tile.
    pixels: usize,
    /// The tiles of dst, each of whole blocks of weights.
    grid: Grid,
}

impl Algorithm for Kn2rowRegister {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Prepared>, Declined> {
        let (problem, block) = (flattened(problem), channels_of_block());
        let ((pixels, most), channels) = (tile_size(&problem), problem.group_out());
        let channels = channels_of_group(channels, block, channels.div_ceil(most));
        ready(PreparedKn2rowRegister { problem, block, pixels, grid: dst_grid(&problem, pixels, channels) })
    }
}

impl Prepared for PreparedKn2rowRegister {
    fn weight_order(&self) -> WeightOrder {
        IJCM.blocked(self.block)
    }

    fn cost(&self) -> Cost {
        let problem = &self.problem;
        let Problem { rows, cols, .. } = problem;
        Cost {
            register_macs: work(&[
                rows.count_inside(),
                cols.count_inside(),
                problem.group_in(),
                // In whole vectors of AVX2, whose speed the model is of.
                problem.group_out().next_multiple_of(8),
            ]),
            finished: work(&[problem.out_pixels(), problem.group_out()]),
            tiles: self.grid.tiles(),
            streamed: weights_streamed(problem, problem.out_pixels().div_ceil(self.pixels)),
            ..Cost::default()
        }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &mut [f32]) {
        let problem = &self.problem;
        let depth = problem.depth();
        unit.pool.for_each_tile_plain(dst, self.grid, |tile, view| {
            let (rows, cols) = rows_and_columns(problem, &tile.rows);
            let weights = &unit.weights[tile.cols.start * depth..tile.cols.end * depth];
            let bias = unit.bias.map(|bias| &bias[tile.cols.clone()]);
            PixelTile { problem, image: &unit.src, weights, bias, rows, cols, dst: view }.run();
        });
    }
}
