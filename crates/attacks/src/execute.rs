//! Attack: any small problem under any options. The C functions plan, pack and execute it, and the result is compared
//! with the definition. The workspace has exactly the bytes that the plan states, between guard bytes.

#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/common/gradients.rs"]
mod gradients;

use std::ptr::null_mut;
use std::sync::OnceLock;

use crate::case::{CPlan, Case, Function, MAX_MACS, answered, default_options, message};
use arbitrary::Arbitrary;
use common::{Data, run_by};
use convlow::algorithms::{Entry, REGISTRY};
use convlow::ffi::pool::{PoolHandle, convlow_pool_create};
use convlow::ffi::status::{
    CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_UNSUPPORTED,
    CONVLOW_ERROR_WORKSPACE_LIMIT, CONVLOW_OK,
};
use convlow::ffi::types::{
    CONVLOW_GEMM_AUTO, CONVLOW_GEMM_BLAS, CONVLOW_GEMM_EMBEDDED, CONVLOW_MATH_EXACT, CONVLOW_MATH_FAST,
    PlanOptions,
};
use convlow::{DataType, Element, Problem, Propagation, for_type};
use gradients::{Gradients, run_gradients_by};

/// What the bytes say.
#[derive(Arbitrary, Debug)]
pub struct Input {
    case: Case,
    /// The planner chooses, or one of the registry is asked for.
    algorithm: Option<u8>,
    fast: bool,
    gemm: Gemm,
    max_workspace_bytes: Option<u16>,
    max_packed_weights_bytes: Option<u16>,
    threads: bool,
    bias: bool,
    seed: u8,
    function: Option<Function>,
    backward: bool,
    of_weights: bool,
    /// Of the gradients of the weights and of the bias those that are asked for; none is both.
    asked_for: [bool; 2],
}

#[derive(Arbitrary, Debug)]
enum Gemm {
    Auto,
    Blas,
    Embedded,
}

/// Three threads, as long as the process lives.
fn pool() -> *mut PoolHandle {
    static POOL: OnceLock<usize> = OnceLock::new();
    let address = POOL.get_or_init(|| {
        let mut pool = null_mut();
        // SAFETY: a place to write.
        assert!(answered(unsafe { convlow_pool_create(3, &mut pool) }), "{}", message());
        pool.expose_provenance()
    });
    std::ptr::with_exposed_provenance_mut(*address)
}

fn options_of(input: &Input) -> PlanOptions {
    PlanOptions {
        algorithm: input.algorithm.map_or(0, |at| REGISTRY[usize::from(at) % REGISTRY.len()].id),
        math: if input.fast { CONVLOW_MATH_FAST } else { CONVLOW_MATH_EXACT },
        gemm: match input.gemm {
            Gemm::Auto => CONVLOW_GEMM_AUTO,
            Gemm::Blas => CONVLOW_GEMM_BLAS,
            Gemm::Embedded => CONVLOW_GEMM_EMBEDDED,
        },
        max_workspace_bytes: input.max_workspace_bytes.map_or(usize::MAX, usize::from),
        max_packed_weights_bytes: input.max_packed_weights_bytes.map_or(usize::MAX, usize::from),
        pool: if input.threads { pool() } else { null_mut() },
        ..default_options()
    }
}

/// Promise 11: nothing but dst and the workspace is written to.
fn check<T: Element>(input: &Input, problem: &Problem, plan: &CPlan) {
    let info = plan.info();
    let options = options_of(input);
    assert!(info.workspace_bytes <= options.max_workspace_bytes);
    let entry = Entry::by_id(info.algorithm).expect("a plan has an algorithm of the registry");
    assert!(entry.is_exact() || input.fast, "{} was not asked for", entry.name());
    let mut rng = fastrand::Rng::with_seed(input.seed.into());
    let data = Data::<T>::integers(problem, input.bias, &mut rng);
    let bytes = [info.packed_weights_bytes, info.workspace_bytes];
    let pack = |weights: &[T], packed: &mut [u8]| plan.pack(weights, packed);
    let found = run_by(entry.name(), problem, bytes, &data, pack, |arguments| {
        assert_eq!(plan.execute(arguments), CONVLOW_OK, "{}", message());
    });
    let expected = data.expected(problem);
    let scale = if T::TYPE == DataType::F64 { 2f64.powi(-29) } else { 1.0 };
    let largest = expected.iter().fold(0f64, |most, output| most.max(output.magnitude));
    let bound = entry.stated_error.map_or(0.0, |share| share * scale * largest);
    for ((found, expected), at) in found.into_iter().zip(expected).zip(0..) {
        let (found, bound): (f64, f64) = (found.into(), bound + expected.of_activation);
        let expected = expected.value;
        assert!(
            (found - expected).abs() <= bound,
            "{} on {problem}: output {at} is {found}, not {expected}",
            entry.name()
        );
    }
}

/// The same for a plan of the gradients of the weights and of the bias.
fn check_gradients<T: Element>(input: &Input, problem: &Problem, plan: &CPlan) {
    let info = plan.info();
    assert!(info.workspace_bytes <= options_of(input).max_workspace_bytes && info.packed_weights_bytes == 0);
    let data = Gradients::<T>::integers(problem, &mut fastrand::Rng::with_seed(input.seed.into()));
    let asked_for = if input.asked_for == [false; 2] { [true; 2] } else { input.asked_for };
    let found = run_gradients_by(problem, info.workspace_bytes, &data, asked_for, |arguments| {
        assert_eq!(plan.execute_gradient(arguments), CONVLOW_OK, "{}", message());
    });
    for ((found, expected), _) in
        found.into_iter().zip(data.expected(problem)).zip(asked_for).filter(|(_, asked)| *asked)
    {
        for ((found, expected), at) in found.into_iter().zip(expected).zip(0..) {
            let found: f64 = found.into();
            assert_eq!(found, expected.value, "{problem}: element {at}");
        }
    }
}

/// Holds the promises.
pub fn run(input: &Input) {
    let propagation = match (input.backward, input.of_weights) {
        (false, _) => Propagation::Forward,
        (true, false) => Propagation::BackwardData,
        (true, true) => Propagation::BackwardWeights,
    };
    let case = input.case.with(input.function).propagated(propagation);
    let valid = Problem::new(case.problem);
    if valid.as_ref().is_ok_and(|problem| problem.macs() > MAX_MACS) {
        return;
    }
    // SAFETY: the pool is NULL or one that is never destroyed.
    match (unsafe { CPlan::new(&case.desc(), &options_of(input)) }, valid) {
        (Ok(plan), Ok(problem)) if propagation == Propagation::BackwardWeights => {
            for_type!(problem.data_type, T => check_gradients::<T>(input, &problem, &plan));
        }
        (Ok(plan), Ok(problem)) => for_type!(problem.data_type, T => check::<T>(input, &problem, &plan)),
        (Ok(_), Err(error)) => panic!("planned, but it is refused: {error}"),
        (Err(status), Ok(problem)) => assert!(
            [CONVLOW_ERROR_UNSUPPORTED, CONVLOW_ERROR_WORKSPACE_LIMIT, CONVLOW_ERROR_OVERFLOW]
                .contains(&status),
            "{problem} is refused with status {status}: {}",
            message()
        ),
        (Err(status), Err(error)) => assert!(
            [CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW, CONVLOW_ERROR_UNSUPPORTED]
                .contains(&status),
            "status {status} for {error}"
        ),
    }
}
