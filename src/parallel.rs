//! [`Pool`]: where the tiles of one execute run.
//!
//! A pool never decides *what* a tile is; it only hands tiles to threads, so the arithmetic of a plan does
//! not depend on it. Three kinds: none (the calling thread), the library's own threads, which spin for a
//! moment and then sleep, or the caller's parallel-for.
//!
//! The own threads are plain threads behind one mutex and two condition variables rather than a
//! work-stealing pool, for three promises of the C surface: execute allocates nothing (the queues of
//! work-stealing pools grow on the heap), destroying a pool joins its threads (so that a host may unload
//! the library), and a pool that is busy with another execute never makes a caller wait.

use std::ffi::c_void;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, invalid};
use crate::matrix::{Grid, MatrixMut, Tile, Tiles};
use crate::panics::catch_quietly;

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
/// How long a thread of an own pool looks out for the next call before it sleeps, unless it is told otherwise: the
/// gap between two layers of a network. Waking a sleeping thread takes as long as a short layer.
const SPIN: Duration = Duration::from_micros(200);
/// The longest such time; a longer one is a mistake of the caller.
const MAX_SPIN: Duration = Duration::from_secs(1);

/// Threads for [`crate::Plan::execute`]. Cloning shares the threads; the last clone to go joins them.
#[derive(Clone)]
pub struct Pool(Kind);

#[derive(Clone)]
enum Kind {
    Serial,
    Own(Arc<Gang>),
    External { run: ParallelFor, context: ContextPtr, threads: usize },
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
    pub const SERIAL: Self = Self(Kind::Serial);

    /// `threads` threads, the calling one included; 0 stands for as many as this process may use.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] over 1024 threads, [`Error::OutOfMemory`] if the system starts no more.
    pub fn new(threads: usize) -> Result<Self> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
            n => checked_threads(n)?,
        };
        if threads == 1 {
            return Ok(Self::SERIAL);
        }
        Ok(Self(Kind::Own(Arc::new(Gang::new(threads)?))))
    }

    /// The caller's threads: `run(context, jobs, job, argument)` with at most `threads` jobs at a time.
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
        Ok(Self(Kind::External { run, context: ContextPtr(context), threads }))
    }

    /// Sets how long the threads look out for the next call before they sleep; zero for hosts that forbid spinning.
    /// It holds for all clones of the pool, from the next wait on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for more than a second, [`Error::Unsupported`] for the caller's threads.
    pub fn set_spin(&self, spin: Duration) -> Result<()> {
        if spin > MAX_SPIN {
            return invalid!("spin = {spin:?} is over the limit of {MAX_SPIN:?}");
        }
        match &self.0 {
            Kind::Serial => Ok(()),
            Kind::Own(gang) => {
                gang.shared.spin_micros.store(spin.as_micros() as u64, Ordering::Relaxed);
                Ok(())
            }
            Kind::External { .. } => Err(Error::Unsupported(
                "an external pool's threads are the host's, and so is their waiting".to_string(),
            )),
        }
    }

    /// How many tiles run at once.
    pub fn threads(&self) -> usize {
        match &self.0 {
            Kind::Serial => 1,
            Kind::Own(gang) => gang.workers.len() + 1,
            Kind::External { threads, .. } => *threads,
        }
    }

    /// Calls `f` once for every tile of `grid` with the tile's view of `matrix` and a piece of `scratch`
    /// that no other call uses meanwhile: `scratch` is divided into `slots` equal pieces, and at most
    /// `slots` tiles run at once.
    ///
    /// # Panics
    /// With the panic of the first `f` that panics, after all running ones have ended.
    pub fn for_each_tile(
        &self,
        matrix: MatrixMut<'_>,
        grid: Grid,
        scratch: &mut [f32],
        slots: usize,
        f: impl Fn(Tile, MatrixMut<'_>, &mut [f32]) + Sync,
    ) {
        let tiles = Tiles::new(matrix, grid);
        let piece = scratch.len() / slots;
        // The scratch as a matrix of one row a slot.
        let pieces = (piece > 0).then(|| {
            Tiles::new(MatrixMut::new(scratch, slots, piece, piece), Grid::new(slots, piece, 1, piece))
        });
        let next = AtomicUsize::new(0);
        self.run(slots.min(grid.tiles()), &|slot| {
            // SAFETY: `run` never runs one slot twice at the same time.
            let mut piece = pieces.as_ref().map(|pieces| unsafe { pieces.take(slot) }.1);
            let scratch = piece.as_mut().and_then(MatrixMut::as_mut_slice).unwrap_or_default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= grid.tiles() {
                    break;
                }
                // SAFETY: the counter gives each index once.
                let (tile, view) = unsafe { tiles.take(index) };
                f(tile, view, scratch);
            }
        });
    }

    /// [`Pool::for_each_tile`] without scratch, on all threads.
    pub fn for_each_tile_plain(
        &self,
        matrix: MatrixMut<'_>,
        grid: Grid,
        f: impl Fn(Tile, MatrixMut<'_>) + Sync,
    ) {
        self.for_each_tile(matrix, grid, &mut [], self.threads(), |tile, view, _| f(tile, view));
    }

    /// Calls `work(0)` and, as far as threads come to it, `work(1)` … `work(slots − 1)`, no slot twice at the
    /// same time. A slot may run late or never, so `work` takes what there is to do from a common counter.
    fn run(&self, slots: usize, work: &(dyn Fn(usize) + Sync)) {
        let slots = slots.min(self.threads());
        if slots <= 1 {
            return work(0);
        }
        let panic = Mutex::new(None);
        let caught = |slot: usize| {
            if let Err(payload) = catch_quietly(|| work(slot)) {
                lock(&panic).get_or_insert(payload);
            }
        };
        match &self.0 {
            Kind::Serial => caught(0),
            Kind::Own(gang) => gang.run(slots, &caught),
            Kind::External { run, context, .. } => {
                let call = ExternalCall {
                    jobs: slots,
                    next_slot: AtomicUsize::new(0),
                    misused: AtomicBool::new(false),
                    work: &caught,
                };
                // SAFETY: `run` was declared to fulfil `ParallelFor`, so it uses `call` only before it returns.
                unsafe { run(context.0, slots, external_job, (&raw const call).cast_mut().cast()) };
                // All slots have ended; what a host that ran too few jobs left undone is done here.
                caught(0);
                if call.misused.into_inner() {
                    let text = format!("the external pool called a job outside 0..{slots}");
                    lock(&panic).get_or_insert(Box::new(text));
                }
            }
        }
        let panic = panic.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

fn checked_threads(threads: usize) -> Result<usize> {
    if threads > MAX_THREADS {
        return invalid!("threads = {threads} is over the limit of {MAX_THREADS}");
    }
    Ok(threads)
}

/// A mutex here guards plain values that stay consistent whatever panics, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ExternalCall<'a> {
    jobs: usize,
    next_slot: AtomicUsize,
    misused: AtomicBool,
    work: &'a (dyn Fn(usize) + Sync),
}

/// What the host's parallel-for calls. The slot is whichever is free, so that neither the order of the
/// host's calls nor a repeated index can put two threads on one slot.
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

/// The library's own threads: parked until a call brings work, joined when the gang is dropped.
struct Gang {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    busy: AtomicBool,
}

struct Shared {
    /// Grows with every call and at the end: what a spinning worker watches.
    calls: AtomicUsize,
    /// `state.running`, for the caller that spins until it is 0.
    running: AtomicUsize,
    spin_micros: AtomicU64,
    state: Mutex<State>,
    /// Signalled when `state.call` brings slots, or on `stop`.
    wake: Condvar,
    /// Signalled when `state.running` falls to 0, or `state.started` has grown.
    idle: Condvar,
}

#[derive(Default)]
struct State {
    call: Option<GangCall>,
    running: usize,
    started: usize,
    /// Workers that wait for `wake`.
    asleep: usize,
    /// Whether the caller waits for `idle`.
    caller_asleep: bool,
    stop: bool,
}

struct GangCall {
    /// The borrow's lifetime is erased; `Gang::run` removes the call and waits before it ends.
    work: *const (dyn Fn(usize) + Sync),
    next_slot: usize,
    slots: usize,
}

// SAFETY: the closure behind the pointer is Sync.
unsafe impl Send for GangCall {}

impl Gang {
    fn new(threads: usize) -> Result<Self> {
        let shared = Arc::new(Shared {
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            spin_micros: AtomicU64::new(SPIN.as_micros() as u64),
            state: Mutex::default(),
            wake: Condvar::new(),
            idle: Condvar::new(),
        });
        // A failing start drops the gang, which ends the threads started so far.
        let mut gang = Gang { shared, workers: Vec::new(), busy: AtomicBool::new(false) };
        for index in 1..threads {
            let shared = Arc::clone(&gang.shared);
            let worker = std::thread::Builder::new()
                .name(format!("convlow-{index}"))
                .spawn(move || shared.serve())
                .map_err(|error| {
                    Error::OutOfMemory(format!("thread {index} of threads = {threads}: {error}"))
                })?;
            gang.workers.push(worker);
        }
        // A thread's start allocates; none of it may fall into an execute.
        let mut state = lock(&gang.shared.state);
        while state.started < gang.workers.len() {
            state = gang.shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        Ok(gang)
    }

    /// Slot 0 on the calling thread, the others on whichever worker wakes before the work is done.
    fn run(&self, slots: usize, work: &(dyn Fn(usize) + Sync)) {
        if self.busy.swap(true, Ordering::Acquire) {
            // Another execute has the workers; its caller and this one make two busy threads already.
            return work(0);
        }
        // SAFETY: only the lifetime changes. The call is removed below and `running` awaited before `work`
        // goes out of scope, and `work` does not panic: it is `Pool::run`'s catching closure.
        let work_ptr = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(
                work,
            )
        };
        let shared = &*self.shared;
        let mut state = lock(&shared.state);
        state.call = Some(GangCall { work: work_ptr, next_slot: 1, slots });
        shared.calls.fetch_add(1, Ordering::Release);
        let wanted = (slots - 1).min(state.asleep);
        drop(state);
        (0..wanted).for_each(|_| shared.wake.notify_one());
        work(0);
        lock(&shared.state).call = None;
        shared.spin_until(|| shared.running.load(Ordering::Acquire) == 0);
        let mut state = lock(&shared.state);
        while state.running > 0 {
            state.caller_asleep = true;
            state = shared.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.caller_asleep = false;
        drop(state);
        self.busy.store(false, Ordering::Release);
    }
}

impl Drop for Gang {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.calls.fetch_add(1, Ordering::Release);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches every panic, so there is nothing to learn from joining it.
            let _ = worker.join();
        }
    }
}

impl Shared {
    /// A worker's life.
    fn serve(&self) {
        let mut state = lock(&self.state);
        state.started += 1;
        self.idle.notify_one();
        while !state.stop {
            let slot = state.call.as_mut().filter(|call| call.next_slot < call.slots).map(|call| {
                call.next_slot += 1;
                (call.work, call.next_slot - 1)
            });
            let Some((work, slot)) = slot else {
                let seen = self.calls.load(Ordering::Relaxed);
                drop(state);
                let called = self.spin_until(|| self.calls.load(Ordering::Acquire) != seen);
                state = lock(&self.state);
                // A call that came since is seen under the lock.
                if !called && self.calls.load(Ordering::Relaxed) == seen {
                    state.asleep += 1;
                    state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.asleep -= 1;
                }
                continue;
            };
            state.running += 1;
            self.running.store(state.running, Ordering::Relaxed);
            drop(state);
            // SAFETY: `Gang::run` keeps the closure alive until `running` is 0 again.
            unsafe { (*work)(slot) };
            state = lock(&self.state);
            state.running -= 1;
            self.running.store(state.running, Ordering::Release);
            if state.running == 0 && state.caller_asleep {
                self.idle.notify_one();
            }
        }
    }

    /// Waits for a condition as long as the pool spins; whether it came.
    fn spin_until(&self, condition: impl Fn() -> bool) -> bool {
        // A look at the clock costs as much as many at the condition, and so does yielding, without which a thread
        // that spins on the core of the one it waits for holds it up for as long as it spins.
        const LOOKS: usize = 64;
        let limit = Duration::from_micros(self.spin_micros.load(Ordering::Relaxed));
        if limit.is_zero() {
            return condition();
        }
        let start = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if condition() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= limit {
                return condition();
            }
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count_tiles(pool: &Pool) -> Vec<f32> {
        let mut counts = vec![0.0; 100];
        pool.for_each_tile_plain(
            MatrixMut::new(&mut counts, 10, 10, 10),
            Grid::new(10, 10, 3, 4),
            |_, mut tile| {
                tile.for_each_row(|_, row| row.iter_mut().for_each(|count| *count += 1.0));
            },
        );
        counts
    }

    #[test]
    fn every_tile_runs_once_on_every_kind_of_pool() {
        for threads in [1, 2, 3, 8] {
            let pool = Pool::new(threads).expect("a few threads");
            assert_eq!(pool.threads(), threads);
            for _ in 0..200 {
                assert_eq!(count_tiles(&pool), vec![1.0; 100]);
            }
        }
    }

    #[test]
    fn a_pool_works_however_long_its_threads_spin() {
        let pool = Pool::new(3).expect("a few threads");
        for micros in [0, 1, 50, 5000] {
            pool.set_spin(Duration::from_micros(micros)).expect("an own pool");
            for round in 0..50 {
                assert_eq!(count_tiles(&pool), vec![1.0; 100]);
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
                scope.spawn(|| (0..100).for_each(|_| assert_eq!(count_tiles(&pool), vec![1.0; 100])));
            }
        });
    }

    #[test]
    fn a_panic_in_a_tile_reaches_the_caller_and_leaves_the_pool_usable() {
        let pool = Pool::new(2).expect("two threads");
        let mut data = vec![0.0; 64];
        let result = catch_quietly(|| {
            pool.for_each_tile_plain(
                MatrixMut::new(&mut data, 64, 1, 1),
                Grid::new(64, 1, 1, 1),
                |tile, _| {
                    assert!(tile.rows.start != 40, "tile 40");
                },
            );
        });
        assert_eq!(crate::panics::text(&*result.expect_err("tile 40 panics")), "tile 40");
        assert_eq!(count_tiles(&pool), vec![1.0; 100]);
    }

    #[test]
    fn each_slot_has_its_own_scratch() {
        let pool = Pool::new(4).expect("a few threads");
        let mut data = vec![0.0; 64];
        let mut scratch = vec![0.0; 2 * 8];
        pool.for_each_tile(
            MatrixMut::new(&mut data, 64, 1, 1),
            Grid::new(64, 1, 1, 1),
            &mut scratch,
            2,
            |tile, mut view, scratch| {
                assert_eq!(scratch.len(), 8);
                scratch.fill(tile.rows.start as f32);
                std::thread::yield_now();
                view.row_mut(0)[0] = scratch.iter().sum::<f32>() / 8.0;
            },
        );
        assert!((0..64).all(|index| data[index] == index as f32));
    }
}
