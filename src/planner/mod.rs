//! The planner: scans the registry for a problem, asks each algorithm what it needs, and chooses.
//!
//! Whether an algorithm is correct for a problem is the algorithm's word; how fast it is, is judged here:
//! from a cost model (`estimate`), or from measurements (`measure`) that are kept as [`wisdom`].

mod estimate;
mod measure;
pub mod wisdom;

use std::fmt::Write as _;
use std::io::Write as _;

use crate::algorithms::{Calls, Entry, REGISTRY, Reason};
use crate::error::{Error, Result, invalid};
use crate::gemm::{Backend, BackendChoice};
use crate::lowering::weights::Packing;
use crate::parallel::Pool;
use crate::plan::{Info, Plan, Schedule};
use crate::problem::{Problem, product};

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
    /// Most seconds of measuring, for [`Effort::Measure`].
    pub measure_budget_seconds: f64,
    /// Where tiles run.
    pub pool: Pool,
}

impl Options {
    /// Seconds of measuring where the caller names none.
    pub const DEFAULT_BUDGET_SECONDS: f64 = 1.0;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: AlgorithmChoice::Auto,
            math: Math::Exact,
            effort: Effort::Estimate,
            gemm: BackendChoice::Auto,
            max_workspace_bytes: usize::MAX,
            measure_budget_seconds: Self::DEFAULT_BUDGET_SECONDS,
            pool: Pool::SERIAL,
        }
    }
}

/// Why an algorithm is out, and whether because of a size.
#[derive(Debug, Clone, Copy)]
struct Declined {
    reason: Reason,
    overflow: bool,
}

/// An algorithm that can compute the problem.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    info: Info,
    schedule: Schedule,
}

impl Candidate {
    fn fits(&self, options: &Options) -> bool {
        self.info.workspace_bytes <= options.max_workspace_bytes
    }

    fn measured(&self) -> bool {
        self.info.measured_seconds > 0.0
    }
}

const SIZE_OVERFLOWS: Declined = Declined { reason: c"a size of it does not fit size_t", overflow: true };
const BLAS_OVERFLOWS: Declined =
    Declined { reason: c"a matrix dimension does not fit the 32-bit integer of the BLAS", overflow: true };

/// What an algorithm offers: a candidate for each GEMM that may serve it.
type Answer = std::result::Result<Vec<Candidate>, Declined>;

/// One algorithm's answer for a problem.
fn examine(entry: &'static Entry, problem: &Problem, options: &Options, backends: &[Backend]) -> Answer {
    let algorithm = entry.algorithm;
    algorithm.applicable(problem).map_err(|reason| Declined { reason, overflow: false })?;
    if options.math == Math::Exact && !algorithm.is_exact() {
        return Err(Declined { reason: c"needs math = FAST", overflow: false });
    }
    let threads = options.pool.threads();
    let schedule = Schedule::new(problem, algorithm, threads, options.max_workspace_bytes);
    let schedule = schedule.ok_or(SIZE_OVERFLOWS)?;
    let workspace_bytes = schedule.bytes().ok_or(SIZE_OVERFLOWS)?;
    let packing = Packing::new(problem, algorithm.weight_order(problem));
    let packed_weights_bytes = packing.bytes().ok_or(SIZE_OVERFLOWS)?;
    let cost = algorithm.cost(problem, &schedule.unit);
    let units = problem.batch * problem.groups;
    let count = |calls: &[Calls]| product(&[calls.iter().map(|calls| calls.count).sum(), units]);
    let gemm_calls = count(&cost.calls).ok_or(SIZE_OVERFLOWS)?;
    let overlapping_calls = count(&cost.overlapping).ok_or(SIZE_OVERFLOWS)?;
    let candidate = |backend: Option<Backend>| {
        let overlaps = backend.is_some_and(|backend| cost.calls_on(backend.gemm()).1);
        let gemm_calls = if overlaps { overlapping_calls } else { gemm_calls };
        let info = Info {
            entry,
            applicable: true,
            backend,
            workspace_bytes,
            packed_weights_bytes,
            gemm_calls,
            estimated_seconds: estimate::seconds(&cost, units, threads, backend),
            measured_seconds: wisdom::recall(problem, threads, backend, entry).unwrap_or(0.0),
            reason: None,
        };
        Candidate { info, schedule }
    };
    if cost.calls.is_empty() {
        return Ok(vec![candidate(None)]);
    }
    let serving = backends.iter().filter(|backend| cost.largest_size <= backend.largest_size());
    let candidates: Vec<_> = serving.map(|&backend| candidate(Some(backend))).collect();
    if candidates.is_empty() { Err(BLAS_OVERFLOWS) } else { Ok(candidates) }
}

/// Estimates within this factor of the least say nothing on which is faster; the least workspace does.
const ESTIMATE_SLACK: f64 = 1.06;

/// The best of some candidates. Times from the clock and from the model do not compare: once something is
/// measured, the model's opinion of the rest no longer counts.
fn best<'a>(candidates: impl Iterator<Item = &'a Candidate> + Clone) -> Option<&'a Candidate> {
    let by = |time: fn(&Info) -> f64| {
        move |a: &&Candidate, b: &&Candidate| time(&a.info).total_cmp(&time(&b.info))
    };
    let measured = candidates.clone().filter(|candidate| candidate.measured());
    if let Some(fastest) = measured.min_by(by(|info| info.measured_seconds)) {
        return Some(fastest);
    }
    let fastest = candidates.clone().min_by(by(|info| info.estimated_seconds))?;
    let level = ESTIMATE_SLACK * fastest.info.estimated_seconds;
    let least = candidates.clone().filter(|candidate| candidate.info.estimated_seconds <= level);
    let least = least.map(|candidate| candidate.info.workspace_bytes).min()?;
    candidates
        .filter(|candidate| candidate.info.workspace_bytes == least)
        .min_by(by(|info| info.estimated_seconds))
}

/// Every algorithm's answer, in registry order.
struct Survey(Vec<(&'static Entry, Answer)>);

impl Survey {
    fn new(problem: &Problem, options: &Options) -> Result<Self> {
        if options.effort == Effort::Measure
            && !(options.measure_budget_seconds >= 0.0 && options.measure_budget_seconds.is_finite())
        {
            return invalid!("measure_budget_seconds = {} is not a time", options.measure_budget_seconds);
        }
        let backends = Backend::candidates(options.gemm)?;
        Ok(Self(REGISTRY.iter().map(|entry| (entry, examine(entry, problem, options, backends))).collect()))
    }

    fn fitting<'a>(&'a self, options: &'a Options) -> impl Iterator<Item = &'a Candidate> + Clone {
        self.0
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok())
            .flatten()
            .filter(|candidate| candidate.fits(options))
    }

    /// The candidate that the options select.
    fn choose<'a>(&'a self, options: &'a Options) -> Result<&'a Candidate> {
        if let AlgorithmChoice::One(entry) = options.algorithm {
            return self.requested(entry, options);
        }
        best(self.fitting(options)).ok_or_else(|| {
            Error::WorkspaceLimit(format!(
                "no algorithm fits max_workspace_bytes = {}",
                options.max_workspace_bytes
            ))
        })
    }

    fn requested(&self, entry: &'static Entry, options: &Options) -> Result<&Candidate> {
        let (_, answer) =
            self.0.iter().find(|(other, _)| other.id == entry.id).expect("an entry is registered");
        match answer {
            Ok(candidates) => match best(candidates.iter()).expect("an answer has a candidate") {
                candidate if candidate.fits(options) => Ok(candidate),
                candidate => Err(Error::WorkspaceLimit(format!(
                    "algorithm = {} needs {} bytes, more than max_workspace_bytes = {}",
                    entry.name(),
                    candidate.info.workspace_bytes,
                    options.max_workspace_bytes
                ))),
            },
            Err(declined) => {
                let text = format!("algorithm = {}: {}", entry.name(), declined.reason.to_string_lossy());
                Err(if declined.overflow { Error::Overflow(text) } else { Error::Unsupported(text) })
            }
        }
    }

    /// Why each algorithm but the chosen one was passed over.
    fn infos(&self, options: &Options, chosen: Option<&Candidate>) -> Vec<Info> {
        let chosen_measured = chosen.is_some_and(Candidate::measured);
        let reason_of = |candidate: &Candidate| -> Option<Reason> {
            Some(if !candidate.fits(options) {
                c"needs more than max_workspace_bytes"
            } else if matches!(options.algorithm, AlgorithmChoice::One(_)) {
                c"another algorithm was requested"
            } else if !chosen_measured {
                c"estimated slower"
            } else if candidate.measured() {
                c"measured slower"
            } else {
                c"not measured within measure_budget_seconds"
            })
        };
        let info_of = |(entry, answer): &(&'static Entry, Answer)| {
            if let Some(chosen) = chosen.filter(|chosen| chosen.info.entry.id == entry.id) {
                return chosen.info;
            }
            match answer {
                Ok(candidates) => {
                    let candidate = best(candidates.iter()).expect("an answer has a candidate");
                    Info { reason: reason_of(candidate), ..candidate.info }
                }
                Err(declined) => Info {
                    entry,
                    applicable: false,
                    backend: None,
                    workspace_bytes: 0,
                    packed_weights_bytes: 0,
                    gemm_calls: 0,
                    estimated_seconds: 0.0,
                    measured_seconds: 0.0,
                    reason: Some(declined.reason),
                },
            }
        };
        self.0.iter().map(info_of).collect()
    }
}

/// Every algorithm's answer for a problem, in registry order; the one that a plan would choose has no reason.
///
/// # Errors
/// Those of the problem and the options; that the requested algorithm cannot serve is an answer, not an error.
pub fn query(problem: &Problem, options: &Options) -> Result<Vec<Info>> {
    let problem = &Problem::new(*problem)?;
    let mut survey = Survey::new(problem, options)?;
    measure_if_asked(&mut survey, problem, options);
    Ok(survey.infos(options, survey.choose(options).ok()))
}

pub(crate) fn plan(problem: &Problem, options: &Options) -> Result<Plan> {
    // A problem's fields are open, so what was valid once need not be any more.
    let problem = &Problem::new(*problem)?;
    let mut survey = Survey::new(problem, options)?;
    measure_if_asked(&mut survey, problem, options);
    let chosen = survey.choose(options)?;
    if verbose() {
        print_choice(problem, &survey.infos(options, Some(chosen)));
    }
    Ok(Plan::for_algorithm(problem, chosen.info, chosen.schedule, &options.pool))
}

fn measure_if_asked(survey: &mut Survey, problem: &Problem, options: &Options) {
    if options.effort == Effort::Measure {
        let candidates = survey.0.iter_mut().filter_map(|(_, answer)| answer.as_mut().ok()).flatten();
        measure::measure(candidates, problem, options);
    }
}

fn verbose() -> bool {
    std::env::var_os("CONVLOW_VERBOSE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// One line on stderr: what was chosen, and why each other algorithm was not.
fn print_choice(problem: &Problem, infos: &[Info]) {
    let mut line = format!("convlow: {problem}:");
    for info in infos.iter().filter(|info| info.reason.is_none()) {
        let gemm = info.backend.map_or("no gemm", Backend::name);
        let _ = write!(line, " {}, {} bytes of workspace, {gemm}", info.entry.name(), info.workspace_bytes);
        let _ = match info.measured_seconds {
            0.0 => write!(line, ", estimated {:.3} ms;", info.estimated_seconds * 1e3),
            seconds => write!(line, ", measured {:.3} ms;", seconds * 1e3),
        };
    }
    for info in infos {
        if let Some(reason) = info.reason {
            let _ = write!(line, " not {}: {},", info.entry.name(), reason.to_string_lossy());
        }
    }
    let line = line.trim_end_matches([',', ';']).to_string() + "\n";
    // A host without a stderr has asked for nothing it could see.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
