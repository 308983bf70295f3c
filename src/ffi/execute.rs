//! The C functions that pack weights and execute plans.

use std::ffi::c_void;

use convlow_base::error::{Error, Result, invalid, text};
use convlow_kernels::data_type::for_type;

use super::arguments::{check_disjoint, optional, residual_of, slopes_of};
use super::checked::{disjoint, malloc_aligned, reference, slice, slice_mut, tensor};
#[cfg(feature = "training")]
use super::gradient::execute_gradient;
use super::plan::PlanHandle;
use super::status::{Status, guard};
use super::types::ExecuteArgs;
use super::versioned::{self, Versioned};
use crate::algorithms::Element;
use crate::lowering::weights::HEADER_BYTES;
use crate::plan::{Plan, RawArguments, workspace_too_small};
#[cfg(feature = "training")]
use crate::problem::Propagation;

/// Packs the weights of a plan of CONVLOW_TYPE_F32. weights is in weights_layout. packed is memory of the caller with
/// the alignment of malloc, 16 bytes. It has packed_bytes bytes, at least convlow_plan_packed_weights_bytes. It must
/// not overlap weights. Packed weights hold no pointer: you may copy, store and map them, and share them between
/// plans of one format.
///
/// No pointer may be NULL. Error: CONVLOW_ERROR_INVALID_ARGUMENT, also for a plan of another type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pack_weights(
    plan: *const PlanHandle,
    weights: *const f32,
    packed: *mut c_void,
    packed_bytes: usize,
) -> Status {
    // SAFETY: the caller promises a plan, its weights, and `packed_bytes` writable bytes.
    guard(|| unsafe { pack(plan, weights, packed, packed_bytes) })
}

/// convlow_pack_weights for a plan of CONVLOW_TYPE_F64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pack_weights_f64(
    plan: *const PlanHandle,
    weights: *const f64,
    packed: *mut c_void,
    packed_bytes: usize,
) -> Status {
    // SAFETY: as above.
    guard(|| unsafe { pack(plan, weights, packed, packed_bytes) })
}

/// # Safety
/// Non-null pointers point to a plan, its weights, and `packed_bytes` writable bytes.
unsafe fn pack<T: Element>(
    plan: *const PlanHandle,
    weights: *const T,
    packed: *mut c_void,
    packed_bytes: usize,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let PlanHandle(plan) = reference("plan", plan)?;
        plan.check_type::<T>()?;
        plan.packing_of_caller()?;
        let needed = plan.info().packed_weights_bytes;
        let weights = slice("weights", weights, plan.problem().weights_len())?;
        malloc_aligned("packed", packed)?;
        if packed_bytes < needed {
            return invalid!("packed_bytes = {packed_bytes} is less than the plan's {needed}");
        }
        disjoint(
            ("packed", packed.addr(), needed),
            &[("weights", weights.as_ptr().addr(), size_of_val(weights))],
        )?;
        plan.pack_weights(weights, slice_mut("packed", packed.cast::<u8>(), needed)?)
    }
}

/// Computes dst, with a plan of CONVLOW_TYPE_F32. The arguments are those fields of convlow_execute_args that have
/// the same names: see there for sizes, alignment, overlap and NULL.
///
/// - The function cannot check how many bytes packed_weights has: there must be convlow_plan_packed_weights_bytes.
///   convlow_execute_with can check it.
/// - If the plan was made with CONVLOW_PACKING_NONE, pass the plain weights as packed_weights.
/// - The library itself allocates nothing. The GEMM of a plan may allocate. If it gets no memory, it may end the
///   process: docs/memory.md. A plan that CONVLOW_ALGORITHM_AUTO chose with CONVLOW_GEMM_AUTO has no GEMM.
/// - Each executing thread needs 128 KiB of stack, or 64 KiB in a build without BLAS.
/// - All threads compute in the floating-point mode (rounding, flushing to zero) of the calling thread.
/// - A NaN or an infinity in src reaches exactly the outputs whose window holds it; with Winograd's algorithms it also
///   reaches other outputs. A NaN or an infinity in the weights of a tap may also reach border outputs that do not use
///   this tap.
///
/// These errors leave dst as it was: CONVLOW_ERROR_INVALID_ARGUMENT, also for a plan of another type or of a gradient;
/// CONVLOW_ERROR_WORKSPACE_LIMIT; CONVLOW_ERROR_WEIGHTS_MISMATCH. These errors may leave anything in dst:
/// CONVLOW_ERROR_OUT_OF_MEMORY, only on CONVLOW_GEMM_EMBEDDED; CONVLOW_ERROR_INTERNAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_execute(
    plan: *const PlanHandle,
    src: *const f32,
    packed_weights: *const c_void,
    bias: *const f32,
    dst: *mut f32,
    workspace: *mut c_void,
    workspace_bytes: usize,
) -> Status {
    // SAFETY: the caller promises a plan and its tensors.
    guard(|| unsafe { execute_plain(plan, src, packed_weights, bias, dst, (workspace, workspace_bytes)) })
}

/// convlow_execute for a plan of CONVLOW_TYPE_F64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_execute_f64(
    plan: *const PlanHandle,
    src: *const f64,
    packed_weights: *const c_void,
    bias: *const f64,
    dst: *mut f64,
    workspace: *mut c_void,
    workspace_bytes: usize,
) -> Status {
    // SAFETY: as above.
    guard(|| unsafe { execute_plain(plan, src, packed_weights, bias, dst, (workspace, workspace_bytes)) })
}

/// An execute with what every call has.
///
/// # Safety
/// Non-null pointers point to a plan and its tensors.
unsafe fn execute_plain<T: Element>(
    plan: *const PlanHandle,
    src: *const T,
    packed_weights: *const c_void,
    bias: *const T,
    dst: *mut T,
    (workspace, workspace_bytes): (*mut c_void, usize),
) -> Result<()> {
    // SAFETY: the caller's promise.
    if unsafe { reference("plan", plan) }?.0.is_gradient() {
        return invalid!("the plan computes a gradient: call convlow_execute_with");
    }
    let args = ExecuteArgs {
        src: src.cast(),
        packed_weights,
        // A plan reads the one or the other.
        weights: packed_weights,
        bias: bias.cast(),
        dst: dst.cast(),
        workspace,
        workspace_bytes,
        ..ExecuteArgs::DEFAULT
    };
    // SAFETY: the caller's promise.
    unsafe { execute::<T>(plan, &args) }
}

/// Sets every field but struct_size to 0 or NULL. The function writes struct_size bytes to args: pass
/// sizeof(convlow_execute_args), or use CONVLOW_EXECUTE_ARGS_INIT. If args is NULL or misaligned, or if the size is
/// impossible, it writes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_execute_args_init(args: *mut ExecuteArgs, struct_size: usize) {
    // SAFETY: the caller promises `struct_size` writable bytes.
    guard(|| unsafe { versioned::init(args, struct_size) });
}

/// convlow_execute for a plan of any type, with more arguments: a residual, slopes, a context for an external pool,
/// and the number of bytes of packed_weights. Neither pointer may be NULL. Errors: as convlow_execute.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_execute_with(plan: *const PlanHandle, args: *const ExecuteArgs) -> Status {
    guard(|| {
        // SAFETY: the caller promises a plan, arguments and their tensors.
        unsafe {
            let args = versioned::read(args)?;
            for_type!(reference("plan", plan)?.0.problem().data_type, T => execute_any::<T>(plan, &args))
        }
    })
}

/// The bytes of the weights of an execute: the plain ones if the plan reads these; else the packed ones, unless they are
/// shorter than the plan's or begin in another way.
///
/// # Safety
/// A non-null pointer of those that the plan reads points to plain weights, or to as many bytes as the arguments tell, or
/// else to packed weights.
unsafe fn weights_of<'a>(plan: &Plan, args: &ExecuteArgs) -> Result<&'a [u8]> {
    let Some(packing) = plan.packing() else {
        if args.weights.is_null() {
            return invalid!(
                "weights is NULL, but the plan was made with packing = CONVLOW_PACKING_NONE: pass the plain weights"
            );
        }
        // SAFETY: the caller's promise.
        return unsafe { slice("weights", args.weights.cast::<u8>(), plan.weights_bytes()) };
    };
    let ExecuteArgs { packed_weights, packed_weights_bytes: told, .. } = *args;
    let needed = plan.info().packed_weights_bytes;
    if packed_weights.is_null() {
        return invalid!("packed_weights is NULL: call convlow_pack_weights once, and pass what it wrote");
    }
    malloc_aligned("packed_weights", packed_weights)?;
    if told != 0 && told < needed {
        return Err(Error::WeightsMismatch(text!(
            "packed_weights_bytes = {told} is less than the plan's {needed}: the blob was cut, or packed for another plan"
        )));
    }
    // SAFETY: the caller's promise. The header is read before the rest: where no length is told, a shorter blob may end anywhere
    // behind it.
    unsafe {
        let header = reference("packed_weights", packed_weights.cast::<[u8; HEADER_BYTES]>())?;
        packing.check_header(header)?;
        slice("packed_weights", packed_weights.cast::<u8>(), needed)
    }
}

/// What an execute of the plan reads beside the weights, and what it writes, with the names of their fields.
fn read_and_written(plan: &Plan, args: &ExecuteArgs) -> [(&'static str, *const c_void); 2] {
    match plan.is_gradient() {
        true => [("diff_dst", args.diff_dst), ("diff_src", args.diff_src)],
        false => [("src", args.src), ("dst", args.dst)],
    }
}

/// An execute of a plan of any propagation.
///
/// # Safety
/// Non-null pointers point to a plan and its tensors.
unsafe fn execute_any<T: Element>(plan: *const PlanHandle, args: &ExecuteArgs) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        #[cfg(feature = "training")]
        if reference("plan", plan)?.0.problem().propagation == Propagation::BackwardWeights {
            return execute_gradient::<T>(&reference("plan", plan)?.0, args);
        }
        execute::<T>(plan, args)
    }
}

/// # Safety
/// Non-null pointers point to a plan and its tensors.
unsafe fn execute<T: Element>(plan: *const PlanHandle, args: &ExecuteArgs) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let PlanHandle(plan) = reference("plan", plan)?;
        plan.check_type::<T>()?;
        let (problem, info) = (plan.computed(), plan.info());
        let [(src_name, src), (dst_name, dst)] = read_and_written(plan, args);
        // A gradient reads no other tensor.
        let (bias, residual) = match plan.is_gradient() {
            true => (std::ptr::null(), std::ptr::null()),
            false => (args.bias, args.residual),
        };
        let ExecuteArgs { workspace, workspace_bytes, .. } = *args;
        let src = tensor::<T>(src_name, src.cast(), problem.src_len())?;
        let bias = optional("bias", bias, problem.out_channels)?;
        let dst = tensor::<T>(dst_name, dst.cast(), problem.dst_len())?.cast_mut();
        let residual = residual_of::<T>(residual, args.dst, problem)?;
        let slopes = slopes_of::<T>(args, problem)?;
        let pool = match args.pool_context.is_null() {
            true => None,
            false => Some(plan.pool_with_context(args.pool_context)?),
        };
        let needed = info.workspace_bytes;
        if workspace_bytes < needed {
            return Err(workspace_too_small(workspace_bytes, needed));
        }
        if needed > 0 || !workspace.is_null() {
            malloc_aligned("workspace", workspace)?;
        }
        let weights = weights_of(plan, args)?;
        let range = |name, slice: &[T]| (name, slice.as_ptr().addr(), size_of_val(slice));
        let dst_bytes = problem.dst_len() * size_of::<T>();
        check_disjoint(
            problem,
            (src_name, src.addr(), problem.src_len() * size_of::<T>()),
            (dst_name, dst.addr(), dst_bytes),
            ("workspace", workspace.addr(), needed),
            &[
                range("bias", bias.unwrap_or_default()),
                range("slopes", slopes.unwrap_or_default()),
                (
                    "residual",
                    residual.map_or(0, |residual| residual.addr()),
                    residual.map_or(0, |_| dst_bytes),
                ),
                (
                    if plan.reads_plain_weights() { "weights" } else { "packed_weights" },
                    weights.as_ptr().addr(),
                    weights.len(),
                ),
            ],
        )?;

        let workspace: &mut [T] = match needed {
            0 => &mut [],
            _ => slice_mut("workspace", workspace.cast(), needed / size_of::<T>())?,
        };
        plan.execute_raw(RawArguments::<T> { src, weights, bias, slopes, residual, dst, workspace, pool })
    }
}
