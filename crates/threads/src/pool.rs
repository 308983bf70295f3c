//! [`Pool`]: threads that work on one call together. There are four kinds:
//! - no pool: the calling thread;
//! - the library's own threads ([`Gang`]), which spin for a moment and then sleep;
//! - the caller's parallel-for;
//! - the threads of rayon.

use std::ffi::c_void;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::memory::Shared;
use convlow_base::panics::catch_quietly;

use crate::cores;
use crate::float_mode::FloatMode;
use crate::gang::Gang;
#[cfg(feature = "rayon")]
use crate::rayon;
use crate::sync::{Mutex, into_inner, lock};

/// Runs `job(argument, 0)` … `job(argument, jobs − 1)`, on any threads in any order, and returns when all
/// have returned. It must not unwind (throw a C++ exception).
pub type ParallelFor = unsafe extern "C" fn(
    context: *mut c_void,
    jobs: usize,
    job: unsafe extern "C" fn(argument: *mut c_void, index: usize),
    argument: *mut c_void,
);

/// More threads than any machine has cores; a larger number is a mistake of the caller.
const MAX_THREADS: usize = 1024;
/// The longest time for which a thread looks out for the next call; a longer one is a mistake of the caller.
const MAX_SPIN: Duration = Duration::from_secs(1);

/// Threads for the execute of a plan. Cloning shares the threads; the last clone to go joins them.
///
/// A pool never decides *what* its slots do, so that the arithmetic of a plan does not depend on it.
#[derive(Clone)]
pub struct Pool {
    runner: Runner,
    /// When nothing further is begun: measuring gives up what takes too long, dst being nobody's.
    deadline: Option<Instant>,
}

/// The threads that run the slots.
#[derive(Clone)]
enum Runner {
    Serial,
    Own(Shared<Gang>),
    External(External),
    #[cfg(feature = "rayon")]
    Rayon {
        threads: usize,
    },
}

/// The caller's threads.
#[derive(Clone)]
struct External {
    run: ParallelFor,
    context: ContextPtr,
    threads: usize,
    /// Whether a call runs, where there may be one at a time.
    busy: Option<Shared<AtomicBool>>,
}

#[derive(Clone, Copy)]
struct ContextPtr(*mut c_void);
// SAFETY: the pointer is only passed back to the caller's function, which promises to be callable from
// any thread that executes a plan.
unsafe impl Send for ContextPtr {}
// SAFETY: as above.
unsafe impl Sync for ContextPtr {}

impl Pool {
    /// No pool: everything on the calling thread.
    pub const SERIAL: Self = Self::of(Runner::Serial);

    const fn of(runner: Runner) -> Self {
        Self { runner, deadline: None }
    }

    /// `threads` threads, the calling one included; 0 stands for as many as this process may use.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] over 1024 threads, [`Error::OutOfMemory`] if the system starts no more.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = match threads {
            0 => cores::usable().min(MAX_THREADS),
            n => checked_threads(n)?,
        };
        if threads == 1 {
            return Ok(Self::SERIAL);
        }
        Ok(Self::of(Runner::Own(Gang::new(threads)?)))
    }

    /// The caller's threads: `run(context, jobs, job, argument)` with at most `threads` jobs at a time. Executes on
    /// several threads call it at the same time, unless [`Pool::one_call_at_a_time`] says otherwise.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0 or over 1024 threads.
    ///
    /// # Safety
    /// `run` fulfils the contract of [`ParallelFor`] and may be called from any thread with `context` for
    /// as long as this pool or a plan made with it exists.
    pub unsafe fn external(run: ParallelFor, context: *mut c_void, threads: usize) -> Result<Self> {
        if threads == 0 {
            return invalid!("threads = 0, but an external pool must say how many jobs run at once");
        }
        let threads = checked_threads(threads)?;
        Ok(Self::of(Runner::External(External { run, context: ContextPtr(context), threads, busy: None })))
    }

    /// The same pool, whose function is called by one execute at a time, with whatever context: one that finds it
    /// called runs on its own thread. All clones count as one. Pools of the library's own threads are so by
    /// themselves.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn one_call_at_a_time(mut self) -> Result<Self> {
        if let Runner::External(external) = &mut self.runner {
            external.busy = Some(Shared::new(AtomicBool::new(false))?);
        }
        Ok(self)
    }

    /// The threads of rayon. An execute runs on the pool in which its thread computes: inside of
    /// `rayon::ThreadPool::install`, or of a task, that pool, else the global one. It runs as many jobs at a time as the pool of
    /// *this* call has threads, or fewer where the execute's pool has fewer.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the global pool is to be started here and cannot be.
    #[cfg(feature = "rayon")]
    pub fn rayon() -> Result<Self> {
        Ok(Self::of(Runner::Rayon { threads: rayon::threads()?.min(MAX_THREADS) }))
    }

    /// Sets how long the threads look out for the next call before they sleep; zero for hosts that forbid spinning.
    /// It holds for all clones of the pool, from the next wait on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for more than a second, [`Error::Unsupported`] for the caller's threads, or rayon's.
    pub fn set_spin(&self, spin: Duration) -> Result<()> {
        if spin > MAX_SPIN {
            return invalid!("spin = {spin:?} is over the limit of {MAX_SPIN:?}");
        }
        self.set("waiting", |gang| gang.set_spin(spin))
    }

    /// Whether a thread of the pool that would share a core with the calling one, or with another of the pool, is given
    /// a free one when it is called; it is so unless set. It may leave that core again as soon as it runs there. No
    /// thread but the pool's own is ever moved.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the caller's threads, or rayon's.
    pub fn set_bound(&self, bound: bool) -> Result<()> {
        self.set("place", |gang| gang.set_bound(bound))
    }

    /// Sets something of the library's own threads; without any there is nothing to set.
    fn set(&self, what: &str, set: impl FnOnce(&Gang)) -> Result<()> {
        match &self.runner {
            Runner::Serial => {}
            Runner::Own(gang) => set(gang),
            Runner::External(_) => {
                return Err(Error::Unsupported(text!(
                    "an external pool's threads are the host's, and so is their {what}"
                )));
            }
            #[cfg(feature = "rayon")]
            Runner::Rayon { .. } => {
                return Err(Error::Unsupported(text!("the threads are rayon's, and so is their {what}")));
            }
        }
        Ok(())
    }

    /// The caller's threads with another context.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other pool.
    ///
    /// # Safety
    /// `context` is as [`Pool::external`] wants it.
    pub unsafe fn with_context(&self, context: *mut c_void) -> Result<Self> {
        let Runner::External(external) = &self.runner else {
            return invalid!("pool_context = {context:p}, but the plan has no external pool");
        };
        let external = External { context: ContextPtr(context), ..external.clone() };
        Ok(Self { runner: Runner::External(external), deadline: self.deadline })
    }

    /// The same threads, which begin nothing further after this moment.
    pub fn until(&self, deadline: Instant) -> Self {
        Self { runner: self.runner.clone(), deadline: Some(deadline) }
    }

    /// Whether the moment of [`Pool::until`] has come, so that a slot leaves the rest undone.
    #[inline]
    pub fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// How many slots run at once.
    #[inline]
    pub fn threads(&self) -> usize {
        match &self.runner {
            Runner::Serial => 1,
            Runner::Own(gang) => gang.threads(),
            Runner::External(external) => external.threads,
            #[cfg(feature = "rayon")]
            Runner::Rayon { threads } => *threads,
        }
    }

    /// Calls `work(0)` and, as far as threads come to it, `work(1)` … `work(slots − 1)`, no slot twice at the same
    /// time. A slot may run late or never, so `work` takes what there is to do from a common counter. Every slot runs
    /// in the floating-point mode of the calling thread.
    ///
    /// # Panics
    /// With the panic of the first slot that panics, after all running ones have ended.
    pub fn run(&self, slots: usize, work: &(dyn Fn(usize) + Sync)) {
        let slots = slots.min(self.threads());
        if slots <= 1 {
            return work(0);
        }
        let panic = Mutex::new(None);
        let mode = FloatMode::current();
        let caught = |slot: usize| {
            if let Err(payload) = catch_quietly(|| mode.apply(|| work(slot))) {
                lock(&panic).get_or_insert(payload);
            }
        };
        match &self.runner {
            Runner::Serial => caught(0),
            Runner::Own(gang) => gang.run(slots, &caught),
            #[cfg(feature = "rayon")]
            Runner::Rayon { .. } => rayon::run(slots, &caught),
            Runner::External(external) => {
                if external.run(slots, &caught) {
                    let text = text!("the external pool called a job outside 0..{slots}");
                    lock(&panic).get_or_insert(Box::new(text));
                }
                // All slots have ended; what a host that ran too few jobs, or none, left undone is done here.
                caught(0);
            }
        }
        let panic = into_inner(panic);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl External {
    /// Has the caller's threads run `work` for each slot, unless they may not be called now; says whether they ran
    /// one that there is not.
    fn run(&self, slots: usize, work: &(dyn Fn(usize) + Sync)) -> bool {
        if self.busy.as_ref().is_some_and(|busy| busy.swap(true, Ordering::Acquire)) {
            return false;
        }
        let call = ExternalCall {
            jobs: slots,
            next_slot: AtomicUsize::new(0),
            misused: AtomicBool::new(false),
            work,
        };
        // SAFETY: `run` was declared to fulfil `ParallelFor`, so it uses `call` only before it returns.
        unsafe { (self.run)(self.context.0, slots, external_job, (&raw const call).cast_mut().cast()) };
        if let Some(busy) = &self.busy {
            busy.store(false, Ordering::Release);
        }
        call.misused.into_inner()
    }
}

fn checked_threads(threads: usize) -> Result<usize> {
    if threads > MAX_THREADS {
        return invalid!("threads = {threads} is over the limit of {MAX_THREADS}");
    }
    Ok(threads)
}

struct ExternalCall<'a> {
    jobs: usize,
    next_slot: AtomicUsize,
    misused: AtomicBool,
    work: &'a (dyn Fn(usize) + Sync),
}

/// What the host's parallel-for calls. The slot is whichever is free, so that neither the order of the
/// host's calls nor a repeated index can put two threads on one slot.
///
/// # Safety
/// `argument` is an [`ExternalCall`] that lives until this returns.
unsafe extern "C" fn external_job(argument: *mut c_void, index: usize) {
    // SAFETY: the host passes on the argument it was given: the `ExternalCall` that `run` keeps alive.
    let call = unsafe { &*argument.cast::<ExternalCall<'_>>() };
    if index >= call.jobs {
        call.misused.store(true, Ordering::Relaxed);
        return;
    }
    let slot = call.next_slot.fetch_add(1, Ordering::Relaxed);
    if slot < call.jobs {
        (call.work)(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of 100 numbers was drawn from a counter that all slots share.
    fn draw(pool: &Pool) -> Vec<usize> {
        let counts: Vec<_> = (0..100).map(|_| AtomicUsize::new(0)).collect();
        let next = AtomicUsize::new(0);
        pool.run(pool.threads(), &|_| {
            while let Some(count) = counts.get(next.fetch_add(1, Ordering::Relaxed)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        counts.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn slot_0_runs_once_and_every_other_at_most_once() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads).expect("a few threads");
            assert_eq!(pool.threads(), threads);
            for slots in [1, 2, 5, 8].repeat(50) {
                let runs: Vec<_> = (0..slots).map(|_| AtomicUsize::new(0)).collect();
                pool.run(slots, &|slot| _ = runs[slot].fetch_add(1, Ordering::Relaxed));
                let runs: Vec<_> = runs.into_iter().map(AtomicUsize::into_inner).collect();
                assert!(runs[0] == 1 && runs.iter().all(|&count| count <= 1), "{runs:?}");
                assert!(runs.iter().skip(threads).all(|&count| count == 0), "{runs:?}");
            }
        }
    }

    #[test]
    fn a_pool_works_however_long_its_threads_spin() {
        let pool = Pool::new(3).expect("a few threads");
        for micros in [0, 1, 50, 5000] {
            pool.set_spin(Duration::from_micros(micros)).expect("an own pool");
            for round in 0..50 {
                assert_eq!(draw(&pool), vec![1; 100]);
                // Every other call finds the threads asleep.
                std::thread::sleep(Duration::from_micros(if round % 2 == 0 {
                    0
                } else {
                    2 * micros.min(200)
                }));
            }
        }
        assert!(pool.set_spin(Duration::from_secs(2)).is_err());
        assert!(Pool::SERIAL.set_spin(Duration::ZERO).is_ok());
    }

    #[test]
    fn callers_that_share_a_pool_all_finish() {
        let pool = Pool::new(3).expect("a few threads");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| assert_eq!(draw(&pool), vec![1; 100])));
            }
        });
    }

    #[test]
    fn a_panic_in_a_slot_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(3).expect("a few threads");
        for panicking in 0..3 {
            let seen = AtomicBool::new(false);
            let result = catch_quietly(|| {
                pool.run(3, &|slot| {
                    seen.fetch_or(slot == panicking, Ordering::Relaxed);
                    assert!(slot != panicking, "slot {slot}");
                    // The others leave the threads the time to come.
                    std::thread::sleep(Duration::from_millis(2));
                });
            });
            let expected = seen.into_inner().then(|| format!("slot {panicking}"));
            let text = result.err().map(|payload| convlow_base::panics::text(&*payload).to_owned());
            assert_eq!(text, expected);
            assert!(text.is_some() || panicking > 0);
            assert_eq!(draw(&pool), vec![1; 100]);
        }
    }

    #[test]
    fn nothing_is_late_before_its_moment() {
        let pool = Pool::new(2).expect("two threads");
        assert!(!pool.is_late());
        assert!(pool.until(Instant::now()).is_late());
        assert!(!pool.until(Instant::now() + Duration::from_secs(3600)).is_late());
    }
}
