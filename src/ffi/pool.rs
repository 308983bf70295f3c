//! Pools.

use std::ffi::c_void;
use std::time::Duration;

use super::checked::output;
use super::status::{Status, guard};
use super::types::ParallelForPtr;
use crate::error::{Error, Result};
use crate::parallel::Pool;

/// Threads for execute, the calling one included. One pool may serve any number of plans and threads; an
/// execute that finds it busy runs on its calling thread alone.
pub struct PoolHandle(pub(super) Pool);

/// # Safety
/// `pool` may be written.
unsafe fn hand_over(made: Pool, pool: *mut *mut PoolHandle) {
    // SAFETY: the caller's promise.
    unsafe { pool.write(Box::into_raw(Box::new(PoolHandle(made)))) };
}

/// A pool of `threads` threads, the calling one included; 0: as many as this process may use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_create(threads: usize, pool: *mut *mut PoolHandle) -> Status {
    guard(|| {
        // SAFETY: the caller promises a writable place.
        let pool = unsafe { output("pool", pool) }?;
        // SAFETY: checked above.
        unsafe { hand_over(Pool::new(threads)?, pool) };
        Ok(())
    })
}

/// Sets for how many microseconds the pool's threads look out for the next execute before they sleep: 200 unless set,
/// at most 1,000,000; 0 for hosts that forbid spinning. Plans made with the pool before are included. Not for
/// external pools, whose threads are the host's (CONVLOW_ERROR_UNSUPPORTED).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_pool_set_spin(pool: *mut PoolHandle, microseconds: u32) -> Status {
    guard(|| {
        // SAFETY: a non-null pool came from `hand_over` and lives.
        let pool = unsafe { pool.as_ref() };
        let pool = pool.ok_or_else(|| Error::InvalidArgument("pool is NULL".to_string()))?;
        pool.0.set_spin(Duration::from_micros(microseconds.into()))
    })
}

/// A pool over the host's own threads: execute calls run(context, jobs, ...) with jobs <= threads, from the thread
/// that executes. `run` and `context` must stay valid until this pool and all plans made with it are destroyed.
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
        let run = run.ok_or_else(|| Error::InvalidArgument("run is NULL".to_string()))?;
        // SAFETY: `run`'s contract is the caller's promise; the place is checked.
        unsafe { hand_over(Pool::external(run, context, threads)?, pool) };
        Ok(())
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
