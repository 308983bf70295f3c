//! `im2col-*`: dst[M × P] = weights[M × C·Kh·Kw] · patches[C·Kh·Kw × P], or its transpose.
//! Workspace: C·Kh·Kw·OH·OW, the patch matrix of one group of one image.
//! Wins if stride, dilation or a very small number of channels excludes the low-memory families.
//! Source: the classic lowering (Chellapilla, Puri, Simard 2006); copy strategies of arXiv 1709.03395.

use convlow_kernels::matrix::{Matrix, MatrixMut};

use super::patches::{Fill, fill_channel};
use super::product::{Form, Product};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Scratch, Unit, ready, require,
};
use crate::algorithms::cost::Cost;
use crate::lowering::weights::WeightOrder;
use crate::problem::Problem;
use crate::tiles::{EachTile, Grid};

/// The patch matrix, filled one way and multiplied in one form.
pub struct Im2col(pub Fill, pub Form);

struct PreparedIm2col {
    fill: Fill,
    form: Form,
    product: Product,
    scratch: Scratch,
}

impl Algorithm for Im2col {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        let Self(fill, form) = *self;
        require(
            fill != Fill::CopyLong || problem.unit_stride(),
            c"needs stride 1, because it copies whole shifted planes",
        )?;
        let scratch = Scratch::shared(&[problem.depth(), problem.out_pixels()])?;
        ready(PreparedIm2col { fill, form, product: Product::new(form, problem), scratch })
    }
}

impl Prepared for PreparedIm2col {
    fn scratch(&self) -> Scratch {
        self.scratch
    }

    fn weight_order(&self) -> WeightOrder {
        self.form.channels_outermost()
    }

    fn cost(&self) -> Cost {
        let problem = &self.product.problem;
        // A plane is read once for each tap; the patch matrix is written once.
        let moved = 2.0 * self.scratch.elements as f64;
        let (streamed, scattered) = match self.fill {
            Fill::Scan => (0.0, moved),
            // Strided rows are gathered, and the horizontal neighbour's last columns too.
            _ if problem.cols.stride > 1 => (moved / 2.0, moved / 2.0),
            Fill::CopyShort | Fill::CopySelf => (moved, 0.0),
            Fill::CopyLong => (moved * 1.125, 0.0),
        };
        let product = self.product.cost(problem.out_pixels());
        Cost { streamed: product.streamed + streamed, scattered, ..product }
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, scratch: &mut [T]) {
        let problem = &self.product.problem;
        let (depth, taps, pixels) = (problem.depth(), problem.taps(), problem.out_pixels());
        // 1. Fill the patch matrix, the rows of a channel's taps at a time.
        unit.pool.for_each_tile_plain(
            MatrixMut::new(scratch, depth, pixels, pixels),
            Grid::new(depth, pixels, taps, pixels),
            |tile, mut patches| {
                let channel = unit.src.channels_from(tile.rows.start / taps);
                fill_channel(self.fill, problem, &channel, &mut patches);
            },
        );
        // 2. Multiply.
        self.product.multiply(unit, Matrix::new(scratch, depth, pixels, pixels), dst);
    }
}
