//! [`Survey`]: every algorithm's answer for a problem, and the one that the options select.

use std::fmt;

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::memory;
use convlow_kernels::isa::Isa;
use convlow_threads::Pool;

use super::candidate::{Answer, Candidate, examine};
use super::choice::{best, fastest};
use super::line::printed;
use super::measure;
use super::options::{AlgorithmChoice, Effort, Options, WeightsFrom};
use super::usual::of_usual_size;
use crate::algorithms::{CACHED_BYTES, Cost, Declined, Entry, Products, REGISTRY, Reason};
use crate::gemm::{Backend, BackendChoice};
use crate::plan::Info;
use crate::problem::{DataType, Problem, Propagation};

/// A limit as messages print it.
struct Limit(usize);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            usize::MAX => f.write_str("unlimited"),
            bytes => write!(f, "{bytes}"),
        }
    }
}

/// The packings that AUTO takes for a layer on images of the usual size.
#[derive(Clone, Copy)]
struct Usual {
    packing: u64,
    /// That of exact arithmetic, if `packing` is Winograd's.
    exact: Option<u64>,
}

/// How many times as long Winograd must take as exact arithmetic before AUTO leaves the usual packing. Its weights are
/// several times as large, and on small maps reading them takes most of the time.
const MUCH_SLOWER: f64 = 1.1;

/// Every algorithm's answer, in registry order, and the packings that AUTO prefers.
pub(super) struct Survey {
    answers: Vec<(&'static Entry, Answer)>,
    usual: Option<Usual>,
}

impl Survey {
    fn new(problem: &Problem, options: &Options) -> Result<Self> {
        Self::of(|_| true, problem, options)
    }

    /// The answers of some algorithms.
    fn of(is_asked: impl Fn(&Entry) -> bool, problem: &Problem, options: &Options) -> Result<Self> {
        if options.effort == Effort::Measure
            && !(options.measure_budget_seconds >= 0.0 && options.measure_budget_seconds.is_finite())
        {
            return invalid!("measure_budget_seconds = {} is not a time", options.measure_budget_seconds);
        }
        if options.weights == WeightsFrom::Plain && options.packing_id != 0 {
            return invalid!(
                "packing_id = {:#x}, but packing = CONVLOW_PACKING_NONE: the plan reads no packed weights",
                options.packing_id
            );
        }
        let data_type = problem.data_type;
        if !DataType::BUILT.contains(&data_type) {
            return Err(Error::Unsupported(text!(
                "type = {data_type}, but this build has none (cargo feature {data_type})"
            )));
        }
        if problem.propagation != Propagation::Forward && !cfg!(feature = "training") {
            let name = problem.propagation.name();
            return Err(Error::Unsupported(text!(
                "propagation = {name}, but this build computes no gradients (cargo feature training)"
            )));
        }
        Isa::in_use()?;
        let backends = Backend::candidates(options.gemm)?;
        let mut answers = memory::vec(REGISTRY.len())?;
        let is_convolution = problem.propagation != Propagation::BackwardWeights;
        let some_image =
            (problem.sums_nothing() && is_convolution).then(|| problem.on_some_image()).transpose()?;
        for entry in REGISTRY.iter().filter(|entry| is_asked(entry)) {
            let answer = match &some_image {
                Some(image) => examine(entry, image, options, backends).map(Candidate::without_sums),
                None => examine(entry, problem, options, backends),
            };
            if let Err(Declined::OutOfMemory(bytes)) = answer {
                return Err(memory::exhausted(bytes));
            }
            answers.push((entry, answer));
        }
        Ok(Self { answers, usual: None })
    }

    /// The packing that the options ask for, or else those that AUTO takes for the layer on images of the usual size.
    fn usual(problem: &Problem, options: &Options) -> Result<Option<Usual>> {
        let is_packed = options.weights == WeightsFrom::Packed && options.gemm == BackendChoice::Auto;
        let has_weights = problem.propagation != Propagation::BackwardWeights;
        if !is_packed || !has_weights || !matches!(options.algorithm, AlgorithmChoice::Auto) {
            return Ok(None);
        }
        if options.packing_id != 0 {
            return Ok(Some(Usual { packing: options.packing_id, exact: None }));
        }
        let options = Options { effort: Effort::Estimate, pool: Pool::SERIAL, ..options.clone() };
        let is_exact = |candidate: &&Candidate| candidate.info.entry.is_exact();
        let Some(usual) = of_usual_size(problem, 1) else { return Ok(None) };
        let on_usual = Self::new(&usual, &options)?;
        let exact = best(on_usual.fitting(&options).filter(is_exact)).map(|candidate| candidate.packing);
        let has_winograd = cfg!(feature = "winograd");
        let winograd = if !has_winograd || on_usual.fitting(&options).all(|candidate| is_exact(&candidate)) {
            None
        } else {
            Self::usual_of_winograd(problem, &options)?
        };
        Ok(match (winograd, exact) {
            (Some(packing), exact) => Some(Usual { packing, exact }),
            (None, exact) => exact.map(|packing| Usual { packing, exact: None }),
        })
    }

    /// The packing that Winograd takes for the layer: as on large maps, since on small ones exact arithmetic is faster.
    /// Of those about as fast as the fastest it is the smallest, because smaller weights lose less on smaller maps.
    fn usual_of_winograd(problem: &Problem, options: &Options) -> Result<Option<u64>> {
        /// Times the usual side.
        const LARGE: usize = 4;
        const ABOUT: f64 = 1.2;
        let Some(large) = of_usual_size(problem, LARGE) else { return Ok(None) };
        let on_large = Self::of(|entry| !entry.is_exact(), &large, options)?;
        let seconds = |candidate: &Candidate| candidate.alone.estimated_seconds;
        let least = on_large.fitting(options).map(seconds).fold(f64::INFINITY, f64::min);
        let level = on_large.fitting(options).filter(|candidate| seconds(candidate) <= ABOUT * least);
        let smallest = level.min_by(|a, b| {
            // Weights that stay in the cache: smaller ones are no gain.
            let bytes = |candidate: &Candidate| candidate.info.packed_weights_bytes.max(CACHED_BYTES);
            bytes(a).cmp(&bytes(b)).then(seconds(a).total_cmp(&seconds(b)))
        });
        Ok(smallest.map(|candidate| candidate.packing))
    }

    /// [`Survey::new`], and the candidates timed if the options ask for it.
    pub(super) fn with_times(problem: &Problem, options: &Options) -> Result<Self> {
        let mut survey = Self::new(problem, options)?;
        survey.usual = Self::usual(problem, options)?;
        if options.effort == Effort::Measure {
            measure::measure(&mut survey.answers, problem, options)?;
        }
        Ok(survey)
    }

    fn fitting<'a>(&'a self, options: &'a Options) -> impl Iterator<Item = &'a Candidate> + Clone {
        let candidates = self.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        candidates.filter(|candidate| candidate.fits(options) && candidate.is_open_to_auto(options))
    }

    /// The candidate that the options select.
    pub(super) fn choose<'a>(&'a self, options: &'a Options) -> Result<&'a Candidate> {
        if let AlgorithmChoice::One(entry) = options.algorithm {
            return self.requested(entry, options);
        }
        let chosen = fastest(self.fitting(options)).or_else(|| self.best_of_usual(options));
        let chosen = chosen.or_else(|| best(self.fitting(options)));
        chosen.or_else(|| self.last_resort(options)).ok_or_else(|| self.nothing_fits(options))
    }

    /// What computes a gradient of weights in any workspace, where a GEMM is asked for that does not fit it.
    fn last_resort<'a>(&'a self, options: &'a Options) -> Option<&'a Candidate> {
        let candidates = self.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
        best(
            candidates.filter(|candidate| candidate.fits(options) && candidate.info.entry.computes_weights()),
        )
    }

    /// The best that reads the usual packing; or exact arithmetic, if that is faster than Winograd.
    fn best_of_usual<'a>(&'a self, options: &'a Options) -> Option<&'a Candidate> {
        let of = |packing| best(self.fitting(options).filter(move |candidate| candidate.packing == packing));
        let Some(usual) = self.usual else { return best(self.fitting(options)) };
        let seconds = |candidate: &Candidate| candidate.alone.estimated_seconds;
        match (of(usual.packing), usual.exact.and_then(of)) {
            (Some(winograd), Some(exact)) if seconds(winograd) > MUCH_SLOWER * seconds(exact) => Some(exact),
            (None, exact) => exact,
            (chosen, _) => chosen,
        }
    }

    /// Why AUTO has nothing to take: no algorithm reads the packing that is asked for, or none fits the limits.
    fn nothing_fits(&self, options: &Options) -> Error {
        let open = || {
            let candidates = self.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
            candidates.filter(|candidate| candidate.is_open_to_auto(options))
        };
        if options.packing_id != 0 && !open().any(|candidate| candidate.is_of_packing(options)) {
            return Error::Unsupported(text!(
                "packing_id = {:#x}, but no algorithm that AUTO may take for this problem reads that packing",
                options.packing_id
            ));
        }
        let of_packing =
            || open().filter(|candidate| candidate.is_of_packing(options)).map(|candidate| &candidate.info);
        let workspace = of_packing().map(|info| info.workspace_bytes).min();
        let packed = of_packing().map(|info| info.packed_weights_bytes).min();
        Error::WorkspaceLimit(text!(
            "no algorithm fits max_workspace_bytes = {} and max_packed_weights_bytes = {}: the least of each alone is {} and {}",
            Limit(options.max_workspace_bytes),
            Limit(options.max_packed_weights_bytes),
            workspace.unwrap_or_default(),
            packed.unwrap_or_default()
        ))
    }

    /// Whether it reads the packing that AUTO prefers.
    fn is_usual(&self, candidate: &Candidate) -> bool {
        self.usual.is_none_or(|usual| usual.packing == candidate.packing)
    }

    fn requested(&self, entry: &'static Entry, options: &Options) -> Result<&Candidate> {
        let (_, answer) =
            self.answers.iter().find(|(other, _)| other.id == entry.id).expect("an entry is registered");
        match answer {
            Ok(candidate) if candidate.fits(options) => Ok(candidate),
            Ok(candidate) if !candidate.is_of_packing(options) => Err(Error::Unsupported(text!(
                "packing_id = {:#x}, but algorithm = {} reads the packing {:#x}",
                options.packing_id,
                entry.name(),
                candidate.packing
            ))),
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
    pub(super) fn take(self, entry: &Entry) -> Candidate {
        let mut answers = self.answers.into_iter();
        let found = answers.find_map(|(other, answer)| answer.ok().filter(|_| other.id == entry.id));
        found.expect("it was chosen among the candidates")
    }

    /// Every answer, with the reason why each algorithm but the chosen one was passed over.
    pub(super) fn infos<'a>(
        &'a self,
        options: &'a Options,
        chosen: Option<&'a Candidate>,
    ) -> impl Iterator<Item = Info> + Clone {
        let measured = chosen.is_some_and(Candidate::measured);
        let reason_of = move |candidate: &Candidate| Some(self.reason(candidate, options, measured));
        self.answers.iter().map(move |(entry, answer)| match answer {
            Ok(candidate) if chosen.is_some_and(|chosen| chosen.info.entry.id == entry.id) => candidate.info,
            Ok(candidate) => Info { reason: reason_of(candidate), ..candidate.info },
            Err(declined) => Info {
                entry,
                applicable: false,
                backend: None,
                isa: None,
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

    /// Why a candidate was passed over for another one, which may have been measured.
    fn reason(&self, candidate: &Candidate, options: &Options, chosen_measured: bool) -> Reason {
        let info = &candidate.info;
        if info.workspace_bytes > options.max_workspace_bytes {
            c"needs more than max_workspace_bytes"
        } else if info.packed_weights_bytes > options.max_packed_weights_bytes {
            c"needs more than max_packed_weights_bytes"
        } else if matches!(options.algorithm, AlgorithmChoice::One(_)) {
            c"another algorithm was requested"
        } else if !candidate.is_of_packing(options) {
            c"packs weights in another way than packing_id asks for"
        } else if !candidate.is_open_to_auto(options) {
            match (options.gemm, candidate.info.entry.products) {
                _ if candidate.task.is_plain() && !info.entry.is_exact() => {
                    c"transforms plain weights for each execute: only by name"
                }
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
        }
    }
}
