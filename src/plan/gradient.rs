//! [`Gradient`]: the gradient of a problem's weights and bias.

use convlow_threads::Pool;

use crate::algorithms::{Declined, Element, Entry, GradientUnit, Limits, ReadyGradient, Roles};
use crate::gemm::Backend;
use crate::lowering::image::Images;
use crate::problem::{Problem, product};

/// What computes the gradient of a problem's weights.
pub(crate) struct Gradient {
    pub prepared: Box<dyn ReadyGradient>,
    problem: Problem,
}

/// The tensors of an execute.
pub(crate) struct GradientTensors<'a, T> {
    pub src: *const T,
    pub diff_dst: *const T,
    pub diff_weights: Option<&'a mut [T]>,
    pub diff_bias: Option<&'a mut [T]>,
}

impl Gradient {
    /// That of a problem within `max_bytes`.
    ///
    /// # Errors
    /// Why the algorithm does not compute it.
    pub fn new(problem: &Problem, entry: &Entry, threads: usize, max_bytes: usize) -> Result<Self, Declined> {
        let limits = Limits::new(threads, problem.elements(max_bytes));
        Ok(Self { prepared: entry.prepare_gradient(problem, limits)?, problem: *problem })
    }

    /// Bytes of the workspace; `None` if they overflow.
    pub fn bytes(&self) -> Option<usize> {
        product(&[self.prepared.scratch().all(), self.problem.data_type.bytes()])
            .filter(|&bytes| bytes <= isize::MAX as usize)
    }

    /// Computes the gradients that are asked for.
    ///
    /// # Safety
    /// The pointers are to tensors of the problem's layouts and strides, whose elements nobody writes during the call.
    pub unsafe fn run<T: Element>(
        &self,
        tensors: GradientTensors<'_, T>,
        backend: Option<Backend>,
        scratch: &mut [T],
        pool: &Pool,
    ) {
        let GradientTensors { src, diff_dst, diff_weights, diff_bias } = tensors;
        let Roles { rows, lanes, lanes_are_diff_dst } = self.prepared.roles();
        let [of_rows, of_lanes] = if lanes_are_diff_dst { [src, diff_dst] } else { [diff_dst, src] };
        // SAFETY: the caller's promise: each tensor lies as the src of its problem.
        let [rows, lanes] = unsafe { [Images::new(rows, of_rows), Images::new(lanes, of_lanes)] };
        let mut unit = GradientUnit {
            rows,
            lanes,
            diff_dst: if lanes_are_diff_dst { lanes } else { rows },
            diff_weights,
            diff_bias,
            accumulate: self.problem.accumulate,
            gemm: backend.map(Backend::gemm),
            pool,
        };
        T::run_gradient(&*self.prepared, &mut unit, scratch);
    }
}
