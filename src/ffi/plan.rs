//! The C functions for plans: options, query, create and information.

use convlow_base::error::{Result, invalid};
use convlow_base::memory;
use convlow_threads::Pool;

use super::checked::{output, reference};
use super::pool::PoolHandle;
use super::problem::{problem_of, problem_of_nd};
use super::status::{Status, guard, guard_value};
use super::types::{
    CONVLOW_ALGORITHM_AUTO, CONVLOW_EFFORT_ESTIMATE, CONVLOW_EFFORT_MEASURE, CONVLOW_GEMM_AUTO,
    CONVLOW_GEMM_BLAS, CONVLOW_GEMM_EMBEDDED, CONVLOW_GEMM_KERNELS, CONVLOW_MATH_EXACT, CONVLOW_MATH_FAST,
    CONVLOW_PACKING_CALLER, CONVLOW_PACKING_NONE, Conv2dDesc, ConvNdDesc, PlanInfo, PlanOptions,
};
use super::versioned;
use crate::algorithms::{Entry, Products};
use crate::gemm::BackendChoice;
use crate::plan::{Info, Plan};
use crate::planner::{self, AlgorithmChoice, Effort, Math, Options, WeightsFrom};
use crate::problem::Problem;

/// A convolution that is ready to run. A plan never changes: any number of threads may execute it at the same time,
/// each with its own dst and workspace.
pub struct PlanHandle(pub(super) Plan);

/// # Safety
/// A non-null pointer points to options, and their pool to a pool.
unsafe fn options_of(options: *const PlanOptions) -> Result<Options> {
    if options.is_null() {
        return Ok(Options::default());
    }
    // SAFETY: the caller's promise.
    let options = unsafe { versioned::read(options) }?;
    if options.reserved0 != 0 {
        return invalid!(
            "reserved0 = {}, but it must be 0: call CONVLOW_PLAN_OPTIONS_INIT(&options) first",
            options.reserved0
        );
    }
    Ok(Options {
        algorithm: match options.algorithm {
            CONVLOW_ALGORITHM_AUTO => AlgorithmChoice::Auto,
            id => match Entry::by_id(id) {
                Some(entry) => AlgorithmChoice::One(entry),
                None => return invalid!("algorithm = {id} is not the id of an algorithm of this build"),
            },
        },
        math: match options.math {
            CONVLOW_MATH_EXACT => Math::Exact,
            CONVLOW_MATH_FAST => Math::Fast,
            other => return invalid!("math = {other} is not a CONVLOW_MATH_ constant"),
        },
        effort: match options.effort {
            CONVLOW_EFFORT_ESTIMATE => Effort::Estimate,
            CONVLOW_EFFORT_MEASURE => Effort::Measure,
            other => return invalid!("effort = {other} is not a CONVLOW_EFFORT_ constant"),
        },
        gemm: match options.gemm {
            CONVLOW_GEMM_AUTO => BackendChoice::Auto,
            CONVLOW_GEMM_BLAS => BackendChoice::Blas,
            CONVLOW_GEMM_EMBEDDED => BackendChoice::Embedded,
            CONVLOW_GEMM_KERNELS => {
                return invalid!(
                    "gemm = {CONVLOW_GEMM_KERNELS} (CONVLOW_GEMM_KERNELS) is an answer in convlow_plan_info, not an \
                     option: CONVLOW_GEMM_AUTO takes what runs on kernels, or ask for an algorithm by name"
                );
            }
            other => return invalid!("gemm = {other} is not a CONVLOW_GEMM_ constant"),
        },
        max_workspace_bytes: options.max_workspace_bytes,
        max_packed_weights_bytes: options.max_packed_weights_bytes,
        packing_id: options.packing_id,
        weights: match options.packing {
            CONVLOW_PACKING_CALLER => WeightsFrom::Packed,
            CONVLOW_PACKING_NONE => WeightsFrom::Plain,
            other => return invalid!("packing = {other} is not a CONVLOW_PACKING_ constant"),
        },
        measure_budget_seconds: options.measure_budget_seconds,
        measure_max_bytes: options.measure_max_bytes,
        pool: if options.pool.is_null() {
            Pool::SERIAL
        } else {
            // SAFETY: a non-null pool is one that convlow_pool_create made.
            unsafe { reference::<PoolHandle>("pool", options.pool) }?.0.clone()
        },
    })
}

fn plan_info(problem: &Problem, info: &Info) -> PlanInfo {
    PlanInfo {
        struct_size: size_of::<PlanInfo>(),
        algorithm: info.entry.id,
        applicable: info.applicable.into(),
        gemm: match (info.applicable, info.entry.products, info.backend) {
            (true, Products::Kernels | Products::Either, None) => CONVLOW_GEMM_KERNELS,
            (_, _, None) => CONVLOW_GEMM_AUTO,
            #[cfg(feature = "openblas")]
            (_, _, Some(crate::gemm::Backend::Blas)) => CONVLOW_GEMM_BLAS,
            #[cfg(feature = "gemm")]
            (_, _, Some(crate::gemm::Backend::Embedded)) => CONVLOW_GEMM_EMBEDDED,
        },
        reserved: 0,
        workspace_bytes: info.workspace_bytes,
        packed_weights_bytes: info.packed_weights_bytes,
        dst_height: problem.rows.output,
        dst_width: problem.cols.output,
        macs: problem.macs(),
        gemm_calls: info.gemm_calls,
        estimated_seconds: info.estimated_seconds,
        measured_seconds: info.measured_seconds,
        reason: info.reason.map_or(std::ptr::null(), |reason| reason.as_ptr()),
        isa: info.isa.map_or(std::ptr::null(), |isa| isa.c_name().as_ptr()),
    }
}

/// Sets every field to its default. The function writes struct_size bytes to options: pass
/// sizeof(convlow_plan_options), or use CONVLOW_PLAN_OPTIONS_INIT. If options is NULL or misaligned, or if the size
/// is impossible, it writes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_options_init(options: *mut PlanOptions, struct_size: usize) {
    // SAFETY: the caller promises `struct_size` writable bytes.
    guard(|| unsafe { versioned::init(options, struct_size) });
}

/// Writes a convlow_plan_info of every algorithm for this problem, in the order of convlow_algorithm_at. A plan with
/// these options takes the algorithm whose reason is NULL. options may be NULL, for the defaults.
/// CONVLOW_EFFORT_MEASURE measures here, too.
///
/// infos has capacity elements. Set the struct_size of the first one; it holds for all. The function writes
/// min(capacity, *count) elements, and the number of algorithms to *count. If capacity is 0, infos may be NULL. desc
/// and count must not be NULL.
///
/// Errors: as convlow_plan_create. If an algorithm cannot serve the problem, the call succeeds, and the reason says
/// why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_query(
    desc: *const Conv2dDesc,
    options: *const PlanOptions,
    infos: *mut PlanInfo,
    capacity: usize,
    count: *mut usize,
) -> Status {
    // SAFETY: the caller promises a descriptor, options, `capacity` infos and a writable count.
    guard(|| unsafe { query(|| problem_of(desc), options, infos, capacity, count) })
}

/// convlow_query for a convlow_convnd_desc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_query_nd(
    desc: *const ConvNdDesc,
    options: *const PlanOptions,
    infos: *mut PlanInfo,
    capacity: usize,
    count: *mut usize,
) -> Status {
    // SAFETY: as above.
    guard(|| unsafe { query(|| problem_of_nd(desc), options, infos, capacity, count) })
}

/// # Safety
/// Non-null pointers point to options, `capacity` infos and a writable count.
unsafe fn query(
    problem: impl FnOnce() -> Result<Problem>,
    options: *const PlanOptions,
    infos: *mut PlanInfo,
    capacity: usize,
    count: *mut usize,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let count = output("count", count)?;
        let problem = problem()?;
        let options = options_of(options)?;
        let size = if capacity > 0 { versioned::size_of_struct(infos)? } else { 0 };
        let answers = planner::query(&problem, &options)?;
        for (index, answer) in answers.iter().take(capacity).enumerate() {
            let info = infos.cast::<u8>().add(index * size).cast::<PlanInfo>();
            // A size that no sizeof gives may leave the next element misaligned.
            info.cast::<usize>().write_unaligned(size);
            versioned::write(info, size, &plan_info(&problem, answer));
        }
        count.write(answers.len());
    }
    Ok(())
}

/// Makes a plan and writes its address to *plan. The caller owns the plan: destroy it with convlow_plan_destroy.
/// options may be NULL, for the defaults. Other pointers must not be NULL.
///
/// Errors: CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_UNSUPPORTED, CONVLOW_ERROR_WORKSPACE_LIMIT,
/// CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_OUT_OF_MEMORY. With the environment variable CONVLOW_VERBOSE=1 the call
/// prints some lines to stderr: the chosen algorithm, and for each other one the reason why it was not chosen.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_create(
    desc: *const Conv2dDesc,
    options: *const PlanOptions,
    plan: *mut *mut PlanHandle,
) -> Status {
    // SAFETY: the caller promises a descriptor, options and a writable place.
    guard(|| unsafe { create(|| problem_of(desc), options, plan) })
}

/// convlow_plan_create for a convlow_convnd_desc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_create_nd(
    desc: *const ConvNdDesc,
    options: *const PlanOptions,
    plan: *mut *mut PlanHandle,
) -> Status {
    // SAFETY: as above.
    guard(|| unsafe { create(|| problem_of_nd(desc), options, plan) })
}

/// # Safety
/// Non-null pointers point to options and a writable place.
unsafe fn create(
    problem: impl FnOnce() -> Result<Problem>,
    options: *const PlanOptions,
    plan: *mut *mut PlanHandle,
) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        let plan = output("plan", plan)?;
        let made = Plan::new(&problem()?, &options_of(options)?)?;
        plan.write(Box::into_raw(memory::boxed(PlanHandle(made))?));
    }
    Ok(())
}

/// Destroys a plan. No thread may use the plan during this call or after it. If plan is NULL, the function does
/// nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_destroy(plan: *mut PlanHandle) {
    guard(|| {
        if !plan.is_null() {
            // SAFETY: a non-null plan came from convlow_plan_create and is destroyed once.
            drop(unsafe { Box::from_raw(plan) });
        }
        Ok(())
    });
}

/// Writes the algorithm and the sizes of the plan to info. Set info->struct_size first, and the other fields to 0.
/// Neither pointer may be NULL. Error: CONVLOW_ERROR_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_get_info(plan: *const PlanHandle, info: *mut PlanInfo) -> Status {
    guard(|| {
        // SAFETY: the caller promises a plan and a writable info.
        unsafe {
            let PlanHandle(plan) = reference("plan", plan)?;
            let size = versioned::size_of_struct(info)?;
            versioned::write(info, size, &plan_info(plan.problem(), plan.info()));
        }
        Ok(())
    })
}

/// Returns the exact number of bytes of workspace that an execute needs, for all threads of the plan's pool together.
/// If it is 0, the workspace may be NULL. If plan is NULL, the result is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_workspace_bytes(plan: *const PlanHandle) -> usize {
    // SAFETY: the caller promises a plan.
    guard_value(0, || Ok(unsafe { reference("plan", plan) }?.0.info().workspace_bytes))
}

/// Returns the exact number of bytes of the plan's packed weights. If plan is NULL, the result is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_packed_weights_bytes(plan: *const PlanHandle) -> usize {
    // SAFETY: the caller promises a plan.
    guard_value(0, || Ok(unsafe { reference("plan", plan) }?.0.info().packed_weights_bytes))
}

/// Returns the number of the format in which the plan reads packed weights. If plan is NULL, the result is 0. Plans
/// with equal numbers read the same packed weights. Other builds and machines may have other formats.
///
/// The number does not identify the weights: two layers of one shape share it, though their weights differ. So the
/// key of a cache of packed weights must be the layer and this number. docs/memory.md says when a layer keeps its
/// format for all image sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_plan_packing_id(plan: *const PlanHandle) -> u64 {
    // SAFETY: the caller promises a plan.
    guard_value(0, || Ok(unsafe { reference("plan", plan) }?.0.packing_id()))
}
