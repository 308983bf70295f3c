//! [`Gang`]: the library's own threads. They sleep until a call brings work, and are joined when the gang is dropped.
//!
//! They are plain threads with one mutex and condition variables, not a work-stealing pool, because of four promises:
//! - An execute allocates nothing. The queues of work-stealing pools grow on the heap.
//! - A thread or memory that the system does not give is an error. `std::thread` ends the process if there is no
//!   memory.
//! - The threads end when a pool is destroyed, so that a host may unload the library.
//! - If a pool is busy with another execute, a caller does not wait.

use std::io::Write;
use std::time::{Duration, Instant};

use convlow_base::error::{Error, Result, text};
use convlow_base::memory::{self, Shared};

use crate::cores::{self, Busy, Cores, Placement, Whereabouts};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Life, Mutex, Ordering, Thread, lock, wait};

/// How long a thread looks out for the next call before it sleeps, unless it is told otherwise: the gap between two
/// layers of a network. Waking a sleeping thread takes as long as a short layer.
#[cfg(not(convlow_loom))]
const SPIN: Duration = Duration::from_micros(200);
/// None where every order of steps is tried: another look changes nothing.
#[cfg(convlow_loom)]
const SPIN: Duration = Duration::ZERO;

/// The threads, which its drop joins. They do not know of it, but of what it shares with them.
pub(crate) struct Gang {
    /// Freed behind the threads' end.
    common: Shared<Common>,
    /// The threads started, to be joined.
    threads: Vec<Thread>,
    /// The process that they are of: its copy by `fork` has none.
    process: u32,
}

/// What the threads share with those who call them. While one of them lives nobody borrows it mutably: it is what never
/// changes, atomics and locks.
struct Common {
    workers: Vec<Worker>,
    /// The cores of the thread that made the gang.
    home: Cores,
    /// Whether workers are given cores of their own.
    bound: AtomicBool,
    busy: AtomicBool,
    /// Grows with every call and at the end: what a spinning worker watches.
    calls: AtomicUsize,
    /// `state.running`, for the caller that spins until it is 0.
    running: AtomicUsize,
    spin_micros: AtomicU64,
    state: Mutex<State>,
    /// Signalled when `state.running` falls to 0, or `state.started` has grown.
    idle: Condvar,
}

struct Worker {
    at: Whereabouts,
    /// Whether it waits for `wake`. Set while the gang's state is locked.
    asleep: AtomicBool,
    /// Signalled when `state.call` brings slots, or on `stop`.
    wake: Condvar,
}

#[derive(Default)]
struct State {
    call: Option<Call>,
    running: usize,
    started: usize,
    /// Whether the caller waits for `idle`.
    caller_asleep: bool,
    /// The cores that a worker may use once it is awake.
    home: Cores,
    stop: bool,
}

struct Call {
    /// The borrow's lifetime is erased; [`Running`] removes the call and waits before it ends.
    work: *const (dyn Fn(usize) + Sync),
    next_slot: usize,
    slots: usize,
}

// SAFETY: the closure behind the pointer is Sync.
unsafe impl Send for Call {}

impl Gang {
    /// So many threads, the calling one included.
    pub fn new(threads: usize) -> Result<Shared<Self>> {
        // A failing step drops the gang, which ends the threads started so far.
        let mut gang = Self {
            common: Shared::new(Common::new(threads)?)?,
            threads: memory::vec(threads - 1)?,
            process: std::process::id(),
        };
        for index in 1..threads {
            // SAFETY: `gang.common` lives until the gang's drop has joined the thread, and none borrows it mutably.
            let thread = unsafe { Thread::start::<Common>(&raw const *gang.common) };
            gang.threads.push(thread.map_err(|error| {
                let reason = std::io::Error::from_raw_os_error(error);
                Error::OutOfMemory(text!("thread {index} of threads = {threads}: {reason}"))
            })?);
        }
        gang.common.await_start();
        Shared::new(gang)
    }

    /// How many threads there are, the calling one included.
    pub fn threads(&self) -> usize {
        self.common.threads()
    }

    pub fn set_spin(&self, spin: Duration) {
        self.common.spin_micros.store(spin.as_micros() as u64, Ordering::Relaxed);
    }

    pub fn set_bound(&self, bound: bool) {
        self.common.bound.store(bound, Ordering::Relaxed);
    }

    /// Whether this is a copy by `fork`: its workers do not exist, and what they had locked stays so.
    fn is_copy(&self) -> bool {
        std::process::id() != self.process
    }

    /// Slot 0 on the calling thread, the others on whichever worker wakes before the work is done.
    pub fn run(&self, slots: usize, work: &(dyn Fn(usize) + Sync)) {
        // Another execute has the workers; its caller and this one make two busy threads already.
        if self.is_copy() || self.common.busy.swap(true, Ordering::Acquire) {
            return work(0);
        }
        // SAFETY: the value goes at the end of this function, which `work` outlives.
        let _running = unsafe { self.common.begin(slots, work) };
        self.common.wake(slots - 1);
        work(0);
    }
}

impl Drop for Gang {
    fn drop(&mut self) {
        if self.is_copy() {
            return;
        }
        self.common.stop();
        self.threads.drain(..).for_each(Thread::join);
    }
}

/// A call that workers may be at. Its drop removes it and waits for them, also behind a panic of the caller's slot.
struct Running<'a> {
    common: &'a Common,
    _here: Busy,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.common.end();
        self.common.busy.store(false, Ordering::Release);
    }
}

impl Common {
    fn new(threads: usize) -> Result<Self> {
        cores::learn();
        let home = Cores::of_this_thread();
        let mut workers = memory::vec(threads - 1)?;
        workers.extend((1..threads).map(|_| Worker {
            at: Whereabouts::unknown(),
            asleep: AtomicBool::new(false),
            wake: Condvar::new(),
        }));
        Ok(Self {
            workers,
            home,
            bound: AtomicBool::new(true),
            busy: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            spin_micros: AtomicU64::new(SPIN.as_micros() as u64),
            state: Mutex::new(State { home, ..State::default() }),
            idle: Condvar::new(),
        })
    }

    fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Waits until all threads have begun: what a thread does to start must not fall into an execute.
    fn await_start(&self) {
        let mut state = lock(&self.state);
        while state.started < self.workers.len() {
            state = wait(&self.idle, state);
        }
    }

    /// Offers the slots behind the caller's to the workers, as long as the value lives.
    ///
    /// # Safety
    /// The value is dropped before `work` ends, and the next call begins behind that.
    unsafe fn begin<'a>(&'a self, slots: usize, work: &'a (dyn Fn(usize) + Sync + 'a)) -> Running<'a> {
        let here = Busy::begin();
        // SAFETY: only the lifetime changes. `Running` removes the call and waits for all that are at it, and goes first.
        let work = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), *const (dyn Fn(usize) + Sync + 'static)>(
                work,
            )
        };
        let mut state = lock(&self.state);
        state.call = Some(Call { work, next_slot: 1, slots });
        self.calls.fetch_add(1, Ordering::Release);
        Running { common: self, _here: here }
    }

    /// Takes back the slots that no worker has begun, and waits for those that one has.
    fn end(&self) {
        lock(&self.state).call = None;
        self.spin_until(|| self.running.load(Ordering::Acquire) == 0, || ());
        let mut state = lock(&self.state);
        while state.running > 0 {
            state.caller_asleep = true;
            state = wait(&self.idle, state);
        }
        state.caller_asleep = false;
    }

    /// Ends the threads.
    fn stop(&self) {
        let mut state = lock(&self.state);
        state.stop = true;
        // Under the lock, as a call: a worker that is about to sleep would else miss both this and the signal.
        self.calls.fetch_add(1, Ordering::Release);
        drop(state);
        self.workers.iter().for_each(|worker| worker.wake.notify_one());
    }

    /// Wakes so many workers, or all that sleep, each on a core of its own; and moves away those that wait on the
    /// calling thread's core without sleeping.
    fn wake(&self, mut wanted: usize) {
        let bound = self.bound.load(Ordering::Relaxed);
        let asleep = |worker: &Worker| worker.asleep.load(Ordering::Relaxed);
        let mut placement = None;
        for worker in &self.workers {
            let sleeps = asleep(worker);
            if sleeps && wanted == 0 {
                continue;
            }
            if bound && (sleeps || worker.at.is_here()) {
                let placement = placement.get_or_insert_with(|| {
                    let staying =
                        self.workers.iter().filter(|worker| !asleep(worker) && !worker.at.is_here());
                    Placement::new(self.choose_home(), staying.map(|worker| &worker.at))
                });
                placement.place(&worker.at, sleeps);
            }
            if sleeps {
                worker.wake.notify_one();
                wanted -= 1;
            }
        }
    }

    /// The cores that workers may use from now on: the calling thread's, where they are enough for all threads, so that
    /// a host which moves takes its pools along; else those of the thread that made the gang, so that a host's thread
    /// with a core of its own does not draw the workers to it.
    fn choose_home(&self) -> Cores {
        let callers = Cores::of_this_thread();
        let home = if callers.len() >= self.threads() { callers } else { self.home };
        lock(&self.state).home = home;
        home
    }

    /// Waits for a condition as long as the gang spins; whether it came. Calls `meanwhile` now and then.
    fn spin_until(&self, condition: impl Fn() -> bool, meanwhile: impl Fn()) -> bool {
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
            meanwhile();
        }
    }
}

/// A worker's.
impl Life for Common {
    fn live(&self) {
        let mut state = lock(&self.state);
        let worker = &self.workers[state.started];
        state.started += 1;
        name_thread(state.started);
        worker.at.begin();
        self.idle.notify_one();
        while !state.stop {
            let slot = state.call.as_mut().filter(|call| call.next_slot < call.slots).map(|call| {
                call.next_slot += 1;
                (call.work, call.next_slot - 1)
            });
            let Some((work, slot)) = slot else {
                let seen = self.calls.load(Ordering::Relaxed);
                drop(state);
                worker.at.note();
                let called =
                    self.spin_until(|| self.calls.load(Ordering::Acquire) != seen, || worker.at.note());
                state = lock(&self.state);
                // A call that came since is seen under the lock.
                if !called && self.calls.load(Ordering::Relaxed) == seen {
                    worker.asleep.store(true, Ordering::Relaxed);
                    state = wait(&worker.wake, state);
                    worker.asleep.store(false, Ordering::Relaxed);
                }
                continue;
            };
            state.running += 1;
            self.running.store(state.running, Ordering::Relaxed);
            let home = state.home;
            drop(state);
            worker.at.release(&home);
            let here = Busy::begin();
            // SAFETY: `Running` keeps the closure alive until `running` is 0 again.
            unsafe { (*work)(slot) };
            drop(here);
            state = lock(&self.state);
            state.running -= 1;
            self.running.store(state.running, Ordering::Release);
            if state.running == 0 && state.caller_asleep {
                self.idle.notify_one();
            }
        }
    }
}

/// Tells debuggers and profilers whose thread this is.
fn name_thread(index: usize) {
    let mut name = [0; 16];
    // 15 characters hold every index of a pool; the last byte stays 0.
    let _ = write!(&mut name[..15], "convlow-{index}");
    #[cfg(target_os = "linux")]
    // SAFETY: the name ends with a 0, in 16 bytes at most.
    unsafe {
        libc::pthread_setname_np(libc::pthread_self(), name.as_ptr().cast());
    }
}

/// The protocol in every order of its steps, with so many threads that are interrupted so often.
#[cfg(all(test, convlow_loom))]
mod models {
    use loom::cell::UnsafeCell;

    use super::*;

    fn check(preemptions: usize, name: &str, model: impl Fn() + Send + Sync + 'static) {
        let orders = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = orders.clone();
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            model();
        });
        println!("{name}: {} orders", orders.load(Ordering::Relaxed));
    }

    /// What slots write, which nothing else guards: loom sees whether two threads may be at it at once.
    struct Written(Vec<UnsafeCell<usize>>);

    // SAFETY: loom checks every access.
    unsafe impl Sync for Written {}

    /// Calls a gang twice. Slot 0 runs once, every other at most once, and the caller sees what they have written.
    fn call_twice(gang: &Gang, slots: usize) {
        for _ in 0..2 {
            let written = Written((0..slots).map(|_| UnsafeCell::new(0)).collect());
            gang.run(slots, &|slot| {
                let Written(cells) = &written;
                // SAFETY: loom checks it.
                cells[slot].with_mut(|count| unsafe { *count += 1 });
            });
            let Written(cells) = &written;
            // SAFETY: loom checks it.
            let counts: Vec<usize> = cells.iter().map(|cell| cell.with(|count| unsafe { *count })).collect();
            assert!(counts[0] == 1 && counts.iter().all(|&count| count <= 1), "{counts:?}");
        }
    }

    fn gang(threads: usize) -> Shared<Gang> {
        let gang = Gang::new(threads).expect("a few threads");
        gang.set_bound(false);
        gang
    }

    #[test]
    fn a_caller_sees_what_its_worker_did() {
        check(3, "one worker", || call_twice(&gang(2), 2));
    }

    #[test]
    fn two_workers_do_not_get_into_each_others_way() {
        check(2, "two workers", || call_twice(&gang(3), 3));
    }

    #[test]
    fn callers_share_a_gang() {
        check(2, "two callers", || {
            let gang = gang(2);
            let other = gang.clone();
            let caller = loom::thread::spawn(move || call_twice(&other, 2));
            call_twice(&gang, 2);
            caller.join().expect("it does not panic");
        });
    }
}
