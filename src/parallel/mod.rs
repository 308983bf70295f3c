//! [`Pool`]: where the tiles of one execute run.
//!
//! A pool never decides *what* a tile is; it only hands tiles to threads, so the arithmetic of a plan does
//! not depend on it. Three kinds: none (the calling thread), the library's own threads ([`gang`]), which spin for a
//! moment and then sleep, or the caller's parallel-for.

mod cores;
mod float_mode;
mod gang;
mod sync;

use std::ffi::c_void;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use self::float_mode::FloatMode;
use self::gang::Gang;
use self::sync::{Mutex, into_inner, lock};
use crate::algorithms::Element;
use crate::error::{Error, Result, invalid, text};
use crate::matrix::MatrixMut;
use crate::memory::Shared;
use crate::number::Number;
use crate::panics::catch_quietly;
use crate::tiles::{Grid, Tile, Tiles};

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

/// Threads for [`crate::Plan::execute`]. Cloning shares the threads; the last clone to go joins them.
#[derive(Clone)]
pub struct Pool {
    kind: Kind,
    /// When no further tile is begun: measuring gives up what takes too long, dst being nobody's.
    deadline: Option<Instant>,
}

#[derive(Clone)]
enum Kind {
    Serial,
    Own(Shared<Gang>),
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
    pub const SERIAL: Self = Self::of(Kind::Serial);

    const fn of(kind: Kind) -> Self {
        Self { kind, deadline: None }
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
        Ok(Self::of(Kind::Own(Gang::new(threads)?)))
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
        Ok(Self::of(Kind::External { run, context: ContextPtr(context), threads }))
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
        self.set("waiting", |gang| gang.set_spin(spin))
    }

    /// Whether a thread of the pool that would share a core with the calling one, or with another of the pool, is given
    /// a free one when it is called; it is so unless set. It may leave that core again as soon as it runs there. No
    /// thread but the pool's own is ever moved.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for the caller's threads.
    pub fn set_bound(&self, bound: bool) -> Result<()> {
        self.set("place", |gang| gang.set_bound(bound))
    }

    /// Sets something of the library's own threads; without any there is nothing to set.
    fn set(&self, what: &str, set: impl FnOnce(&Gang)) -> Result<()> {
        match &self.kind {
            Kind::Serial => {}
            Kind::Own(gang) => set(gang),
            Kind::External { .. } => {
                return Err(Error::Unsupported(text!(
                    "an external pool's threads are the host's, and so is their {what}"
                )));
            }
        }
        Ok(())
    }

    /// The caller's threads with another context.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other pool.
    pub(crate) fn with_context(&self, context: *mut c_void) -> Result<Self> {
        let Kind::External { run, threads, .. } = self.kind else {
            return invalid!("pool_context = {context:p}, but the plan has no external pool");
        };
        let context = ContextPtr(context);
        Ok(Self { kind: Kind::External { run, context, threads }, deadline: self.deadline })
    }

    /// The same threads, which begin no tile after this moment.
    pub(crate) fn until(&self, deadline: Instant) -> Self {
        Self { kind: self.kind.clone(), deadline: Some(deadline) }
    }

    /// How many tiles run at once.
    pub fn threads(&self) -> usize {
        match &self.kind {
            Kind::Serial => 1,
            Kind::Own(gang) => gang.threads(),
            Kind::External { threads, .. } => *threads,
        }
    }

    /// Calls `f` once for every tile of `grid` with the tile's view of `matrix` and a piece of `scratch`
    /// that no other call uses meanwhile: `scratch` is divided into `slots` equal pieces, and at most
    /// `slots` tiles run at once.
    ///
    /// # Panics
    /// With the panic of the first `f` that panics, after all running ones have ended.
    pub fn for_each_tile<T: Number>(
        &self,
        matrix: MatrixMut<'_, T>,
        grid: Grid,
        scratch: &mut [T],
        slots: usize,
        f: impl Fn(Tile, MatrixMut<'_, T>, &mut [T]) + Sync,
    ) {
        let tiles = Tiles::new(matrix, grid);
        self.for_each(&tiles, scratch, slots, |_, tile, view, scratch| f(tile, view, scratch));
    }

    /// [`Pool::for_each_tile`] for the tiles of several matrices, with the index of each.
    pub(crate) fn for_each<T: Number>(
        &self,
        tiles: &Tiles<'_, T>,
        scratch: &mut [T],
        slots: usize,
        f: impl Fn(usize, Tile, MatrixMut<'_, T>, &mut [T]) + Sync,
    ) {
        let piece = scratch.len() / slots;
        // The scratch as a matrix of one row a slot.
        let pieces = (piece > 0).then(|| {
            Tiles::new(MatrixMut::new(scratch, slots, piece, piece), Grid::new(slots, piece, 1, piece))
        });
        let next = AtomicUsize::new(0);
        self.run(slots.min(tiles.len()), &|slot| {
            // SAFETY: `run` never runs one slot twice at the same time.
            let mut piece = pieces.as_ref().map(|pieces| unsafe { pieces.take(slot) }.1);
            let scratch = piece.as_mut().and_then(MatrixMut::as_mut_slice).unwrap_or_default();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let late = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                if index >= tiles.len() || late {
                    break;
                }
                // SAFETY: the counter gives each index once.
                let (tile, view) = unsafe { tiles.take(index) };
                f(index, tile, view, scratch);
            }
        });
    }

    /// [`Pool::for_each_tile`] without scratch, on all threads.
    pub fn for_each_tile_plain<T: Number>(
        &self,
        matrix: MatrixMut<'_, T>,
        grid: Grid,
        f: impl Fn(Tile, MatrixMut<'_, T>) + Sync,
    ) {
        self.for_each_tile(matrix, grid, &mut [], self.threads(), |tile, view, _| f(tile, view));
    }

    /// Calls `f` once for each piece of so many elements, the last one perhaps of fewer, with its index.
    ///
    /// # Panics
    /// If pieces have no elements, or as [`Pool::for_each_tile`].
    pub fn for_each_piece<T: Element>(&self, data: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        let count = data.len();
        if count == 0 {
            return;
        }
        let grid = Grid::new(1, count, 1, len);
        self.for_each_tile_plain(MatrixMut::new(data, 1, count, count), grid, |tile, mut view| {
            view.for_each_row(|_, piece| f(tile.cols.start / len, piece));
        });
    }

    /// Calls `work(0)` and, as far as threads come to it, `work(1)` … `work(slots − 1)`, no slot twice at the
    /// same time. A slot may run late or never, so `work` takes what there is to do from a common counter.
    fn run(&self, slots: usize, work: &(dyn Fn(usize) + Sync)) {
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
        match &self.kind {
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
                    let text = text!("the external pool called a job outside 0..{slots}");
                    lock(&panic).get_or_insert(Box::new(text));
                }
            }
        }
        let panic = into_inner(panic);
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
    fn every_piece_of_a_slice_comes_once_with_its_index() {
        for threads in [1, 3] {
            let pool = Pool::new(threads).expect("a few threads");
            let mut data = vec![0.0f32; 23];
            pool.for_each_piece(&mut data, 5, |index, piece| {
                assert_eq!(piece.len(), if index == 4 { 3 } else { 5 });
                piece.iter_mut().for_each(|value| *value += 1.0 + index as f32);
            });
            let expected: Vec<f32> = (0..23).map(|at| 1.0 + (at / 5) as f32).collect();
            assert_eq!(data, expected);
            pool.for_each_piece(&mut [] as &mut [f32], 5, |_, _| panic!("there is no piece"));
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
