//! Tests: how evenly threads share the algorithms that AUTO takes.

use std::ffi::c_void;

use convlow_kernels::isa::Isa;
use convlow_threads::Pool;

use super::options::{Math, Options};
use super::survey::Survey;
use crate::algorithms::Products;
use crate::descriptor;
use crate::plan::Schedule;
use crate::problem::{Layout, Problem};

unsafe extern "C" fn never(
    _: *mut c_void,
    _: usize,
    _: unsafe extern "C" fn(*mut c_void, usize),
    _: *mut c_void,
) {
    unreachable!("nothing is executed");
}

/// The greatest share of one thread over the mean, where each thread takes the next tile as soon as it is free and a
/// tile takes time by its outputs.
fn greatest_share(schedule: &Schedule, problem: &Problem, threads: usize) -> f64 {
    let units = schedule.units(problem);
    let grid = schedule.prepared.grid().expect("what AUTO takes has tiles");
    let mut busy = vec![0.0f64; threads];
    let mut take = |work: f64| {
        let idle = busy.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("a thread");
        *idle += work;
    };
    let tiles = (0..grid.tiles()).map(|index| grid.tile(index));
    let outputs = tiles.map(|tile| (tile.rows.len() * tile.cols.len()) as f64);
    if schedule.units_at_once > 1 {
        let unit: f64 = outputs.sum();
        (0..units).for_each(|_| take(unit));
    } else {
        // Units follow one another: one is as all.
        outputs.for_each(take);
    }
    let most = busy.iter().fold(0.0f64, |most, &busy| most.max(busy));
    most * threads as f64 / busy.iter().sum::<f64>()
}

/// From two threads to sixteen, on every layer that is worth sharing.
#[test]
fn threads_share_what_auto_takes_evenly() {
    /// Multiplications that are worth a thread: 0.1 ms of one core.
    const WORTH_A_THREAD: usize = 1 << 21;
    let lists = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/problems")).expect("the lists");
    let lists: Vec<String> = lists
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| std::fs::read_to_string(path).expect("a list"))
        .collect();
    for threads in [2, 4, 8, 16] {
        // SAFETY: the pool never runs.
        let pool = unsafe { Pool::external(never, std::ptr::null_mut(), threads) }.expect("a pool");
        let (mut layers, mut worst, mut sum) = (0, (1.0f64, String::new()), 0.0);
        for entry in lists.iter().flat_map(|list| descriptor::parse_list(list).expect("a list")) {
            for layout in [Layout::Nchw, Layout::Nhwc] {
                for math in [Math::Exact, Math::Fast] {
                    let problem = Problem { src_layout: layout, dst_layout: layout, ..entry.problem };
                    if problem.macs() < threads * WORTH_A_THREAD {
                        continue;
                    }
                    let options = Options { math, pool: pool.clone(), ..Options::default() };
                    let survey = Survey::with_times(&problem, &options).expect("a valid problem");
                    let chosen = survey.choose(&options).expect("an algorithm");
                    if chosen.info.entry.products == Products::Direct {
                        continue;
                    }
                    let work = chosen.task.work().expect("a convolution");
                    let share = greatest_share(&work.whole().expect("packed").schedule, &problem, threads);
                    layers += 1;
                    sum += share.ln();
                    if share > worst.0 {
                        worst = (share, format!("{} on {problem}", chosen.info.entry.name()));
                    }
                }
            }
        }
        let mean = (sum / f64::from(layers)).exp();
        println!("{threads} threads: mean {mean:.3}, worst {:.3} of {layers}: {}", worst.0, worst.1);
        // Register tiles of AVX-512 are four times as wide, so that there are fewer blocks of channels for the threads. Tiles
        // of fewer pixels would divide the layers among 16 threads as evenly, but take one thread 2 to 16 % longer.
        let most = if threads == 16 && Isa::in_use() == Ok(Isa::Avx512) { 1.4 } else { 1.15 };
        assert!(layers > 100 && mean < most, "{threads} threads: {mean}");
    }
}
