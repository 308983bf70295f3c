//! An execute of a plan for the gradient of the weights.

use std::ffi::c_void;

use convlow_base::error::{Result, invalid};

use super::checked::{disjoint, malloc_aligned, slice_mut, tensor};
use super::types::ExecuteArgs;
use crate::algorithms::Element;
use crate::plan::{GradientTensors, Plan, workspace_too_small};

/// The elements behind a pointer that may be null, to be written.
///
/// # Safety
/// There are so many behind one that is not, and nobody else uses them during `'a`.
unsafe fn written<'a, T>(name: &str, pointer: *mut c_void, len: usize) -> Result<Option<&'a mut [T]>> {
    // SAFETY: the caller's promise.
    if pointer.is_null() { Ok(None) } else { unsafe { slice_mut(name, pointer.cast(), len) }.map(Some) }
}

/// # Safety
/// Non-null pointers of those that the plan reads and writes point to its tensors.
pub(super) unsafe fn execute_gradient<T: Element>(plan: &Plan, args: &ExecuteArgs) -> Result<()> {
    let (problem, needed) = (plan.problem(), plan.info().workspace_bytes);
    let ExecuteArgs { src, diff_dst, diff_weights, diff_bias, workspace, workspace_bytes, .. } = *args;
    let src = tensor::<T>("src", src.cast(), problem.src_len())?;
    let diff_dst = tensor::<T>("diff_dst", diff_dst.cast(), problem.dst_len())?;
    if diff_weights.is_null() && diff_bias.is_null() {
        return invalid!("diff_weights and diff_bias are NULL: set the one, the other or both");
    }
    if workspace_bytes < needed {
        return Err(workspace_too_small(workspace_bytes, needed));
    }
    if needed > 0 || !workspace.is_null() {
        malloc_aligned("workspace", workspace)?;
    }
    let bytes = |pointer: *mut c_void, len: usize| if pointer.is_null() { 0 } else { len * size_of::<T>() };
    let reads = [
        ("src", src.addr(), problem.src_len() * size_of::<T>()),
        ("diff_dst", diff_dst.addr(), problem.dst_len() * size_of::<T>()),
    ];
    let weights = ("diff_weights", diff_weights.addr(), bytes(diff_weights, problem.weights_len()));
    let bias = ("diff_bias", diff_bias.addr(), bytes(diff_bias, problem.out_channels));
    let scratch = ("workspace", workspace.addr(), needed);
    disjoint(weights, &reads)?;
    disjoint(bias, &reads)?;
    disjoint(scratch, &reads)?;
    disjoint(bias, &[weights])?;
    disjoint(scratch, &[weights, bias])?;
    // SAFETY: the caller's promise; what is written overlaps nothing, as just checked.
    unsafe {
        let pool = match args.pool_context.is_null() {
            true => None,
            false => Some(plan.pool_with_context(args.pool_context)?),
        };
        let diff_weights = written("diff_weights", diff_weights, problem.weights_len())?;
        let diff_bias = written("diff_bias", diff_bias, problem.out_channels)?;
        let workspace: &mut [T] = match needed {
            0 => &mut [],
            _ => slice_mut("workspace", workspace.cast(), needed / size_of::<T>())?,
        };
        plan.execute_gradient_raw(GradientTensors { src, diff_dst, diff_weights, diff_bias }, workspace, pool)
    }
}
