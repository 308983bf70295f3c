//! [`Candidate`]: an algorithm that can compute a problem, with its needs and its estimate.

use convlow_kernels::isa::Isa;

use super::options::{Math, Options, WeightsFrom};
use super::{estimate, wisdom};
use crate::algorithms::{Cost, Declined, Entry, Products, Scratch};
use crate::gemm::{Backend, BackendChoice};
#[cfg(feature = "training")]
use crate::plan::Gradient;
use crate::plan::{Info, Part, Task, Work};
#[cfg(feature = "training")]
use crate::problem::Propagation;
use crate::problem::{DataType, Kind, Problem, product};

/// An algorithm that can compute the problem, ready to do so.
pub(super) struct Candidate {
    pub(super) info: Info,
    /// The same on one thread, by which it is chosen: how an algorithm rounds may not depend on the number of threads.
    pub(super) alone: Info,
    pub(super) task: Task,
    /// The number of its packing; 0 where it reads plain weights.
    pub(super) packing: u64,
}

impl Candidate {
    pub(super) fn fits(&self, options: &Options) -> bool {
        self.info.workspace_bytes <= options.max_workspace_bytes
            && self.info.packed_weights_bytes <= options.max_packed_weights_bytes
            && self.is_of_packing(options)
    }

    /// Whether it reads the packing that the options ask for, if they ask for one.
    pub(super) fn is_of_packing(&self, options: &Options) -> bool {
        options.packing_id == 0 || options.packing_id == self.packing
    }

    /// The same for a problem whose outputs see no input: only the packing remains.
    pub(super) fn without_sums(self) -> Self {
        let of_nothing = |info: Info| Info {
            workspace_bytes: 0,
            gemm_calls: 0,
            counts: Cost::default().counts(0),
            estimated_seconds: 0.0,
            measured_seconds: 0.0,
            ..info
        };
        Self { info: of_nothing(self.info), alone: of_nothing(self.alone), ..self }
    }

    /// Whether AUTO may take it: a GEMM gets the products if it is asked for and only then, since a GEMM may allocate; what
    /// lowers a whole image is slower than what lowers parts of it, whatever the estimates of its copies say; and to
    /// transform plain weights for each execute takes longer than it spares.
    pub(super) fn is_open_to_auto(&self, options: &Options) -> bool {
        if self.task.is_plain() && !self.info.entry.is_exact() {
            return false;
        }
        match self.info.entry.products {
            Products::Gemm => options.gemm != BackendChoice::Auto && self.info.entry.in_parts,
            Products::Kernels => options.gemm == BackendChoice::Auto,
            Products::Either | Products::Direct => true,
        }
    }

    pub(super) fn measured(&self) -> bool {
        self.info.measured_seconds > 0.0
    }
}

const WEIGHTS_OVERFLOW: Declined = Declined::Overflow(c"its packed weights do not fit size_t");
const CALLS_OVERFLOW: Declined = Declined::Overflow(c"the number of its GEMM calls does not fit size_t");
const BLAS_OVERFLOWS: Declined =
    Declined::Overflow(c"a matrix dimension does not fit the 32-bit integer of the BLAS");

/// What an algorithm offers.
pub(super) type Answer = Result<Candidate, Declined>;

/// One algorithm's answer for a problem.
pub(super) fn examine(
    entry: &'static Entry,
    problem: &Problem,
    options: &Options,
    backends: &[Backend],
) -> Answer {
    let alone = examine_on(1, entry, problem, options, backends)?;
    let threads = options.pool.threads();
    if threads == 1 {
        return Ok(alone);
    }
    match examine_on(threads, entry, problem, options, backends) {
        Ok(shared) if shared.fits(options) || !alone.fits(options) => {
            Ok(Candidate { alone: alone.info, ..shared })
        }
        // More threads never refuse what one of them can do.
        _ => Ok(alone),
    }
}

/// The same for so many threads.
fn examine_on(
    threads: usize,
    entry: &'static Entry,
    problem: &Problem,
    options: &Options,
    backends: &[Backend],
) -> Answer {
    let most = options.max_workspace_bytes;
    let task = match (problem.propagation, options.weights) {
        #[cfg(feature = "training")]
        (Propagation::BackwardWeights, _) => Task::Gradient(Gradient::new(problem, entry, threads, most)?),
        (_, WeightsFrom::Packed) => Task::Convolution(Work::packed(problem, entry, threads, most)?),
        (_, WeightsFrom::Plain) => Task::Convolution(Work::plain(problem, entry, threads, most)?),
    };
    if options.math == Math::Exact && !entry.is_exact() {
        return Err(Declined::Unsupported(c"needs math = CONVLOW_MATH_FAST"));
    }
    let workspace_bytes = task.bytes().ok_or(Scratch::OVERFLOW)?;
    let packing = task.packing().copied();
    let packed_weights_bytes = match &packing {
        Some(packing) => packing.bytes().ok_or(WEIGHTS_OVERFLOW)?,
        None => 0,
    };
    let Sum { backend, isa, gemm_calls, counts, mut estimated_seconds } =
        sum_of(&task, entry, threads, (options, backends))?;
    if task.is_plain() {
        estimated_seconds += estimate::seconds_of_packing(problem.weights_len());
    }
    // What the model's constants are of.
    let of_type = problem.data_type.bytes() as f64 / DataType::F32.bytes() as f64;
    let info = Info {
        entry,
        applicable: true,
        backend,
        isa,
        workspace_bytes,
        packed_weights_bytes,
        gemm_calls,
        counts,
        estimated_seconds: estimated_seconds * of_type,
        measured_seconds: match task.is_plain() {
            // Wisdom is of packed weights.
            true => 0.0,
            false => wisdom::recall(problem, threads, backend, entry).unwrap_or(0.0),
        },
        reason: None,
    };
    Ok(Candidate { info, alone: info, task, packing: packing.map_or(0, |packing| packing.id()) })
}

/// What all parts cost together, and the GEMM that serves them.
struct Sum {
    backend: Option<Backend>,
    isa: Option<Isa>,
    gemm_calls: usize,
    counts: [(&'static str, f64); 8],
    estimated_seconds: f64,
}

fn sum_of(
    task: &Task,
    entry: &Entry,
    threads: usize,
    (options, backends): (&Options, &[Backend]),
) -> Result<Sum, Declined> {
    let counts = Cost::default().counts(0);
    let mut sum = Sum { backend: None, isa: None, gemm_calls: 0, counts, estimated_seconds: 0.0 };
    let of_gradient = task.cost_of_gradient().map(|(cost, length)| (cost, length, 1, 1));
    let of_part = |(part, times): (&Part, usize)| {
        (cost_of(part), part.schedule.prepared.length(), part.schedule.units(&part.problem), times)
    };
    let parts = task.work().into_iter().flat_map(Work::parts).map(of_part);
    // The first part is the largest.
    for (cost, length, units, times) in of_gradient.into_iter().chain(parts) {
        sum.backend = match entry.products {
            Products::Kernels | Products::Direct => None,
            Products::Either if options.gemm == BackendChoice::Auto => None,
            Products::Either | Products::Gemm => {
                Some(sum.backend.or_else(|| serving(&cost, units, backends)).ok_or(BLAS_OVERFLOWS)?)
            }
        };
        if matches!(entry.products, Products::Kernels | Products::Either) && sum.backend.is_none() {
            sum.isa = sum.isa.or_else(|| Some(length.isa()));
        }
        let calls = cost.calls.filter(|_| sum.backend.is_some()).map_or(0, |calls| calls.count);
        let calls = product(&[calls, units, times]).ok_or(CALLS_OVERFLOW)?;
        sum.gemm_calls = sum.gemm_calls.checked_add(calls).ok_or(CALLS_OVERFLOW)?;
        sum.estimated_seconds += times as f64 * estimate::seconds(&cost, units, threads, sum.backend);
        for ((_, sum), (_, count)) in sum.counts.iter_mut().zip(cost.counts(units)) {
            *sum += times as f64 * count;
        }
    }
    Ok(sum)
}

/// What one unit of a part costs.
fn cost_of(part: &Part) -> Cost {
    let mut cost = part.schedule.prepared.cost();
    if part.problem.is(Kind::Strided) {
        // Leading dimensions are those of the wider tensors.
        let [src, dst] = part.problem.channel_strides();
        cost.largest_size = cost.largest_size.max(src.saturating_mul(part.problem.cols.step())).max(dst);
    }
    cost
}

/// The GEMM that serves an algorithm: the one estimated quicker on one thread. More threads, or what was measured, may
/// not change it, since each GEMM rounds in its own way.
fn serving(cost: &Cost, units: usize, backends: &[Backend]) -> Option<Backend> {
    let seconds = |backend: Backend| estimate::seconds(cost, units, 1, Some(backend));
    let able = backends.iter().copied().filter(|backend| cost.largest_size <= backend.largest_size());
    able.min_by(|&a, &b| seconds(a).total_cmp(&seconds(b)))
}
