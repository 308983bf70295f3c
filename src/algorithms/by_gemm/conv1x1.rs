//! `conv-1x1-gemm-*`: dst[M × P] = weights[M × C] · src[C × P], or its transpose.
//! Workspace: 0.
//! Wins on every 1×1 layer: the image itself is the patch matrix.
//! Source: arXiv 1709.03395; the names are those of triNNity, the authors' library.

use convlow_kernels::matrix::MatrixMut;

use super::product::{Form, Product};
use crate::algorithms::algorithm::{
    Algorithm, Declined, Element, Limits, Prepared, Ready, Unit, ready, require, require_unit_stride,
};
use crate::algorithms::cost::Cost;
use crate::lowering::image::matrix_of;
use crate::lowering::weights::WeightOrder;
use crate::problem::Problem;

/// One GEMM on the image as it lies in memory.
pub struct Conv1x1(pub Form);

struct PreparedConv1x1 {
    form: Form,
    product: Product,
}

impl Algorithm for Conv1x1 {
    fn prepare(&self, problem: &Problem, _: Limits) -> Result<Box<dyn Ready>, Declined> {
        require(problem.taps() == 1, c"needs a 1x1 kernel")?;
        require_unit_stride(problem)?;
        require(problem.in_pixels() == problem.out_pixels(), c"needs an input without padding")?;
        ready(PreparedConv1x1 { form: self.0, product: Product::new(self.0, problem) })
    }
}

impl Prepared for PreparedConv1x1 {
    fn weight_order(&self) -> WeightOrder {
        self.form.channels_outermost()
    }

    fn cost(&self) -> Cost {
        let problem = &self.product.problem;
        self.product.cost(if self.form.image_by_depth() { problem.in_pixels() } else { problem.in_channels })
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, dst: MatrixMut<'_, T>, _: &mut [T]) {
        self.product.multiply(unit, matrix_of(&unit.src, &self.product.problem), dst);
    }
}
