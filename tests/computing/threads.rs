//! Results are bitwise the same for every number and kind of threads, and one plan serves many callers.

use std::ffi::c_void;

use convlow::algorithms::REGISTRY;
use convlow::gemm::BackendChoice;
use convlow::{Axis, Buffer, DataType, Element, Operation, Options, Plan, Pool, Problem, Strides};

use crate::common::{self, Data, LAYOUTS, bits, bits_of, padded, plain, plan_for, run};

/// A host's parallel-for: a thread a job, in reverse.
unsafe extern "C" fn reversed(
    _: *mut c_void,
    jobs: usize,
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
) {
    struct Shared(*mut c_void);
    // SAFETY: convlow's argument may be used by the threads of a parallel-for.
    unsafe impl Sync for Shared {}
    let shared = &Shared(argument);
    std::thread::scope(|scope| {
        for index in (0..jobs).rev() {
            // SAFETY: each index is run once, before this function returns.
            scope.spawn(move || unsafe { job(shared.0, index) });
        }
    });
}

/// A host's parallel-for that runs the first job only; the rest is left for convlow to make up for.
unsafe extern "C" fn lazy(
    _: *mut c_void,
    _: usize,
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
) {
    // SAFETY: job 0 exists.
    unsafe { job(argument, 0) }
}

/// A host's parallel-for that breaks its promise and runs nothing; convlow computes all the same.
unsafe extern "C" fn absent(
    _: *mut c_void,
    _: usize,
    _: unsafe extern "C" fn(*mut c_void, usize),
    _: *mut c_void,
) {
}

/// What calls an execute, on the thread that it likes.
type Call = Box<dyn Fn(&mut (dyn FnMut() + Send))>;

/// A pool, and what calls an execute on it.
pub struct OnPool {
    name: String,
    pool: Pool,
    pub call: Call,
}

impl OnPool {
    /// Called from this thread.
    pub fn new(name: &str, pool: Pool) -> Self {
        Self { name: name.to_string(), pool, call: Box::new(|execute| execute()) }
    }
}

fn pools() -> Vec<OnPool> {
    let own = [1, 2, 3, 4, 7]
        .into_iter()
        .map(|threads| OnPool::new(&format!("own, {threads}"), Pool::new(threads).expect("a few threads")));
    let mut pools: Vec<_> = own.collect();
    for (name, run) in [("reversed", reversed as convlow::ParallelFor), ("lazy", lazy), ("absent", absent)] {
        // SAFETY: both keep the contract of a parallel-for and ignore their context.
        let pool = unsafe { Pool::external(run, std::ptr::null_mut(), 3) }.expect("three threads");
        pools.push(OnPool::new(&format!("external, {name}"), pool));
    }
    pools
}

fn problems() -> Vec<Problem> {
    let mut strided = padded([5, 40], [23, 40], [3, 5], 2);
    strided.rows.stride = 2;
    let many_small = Problem { batch: 3, groups: 4, ..padded([8, 12], [9, 9], [3, 3], 1) };
    let mut accumulated = padded([17, 19], [33, 40], [5, 5], 2);
    accumulated.accumulate = true;
    let mut transposed = padded([16, 40], [20, 21], [4, 3], 1);
    transposed.operation = Operation::ConvTranspose;
    (transposed.rows.stride, transposed.cols.stride) = (2, 3);
    let mut volume = padded([6, 40], [12, 13], [3, 3], 1);
    volume.planes = Axis { pad_before: 1, ..Axis::dense(6, 3) };
    let depthwise = Problem { groups: 24, ..padded([24, 24], [33, 30], [3, 3], 1) };
    let wide = Strides { channel: 1200, batch: 0 };
    let slice = Problem { src_strides: wide, dst_strides: wide, ..padded([16, 40], [33, 30], [3, 3], 1) };
    let double = Problem { data_type: DataType::F64, ..padded([16, 40], [20, 20], [3, 3], 1) };
    [
        double,
        transposed,
        volume,
        depthwise,
        slice,
        padded([16, 300], [20, 20], [3, 3], 1),
        padded([64, 130], [36, 36], [1, 1], 0),
        plain([3, 33], [40, 40], [7, 7]),
        strided,
        many_small,
        accumulated,
    ]
    .into_iter()
    .filter(|problem| DataType::BUILT.contains(&problem.data_type))
    .map(|problem| Problem::new(problem).expect("the problems are valid"))
    .collect()
}

/// Promise 5: the same bits on any threads.
#[test]
fn results_do_not_depend_on_threads() {
    let pools = pools();
    compare_on_pools(&pools, pools.len());
}

/// Every problem and algorithm on so many of the pools, by turns, against one thread.
pub fn compare_on_pools(pools: &[OnPool], at_a_time: usize) {
    let compare = |shape: &Problem| match shape.data_type {
        DataType::F32 => compare_on::<f32>(shape, pools, at_a_time),
        DataType::F64 => compare_on::<f64>(shape, pools, at_a_time),
    };
    let compared: usize = problems().iter().map(compare).sum();
    println!("threads: {compared} comparisons on {} pools", pools.len());
    assert!(compared > 20 * REGISTRY.len());
}

/// One problem of [`compare_on_pools`]; how many comparisons.
fn compare_on<T: Element>(shape: &Problem, pools: &[OnPool], at_a_time: usize) -> usize {
    let data = Data::<T>::random(shape, true, &mut fastrand::Rng::with_seed(3));
    let mut compared = 0;
    let mut choices: Vec<_> = common::backends().into_iter().map(|(gemm, it)| (gemm, Some(it))).collect();
    if choices.is_empty() {
        choices.push((BackendChoice::Auto, None));
    }
    for (src_layout, dst_layout) in LAYOUTS {
        let problem = Problem { src_layout, dst_layout, ..*shape };
        for entry in REGISTRY {
            for &(gemm, backend) in &choices {
                let Ok(plan) = plan_for(&problem, &common::options(entry, gemm, &Pool::SERIAL)) else {
                    continue;
                };
                assert!(plan.info().backend.is_none_or(|served| Some(served) == backend));
                let alone = bits(&run(&plan, &data));
                let turn = pools.iter().cycle().skip(compared % pools.len()).take(at_a_time);
                for OnPool { name, pool, call } in turn {
                    let plan = plan_for(&problem, &common::options(entry, gemm, pool)).expect("as before");
                    let mut together = Vec::new();
                    call(&mut || together = bits(&run(&plan, &data)));
                    assert!(together == alone, "{} on {problem} with pool {name}", entry.name());
                    compared += 1;
                }
            }
        }
    }
    compared
}

/// Promise 8: each GEMM rounds in its own way, so the one that AUTO takes for an algorithm may not change with the threads.
#[test]
fn an_algorithm_by_name_has_the_same_gemm_and_bits_on_every_number_of_threads() {
    let pools: Vec<_> = (1..=7).map(|threads| Pool::new(threads).expect("a few threads")).collect();
    let mut rng = fastrand::Rng::with_seed(11);
    // Small products, where the two GEMMs are close to one another; the first is one where AUTO once changed its mind.
    let mut shapes = vec![padded([2, 6], [5, 5], [1, 1], 1)];
    for _ in 0..150 {
        let kernel = [1, 1, 3, 5][rng.usize(..4)];
        let channels = [1 + rng.usize(..24), 1 + rng.usize(..24)];
        let mut shape =
            padded(channels, [5 + rng.usize(..20), 5 + rng.usize(..20)], [kernel, kernel], rng.usize(..3));
        shape.batch = 1 + rng.usize(..3);
        shapes.push(Problem::new(shape).expect("a valid problem"));
    }
    let (mut plans, mut served) = (0, std::collections::HashSet::new());
    for (number, shape) in shapes.iter().enumerate() {
        for (src_layout, dst_layout) in LAYOUTS {
            let problem = Problem { src_layout, dst_layout, ..*shape };
            for entry in REGISTRY {
                let plan_on = |pool| plan_for(&problem, &common::options(entry, BackendChoice::Auto, pool));
                let Ok(alone) = plan_on(&pools[0]) else { continue };
                let backend = alone.info().backend;
                served.insert(backend);
                // Every tenth shape is computed too.
                let bits = |plan: &Plan| (number % 10 == 0).then(|| bits_of(plan, number as u64));
                let expected = bits(&alone);
                for pool in &pools[1..] {
                    let together = plan_on(pool).expect("as before");
                    let name = entry.name();
                    assert_eq!(
                        together.info().backend,
                        backend,
                        "{name} on {problem}, {} threads",
                        pool.threads()
                    );
                    assert!(bits(&together) == expected, "{name} on {problem}, {} threads", pool.threads());
                    plans += 1;
                }
            }
        }
    }
    println!("threads: {plans} plans, served by {served:?}");
    assert_eq!(served.len(), 1 + common::backends().len(), "each GEMM, and none for direct-sum2d");
}

/// A limit below what all threads would like takes threads away, not the result.
#[test]
fn a_tight_workspace_limit_keeps_the_results_of_a_thread_count() {
    let problem = padded([8, 24], [40, 40], [5, 5], 2);
    let data: Data = Data::random(&problem, true, &mut fastrand::Rng::with_seed(4));
    let fitting = REGISTRY.iter().filter(|entry| ["kn2row-aa-ab", "kn2row-register"].contains(&entry.name()));
    let limits = [0, 100, 200, 1000, 5000, 20_000, usize::MAX];
    for (entry, limit) in fitting.flat_map(|entry| limits.map(|limit| (entry, limit))) {
        let mut results = Vec::new();
        for threads in [1, 2, 4] {
            let pool = Pool::new(threads).expect("a few threads");
            let options =
                Options { max_workspace_bytes: limit, ..common::options(entry, BackendChoice::Auto, &pool) };
            let plan = Plan::new(&problem, &options).expect("it fits any limit");
            assert!(plan.info().workspace_bytes <= limit);
            let bits: Vec<u32> = run(&plan, &data).iter().map(|value| value.to_bits()).collect();
            results.push(bits);
        }
        assert!(results.iter().all(|result| *result == results[0]), "{}, limit {limit}", entry.name());
    }
}

/// Promise 1: one plan, many callers.
#[test]
fn many_threads_execute_one_plan_at_once() {
    let problem = padded([16, 24], [20, 20], [3, 3], 1);
    let data: Data = Data::random(&problem, true, &mut fastrand::Rng::with_seed(5));
    let pools = [
        Pool::SERIAL,
        Pool::new(2).expect("two threads"),
        #[cfg(feature = "rayon")]
        Pool::rayon().expect("rayon's global threads"),
    ];
    for pool in pools {
        for entry in REGISTRY {
            let Ok(plan) = plan_for(&problem, &common::options(entry, BackendChoice::Auto, &pool)) else {
                continue;
            };
            let expected = run(&plan, &data);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| (0..5).for_each(|_| assert_eq!(run(&plan, &data), expected)));
                }
            });
        }
    }
}

/// Promise 8: neither what the process has computed before nor where the buffers lie changes a bit. They begin at
/// elements all over a line of the cache, or at every place that malloc may give.
#[test]
fn results_do_not_depend_on_where_memory_lies_or_on_earlier_calls() {
    const LINE: usize = 64;
    const MALLOC_ALIGN: usize = 16;
    /// Room for so many bytes that begin so many behind a line of the cache.
    fn placed(buffer: &mut Buffer, at: usize) -> &mut [u8] {
        &mut buffer.bytes_mut()[at..]
    }
    fn compare<T: Element>(shape: &Problem, pool: &Pool) -> usize {
        let bytes_of = |count: usize| count * size_of::<T>();
        let mut rng = fastrand::Rng::with_seed(21);
        let mut compared = 0;
        for (src_layout, dst_layout) in LAYOUTS {
            let problem = Problem { src_layout, dst_layout, ..*shape };
            let mut random =
                |count: usize| -> Vec<T> { (0..count).map(|_| T::from_f64(rng.f64() * 2.0 - 1.0)).collect() };
            let (src, weights) = (random(problem.src_len()), random(problem.weights_len()));
            let (bias, before) = (random(problem.out_channels), random(problem.dst_len()));
            for entry in REGISTRY {
                let Ok(plan) = plan_for(&problem, &common::options(entry, BackendChoice::Auto, pool)) else {
                    continue;
                };
                let info = *plan.info();
                let buffer = |bytes: usize| Buffer::new(bytes + LINE).expect("a small buffer");
                let (mut of_src, mut of_dst) = (buffer(bytes_of(src.len())), buffer(bytes_of(before.len())));
                let (mut packed, mut workspace) =
                    (buffer(info.packed_weights_bytes), buffer(info.workspace_bytes));
                let mut expected: Option<Vec<u64>> = None;
                for step in [0, 1, 2, 7, 11] {
                    let (at, block_at) = (bytes_of(step) % LINE, step * MALLOC_ALIGN % LINE);
                    let src_bytes = &mut placed(&mut of_src, at)[..bytes_of(src.len())];
                    src_bytes.copy_from_slice(bytemuck::cast_slice(&src));
                    // dst goes the other way, so that the two lie differently to one another.
                    let dst_at = (LINE - at) % LINE;
                    let dst_bytes = &mut placed(&mut of_dst, dst_at)[..bytes_of(before.len())];
                    dst_bytes.copy_from_slice(bytemuck::cast_slice(&before));
                    let packed = &mut placed(&mut packed, block_at)[..info.packed_weights_bytes];
                    plan.pack_weights(&weights, packed).expect("the lengths agree");
                    // What an earlier call has left in the workspace stays there.
                    let workspace = &mut placed(&mut workspace, block_at)[..info.workspace_bytes];
                    let dst: &mut [T] = bytemuck::cast_slice_mut(dst_bytes);
                    plan.execute(
                        bytemuck::cast_slice(src_bytes),
                        packed,
                        Some(&bias),
                        dst,
                        bytemuck::cast_slice_mut(workspace),
                    )
                    .expect("a valid call");
                    let found = bits(dst);
                    let expected = expected.get_or_insert_with(|| found.clone());
                    assert!(*expected == found, "{} on {problem}, step {step}", entry.name());
                    compared += 1;
                }
            }
        }
        compared
    }
    let pools = [Pool::SERIAL, Pool::new(3).expect("three threads")];
    let compared: usize = problems()
        .iter()
        .zip(pools.iter().cycle())
        .map(|(shape, pool)| match shape.data_type {
            DataType::F32 => compare::<f32>(shape, pool),
            DataType::F64 => compare::<f64>(shape, pool),
        })
        .sum();
    println!("threads: {compared} executes on buffers in other places");
    // A build without a GEMM has fewer algorithms.
    assert!(compared > if cfg!(feature = "gemm") { 1000 } else { 300 });
}
