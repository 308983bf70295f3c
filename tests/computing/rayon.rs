//! Executes on the threads of rayon: from its tasks and from outside, in pools of any size, many at once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use convlow::{Options, Plan, Pool, Problem};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::common::{Data, bits, padded, run};
use crate::threads::{OnPool, compare_on_pools};

fn context(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("a few threads")
}

fn pool_of(context: &ThreadPool) -> Pool {
    context.install(Pool::rayon).expect("threads that are there")
}

/// Promise 5: the same bits on rayon's threads, however many there are, as on none.
#[test]
fn results_do_not_depend_on_threads() {
    let global = Pool::rayon().expect("rayon's global threads");
    let mut pools = vec![OnPool::new("rayon, global", global)];
    for threads in 1..=7 {
        let context = context(threads);
        let pool = pool_of(&context);
        assert_eq!(pool.threads(), threads);
        let mut pool = OnPool::new(&format!("rayon, {threads}"), pool);
        pool.call = Box::new(move |execute| context.install(execute));
        pools.push(pool);
    }
    // Three at a time of the eight, so that each algorithm comes to all of them.
    compare_on_pools(&pools, 3);
}

/// Units of all sizes: few large ones that all threads share, many small ones side by side.
fn problems() -> [Problem; 2] {
    let small = Problem { batch: 3, groups: 4, ..padded([8, 12], [9, 9], [3, 3], 1) };
    [padded([16, 40], [33, 30], [3, 3], 1), Problem::new(small).expect("a valid problem")]
}

/// AUTO's plan.
fn plan_on(pool: &Pool, problem: &Problem) -> Plan {
    Plan::new(problem, &Options { pool: pool.clone(), ..Options::default() }).expect("AUTO serves everything")
}

/// The same, and the bits that are computed without a pool.
fn plan_and_bits(problem: &Problem, pool: &Pool, data: &Data) -> (Plan, Vec<u64>) {
    (plan_on(pool, problem), bits(&run(&plan_on(&Pool::SERIAL, problem), data)))
}

/// Fails a test whose executes wait for one another, which would hang it.
fn within_minutes(test: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        done.send(()).expect("somebody waits");
    });
    // Where the test panics, the channel closes.
    let result = waiting.recv_timeout(Duration::from_secs(300));
    assert!(result != Err(mpsc::RecvTimeoutError::Timeout), "the executes hang");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Promises 1 and 7: tasks of rayon that execute one plan end, on all threads at once, many more of them than threads, and
/// nested in each other.
#[test]
fn executes_from_tasks_of_rayon_end() {
    within_minutes(|| {
        let executes = AtomicUsize::new(0);
        for (problem, threads) in
            problems().iter().flat_map(|problem| [1, 2, 3].map(|count| (problem, count)))
        {
            let context = context(threads);
            let data: Data = Data::random(problem, true, &mut fastrand::Rng::with_seed(6));
            let (plan, expected) = plan_and_bits(problem, &pool_of(&context), &data);
            let execute = || {
                assert!(bits(&run(&plan, &data)) == expected, "{problem}");
                executes.fetch_add(1, Ordering::Relaxed);
            };
            context.broadcast(|_| (0..5).for_each(|_| execute()));
            context.scope(|scope| (0..40).for_each(|_| scope.spawn(|_| execute())));
            let two = || _ = rayon::join(execute, execute);
            let five = || _ = rayon::join(two, || rayon::join(two, execute));
            context.install(|| (0..5).for_each(|_| five()));
        }
        println!("rayon: {} executes from tasks", executes.into_inner());
    });
}

/// Promise 5: a plan for some threads runs on fewer and on more, of other pools and of none, and from many threads at once.
#[test]
fn a_plan_runs_where_there_are_other_threads_than_it_was_made_for() {
    within_minutes(|| {
        let contexts = [1, 2, 3, 5, 9].map(context);
        let mut executes = 0;
        for (problem, planned) in
            problems().iter().flat_map(|problem| [1, 2, 5].map(|count| (problem, count)))
        {
            let data: Data = Data::random(problem, true, &mut fastrand::Rng::with_seed(8));
            let (plan, expected) = plan_and_bits(problem, &pool_of(&context(planned)), &data);
            let check =
                || assert!(bits(&run(&plan, &data)) == expected, "{problem}, {planned} threads planned");
            check();
            for context in &contexts {
                context.install(check);
            }
            std::thread::scope(|scope| {
                for context in contexts.iter().chain(&contexts) {
                    scope.spawn(|| (0..3).for_each(|_| context.install(check)));
                    scope.spawn(|| (0..3).for_each(|_| check()));
                }
            });
            executes += 1 + contexts.len() * (1 + 2 * 6);
        }
        println!("rayon: {executes} executes of plans for other threads");
    });
}

/// Counts what threads allocate that have asked for it, and no others, which run other tests meanwhile.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise; all memory is the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Allocations and their bytes of so many calls, on the calling thread and those of a pool that counts.
fn allocated_in(calls: usize, mut call: impl FnMut()) -> [usize; 2] {
    let so_far = || [&ALLOCATIONS, &BYTES].map(|count| count.load(Ordering::Relaxed));
    let [allocations, bytes] = so_far();
    let before = COUNTED.replace(true);
    (0..calls).for_each(|_| call());
    COUNTED.set(before);
    [so_far()[0] - allocations, so_far()[1] - bytes]
}

/// Promise 2, and what rayon adds: nothing inside of its tasks, and a block of its queue for every 63 calls from outside.
#[test]
fn an_execute_allocates_nothing_inside_of_rayon_and_a_block_now_and_then_from_outside() {
    const CALLS: usize = 1000;
    const BLOCKS: usize = CALLS / 63 + 1;
    let counting = ThreadPoolBuilder::new().num_threads(3).start_handler(|_| COUNTED.set(true));
    let context = counting.build().expect("three threads");
    // Each thread has looked for work once, for which rayon notes it.
    context.broadcast(|_| ());
    for problem in problems() {
        let plan = plan_on(&pool_of(&context), &problem);
        let info = *plan.info();
        let mut packed = vec![0; info.packed_weights_bytes];
        plan.pack_weights(&vec![1f32; problem.weights_len()], &mut packed).expect("the lengths agree");
        let src = vec![1f32; problem.src_len()];
        let (mut dst, mut workspace) = (vec![0f32; problem.dst_len()], vec![0f32; info.workspace_bytes / 4]);
        let mut execute =
            || plan.execute(&src, &packed, None, &mut dst, &mut workspace).expect("a valid call");
        let inside = context.install(|| allocated_in(CALLS, &mut execute));
        assert_eq!(inside, [0, 0], "{problem}");
        let [blocks, bytes] = allocated_in(CALLS, || context.install(&mut execute));
        assert!(blocks > 0, "nothing is counted");
        assert!(blocks <= BLOCKS, "{blocks} on {problem}");
        let outside = allocated_in(CALLS, &mut execute);
        println!(
            "rayon: {CALLS} executes inside, {CALLS} by install and {CALLS} from outside allocate {inside:?}, \
             {:?}, {outside:?}",
            [blocks, bytes]
        );
        // Other tests use the global queue meanwhile: of two threads that come to a block's end, both allocate the next.
        assert!(outside[0] <= 2 * BLOCKS, "{outside:?} on {problem}");
    }
}
