//! What is measured for a problem: primitives by name, by family, or by the choice of AUTO, each planned for every
//! number of threads and GEMM that is asked for.

use convlow::algorithms::{Entry, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{AlgorithmChoice, Info, Math, Options, Plan, Pool, Problem, Propagation, planner};

use crate::layouts::Pair;
use crate::options::gemm_name;
use crate::outcome::{Failure, Outcome};

/// The longest run, as estimated, that is measured although nobody has asked for it by its name.
const SLOWEST_SECONDS: f64 = 2.0;

/// An item of `--algorithms`.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    /// What the planner chooses.
    Auto,
    /// Every primitive.
    All,
    /// The best of every family.
    Best,
    /// The best of a family.
    Family(&'static str),
    /// A primitive.
    One(&'static Entry),
}

/// Reads an item of `--algorithms`.
pub(super) fn wanted(text: &str) -> Result<Wanted, String> {
    let found = match text {
        "auto" => Some(Wanted::Auto),
        "all" => Some(Wanted::All),
        "best" => Some(Wanted::Best),
        _ => families()
            .into_iter()
            .find(|family| *family == text)
            .map(Wanted::Family)
            .or_else(|| REGISTRY.iter().find(|entry| entry.name() == text).map(Wanted::One)),
    };
    found.ok_or_else(|| {
        format!(
            "expected auto, all, best, a family ({}) or a primitive as convlow query names it",
            families().join(", ")
        )
    })
}

/// The families, in registry order.
pub(super) fn families() -> Vec<&'static str> {
    let mut families: Vec<&str> = Vec::new();
    for entry in REGISTRY {
        if !families.contains(&entry.family) {
            families.push(entry.family);
        }
    }
    families
}

/// The settings that hold for every problem.
pub(super) struct Settings {
    pub(super) wanted: Vec<Wanted>,
    pub(super) pairs: Vec<Pair>,
    pub(super) pools: Vec<Pool>,
    pub(super) gemms: Vec<BackendChoice>,
    pub(super) math: Math,
    pub(super) max_workspace_bytes: usize,
}

/// A plan to be measured.
pub(super) struct Candidate {
    pub(super) plan: Plan,
    pub(super) threads: usize,
    /// The requests of a GEMM under which the planner chose it: all that were made, for a primitive without one.
    pub(super) auto_for: Vec<&'static str>,
}

/// What was asked for and cannot be measured.
pub(super) struct Passed {
    pub(super) entry: &'static Entry,
    pub(super) pair: Pair,
    pub(super) gemm: &'static str,
    pub(super) threads: usize,
    pub(super) reason: String,
    /// It could run, but would take too long.
    pub(super) slow: bool,
}

/// All for one problem.
#[derive(Default)]
pub(super) struct Selection {
    pub(super) candidates: Vec<Candidate>,
    pub(super) passed: Vec<Passed>,
}

impl Candidate {
    pub(super) fn pair(&self) -> Pair {
        (self.plan.problem().src_layout, self.plan.problem().dst_layout)
    }

    /// What computes its products; none where plain loops do.
    pub(super) fn gemm(&self) -> Option<&'static str> {
        self.plan.info().gemm_name()
    }

    /// Whether two candidates are the same computation.
    fn is(&self, other: &Candidate) -> bool {
        let key = |candidate: &Candidate| {
            (candidate.plan.info().entry.id, candidate.pair(), candidate.threads, candidate.gemm())
        };
        key(self) == key(other)
    }
}

impl Selection {
    pub(super) fn new(problem: &Problem, settings: &Settings) -> Outcome<Self> {
        let mut selection = Self::default();
        for pool in &settings.pools {
            for &gemm in &settings.gemms {
                let options = Options {
                    gemm,
                    // Whoever names a primitive or its family has allowed its arithmetic.
                    math: Math::Fast,
                    max_workspace_bytes: settings.max_workspace_bytes,
                    pool: pool.clone(),
                    ..Options::default()
                };
                Survey::new(problem, settings, options)?.select(settings, &mut selection)?;
            }
        }
        Ok(selection)
    }

    fn add(&mut self, mut candidate: Candidate) {
        match self.candidates.iter_mut().find(|other| other.is(&candidate)) {
            Some(same) => same.auto_for.append(&mut candidate.auto_for),
            None => self.candidates.push(candidate),
        }
    }
}

/// Every primitive's answer for every pair of layouts, and the planner's choice.
struct Survey {
    propagation: Propagation,
    options: Options,
    answers: Vec<(Problem, Vec<Info>)>,
    choices: Vec<(Problem, Info)>,
}

impl Survey {
    fn new(problem: &Problem, settings: &Settings, options: Options) -> Outcome<Self> {
        let answer = |&(src_layout, dst_layout): &Pair| {
            let problem = Problem { src_layout, dst_layout, ..*problem };
            Ok((problem, planner::query(&problem, &options)?))
        };
        let answers: Vec<_> = settings.pairs.iter().map(answer).collect::<Outcome<_>>()?;
        let mut choices = Vec::new();
        for (problem, _) in &answers {
            let infos = planner::query(problem, &Options { math: settings.math, ..options.clone() })?;
            choices.extend(infos.into_iter().find(|info| info.reason.is_none()).map(|info| (*problem, info)));
        }
        Ok(Self { propagation: problem.propagation, options, answers, choices })
    }

    fn select(&self, settings: &Settings, selection: &mut Selection) -> Outcome<()> {
        for wanted in &settings.wanted {
            match *wanted {
                Wanted::Auto => self.auto(selection)?,
                Wanted::All => {
                    self.allowed(settings).try_for_each(|entry| self.best(&[entry], false, selection))?;
                }
                Wanted::Best => {
                    for family in families() {
                        let members: Vec<_> =
                            self.allowed(settings).filter(|entry| entry.family == family).collect();
                        if !members.is_empty() {
                            self.best(&members, false, selection)?;
                        }
                    }
                }
                Wanted::Family(family) => self.best(&members(family), true, selection)?,
                Wanted::One(entry) => self.best(&[entry], true, selection)?,
            }
        }
        Ok(())
    }

    /// What computes this, with the arithmetic that all plans are asked for.
    fn allowed(&self, settings: &Settings) -> impl Iterator<Item = &'static Entry> + use<> {
        let fast = settings.math == Math::Fast;
        let of_weights = self.propagation == Propagation::BackwardWeights;
        REGISTRY
            .iter()
            .filter(move |entry| entry.computes_weights() == of_weights && (fast || entry.is_exact()))
    }

    /// The planner's choice, for the layouts at which it is the cheapest.
    fn auto(&self, selection: &mut Selection) -> Outcome<()> {
        let chosen = self.choices.iter().map(|(problem, info)| (problem, info));
        let best = chosen.min_by(by_estimate);
        if let Some((problem, info)) = best {
            selection.add(self.candidate(problem, info.entry, true)?);
        }
        Ok(())
    }

    /// The cheapest of these primitives, at the layouts where it is.
    fn best(
        &self,
        entries: &[&'static Entry],
        asked_by_name: bool,
        selection: &mut Selection,
    ) -> Outcome<()> {
        let among = |info: &Info| entries.iter().any(|entry| entry.id == info.entry.id);
        let Some((problem, info)) = self.usable().filter(|(_, info)| among(info)).min_by(by_estimate) else {
            selection.passed.extend(entries.first().map(|entry| self.refusal(entry)));
            return Ok(());
        };
        if info.estimated_seconds > SLOWEST_SECONDS && !asked_by_name {
            let reason = format!(
                "estimated at {:.1} s a run, more than {SLOWEST_SECONDS} s: ask for it by name",
                info.estimated_seconds
            );
            selection.passed.push(self.passed(problem, info.entry, reason, true));
            return Ok(());
        }
        selection.add(self.candidate(problem, info.entry, false)?);
        Ok(())
    }

    /// What applies, within the limit for the workspace.
    fn usable(&self) -> impl Iterator<Item = (&Problem, &Info)> {
        let limit = self.options.max_workspace_bytes;
        let all =
            self.answers.iter().flat_map(|(problem, infos)| infos.iter().map(move |info| (problem, info)));
        all.filter(move |(_, info)| info.applicable && info.workspace_bytes <= limit)
    }

    fn candidate(&self, problem: &Problem, entry: &'static Entry, auto: bool) -> Outcome<Candidate> {
        let options = Options { algorithm: AlgorithmChoice::One(entry), ..self.options.clone() };
        let plan =
            Plan::new(problem, &options).map_err(|error| Failure::Refused(format!("{problem}: {error}")))?;
        let auto_for = if auto { vec![gemm_name(self.options.gemm)] } else { Vec::new() };
        Ok(Candidate { plan, threads: self.options.pool.threads(), auto_for })
    }

    /// Why a primitive is not usable. At layouts that it does not work on it would only say so; so it is asked at some that
    /// it does work on, if there are any among those that the command is asked about.
    fn refusal(&self, entry: &'static Entry) -> Passed {
        let native = |(problem, _): &&(Problem, Vec<Info>)| {
            entry.takes_layouts((problem.src_layout, problem.dst_layout))
        };
        let (problem, infos) = self.answers.iter().find(native).unwrap_or(&self.answers[0]);
        let info = infos.iter().find(|info| info.entry.id == entry.id);
        let reason = info.and_then(|info| info.reason).unwrap_or_default();
        self.passed(problem, entry, reason.to_string_lossy().into_owned(), false)
    }

    fn passed(&self, problem: &Problem, entry: &'static Entry, reason: String, slow: bool) -> Passed {
        Passed {
            entry,
            pair: (problem.src_layout, problem.dst_layout),
            gemm: gemm_name(self.options.gemm),
            threads: self.options.pool.threads(),
            reason,
            slow,
        }
    }
}

fn members(family: &str) -> Vec<&'static Entry> {
    REGISTRY.iter().filter(|entry| entry.family == family).collect()
}

/// By the model alone: what was measured of some does not compare with the estimates of others.
fn by_estimate((_, a): &(&Problem, &Info), (_, b): &(&Problem, &Info)) -> std::cmp::Ordering {
    a.estimated_seconds.total_cmp(&b.estimated_seconds)
}
