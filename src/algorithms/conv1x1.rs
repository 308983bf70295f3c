//! `conv-1x1-gemm-*`: dst[M × P] = weights[M × C] · src[C × P], or its transpose.
//! Workspace: 0.
//! Wins on every 1×1 layer: the image is the patch matrix already.
//! Source: arXiv 1709.03395, and the authors' triNNity library for the names.

use super::product::Form;
use super::{
    Algorithm, Cost, Limits, Reason, Unit, Workspace, require, require_layouts, require_unit_stride,
};
use crate::lowering::weights::WeightOrder;
use crate::matrix::MatrixMut;
use crate::problem::{Layout, Problem};

/// One GEMM on the image as it lies in memory.
pub struct Conv1x1(pub Form);

impl Algorithm for Conv1x1 {
    fn applicable(&self, problem: &Problem) -> Result<(), Reason> {
        let src = if self.0.image_by_depth() { Layout::Nchw } else { Layout::Nhwc };
        require_layouts(problem, src, self.0.dst_layout())?;
        require(problem.taps() == 1, c"needs a 1x1 kernel")?;
        require_unit_stride(problem)?;
        require(problem.in_pixels() == problem.out_pixels(), c"needs an input without padding")
    }

    fn weight_order(&self, _: &Problem) -> WeightOrder {
        self.0.channels_outermost()
    }

    fn workspace(&self, _: &Problem, limits: Limits) -> Option<Workspace> {
        Workspace::none(limits)
    }

    fn cost(&self, problem: &Problem, _: &Workspace) -> Cost {
        let image_ld = if self.0.image_by_depth() { problem.in_pixels() } else { problem.in_channels };
        self.0.cost(problem, image_ld)
    }

    fn run(&self, unit: &Unit<'_>, dst: MatrixMut<'_>, _: &Workspace, _: &mut [f32]) {
        self.0.multiply(unit, unit.src.matrix(unit.problem), dst);
    }
}
