//! The cost model: it turns the counts of an algorithm into seconds.
//!
//! It ranks algorithms; it does not predict times. Its constants are those of one core of a class of machines: server
//! x86-64 with AVX2, on which the library is developed. The constants of a GEMM were fitted to products of many
//! shapes, those of the library's own kernels by `./dev fit`. Their ratios decide the ranking, and change little
//! between machines.
//!
//! Constants that each process measured in some milliseconds gave worse choices. A neighbour on a shared core slows
//! the kernels of one GEMM more than those of another, and for longer than such a measurement lasts. EFFORT_MEASURE
//! times the layer itself.

use crate::algorithms::{Calls, Cost};
use crate::gemm::Backend;
#[cfg(feature = "gemm")]
use crate::gemm::{ENOUGH_ROWS, KERNEL_ROWS, MOST_SPLIT_ROWS, leaves_few};

/// How long one backend's calls take, as a multiple of their multiply-adds at the peak: `large` where all three sizes
/// are large. Where one is small, packed factors are used too few times, or sums begin and end for few terms. That
/// adds `few_rows` / rows + `few_cols` / columns + `short_depth` / depth.
struct Model {
    large: f64,
    few_rows: f64,
    few_cols: f64,
    short_depth: f64,
    /// Added to `few_rows` for a number of rows that leaves a part of the kernel's rows without work.
    unfilled: fn(usize) -> f64,
    /// Added to `few_rows` where the second factor is the image in planes, whose rows lie far apart in memory: in
    /// planes of middling length, and where each of its rows lies in a page of its own and they are too many pages.
    planes: [f64; 2],
    /// Added to `large` for planes that are not short.
    long_planes: f64,
    /// Columns are computed in vectors of so many.
    vector: usize,
    /// Seconds of a call beside its arithmetic.
    seconds_per_call: f64,
}

#[cfg(feature = "openblas")]
const BLAS: Model = Model {
    large: 1.15,
    few_rows: 9.0,
    few_cols: 12.0,
    short_depth: 16.0,
    unfilled: |rows| if rows.is_multiple_of(4) { 0.0 } else { 6.0 },
    planes: [0.0, 0.0],
    long_planes: 0.0,
    vector: 4,
    seconds_per_call: 0.3e-6,
};
#[cfg(feature = "gemm")]
const EMBEDDED: Model = Model {
    large: 1.07,
    few_rows: 3.0,
    few_cols: 0.0,
    short_depth: 5.5,
    // With too few rows the kernel waits for its own sums. Products of middling height give it rows of the step before.
    unfilled: |rows| match rows % KERNEL_ROWS {
        _ if !leaves_few(rows) => 0.0,
        few if !(KERNEL_ROWS..=MOST_SPLIT_ROWS).contains(&rows) => (ENOUGH_ROWS - few) as f64,
        1 => 1.0,
        _ => 0.0,
    },
    planes: [2.5, 11.0],
    long_planes: 0.05,
    vector: 16,
    seconds_per_call: 0.3e-6,
};

impl Model {
    fn of(backend: Backend) -> &'static Self {
        match backend {
            #[cfg(feature = "openblas")]
            Backend::Blas => &BLAS,
            #[cfg(feature = "gemm")]
            Backend::Embedded => &EMBEDDED,
        }
    }

    /// Seconds of the calls of so many units.
    fn seconds(&self, calls: &Calls, units: f64) -> f64 {
        let [rows, cols, depth] = calls.shape.map(|size| size as f64);
        let unfilled = (self.unfilled)(calls.shape[0]);
        let planes = match calls.plane {
            ..SHORT_PLANE => 0.0,
            LONG_PLANE.. if calls.shape[2] > PAGES => self.planes[1],
            _ => self.planes[0],
        };
        let long = if calls.plane < SHORT_PLANE { 0.0 } else { self.long_planes };
        let loss = (self.few_rows + unfilled + planes) / rows
            + self.few_cols / cols
            + self.short_depth / depth
            + long;
        let vectors = calls.shape[1].next_multiple_of(self.vector) as f64 / cols;
        calls.macs * units / MACS * (self.large + loss) * vectors
            + calls.count as f64 * units * self.seconds_per_call
    }
}

/// Floats of a plane up to which several lie on one line of the cache or the next.
const SHORT_PLANE: usize = 64;
/// Floats of a plane from which on each row of it lies in a page of memory of its own.
const LONG_PLANE: usize = 2048;
/// Pages that the processor keeps track of at no cost.
const PAGES: usize = 48;
/// Multiply-adds a second of one core.
const MACS: f64 = 52e9;
/// Floats a second in contiguous runs.
const STREAM: f64 = 4.4e9;
/// Floats a second in contiguous runs, from or to the cache.
const CACHED: f64 = 14e9;
/// Runs a second that are copied, beside their floats.
const COPIES: f64 = 100e6;
/// Floats a second from one layout to the other, from or to the cache.
const MOVED: f64 = 6.4e9;
/// Floats of Winograd tiles a second.
const TRANSFORMED: f64 = 3.9e9;
/// Floats a second one by one.
const SCATTER: f64 = 0.5e9;
/// Multiply-adds a second in register tiles.
const REGISTER: f64 = 47e9;
/// Outputs a second that register tiles begin and finish.
const FINISHED: f64 = 15e9;
/// Tiles of such algorithms a second, beside what they compute: as lists of small layers have it. With large ones the
/// fit is level from half of it on, which is too few for problems of a microsecond.
const TILES: f64 = 2.6e6;
/// Multiply-adds a second of a long direct run, and elements' worth of time to start one.
const DIRECT: f64 = 2.0e9;
const DIRECT_START: f64 = 16.0;

/// Estimated seconds of packing so many weights for one execute.
pub(super) fn seconds_of_packing(weights: usize) -> f64 {
    weights as f64 / MOVED
}

/// Estimated seconds of `units` units on `threads` threads, with this GEMM's calls or, without one, in register tiles.
pub(super) fn seconds(cost: &Cost, units: usize, threads: usize, backend: Option<Backend>) -> f64 {
    let units = units as f64;
    // Units share the threads or follow each other; in either case the last tiles may leave some idle.
    let tiles = if cost.tiles == 0 { f64::INFINITY } else { cost.tiles as f64 * units };
    let rounds = (tiles / threads as f64).ceil();
    let threads = if tiles.is_finite() { tiles / rounds } else { threads as f64 };
    let products = match (backend, cost.calls) {
        (Some(backend), Some(calls)) => {
            Model::of(backend).seconds(&calls, units) / threads.min((calls.count as f64 * units).max(1.0))
        }
        _ => {
            let tiles = cost.register_macs / REGISTER + cost.finished / FINISHED + cost.tiles as f64 / TILES;
            tiles * units / threads
        }
    };
    let direct = cost.direct_runs * (cost.direct_run_len as f64 + DIRECT_START) / DIRECT;
    let moved = cost.streamed / STREAM
        + cost.scattered / SCATTER
        + cost.cached / CACHED
        + cost.copies / COPIES
        + cost.moved / MOVED
        + cost.transformed / TRANSFORMED;
    products + (direct + moved) * units / threads
}
