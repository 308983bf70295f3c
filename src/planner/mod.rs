//! The planner: scans the registry for a problem, asks each algorithm what it needs, and chooses.
//!
//! Whether an algorithm is correct for a problem is the algorithm's word; how fast it is, is judged here:
//! from a cost model (`estimate`), or from measurements (`measure`) that are kept as [`wisdom`].

mod estimate;
mod measure;
pub mod wisdom;

use std::cmp::Ordering;
use std::fmt;
use std::io::Write;

use convlow_threads::Pool;

use crate::algorithms::{Cost, Declined, Entry, Products, REGISTRY, Reason, Scratch};
use crate::environment::is_verbose;
use crate::error::{Error, Result, invalid, text};
use crate::gemm::{Backend, BackendChoice};
use crate::memory;
use crate::plan::{Info, Plan, Schedule};
use crate::problem::{Axis, DataType, Kind, Problem, Strides, product, with_outputs};
use convlow_kernels::isa::Isa;

/// Which algorithm a plan asks for.
#[derive(Debug, Clone, Copy, Default)]
pub enum AlgorithmChoice {
    /// The cheapest one.
    #[default]
    Auto,
    /// This one or none.
    One(&'static Entry),
}

/// Which arithmetic is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Math {
    /// Only algorithms that form every product of the definition.
    #[default]
    Exact,
    /// Winograd's too.
    Fast,
}

/// How much a plan may cost to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// No measuring: wisdom where there is some, else the cost model.
    #[default]
    Estimate,
    /// Time the candidates within the budget.
    Measure,
}

/// What a caller asks of a plan.
#[derive(Clone)]
pub struct Options {
    /// The algorithm.
    pub algorithm: AlgorithmChoice,
    /// The arithmetic.
    pub math: Math,
    /// How much planning may cost.
    pub effort: Effort,
    /// The GEMM.
    pub gemm: BackendChoice,
    /// Most bytes of workspace.
    pub max_workspace_bytes: usize,
    /// Most bytes of packed weights.
    pub max_packed_weights_bytes: usize,
    /// Most seconds of measuring, for [`Effort::Measure`].
    pub measure_budget_seconds: f64,
    /// Most bytes of memory that measuring takes.
    pub measure_max_bytes: usize,
    /// Where tiles run.
    pub pool: Pool,
}

impl Options {
    /// Seconds of measuring where the caller names none.
    pub const DEFAULT_BUDGET_SECONDS: f64 = 1.0;
    /// Bytes for measuring where the caller names none: 256 MiB.
    pub const DEFAULT_MEASURE_BYTES: usize = 256 << 20;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: AlgorithmChoice::Auto,
            math: Math::Exact,
            effort: Effort::Estimate,
            gemm: BackendChoice::Auto,
            max_workspace_bytes: usize::MAX,
            max_packed_weights_bytes: usize::MAX,
            measure_budget_seconds: Self::DEFAULT_BUDGET_SECONDS,
            measure_max_bytes: Self::DEFAULT_MEASURE_BYTES,
            pool: Pool::SERIAL,
        }
    }
}

/// An algorithm that can compute the problem, ready to do so.
struct Candidate {
    info: Info,
    schedule: Schedule,
    /// The number of its packing.
    packing: u64,
}

impl Candidate {
    fn fits(&self, options: &Options) -> bool {
        self.info.workspace_bytes <= options.max_workspace_bytes
            && self.info.packed_weights_bytes <= options.max_packed_weights_bytes
    }

    /// Whether AUTO may take it: a GEMM gets the products if it is asked for and only then, since a GEMM may allocate; and
    /// what lowers a whole image is slower than what lowers parts of it, whatever the estimates of its copies say.
    fn is_open_to_auto(&self, options: &Options) -> bool {
        match self.info.entry.products {
            Products::Gemm => options.gemm != BackendChoice::Auto && self.info.entry.in_parts,
            Products::Kernels => options.gemm == BackendChoice::Auto,
            Products::Either | Products::Direct => true,
        }
    }

    fn measured(&self) -> bool {
        self.info.measured_seconds > 0.0
    }
}

const WEIGHTS_OVERFLOW: Declined = Declined::Overflow(c"its packed weights do not fit size_t");
const CALLS_OVERFLOW: Declined = Declined::Overflow(c"the number of its GEMM calls does not fit size_t");
const BLAS_OVERFLOWS: Declined =
    Declined::Overflow(c"a matrix dimension does not fit the 32-bit integer of the BLAS");

/// What an algorithm offers.
type Answer = std::result::Result<Candidate, Declined>;

/// One algorithm's answer for a problem.
fn examine(entry: &'static Entry, problem: &Problem, options: &Options, backends: &[Backend]) -> Answer {
    let threads = options.pool.threads();
    let schedule = Schedule::new(problem, entry, threads, options.max_workspace_bytes)?;
    if options.math == Math::Exact && !entry.is_exact() {
        return Err(Declined::Unsupported(c"needs math = FAST"));
    }
    let Schedule { prepared, .. } = &schedule;
    let workspace_bytes = schedule.bytes(problem).ok_or(Scratch::OVERFLOW)?;
    let packing = prepared.packing(problem);
    let packed_weights_bytes = packing.bytes().ok_or(WEIGHTS_OVERFLOW)?;
    let (mut cost, units) = (prepared.cost(), schedule.units(problem));
    if problem.is(Kind::Strided) {
        // Leading dimensions are those of the wider tensors.
        let [src, dst] = problem.channel_strides();
        cost.largest_size = cost.largest_size.max(src.saturating_mul(problem.cols.step())).max(dst);
    }
    let backend = match entry.products {
        Products::Kernels | Products::Direct => None,
        Products::Either if options.gemm == BackendChoice::Auto => None,
        Products::Either | Products::Gemm => Some(serving(&cost, units, backends).ok_or(BLAS_OVERFLOWS)?),
    };
    let calls = cost.calls.filter(|_| backend.is_some()).map_or(0, |calls| calls.count);
    let gemm_calls = product(&[calls, units]).ok_or(CALLS_OVERFLOW)?;
    // What the model's constants are of.
    let of_type = problem.data_type.bytes() as f64 / DataType::F32.bytes() as f64;
    let info = Info {
        entry,
        applicable: true,
        backend,
        workspace_bytes,
        packed_weights_bytes,
        gemm_calls,
        counts: cost.counts(units),
        estimated_seconds: estimate::seconds(&cost, units, threads, backend) * of_type,
        measured_seconds: wisdom::recall(problem, threads, backend, entry).unwrap_or(0.0),
        reason: None,
    };
    Ok(Candidate { info, schedule, packing: packing.id() })
}

/// The GEMM that serves an algorithm: the one estimated quicker on one thread. More threads, or what was measured, may
/// not change it, since each GEMM rounds in its own way.
fn serving(cost: &Cost, units: usize, backends: &[Backend]) -> Option<Backend> {
    let seconds = |backend: Backend| estimate::seconds(cost, units, 1, Some(backend));
    let able = backends.iter().copied().filter(|backend| cost.largest_size <= backend.largest_size());
    able.min_by(|&a, &b| seconds(a).total_cmp(&seconds(b)))
}

/// Estimates within this factor of the least say nothing on which is faster; the least workspace does.
const ESTIMATE_SLACK: f64 = 1.06;

/// Compares candidates by a time.
fn by(time: fn(&Info) -> f64) -> impl Fn(&&Candidate, &&Candidate) -> Ordering {
    move |a, b| time(&a.info).total_cmp(&time(&b.info))
}

/// The fastest of those that have been timed: an estimate does not compare with a time.
fn fastest<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<&'a Candidate> {
    candidates.filter(|candidate| candidate.measured()).min_by(by(|info| info.measured_seconds))
}

/// Of those estimated about as fast as the fastest, the one with the least workspace.
fn best<'a>(candidates: impl Iterator<Item = &'a Candidate> + Clone) -> Option<&'a Candidate> {
    let fastest = candidates.clone().min_by(by(|info| info.estimated_seconds))?;
    let level = ESTIMATE_SLACK * fastest.info.estimated_seconds;
    let least = candidates.clone().filter(|candidate| candidate.info.estimated_seconds <= level);
    let least = least.map(|candidate| candidate.info.workspace_bytes).min()?;
    candidates
        .filter(|candidate| candidate.info.workspace_bytes == least)
        .min_by(by(|info| info.estimated_seconds))
}

/// The same layer on an image of the size that is usual for its channels, alone: what tells how its weights are packed on
/// images of every size, batch and number of threads. A map of one pixel stays one, as that of an image's mean is, whatever the
/// image's size.
fn of_usual_size(problem: &Problem) -> Option<Problem> {
    /// Networks halve their maps where they double their channels; between those with small and with large maps the side of a
    /// map times its channels is about this.
    const SIDE_BY_CHANNELS: usize = 7168;
    if problem.in_pixels() == 1 {
        return Problem::new(Problem { batch: 1, ..*problem }).ok();
    }
    let side = (SIDE_BY_CHANNELS / problem.in_channels.max(problem.out_channels)).clamp(7, 224);
    let absent = |axis: &Axis| *axis == Axis::ONE;
    // As many pixels in a row or a volume.
    let outputs = match problem.axes().into_iter().filter(|axis| !absent(axis)).count() {
        0 | 1 => side * side,
        2 => side,
        _ => (side as f64).powf(2.0 / 3.0).round() as usize,
    };
    let axis =
        |axis: &Axis| if absent(axis) { *axis } else { with_outputs(axis, problem.operation, outputs) };
    Problem::new(Problem {
        batch: 1,
        planes: axis(&problem.planes),
        rows: axis(&problem.rows),
        cols: axis(&problem.cols),
        src_strides: Strides::PACKED,
        dst_strides: Strides::PACKED,
        ..*problem
    })
    .ok()
}

/// Every algorithm's answer, in registry order, and the packing that AUTO prefers.
struct Survey {
    answers: Vec<(&'static Entry, Answer)>,
    usual_packing: Option<u64>,
}

impl Survey {
    fn new(problem: &Problem, options: &Options) -> Result<Self> {
        if options.effort == Effort::Measure
            && !(options.measure_budget_seconds >= 0.0 && options.measure_budget_seconds.is_finite())
        {
            return invalid!("measure_budget_seconds = {} is not a time", options.measure_budget_seconds);
        }
        let data_type = problem.data_type;
        if !DataType::BUILT.contains(&data_type) {
            return Err(Error::Unsupported(text!(
                "type = {data_type}, but this build has none (cargo feature {data_type})"
            )));
        }
        Isa::in_use()?;
        let backends = Backend::candidates(options.gemm)?;
        let mut answers = memory::vec(REGISTRY.len())?;
        for entry in REGISTRY {
            let answer = examine(entry, problem, options, backends);
            if let Err(Declined::OutOfMemory(bytes)) = answer {
                return Err(memory::exhausted(bytes));
            }
            answers.push((entry, answer));
        }
        Ok(Self { answers, usual_packing: None })
    }

    /// The packing that AUTO takes for the layer on images of the usual size.
    fn usual_packing(problem: &Problem, options: &Options) -> Result<Option<u64>> {
        if options.gemm != BackendChoice::Auto || !matches!(options.algorithm, AlgorithmChoice::Auto) {
            return Ok(None);
        }
        let Some(usual) = of_usual_size(problem) else { return Ok(None) };
        let options = Options { effort: Effort::Estimate, pool: Pool::SERIAL, ..options.clone() };
        let survey = Self::new(&usual, &options)?;
        Ok(best(survey.fitting(&options)).map(|candidate| candidate.packing))
    }

    /// [`Survey::new`], and the candidates timed if the options ask for it.
    fn with_times(problem: &Problem, options: &Options) -> Result<Self> {
        let mut survey = Self::new(problem, options)?;
        survey.usual_packing = Self::usual_packing(problem, options)?;
        if options.effort == Effort::Measure {
            measure::measure(&mut survey, problem, options)?;
        }
        Ok(survey)
    }

    fn fitting<'a>(&'a self, options: &'a Options) -> impl Iterator<Item = &'a Candidate> + Clone {
        let candidates = self.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        candidates.filter(|candidate| candidate.fits(options) && candidate.is_open_to_auto(options))
    }

    /// The candidate that the options select.
    fn choose<'a>(&'a self, options: &'a Options) -> Result<&'a Candidate> {
        if let AlgorithmChoice::One(entry) = options.algorithm {
            return self.requested(entry, options);
        }
        let usual = self.fitting(options).filter(|candidate| self.is_usual(candidate));
        let chosen = fastest(self.fitting(options)).or_else(|| best(usual));
        chosen.or_else(|| best(self.fitting(options))).ok_or_else(|| {
            Error::WorkspaceLimit(text!(
                "no algorithm fits max_workspace_bytes = {} and max_packed_weights_bytes = {}",
                options.max_workspace_bytes,
                options.max_packed_weights_bytes
            ))
        })
    }

    /// Whether it reads the packing that AUTO prefers.
    fn is_usual(&self, candidate: &Candidate) -> bool {
        self.usual_packing.is_none_or(|packing| packing == candidate.packing)
    }

    fn requested(&self, entry: &'static Entry, options: &Options) -> Result<&Candidate> {
        let (_, answer) =
            self.answers.iter().find(|(other, _)| other.id == entry.id).expect("an entry is registered");
        match answer {
            Ok(candidate) if candidate.fits(options) => Ok(candidate),
            Ok(candidate) if candidate.info.workspace_bytes <= options.max_workspace_bytes => {
                Err(Error::WorkspaceLimit(text!(
                    "algorithm = {} needs {} bytes of packed weights, more than max_packed_weights_bytes = {}",
                    entry.name(),
                    candidate.info.packed_weights_bytes,
                    options.max_packed_weights_bytes
                )))
            }
            Ok(candidate) => Err(Error::WorkspaceLimit(text!(
                "algorithm = {} needs {} bytes, more than max_workspace_bytes = {}",
                entry.name(),
                candidate.info.workspace_bytes,
                options.max_workspace_bytes
            ))),
            Err(declined) => {
                let text = text!("algorithm = {}: {}", entry.name(), printed(declined.reason()));
                Err(match declined {
                    Declined::Overflow(_) => Error::Overflow(text),
                    _ => Error::Unsupported(text),
                })
            }
        }
    }

    /// The candidate of this entry, to be kept.
    fn take(self, entry: &Entry) -> Candidate {
        let mut answers = self.answers.into_iter();
        let found = answers.find_map(|(other, answer)| answer.ok().filter(|_| other.id == entry.id));
        found.expect("it was chosen among the candidates")
    }

    /// Every answer, with the reason why each algorithm but the chosen one was passed over.
    fn infos<'a>(
        &'a self,
        options: &'a Options,
        chosen: Option<&'a Candidate>,
    ) -> impl Iterator<Item = Info> + Clone {
        let chosen_measured = chosen.is_some_and(Candidate::measured);
        let reason_of = move |candidate: &Candidate| -> Option<Reason> {
            let info = &candidate.info;
            Some(if info.workspace_bytes > options.max_workspace_bytes {
                c"needs more than max_workspace_bytes"
            } else if info.packed_weights_bytes > options.max_packed_weights_bytes {
                c"needs more than max_packed_weights_bytes"
            } else if matches!(options.algorithm, AlgorithmChoice::One(_)) {
                c"another algorithm was requested"
            } else if !candidate.is_open_to_auto(options) {
                match (options.gemm, candidate.info.entry.products) {
                    (BackendChoice::Auto, _) => c"only where a GEMM is asked for",
                    (_, Products::Gemm) => c"lowers a whole image: only by name",
                    _ => c"only where no GEMM is asked for",
                }
            } else if !chosen_measured && !self.is_usual(candidate) {
                c"packs weights in another way than on images of other sizes"
            } else if !chosen_measured {
                c"estimated slower or needs more workspace"
            } else if candidate.measured() {
                c"measured slower"
            } else {
                c"not measured within measure_budget_seconds and measure_max_bytes"
            })
        };
        self.answers.iter().map(move |(entry, answer)| match answer {
            Ok(candidate) if chosen.is_some_and(|chosen| chosen.info.entry.id == entry.id) => candidate.info,
            Ok(candidate) => Info { reason: reason_of(candidate), ..candidate.info },
            Err(declined) => Info {
                entry,
                applicable: false,
                backend: None,
                workspace_bytes: 0,
                packed_weights_bytes: 0,
                gemm_calls: 0,
                counts: Cost::default().counts(0),
                estimated_seconds: 0.0,
                measured_seconds: 0.0,
                reason: Some(declined.reason()),
            },
        })
    }
}

/// Every algorithm's answer for a problem, in registry order; the one that a plan would choose has no reason.
///
/// # Errors
/// Those of the problem, the options and [`Isa::in_use`]; that the requested algorithm cannot serve is an answer, not an
/// error.
pub fn query(problem: &Problem, options: &Options) -> Result<Vec<Info>> {
    let problem = &Problem::new(*problem)?;
    let survey = Survey::with_times(problem, options)?;
    let mut infos = memory::vec(REGISTRY.len())?;
    infos.extend(survey.infos(options, survey.choose(options).ok()));
    Ok(infos)
}

impl Plan {
    /// Chooses an algorithm for the problem.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the requested algorithm or backend cannot serve the problem, the build does not have the
    /// problem's type, or `CONVLOW_ISA` names instructions that this machine does not have,
    /// [`Error::WorkspaceLimit`] if it needs more than the limit, [`Error::Overflow`] if a size of it does
    /// not fit, [`Error::InvalidArgument`] for options that make no sense, [`Error::OutOfMemory`] if there is no room for
    /// the candidates.
    pub fn new(problem: &Problem, options: &Options) -> Result<Self> {
        // A problem's fields are open, so what was valid once need not be any more.
        let problem = &Problem::new(*problem)?;
        let survey = Survey::with_times(problem, options)?;
        let chosen = survey.choose(options)?;
        if is_verbose() {
            print_choice(problem, survey.infos(options, Some(chosen)));
        }
        let entry = chosen.info.entry;
        let Candidate { info, schedule, .. } = survey.take(entry);
        Ok(Self::of(problem, info, schedule, &options.pool))
    }
}

/// A static text of the C surface.
fn printed(reason: Reason) -> &'static str {
    reason.to_str().expect("reasons are ASCII")
}

/// The line of a plan: what was chosen, and why each other algorithm was not.
struct Line<'a, I>(&'a Problem, I);

impl<I: Iterator<Item = Info> + Clone> fmt::Display for Line<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problem, infos) = self;
        write!(f, "convlow: {problem}:")?;
        for info in infos.clone().filter(|info| info.reason.is_none()) {
            let gemm = info.gemm_name().unwrap_or("no gemm");
            write!(f, " {}, {} bytes of workspace, {gemm}", info.entry.name(), info.workspace_bytes)?;
            match info.measured_seconds {
                0.0 => write!(f, ", estimated {:.3} ms", info.estimated_seconds * 1e3)?,
                seconds => write!(f, ", measured {:.3} ms", seconds * 1e3)?,
            }
        }
        let mut before = ";";
        for info in infos.clone() {
            if let Some(reason) = info.reason {
                write!(f, "{before} not {}: {}", info.entry.name(), printed(reason))?;
                before = ",";
            }
        }
        f.write_str("\n")
    }
}

/// Prints the line in one piece, so that those of several threads do not mix.
fn print_choice(problem: &Problem, infos: impl Iterator<Item = Info> + Clone) {
    let line = text!("{}", Line(problem, infos));
    // A host without a stderr has asked for nothing it could see.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;

    use super::*;
    use crate::{Layout, descriptor};

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
        // Register tiles of AVX-512 are twice as wide, so that there are half as many blocks of channels for the threads: 1.25
        // of an even share on 16.
        let most = if Isa::in_use() == Ok(Isa::Avx512) { 1.3 } else { 1.15 };
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
                        let share = greatest_share(&chosen.schedule, &problem, threads);
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
            assert!(layers > 100 && mean < most, "{threads} threads: {mean}");
        }
    }
}
