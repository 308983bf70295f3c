//! The one place where the library computes a convolution for ONNX Runtime.

use std::sync::Arc;

use convlow::{Arguments, Buffer, Plan};

use crate::host::Result;
use crate::number::Number;
use crate::session::{Session, Threads};

/// The operands that are the same in every call of a layer.
pub struct Constants<T> {
    pub packed: Arc<Buffer>,
    pub bias: Option<Vec<T>>,
    /// Those of PRelu.
    pub slopes: Option<Vec<T>>,
}

/// The tensors of a call. Each is memory of its own: the host gives the output none that another value is in.
pub struct Tensors<'a, T> {
    pub src: &'a [T],
    /// Weights that are computed in the run.
    pub weights: Option<&'a [T]>,
    /// A bias that is computed in the run.
    pub bias: Option<&'a [T]>,
    /// The tensor that is added, laid out as dst.
    pub residual: Option<&'a [T]>,
    pub dst: &'a mut [T],
}

/// Executes a plan on the threads of a call.
///
/// # Errors
/// The library's, or that there is no memory for a workspace.
pub fn execute<T: Number>(
    session: &Session,
    plan: &Plan,
    constants: &Constants<T>,
    tensors: Tensors<'_, T>,
    threads: &Threads<'_>,
) -> Result<()> {
    let Tensors { src, weights, bias, residual, dst } = tensors;
    session.with_workspace(plan.info().workspace_bytes, |workspace| {
        plan.execute_with(Arguments {
            src,
            packed: constants.packed.bytes(),
            weights,
            bias: bias.or(constants.bias.as_deref()),
            slopes: constants.slopes.as_deref(),
            residual,
            dst,
            workspace: workspace.elements_mut(),
            // SAFETY: `Plan::execute_with` takes its arguments and drops the pool before it returns, and `threads` live
            // longer.
            pool: unsafe { threads.in_place_of_plans() },
        })
    })??;
    Ok(())
}
