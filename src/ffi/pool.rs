//! The C functions for pools.

use std::ffi::c_void;
use std::time::Duration;

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::memory;
use convlow_threads::Pool;

use super::checked::{output, reference};
use super::status::{Status, guard};

/// Threads that compute one execute together, the calling thread included. One pool may serve any number of plans. It
/// serves one execute at a time: if the pool is busy, another execute does not wait, but runs on its calling thread.
pub struct PoolHandle(pub(super) Pool);

/// The system alone decides on which cores the threads of a pool run.
pub const CONVLOW_BINDING_NONE: i32 = 0;
/// The library chooses the core on which a thread of the pool wakes.
pub const CONVLOW_BINDING_CORES: i32 = 1;

/// A parallel loop of the host. It calls job(argument, 0) to job(argument, jobs - 1), on any threads and in any
/// order, and returns when all these calls have returned. It must not throw or unwind. argument is valid until it
/// returns.
///
/// If it calls fewer jobs, the executing thread does the rest of the work. If it calls an index that is not below
/// jobs, the execute returns CONVLOW_ERROR_INTERNAL.
pub type ParallelForPtr = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        jobs: usize,
        job: unsafe extern "C" fn(argument: *mut c_void, index: usize),
        argument: *mut c_void,
    ),
>;

/// # Safety
/// `pool` may be written.
unsafe fn hand_over(made: Pool, pool: *mut *mut PoolHandle) -> Result<()> {
    let handle = memory::boxed(PoolHandle(made))?;
    // SAFETY: the caller's promise.
    unsafe { pool.write(Box::into_raw(handle)) };
    Ok(())
}

/// # Safety
/// A non-null pool came from `hand_over` and lives.
unsafe fn pool_of<'a>(pool: *const PoolHandle) -> Result<&'a Pool> {
    // SAFETY: the caller's promise.
    Ok(&unsafe { reference("pool", pool) }?.0)
}

/// Makes a pool of own threads and writes its address to *pool. threads counts the thread that executes: the library
/// starts threads - 1. 0 means one thread for each core that the calling thread may use, or fewer in a container with a
/// CPU quota. The threads block all signals.
///
/// The caller owns the pool: destroy it with convlow_pool_destroy. pool must not be NULL. Errors:
/// CONVLOW_ERROR_INVALID_ARGUMENT, also for more than 1024 threads; CONVLOW_ERROR_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_create(threads: usize, pool: *mut *mut PoolHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises a writable place.
        let pool = unsafe { output("pool", pool) }?;
        // SAFETY: checked above.
        unsafe { hand_over(Pool::new(threads)?, pool) }
    })
}

/// Sets the time in microseconds for which the pool's threads spin, that is wait for the next execute before they
/// sleep. The default is 200, the maximum 1,000,000. 0 switches spinning off. The time also holds for plans that
/// already exist.
///
/// pool must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT; CONVLOW_ERROR_UNSUPPORTED for an external pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_set_spin(pool: *mut PoolHandle, microseconds: u32) -> Status {
    guard(|| {
        // SAFETY: the caller promises a pool.
        unsafe { pool_of(pool) }?.set_spin(Duration::from_micros(microseconds.into()))
    })
}

/// Sets CONVLOW_BINDING_CORES, the default, or CONVLOW_BINDING_NONE. With CONVLOW_BINDING_CORES, an execute wakes each
/// sleeping thread of the pool on the core with the fewest computing threads, and moves a spinning thread off the core
/// of the executing thread. It pins the thread to the new core until the thread runs there. The library chooses among
/// the cores that the executing thread may use. If they are too few for the whole pool, it chooses among the cores that
/// the creator of the pool could use. It never moves threads of the host. The setting also holds for plans that already
/// exist. docs/threads.md has the reason.
///
/// pool must not be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT; CONVLOW_ERROR_UNSUPPORTED for an external pool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_set_binding(pool: *mut PoolHandle, binding: i32) -> Status {
    guard(|| {
        // SAFETY: the caller promises a pool.
        let pool = unsafe { pool_of(pool) }?;
        match binding {
            CONVLOW_BINDING_NONE => pool.set_bound(false),
            CONVLOW_BINDING_CORES => pool.set_bound(true),
            other => invalid!("binding = {other} is not a CONVLOW_BINDING_ constant"),
        }
    })
}

/// Makes an external pool, which uses threads of the host, and writes its address to *pool. An execute calls
/// run(context, jobs, job, argument) on its calling thread, with at most threads jobs. One execute at a time calls
/// run. A job computes in the floating-point mode of the executing thread, and restores the mode of its own thread at
/// its end.
///
/// run and context must stay valid until the pool and all its plans are destroyed. context may be NULL; run and pool
/// must not be NULL. The caller owns the pool: destroy it with convlow_pool_destroy. Errors:
/// CONVLOW_ERROR_INVALID_ARGUMENT, also for 0 threads or more than 1024; CONVLOW_ERROR_OUT_OF_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_create_external(
    run: ParallelForPtr,
    context: *mut c_void,
    threads: usize,
    pool: *mut *mut PoolHandle,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises a writable place.
        let pool = unsafe { output("pool", pool) }?;
        let run = run.ok_or_else(|| Error::InvalidArgument(text!("run is NULL")))?;
        // SAFETY: `run`'s contract is the caller's promise; the place is checked.
        unsafe { hand_over(Pool::external(run, context, threads)?.one_call_at_a_time()?, pool) }
    })
}

/// Destroys a pool. You may destroy it before its plans: its threads end when the pool and all its plans are
/// destroyed. If pool is NULL, the function does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_destroy(pool: *mut PoolHandle) {
    guard(|| -> Result<()> {
        if !pool.is_null() {
            // SAFETY: a non-null pool came from `hand_over` and is destroyed once.
            drop(unsafe { Box::from_raw(pool) });
        }
        Ok(())
    });
}
