//! PyTorch's threads as a pool of convlow's.

use std::ffi::c_void;

use convlow::Pool;

use crate::torch::torch;

/// What the threads of one round run.
struct Round {
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
}

/// As many of PyTorch's threads.
pub fn pool(threads: usize) -> Pool {
    if threads <= 1 {
        return Pool::SERIAL;
    }
    // SAFETY: `run_jobs` fulfils the contract, and needs no context.
    unsafe { Pool::external(run_jobs, std::ptr::null_mut(), threads) }.unwrap_or(Pool::SERIAL)
}

/// How many threads PyTorch would compute with now.
pub fn of_torch() -> u32 {
    let mut threads = 1;
    // SAFETY: the pointer is to a place of this function.
    unsafe { (torch().num_threads)(&mut threads) };
    threads
}

unsafe extern "C" fn run_jobs(
    _: *mut c_void,
    jobs: usize,
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
) {
    let mut round = Round { job, argument };
    // SAFETY: `run_range` takes a `Round`, which lives until this returns. A failure leaves jobs undone, which the pool does.
    unsafe { (torch().parallel_for)(0, jobs as i64, 1, run_range, (&raw mut round).cast()) };
}

unsafe extern "C" fn run_range(begin: i64, end: i64, context: *mut c_void) {
    // SAFETY: `run_jobs` passes a `Round`, which nobody writes.
    let round = unsafe { &*context.cast::<Round>() };
    for index in begin..end {
        // SAFETY: each index of the range once, with the argument of the pool.
        unsafe { (round.job)(round.argument, index as usize) };
    }
}
