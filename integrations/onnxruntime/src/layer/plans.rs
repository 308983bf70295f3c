//! Plans for the sizes of input that were seen last.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use convlow::{Effort, Math, Options, ParallelFor, Plan, Pool, Problem, Strides, WeightsFrom};

use crate::host::Result;
use crate::session::Session;

/// Sizes of input whose plans are kept.
const KEPT: usize = 16;

/// The properties that tell plans of a layer from each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The input's.
    pub sizes: Vec<usize>,
    /// Whether the convolution ends without residual and activation.
    pub is_alone: bool,
    /// Where the output is some channels of a wider tensor.
    pub dst_strides: Strides,
}

/// Plans in the order of their last use.
#[derive(Default)]
pub struct Plans(Mutex<Vec<(Key, Arc<Plan>)>>);

impl Plans {
    /// The plan of a key, which now is the last one that was used.
    pub fn known(&self, key: &Key) -> Option<Arc<Plan>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known.iter().position(|(of, _)| of == key)?;
        known[at..].rotate_left(1);
        known.last().map(|(_, plan)| plan.clone())
    }

    /// Keeps a plan, and forgets the one that was used least lately if there are many.
    pub fn keep(&self, key: Key, plan: Arc<Plan>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == KEPT {
            known.remove(0);
        }
        known.push((key, plan));
    }
}

/// What all plans of a layer have in common.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub math: Math,
    pub weights: WeightsFrom,
    /// The packing that they read; 0: the one that is best.
    pub packing_id: u64,
}

impl Asked {
    /// Of the first plan of a layer, or of one that is alone.
    pub fn first(math: Math, weights: WeightsFrom) -> Self {
        Self { math, weights, packing_id: 0 }
    }
}

/// A new plan for a problem of a session.
///
/// # Errors
/// The library's.
pub fn new_plan(problem: &Problem, session: &Session, asked: Asked) -> Result<Plan> {
    let Asked { math, weights, packing_id } = asked;
    let pool = match &session.pool {
        Some(pool) => pool.clone(),
        // SAFETY: `one_by_one` reads no context. Calls bring a pool of their own.
        None => unsafe { Pool::external(one_by_one, std::ptr::null_mut(), session.threads) }?,
    };
    Ok(Plan::new(
        problem,
        &Options {
            math,
            weights,
            packing_id,
            effort: Effort::Estimate,
            max_workspace_bytes: session.options.max_workspace_bytes,
            pool,
            ..Options::default()
        },
    )?)
}

/// [`ParallelFor`] on the calling thread.
unsafe extern "C" fn one_by_one(
    _: *mut c_void,
    jobs: usize,
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
) {
    // SAFETY: the caller's promise: the job may be called with its argument and each of these numbers.
    (0..jobs).for_each(|index| unsafe { job(argument, index) });
}

const _: ParallelFor = one_by_one;
