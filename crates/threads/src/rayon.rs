//! Slots on the threads of rayon: of the pool that the calling thread computes in, or else of the global one.
//!
//! [`rayon::join`] divides them in two until each is one. It keeps its jobs on the stacks of the threads that wait for them, where
//! a scope would allocate one for each, and a thread takes back what nobody else has begun, so that a call inside of a task
//! ends also where all threads are busy. A thread that waits for what another has begun runs other tasks of its pool meanwhile.

use std::ops::Range;

use convlow_base::error::{Error, Result, text};
use convlow_base::panics::{self, catch_quietly};

/// How many threads the pool of the calling thread has. Outside of any pool this starts the global one.
///
/// # Errors
/// [`Error::OutOfMemory`] if it cannot be started.
pub(crate) fn threads() -> Result<usize> {
    // Where rayon starts no thread, it panics.
    catch_quietly(rayon::current_num_threads)
        .map_err(|panic| Error::OutOfMemory(text!("rayon's threads: {}", panics::text(&*panic))))
}

/// Calls `work` for each slot once, on the threads of the calling thread's pool, but for no more slots than it has threads.
pub(crate) fn run(slots: usize, work: &(dyn Fn(usize) + Sync)) {
    divide(0..slots.min(rayon::current_num_threads()), work);
}

fn divide(slots: Range<usize>, work: &(dyn Fn(usize) + Sync)) {
    let Range { start, end } = slots;
    if end - start <= 1 {
        return work(start);
    }
    let middle = start + (end - start).div_ceil(2);
    rayon::join(|| divide(start..middle, work), || divide(middle..end, work));
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::float_mode::FloatMode;
    use crate::pool::Pool;

    use super::*;

    fn context(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads")
    }

    #[test]
    fn each_slot_runs_once_in_a_context_of_any_number_of_threads() {
        for planned in [1, 2, 5, 8] {
            let pool = context(planned).install(Pool::rayon).expect("threads that are there");
            assert_eq!(pool.threads(), planned);
            for threads in [1, 2, 3, 7, 9] {
                let runs: Vec<_> = (0..planned).map(|_| AtomicUsize::new(0)).collect();
                let slots = planned.min(threads);
                context(threads).install(|| {
                    pool.run(planned, &|slot| _ = runs[slot].fetch_add(1, Ordering::Relaxed));
                });
                let runs: Vec<_> = runs.into_iter().map(AtomicUsize::into_inner).collect();
                assert!(runs[..slots].iter().all(|&count| count == 1), "{runs:?} of {threads} threads");
                assert!(runs[slots..].iter().all(|&count| count == 0), "{runs:?} of {threads} threads");
            }
        }
    }

    #[test]
    fn a_panic_in_a_slot_reaches_the_caller_and_leaves_the_threads_usable() {
        context(3).install(|| {
            let pool = Pool::rayon().expect("threads that are there");
            for panicking in 0..3 {
                let result = catch_quietly(|| pool.run(3, &|slot| assert!(slot != panicking, "slot {slot}")));
                let panic = result.expect_err("every slot runs");
                assert_eq!(panics::text(&*panic), format!("slot {panicking}"));
            }
        });
    }

    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    #[test]
    fn slots_run_in_the_caller_s_mode_and_leave_each_thread_its_own() {
        let context = context(4);
        let own = FloatMode::current();
        context.install(|| {
            let pool = Pool::rayon().expect("threads that are there");
            let (runs, elsewhere) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let caller = std::thread::current().id();
            FloatMode::upward().apply(|| {
                // Until a slot has run on another thread than the caller's.
                while elsewhere.load(Ordering::Relaxed) == 0 {
                    pool.run(4, &|_| {
                        assert!(FloatMode::current() == FloatMode::upward());
                        runs.fetch_add(1, Ordering::Relaxed);
                        let is_elsewhere = std::thread::current().id() != caller;
                        elsewhere.fetch_add(usize::from(is_elsewhere), Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    });
                }
            });
            assert!(runs.into_inner() >= 4);
        });
        assert!(context.broadcast(|_| FloatMode::current()).into_iter().all(|mode| mode == own));
    }

    #[test]
    fn what_is_the_host_s_is_not_set() {
        let pool = context(2).install(Pool::rayon).expect("threads that are there");
        assert!(matches!(pool.set_spin(std::time::Duration::ZERO), Err(Error::Unsupported(_))));
        assert!(matches!(pool.set_bound(false), Err(Error::Unsupported(_))));
        // SAFETY: it is refused.
        let with_context = unsafe { pool.with_context(std::ptr::null_mut()) };
        assert!(matches!(with_context, Err(Error::InvalidArgument(_))));
    }

    /// No other test here is to start the global pool; this one's is in a process of its own.
    #[test]
    fn a_global_pool_that_cannot_start_is_an_error() {
        const ALONE: &str = "CONVLOW_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = std::thread::current().name().expect("a test's thread").to_string();
            let mut program = Command::new(std::env::current_exe().expect("a running program has a path"));
            let output = program.args([&name, "--exact"]).env(ALONE, "1").output().expect("it starts");
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        // More than an address space has for their stacks.
        let refused = rayon::ThreadPoolBuilder::new().stack_size(1 << 47).build_global();
        assert!(refused.is_err());
        assert!(matches!(Pool::rayon().map(|_| ()), Err(Error::OutOfMemory(_))));
    }
}
