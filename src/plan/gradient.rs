//! [`Gradient`]: the gradient of a problem's weights and bias.

use convlow_base::error::{Result, invalid};
use convlow_base::panics;
use convlow_threads::Pool;

use super::{GradientArguments, Plan, Task, check_len};

use crate::algorithms::{Declined, Element, Entry, Form, GradientUnit, Limits, ReadyGradient};
use crate::lowering::image::Images;
use crate::problem::{Problem, product};

/// What computes the gradient of a problem's weights.
pub(crate) struct Gradient {
    pub prepared: Box<dyn ReadyGradient>,
    form: Form,
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
    pub fn new(
        problem: &Problem,
        entry: &Entry,
        threads: usize,
        max_bytes: usize,
    ) -> std::result::Result<Self, Declined> {
        let limits = Limits { threads, elements: problem.elements(max_bytes) };
        let (form, prepared) = entry.prepare_gradient(problem, limits)?;
        Ok(Self { prepared, form, problem: *problem })
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
    pub unsafe fn run<T: Element>(&self, tensors: GradientTensors<'_, T>, scratch: &mut [T], pool: &Pool) {
        let GradientTensors { src, diff_dst, diff_weights, diff_bias } = tensors;
        let Form { rows, lanes, lanes_are_diff_dst, .. } = &self.form;
        let [of_rows, of_lanes] = if *lanes_are_diff_dst { [src, diff_dst] } else { [diff_dst, src] };
        // SAFETY: the caller's promise: each tensor lies as the src of its problem.
        let [rows, lanes] = unsafe { [Images::new(rows, of_rows), Images::new(lanes, of_lanes)] };
        let mut unit = GradientUnit {
            rows,
            lanes,
            diff_dst: if *lanes_are_diff_dst { lanes } else { rows },
            diff_weights,
            diff_bias,
            accumulate: self.problem.accumulate,
            pool,
        };
        T::run_gradient(&*self.prepared, &mut unit, scratch);
    }
}

impl Plan {
    /// Computes the gradients of the weights and of the bias, or adds them to what is there where the problem accumulates. Each
    /// is optional, but not both.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a length differs, the plan's elements are of another type, or it computes something else;
    /// [`Error::WorkspaceLimit`] if the workspace is too short. Nothing is written then.
    ///
    /// [`Error::InvalidArgument`]: crate::Error::InvalidArgument
    /// [`Error::WorkspaceLimit`]: crate::Error::WorkspaceLimit
    pub fn execute_gradient<T: Element>(&self, arguments: GradientArguments<'_, T>) -> Result<()> {
        let GradientArguments { src, diff_dst, diff_weights, diff_bias, workspace, pool } = arguments;
        check_len("src", src.len(), self.problem().src_len())?;
        check_len("diff_dst", diff_dst.len(), self.problem().dst_len())?;
        let (src, diff_dst) = (src.as_ptr(), diff_dst.as_ptr());
        let tensors = GradientTensors { src, diff_dst, diff_weights, diff_bias };
        // SAFETY: the borrows are those of whole tensors, as just checked.
        unsafe { self.execute_gradient_raw(tensors, workspace, pool) }
    }

    /// [`Plan::execute_gradient`] on tensors that may be slices of wider ones.
    ///
    /// # Errors
    /// As [`Plan::execute_gradient`].
    ///
    /// # Safety
    /// The pointers are to tensors of the problem's layouts and strides, whose elements nobody writes during the call.
    pub(crate) unsafe fn execute_gradient_raw<T: Element>(
        &self,
        tensors: GradientTensors<'_, T>,
        workspace: &mut [T],
        pool: Option<Pool>,
    ) -> Result<()> {
        self.check_type::<T>()?;
        let Task::Gradient(gradient) = &self.task else {
            return invalid!("the plan does not compute the gradient of the weights");
        };
        if tensors.diff_weights.is_none() && tensors.diff_bias.is_none() {
            return invalid!("neither the gradient of the weights nor that of the bias is asked for");
        }
        if let Some(weights) = &tensors.diff_weights {
            check_len("diff_weights", weights.len(), self.problem().weights_len())?;
        }
        if let Some(bias) = &tensors.diff_bias {
            check_len("diff_bias", bias.len(), self.problem().out_channels)?;
        }
        let workspace = self.workspace_of(workspace)?;
        let pool = pool.as_ref().unwrap_or(&self.pool);
        // SAFETY: the caller's promise.
        panics::catch_failure(|| unsafe { gradient.run(tensors, workspace, pool) })
    }
}
