//! The optional arguments of an execute, and the check that no output overlaps another argument.

use std::ffi::c_void;

use convlow_base::error::{Result, invalid};

use super::checked::{NamedRange, disjoint, slice, tensor};
use super::types::ExecuteArgs;
use crate::problem::{Activation, Problem};

/// The values behind a pointer that may be null.
///
/// # Safety
/// There are so many behind one that is not.
pub(super) unsafe fn optional<'a, T>(
    name: &str,
    pointer: *const c_void,
    len: usize,
) -> Result<Option<&'a [T]>> {
    // SAFETY: the caller's promise.
    if pointer.is_null() { Ok(None) } else { unsafe { slice(name, pointer.cast(), len) }.map(Some) }
}

/// The residual, if it is another tensor than dst.
pub(super) fn residual_of<T>(
    residual: *const c_void,
    dst: *const c_void,
    problem: &Problem,
) -> Result<Option<*const T>> {
    if !residual.is_null() && !problem.accumulate {
        return invalid!("residual = {residual:p}, but accumulate = 0 in the descriptor");
    }
    if residual.is_null() || std::ptr::eq(residual, dst) {
        return Ok(None);
    }
    tensor("residual", residual.cast(), problem.dst_len()).map(Some)
}

/// The slopes of an activation that has some; what others have there is not read, and may be anything.
///
/// # Safety
/// There are as many behind a pointer of PRELU's as there are output channels.
pub(super) unsafe fn slopes_of<'a, T>(args: &ExecuteArgs, problem: &Problem) -> Result<Option<&'a [T]>> {
    if problem.activation != Activation::Prelu {
        return Ok(None);
    }
    if args.slopes.is_null() {
        return invalid!(
            "slopes is NULL, but activation = CONVLOW_ACTIVATION_PRELU in the descriptor: set slopes, one for each of its \
             out_channels, in convlow_execute_args, and call convlow_execute_with"
        );
    }
    // SAFETY: the caller's promise.
    unsafe { slice("slopes", args.slopes.cast(), problem.out_channels) }.map(Some)
}

/// `Err` where what is written overlaps with what is read; src and dst may be slices of one tensor.
pub(super) fn check_disjoint(
    problem: &Problem,
    src: NamedRange<'_>,
    dst: NamedRange<'_>,
    workspace: NamedRange<'_>,
    reads: &[NamedRange<'_>],
) -> Result<()> {
    if !problem.interleave(src.1, dst.1) {
        disjoint(dst, &[src])?;
    }
    disjoint(dst, reads)?;
    disjoint(workspace, reads)?;
    disjoint(workspace, &[src, dst])
}
