//! `im2row-*`: dst[P × M] = patches[P × D] · weights[D × M], or its transpose, with D = C·Kh·Kw.
//! Workspace: C·Kh·Kw·OH·OW, the patch matrix of one group of one image.
//! Wins like im2col, in NHWC, where a patch is a few long runs.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006), transposed; names of arXiv 1709.03395.

use super::product::Form;
use super::{Algorithm, Cost, Limits, Reason, Unit, Workspace, require_layouts};
use crate::lowering::patches::{copy_patch, scan_patch};
use crate::lowering::weights::WeightOrder;
use crate::matrix::{Grid, Matrix, MatrixMut};
use crate::problem::{Layout, Problem};

/// Patches as rows, multiplied in one form.
pub enum Im2row {
    /// From NCHW, element by element: a patch is C·Kh·Kw.
    Scan(Form),
    /// From NHWC, in runs of pixels: a patch is Kh·Kw·C.
    CopyShort(Form),
}

impl Im2row {
    fn form(&self) -> Form {
        match self {
            Im2row::Scan(form) | Im2row::CopyShort(form) => *form,
        }
    }
}

impl Algorithm for Im2row {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        let src = match self {
            Im2row::Scan(_) => Layout::Nchw,
            Im2row::CopyShort(_) => Layout::Nhwc,
        };
        require_layouts(problem, src, self.form().dst_layout())
    }

    fn weight_order(&self, _: &Problem) -> WeightOrder {
        match self {
            Im2row::Scan(form) => form.channels_outermost(),
            Im2row::CopyShort(form) => form.channels_innermost(),
        }
    }

    fn workspace(&self, problem: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::shared(&[problem.out_pixels(), problem.depth()], limits)
    }

    fn cost(&self, problem: &Problem, workspace: &Workspace) -> Cost {
        let moved = 2.0 * workspace.floats as f64;
        let (streamed, scattered) = match self {
            Im2row::Scan(_) => (0.0, moved),
            Im2row::CopyShort(_) => (moved, 0.0),
        };
        let product = self.form().cost(problem, problem.depth());
        Cost { streamed: product.streamed + streamed, scattered, ..product }
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, scratch: &mut [f32]) {
        let problem = unit.problem;
        let (depth, pixels, width) = (problem.depth(), problem.out_pixels(), problem.cols.output);
        let fill = match self {
            Im2row::Scan(_) => scan_patch,
            Im2row::CopyShort(_) => copy_patch,
        };
        // 1. Fill the patch matrix, the patches of an output row at a time.
        unit.pool.for_each_tile_plain(
            MatrixMut::new(scratch, pixels, depth, depth),
            Grid::new(pixels, depth, width, depth),
            |tile, mut patches| {
                let y = tile.rows.start / width;
                patches.for_each_row(|x, patch| fill(problem, &unit.src, y, x, patch));
            },
        );
        // 2. Multiply.
        self.form().multiply(unit, Matrix::new(scratch, pixels, depth, depth), dst);
    }
}
