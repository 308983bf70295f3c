//! The measurement: round by round through all candidates of a problem, so that what slows the machine for a
//! while slows them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use convlow::descriptor::Entry;
use convlow::{Element, for_type};

use super::data::Data;
use super::select::Candidate;
use crate::outcome::{Failure, Outcome};
use crate::seeded::Seeded;

/// Rounds where time allows; shorter problems get more of them until they have filled a moment.
const ROUNDS: u32 = 15;
const MOST_ROUNDS: u32 = 101;
const MOMENT_SECONDS: f64 = 0.25;

/// Before each burst, long enough for the threads of any pool to fall asleep; `benches/peers` pauses as long.
const PAUSE: Duration = Duration::from_millis(20);
/// Runs of a burst, so few that waking the threads weighs as it does where a program computes now and then.
const BURST_RUNS: u32 = 4;

/// What runs in bursts after a pause too; with `Threaded`, what has somebody to wake.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Bursts {
    None,
    Threaded,
    All,
}

impl Bursts {
    fn include(self, candidate: &Candidate) -> bool {
        match self {
            Self::None => false,
            Self::Threaded => candidate.threads > 1,
            Self::All => true,
        }
    }
}

/// What was measured of a candidate.
#[derive(Clone)]
pub(super) struct Timing {
    pub(super) back_to_back: Samples,
    /// The mean run of each burst; none where there was no burst.
    pub(super) bursts: Option<Samples>,
    /// The largest distance from the oracle, if there was a check.
    pub(super) error: Option<f64>,
    pub(super) mistake: Option<String>,
}

/// Seconds, sorted; at least one.
#[derive(Clone)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    fn new(mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        (!seconds.is_empty()).then_some(Self(seconds))
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Linear between the samples, as most statistics programs have it.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let at = share * (self.0.len() - 1) as f64;
        let (low, high) = (self.0[at.floor() as usize], self.0[at.ceil() as usize]);
        low + (high - low) * at.fract()
    }

    /// The distance of the quartiles as a share of the median.
    pub(super) fn spread(&self) -> f64 {
        (self.quantile(0.75) - self.quantile(0.25)) / self.median()
    }
}

/// When to stop.
pub(super) struct Clock {
    end: Instant,
    /// Set by Ctrl-C.
    interrupted: Arc<AtomicBool>,
}

impl Clock {
    pub(super) fn new(limit: Duration, interrupted: Arc<AtomicBool>) -> Self {
        Self { end: Instant::now() + limit, interrupted }
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn seconds_left(&self) -> f64 {
        self.end.saturating_duration_since(Instant::now()).as_secs_f64()
    }
}

/// How a problem is measured.
pub(super) struct Rules<'a> {
    pub(super) clock: &'a Clock,
    /// As many as asked for, or as fit the time.
    pub(super) rounds: Option<u32>,
    pub(super) bursts: Bursts,
    pub(super) check: bool,
    /// Whether the gradient of the bias is computed with that of the weights.
    pub(super) bias_gradient: bool,
}

/// Seconds of a round in which every candidate has its turn back to back, and of one in bursts, from the seconds
/// that each candidate takes for a run.
fn round_seconds(candidates: &[Candidate], bursts: Bursts, run_seconds: &[f64]) -> [f64; 2] {
    let mut round = [0.0; 2];
    for (index, candidate) in candidates.iter().enumerate() {
        let runs = if changes_threads(candidates, index) { 2.0 } else { 1.0 };
        round[0] += runs * run_seconds[index];
        if bursts.include(candidate) {
            round[1] += PAUSE.as_secs_f64() + f64::from(BURST_RUNS) * run_seconds[index];
        }
    }
    round
}

/// Whether the candidate that has its turn before this one runs on other threads.
fn changes_threads(candidates: &[Candidate], index: usize) -> bool {
    let before = if index == 0 { candidates.len() - 1 } else { index - 1 };
    candidates[before].threads != candidates[index].threads
}

/// Estimated seconds of a round of both kinds.
pub(super) fn estimate(candidates: &[Candidate], bursts: Bursts) -> f64 {
    let run_seconds: Vec<_> =
        candidates.iter().map(|candidate| candidate.plan.info().estimated_seconds).collect();
    round_seconds(candidates, bursts, &run_seconds).iter().sum()
}

/// How many rounds of both kinds there are.
struct Rounds {
    back_to_back: u32,
    bursts: u32,
}

impl Rounds {
    /// Bursts, of which a round takes longer, get half of the time, and what the others leave of theirs.
    fn fitting(rules: &Rules<'_>, [back_to_back, bursts]: [f64; 2], seconds: f64) -> Self {
        let fitting = |seconds: f64, round_seconds: f64| {
            let fitting = |seconds: f64| (seconds / round_seconds.max(1e-9)) as u32;
            let wanted = fitting(MOMENT_SECONDS).clamp(ROUNDS, MOST_ROUNDS);
            rules.rounds.unwrap_or_else(|| fitting(seconds).min(wanted).max(1))
        };
        if bursts == 0.0 {
            return Self { back_to_back: fitting(seconds, back_to_back), bursts: 0 };
        }
        let rounds = fitting(seconds / 2.0, back_to_back);
        let left = seconds - f64::from(rounds) * back_to_back;
        Self { back_to_back: rounds, bursts: fitting(left, bursts) }
    }

    fn most(&self) -> u32 {
        self.back_to_back.max(self.bursts)
    }

    /// Whether a kind with so many rounds has one now: in the first round, then evenly spread.
    fn due(&self, rounds: u32, round: u32) -> bool {
        u64::from(round) * u64::from(rounds) % u64::from(self.most()) < u64::from(rounds)
    }
}

/// Measures the candidates of one problem, which get this share of the time that is left. `None` where Ctrl-C
/// came before every one of them had its time taken. `done` hears of every round, with the share of it.
pub(super) fn measure(
    entry: &Entry,
    candidates: &[Candidate],
    rules: &Rules<'_>,
    share: f64,
    seeded: &mut Seeded,
    done: impl FnMut(f64),
) -> Outcome<Option<Vec<Timing>>> {
    let named = |failure: Failure| match failure {
        Failure::Refused(text) => Failure::Refused(format!("{}: {text}", entry.name)),
        other => other,
    };
    for_type!(entry.problem.data_type, T => measure_in::<T>(entry, candidates, rules, share, seeded, done))
        .map_err(named)
}

/// [`measure`] with elements of this type.
fn measure_in<T: Element>(
    entry: &Entry,
    candidates: &[Candidate],
    rules: &Rules<'_>,
    share: f64,
    seeded: &mut Seeded,
    mut done: impl FnMut(f64),
) -> Outcome<Option<Vec<Timing>>> {
    let budget = rules.clock.seconds_left() * share;
    let start = Instant::now();
    let Rules { check, bias_gradient, .. } = *rules;
    let mut data = Data::<T>::new(&entry.problem, candidates, (check, bias_gradient), seeded)?;
    let mut run_seconds = Vec::new();
    let Some(mut collected) = data.warm_up(candidates, rules.clock, &mut run_seconds)? else {
        return Ok(None);
    };
    let of_round @ [back_to_back, bursts] = round_seconds(candidates, rules.bursts, &run_seconds);
    let rounds = Rounds::fitting(rules, of_round, budget - start.elapsed().as_secs_f64());
    let warm_up: f64 = run_seconds.iter().sum();
    let all = warm_up + f64::from(rounds.back_to_back) * back_to_back + f64::from(rounds.bursts) * bursts;
    done(warm_up / all);
    for round in 0..rounds.most() {
        if round > 0 && rules.clock.seconds_left() == 0.0 {
            break;
        }
        if rounds.due(rounds.back_to_back, round) {
            if !data.round_back_to_back(candidates, rules, &mut collected)? {
                break;
            }
            done(back_to_back / all);
        }
        if rounds.due(rounds.bursts, round) {
            if !data.round_of_bursts(candidates, rules, &mut collected)? {
                break;
            }
            done(bursts / all);
        }
    }
    Ok(collected.into_iter().map(Collected::timing).collect())
}

/// The runs of all candidates.
impl<T: Element> Data<T> {
    /// Runs and checks every candidate once. `None` if the user has interrupted.
    fn warm_up(
        &mut self,
        candidates: &[Candidate],
        clock: &Clock,
        run_seconds: &mut Vec<f64>,
    ) -> Outcome<Option<Vec<Collected>>> {
        let mut collected = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            let (seconds, check) = self.first_run(index, candidate)?;
            run_seconds.push(seconds);
            let (error, mistake) = check.map_or((None, None), |check| (Some(check.error), check.mistake));
            collected.push(Collected { error, mistake, ..Collected::default() });
            if clock.interrupted() {
                return Ok(None);
            }
        }
        Ok(Some(collected))
    }

    /// A run of every candidate, each right behind the one before. Whether the user has let it end.
    fn round_back_to_back(
        &mut self,
        candidates: &[Candidate],
        rules: &Rules<'_>,
        collected: &mut [Collected],
    ) -> Outcome<bool> {
        for (index, candidate) in candidates.iter().enumerate() {
            if changes_threads(candidates, index) {
                // Its threads have slept while others ran: that is for the bursts to show.
                self.run(index, candidate, 1)?;
            }
            collected[index].back_to_back.push(self.run(index, candidate, 1)?);
            if rules.clock.interrupted() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A burst of every candidate that has some, behind a pause. Whether the user has let it end.
    fn round_of_bursts(
        &mut self,
        candidates: &[Candidate],
        rules: &Rules<'_>,
        collected: &mut [Collected],
    ) -> Outcome<bool> {
        for (index, candidate) in candidates.iter().enumerate() {
            if rules.bursts.include(candidate) {
                std::thread::sleep(PAUSE);
                collected[index].bursts.push(self.run(index, candidate, BURST_RUNS)?);
            }
            if rules.clock.interrupted() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What the rounds bring of a candidate.
#[derive(Default)]
struct Collected {
    back_to_back: Vec<f64>,
    bursts: Vec<f64>,
    error: Option<f64>,
    mistake: Option<String>,
}

impl Collected {
    fn timing(self) -> Option<Timing> {
        let Self { error, mistake, .. } = self;
        let (back_to_back, bursts) = (Samples::new(self.back_to_back)?, Samples::new(self.bursts));
        Some(Timing { back_to_back, bursts, error, mistake })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_samples() {
        let samples = Samples::new(vec![5.0, 1.0, 3.0, 2.0]).expect("samples");
        assert_eq!(samples.median(), 2.5);
        assert_eq!((samples.quantile(0.25), samples.quantile(0.75)), (1.75, 3.5));
        assert_eq!(samples.spread(), 0.7);
        let single = Samples::new(vec![2.0]).expect("a sample");
        assert_eq!((single.median(), single.spread()), (2.0, 0.0));
        assert!(Samples::new(Vec::new()).is_none());
    }

    fn rounds(asked: Option<u32>, of_round: [f64; 2], seconds: f64) -> (u32, u32) {
        let clock = Clock::new(Duration::ZERO, Arc::default());
        let rules = Rules {
            clock: &clock,
            rounds: asked,
            bursts: Bursts::Threaded,
            check: false,
            bias_gradient: false,
        };
        let Rounds { back_to_back, bursts } = Rounds::fitting(&rules, of_round, seconds);
        (back_to_back, bursts)
    }

    #[test]
    fn bursts_share_the_time_with_runs_back_to_back() {
        assert_eq!(rounds(None, [1.0, 0.0], 8.5), (8, 0));
        assert_eq!(rounds(None, [1.0, 4.5], 18.0), (9, 2));
        // Enough back to back: the bursts have what is left.
        assert_eq!(rounds(None, [1.0, 4.5], 60.0), (15, 10));
        assert_eq!(rounds(None, [0.001, 0.05], 60.0), (101, 15));
        assert_eq!(rounds(None, [1.0, 4.5], -3.0), (1, 1));
        assert_eq!(rounds(Some(3), [1.0, 4.5], 0.0), (3, 3));
        assert_eq!(rounds(Some(3), [1.0, 0.0], 0.0), (3, 0));
    }

    #[test]
    fn rarer_rounds_are_spread_evenly() {
        for (back_to_back, bursts) in [(9, 2), (101, 15), (15, 10), (2, 3), (4, 4), (5, 0), (1, 1)] {
            let rounds = Rounds { back_to_back, bursts };
            for wanted in [back_to_back, bursts] {
                let due: Vec<_> = (0..rounds.most()).filter(|&round| rounds.due(wanted, round)).collect();
                assert_eq!(due.len(), wanted as usize);
                assert_eq!(due.first().copied(), (wanted > 0).then_some(0));
                let least = rounds.most() / wanted.max(1);
                assert!(due.windows(2).all(|pair| [least, least + 1].contains(&(pair[1] - pair[0]))));
            }
        }
    }
}
