//! The cost model: counts of an algorithm turned into seconds.
//!
//! It ranks; it does not predict. The constants are those of one core of the class the library is developed
//! on (server x86-64 with AVX2); their ratios, which decide the ranking, move little between machines.

use crate::algorithms::Cost;
use crate::gemm::Backend;

/// One backend's behaviour.
struct Model {
    /// Multiply-adds a second of a large product.
    macs_per_second: f64,
    /// Seconds of a call beside its arithmetic.
    seconds_per_call: f64,
    /// Sizes at which a call runs at half its speed: rows, columns, depth. Below them the packing of a
    /// factor is used too few times, or the end of the sum costs more than the sum.
    half_speed: [f64; 3],
}

#[cfg(feature = "openblas")]
const BLAS: Model = Model { macs_per_second: 45e9, seconds_per_call: 0.5e-6, half_speed: [6.0, 10.0, 14.0] };
const EMBEDDED: Model =
    Model { macs_per_second: 45e9, seconds_per_call: 0.7e-6, half_speed: [6.0, 10.0, 14.0] };

/// Floats a second in contiguous runs.
const STREAM: f64 = 2.0e9;
/// Floats a second in contiguous runs, from or to the cache.
const CACHED: f64 = 8.0e9;
/// Floats a second from one layout to the other, from or to the cache.
const MOVED: f64 = 2.0e9;
/// Floats a second one by one.
const SCATTER: f64 = 0.5e9;
/// Multiply-adds a second of a long direct run, and elements' worth of time to start one.
const DIRECT: f64 = 3.0e9;
const DIRECT_START: f64 = 16.0;

/// Estimated seconds of `units` units on `threads` threads.
pub(super) fn seconds(cost: &Cost, units: usize, threads: usize, backend: Option<Backend>) -> f64 {
    let model = match backend {
        Some(Backend::Embedded) | None => EMBEDDED,
        #[cfg(feature = "openblas")]
        Some(Backend::Blas) => BLAS,
    };
    let (units, threads) = (units as f64, threads as f64);
    let gemms: f64 = cost
        .calls
        .iter()
        .map(|calls| {
            let loss: f64 =
                calls.shape.iter().zip(model.half_speed).map(|(&size, half)| half / size as f64).sum();
            let count = calls.count as f64 * units;
            let work =
                calls.macs * units / model.macs_per_second * (1.0 + loss) + count * model.seconds_per_call;
            work / threads.min(count.max(1.0))
        })
        .sum();
    let direct = cost.direct_runs * (cost.direct_run_len as f64 + DIRECT_START) / DIRECT;
    let moved = cost.streamed / STREAM + cost.scattered / SCATTER + cost.cached / CACHED + cost.moved / MOVED;
    gemms + (direct + moved) * units / threads
}
