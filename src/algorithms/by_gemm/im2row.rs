//! `im2row-*`: dst[P × M] = patches[P × D] · weights[D × M], or its transpose, with D = C·Kh·Kw.
//! Workspace: C·Kh·Kw·OH·OW, the patch matrix of one group of one image.
//! Wins where im2col wins, but in NHWC, where a patch is a few long runs.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006), transposed; names of arXiv 1709.03395.

use convlow_kernels::matrix::{Matrix, MatrixMut};

use super::patches::{copy_patch, scan_patch};
use super::product::{Form, Product};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready,
};
use crate::algorithms::cost::Cost;
use crate::lowering::weights::WeightOrder;
use crate::problem::Problem;
use crate::tiles::{EachTile, Grid};

/// Patches as rows, multiplied in one form.
#[derive(Clone, Copy)]
pub enum Im2row {
    /// From NCHW, element by element: a patch is C·Kh·Kw.
    Scan(Form),
    /// From NHWC, in runs of pixels: a patch is Kh·Kw·C.
    CopyShort(Form),
}

struct PreparedIm2row {
    variant: Im2row,
    product: Product,
    scratch: Scratch,
}

impl Algorithm for Im2row {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        let (Im2row::Scan(form) | Im2row::CopyShort(form)) = *self;
        let scratch = Scratch::shared(&[problem.out_pixels(), problem.depth()])?;
        ready(PreparedIm2row { variant: *self, product: Product::new(form, problem), scratch })
    }
}

impl Prepared for PreparedIm2row {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        match self.variant {
            Im2row::Scan(form) => form.channels_outermost(),
            Im2row::CopyShort(form) => form.channels_innermost(),
        }
    }

    fn cost(&self) -> Cost {
        let moved = 2.0 * self.scratch.elements as f64;
        let (streamed, scattered) = match self.variant {
            Im2row::Scan(_) => (0.0, moved),
            Im2row::CopyShort(_) => (moved, 0.0),
        };
        let product = self.product.cost(self.product.problem.depth());
        Cost { streamed: product.streamed + streamed, scattered, ..product }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let problem = &self.product.problem;
        let (depth, pixels, width) = (problem.depth(), problem.out_pixels(), problem.cols.output);
        let fill = match self.variant {
            Im2row::Scan(_) => scan_patch,
            Im2row::CopyShort(_) => copy_patch,
        };
        // 1. Fill the patch matrix, the patches of an output row at a time.
        unit.pool.for_each_tile_plain(
            MatrixMut::new(scratch, pixels, depth, depth),
            Grid::new(pixels, depth, width, depth),
            |tile, mut patches| {
                let (height, row) = (problem.rows.output, tile.rows.start / width);
                patches.for_each_row(|x, patch| {
                    fill(problem, &unit.src, [row / height, row % height, x], patch);
                });
            },
        );
        // 2. Multiply.
        self.product.multiply(unit, Matrix::new(scratch, pixels, depth, depth), dst);
    }
}
