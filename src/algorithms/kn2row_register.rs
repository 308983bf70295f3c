//! `kn2row-register`: for a few output pixels × channels, the sum over all taps of src[pixels × C]·weights[C × M] in
//! registers, finished there with bias, residual and clamp, and written once.
//! Workspace: 0.
//! Wins in NHWC: no tap reads or writes what another one left in dst, nothing is packed or lowered at run time, and
//! nothing is allocated. Shallow sums, as of 1×1 kernels over 64 channels, are its weakest.
//! Source: convlow; the taps are those of kn2row (arXiv 1704.04428), accumulated as in arXiv 1709.03395.

use super::taps::{flattened, rows_and_columns, tile_size};
use super::{
    Algorithm, Cost, Limits, Reason, Unit, Workspace, channels_of_group, dst_grid, require_layouts,
    weights_streamed, work,
};
use crate::kernels::{PixelTile, channels_of_block};
use crate::lowering::weights::{IJCM, WeightOrder};
use crate::matrix::{Grid, MatrixMut};
use crate::problem::{Layout, Problem};

/// All taps of a register tile after the other.
pub struct Kn2rowRegister;

impl Kn2rowRegister {
    /// The tiles of dst, each of whole blocks of weights. The problem is flattened.
    fn grid(problem: &Problem) -> Grid {
        let ((pixels, most), channels) = (tile_size(problem), problem.group_out());
        let groups = channels.div_ceil(most);
        dst_grid(problem, pixels, channels_of_group(channels, channels_of_block(), groups))
    }
}

impl Algorithm for Kn2rowRegister {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        require_layouts(problem, Layout::Nhwc, Layout::Nhwc)
    }

    fn weight_order(&self, _: &Problem) -> WeightOrder {
        IJCM.blocked(channels_of_block())
    }

    fn workspace(&self, _: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::none(limits)
    }

    fn cost(&self, problem: &Problem, _: &Workspace) -> Cost {
        let problem = &flattened(problem);
        let Problem { rows, cols, .. } = problem;
        let (pixels, _) = tile_size(problem);
        Cost {
            register_macs: work(&[
                rows.count_inside(),
                cols.count_inside(),
                problem.group_in(),
                // In whole vectors of AVX2, whose speed the model is of.
                problem.group_out().next_multiple_of(8),
            ]),
            finished: work(&[problem.out_pixels(), problem.group_out()]),
            tiles: Self::grid(problem).tiles(),
            streamed: weights_streamed(problem, problem.out_pixels().div_ceil(pixels)),
            ..Cost::default()
        }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, _: &mut [f32]) {
        let problem = &flattened(unit.problem);
        let depth = problem.depth();
        unit.pool.for_each_tile_plain(dst, Self::grid(problem), |tile, view| {
            let (rows, cols) = rows_and_columns(problem, &tile.rows);
            let weights = &unit.weights[tile.cols.start * depth..tile.cols.end * depth];
            let bias = unit.bias.map(|bias| &bias[tile.cols.clone()]);
            PixelTile { problem, image: &unit.src, weights, bias, rows, cols, dst: view }.run();
        });
    }
}
