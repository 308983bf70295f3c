//! `im2col-*`: dst[M × P] = weights[M × C·Kh·Kw] · patches[C·Kh·Kw × P], or its transpose.
//! Workspace: C·Kh·Kw·OH·OW, the patch matrix of one group of one image.
//! Wins where stride, dilation or a tiny channel count rule out the low-memory families.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006); copy strategies of arXiv 1709.03395.

use super::product::Form;
use super::{Algorithm, Cost, Limits, Reason, Unit, Workspace, require, require_layouts};
use crate::lowering::patches::{Fill, fill_channel};
use crate::lowering::weights::WeightOrder;
use crate::matrix::{Grid, Matrix, MatrixMut};
use crate::problem::{Layout, Problem};

/// The patch matrix, filled one way and multiplied in one form.
pub struct Im2col(pub Fill, pub Form);

impl Algorithm for Im2col {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        require_layouts(problem, Layout::Nchw, self.1.dst_layout())?;
        require(
            self.0 != Fill::CopyLong || problem.unit_stride(),
            c"needs stride 1, because it copies whole shifted planes",
        )
    }

    fn weight_order(&self, _: &Problem) -> WeightOrder {
        self.1.channels_outermost()
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::shared(&[problem.depth(), problem.out_pixels()], limits)
    }

    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost {
        // A plane is read once for each tap; the patch matrix is written once.
        let moved = 2.0 * workspace.floats as f64;
        let (streamed, scattered) = match self.0 {
            Fill::Scan => (0.0, moved),
            // Strided rows are gathered, and the horizontal neighbour's last columns too.
            _ if problem.cols.stride > 1 => (moved / 2.0, moved / 2.0),
            Fill::CopyShort | Fill::CopySelf => (moved, 0.0),
            Fill::CopyLong => (moved * 1.125, 0.0),
        };
        let product = self.1.cost(problem, problem.out_pixels());
        Cost { streamed: product.streamed + streamed, scattered, ..product }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, scratch: &mut [f32]) {
        let problem = unit.problem;
        let (depth, taps, pixels) = (problem.depth(), problem.taps(), problem.out_pixels());
        // 1. Fill the patch matrix, a channel's Kh·Kw rows at a time.
        unit.pool.for_each_tile_plain(
            MatrixMut::new(scratch, depth, pixels, pixels),
            Grid::new(depth, pixels, taps, pixels),
            |tile, mut patches| {
                let plane = &unit.src.at(tile.rows.start / taps, 0, 0)[..problem.in_pixels()];
                fill_channel(self.0, problem, plane, &mut patches);
            },
        );
        // 2. Multiply.
        self.1.multiply(unit, Matrix::new(scratch, depth, pixels, pixels), dst);
    }
}
