//! Pools.

use std::ffi::c_void;
use std::time::Duration;

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::memory;
use convlow_threads::Pool;

use super::checked::{output, reference};
use super::status::{Status, guard};

/// Threads for execute, the calling one included. One pool may serve any number of plans and threads; an
/// execute that finds it busy runs on its calling thread alone.
pub struct PoolHandle(pub(super) Pool);

/// The system alone decides where a pool's threads run.
pub const CONVLOW_BINDING_NONE: i32 = 0;
/// A pool's threads that wake are spread over the cores.
pub const CONVLOW_BINDING_CORES: i32 = 1;

/// A parallel-for of the host: runs job(argument, 0) ... job(argument, jobs - 1) on any threads in any order, and
/// returns when all of them have. It must not throw or unwind.
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

/// A pool of `threads` threads, the calling one included; 0: as many as the calling thread may use cores, or fewer where
/// the CPU quota of a container says so. The threads block all signals, which are the host's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_create(threads: usize, pool: *mut *mut PoolHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises a writable place.
        let pool = unsafe { output("pool", pool) }?;
        // SAFETY: checked above.
        unsafe { hand_over(Pool::new(threads)?, pool) }
    })
}

/// Sets for how many microseconds the pool's threads look out for the next execute before they sleep: 200 unless set,
/// at most 1,000,000; 0 for hosts that forbid spinning. Plans made with the pool before are included. Not for
/// external pools, whose threads are the host's (CONVLOW_ERROR_UNSUPPORTED).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_set_spin(pool: *mut PoolHandle, microseconds: u32) -> Status {
    guard(|| {
        // SAFETY: the caller promises a pool.
        unsafe { pool_of(pool) }?.set_spin(Duration::from_micros(microseconds.into()))
    })
}

/// Whether a thread of the pool that would share a core with the one that executes, or with another of the pool, is
/// given a free one when it is called: CONVLOW_BINDING_CORES, the default, or CONVLOW_BINDING_NONE. The system by itself
/// often wakes a thread on the core of the one that woke it, where it adds nothing. The cores are those that the
/// executing thread may use, where they are enough for the whole pool, else those that the pool's creator could use; a
/// thread may leave the core it was given as soon as it runs there. Threads of the host are never moved. Plans made with
/// the pool before are included. Not for external pools (CONVLOW_ERROR_UNSUPPORTED).
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

/// A pool over the host's own threads: execute calls run(context, jobs, ...) with jobs <= threads, from the thread
/// that executes. One execute calls it at a time: another one that comes meanwhile, on any plan of this pool and with any
/// context, runs on its calling thread alone. A job takes over the floating-point mode of the thread that executes, and puts
/// its own thread's back at its end. `run` and `context` must stay valid until this pool and all plans made with it are
/// destroyed.
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

/// Destroys a pool; its threads end when the last plan made with it is destroyed. NULL is a no-op.
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
