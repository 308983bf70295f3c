//! The measurement: round by round through all candidates of a problem, so that what slows the machine for a
//! while slows them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use convlow::descriptor::Entry;
use convlow::reference::Tensors;
use convlow::{Buffer, Layout, Problem, reference};

use super::select::Candidate;
use crate::oracle::Oracle;
use crate::seeded::Seeded;
use crate::{Failure, Outcome};

/// Rounds where time allows; shorter problems get more of them until they have filled a moment.
const ROUNDS: usize = 15;
const MOST_ROUNDS: usize = 101;
const MOMENT_SECONDS: f64 = 0.25;

/// Seconds of a candidate's runs.
#[derive(Clone)]
pub(super) struct Timing {
    /// Sorted.
    seconds: Vec<f64>,
    /// The largest distance from the oracle, if there was a check.
    pub(super) error: Option<f64>,
    pub(super) mistake: Option<String>,
}

impl Timing {
    pub(super) fn rounds(&self) -> usize {
        self.seconds.len()
    }

    pub(super) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Linear between the runs, as most statistics programs have it.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let at = share * (self.seconds.len() - 1) as f64;
        let (low, high) = (self.seconds[at.floor() as usize], self.seconds[at.ceil() as usize]);
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
    pub(super) rounds: Option<usize>,
    pub(super) check: bool,
}

/// What all candidates of a problem compute with.
struct Data {
    /// NCHW and NHWC, the same numbers; empty where no candidate takes them so.
    src: [Buffer; 2],
    bias: Buffer,
    dst: Buffer,
    workspace: Buffer,
    packed: Vec<Buffer>,
    oracle: Option<Oracle>,
}

/// Measures the candidates of one problem, which get this share of the time that is left. `None` where Ctrl-C
/// came before every one of them had its time taken. `done` hears of every round, with the share of it.
pub(super) fn measure(
    entry: &Entry,
    candidates: &[Candidate],
    rules: &Rules<'_>,
    share: f64,
    seeded: &mut Seeded,
    mut done: impl FnMut(f64),
) -> Outcome<Option<Vec<Timing>>> {
    let named = |failure: Failure| match failure {
        Failure::Refused(text) => Failure::Refused(format!("{}: {text}", entry.name)),
        other => other,
    };
    let budget = rules.clock.seconds_left() * share;
    let start = Instant::now();
    let mut data = Data::new(&entry.problem, candidates, rules.check, seeded).map_err(named)?;
    let mut timings = Vec::new();
    let mut round_seconds = 0.0;
    for (index, candidate) in candidates.iter().enumerate() {
        // An output that is never written must not look like one.
        data.dst.floats_mut().fill(f32::NAN);
        round_seconds += data.run(index, candidate).map_err(named)?;
        let check = data.oracle.as_ref().map(|oracle| {
            let plan = &candidate.plan;
            oracle.check(plan.problem(), data.dst.floats(), plan.info().entry.algorithm.is_exact())
        });
        let (error, mistake) = check.map_or((None, None), |check| (Some(check.error), check.mistake));
        timings.push(Timing { seconds: Vec::new(), error, mistake });
        if rules.clock.interrupted() {
            return Ok(None);
        }
    }
    let rounds = rules.rounds.unwrap_or_else(|| {
        let fitting = |seconds: f64| (seconds / round_seconds.max(1e-9)) as usize;
        let wanted = fitting(MOMENT_SECONDS).clamp(ROUNDS, MOST_ROUNDS);
        fitting(budget - start.elapsed().as_secs_f64()).min(wanted).max(1)
    });
    done(1.0 / (rounds + 1) as f64);
    for round in 0..rounds {
        if round > 0 && rules.clock.seconds_left() == 0.0 {
            break;
        }
        for (index, candidate) in candidates.iter().enumerate() {
            let seconds = data.run(index, candidate).map_err(named)?;
            timings[index].seconds.push(seconds);
            if rules.clock.interrupted() {
                let all_timed = timings.iter().all(|timing| !timing.seconds.is_empty());
                return Ok(all_timed.then(|| sorted(timings)));
            }
        }
        done(1.0 / (rounds + 1) as f64);
    }
    Ok(Some(sorted(timings)))
}

fn sorted(mut timings: Vec<Timing>) -> Vec<Timing> {
    timings.iter_mut().for_each(|timing| timing.seconds.sort_by(f64::total_cmp));
    timings
}

impl Data {
    fn new(problem: &Problem, candidates: &[Candidate], check: bool, seeded: &mut Seeded) -> Outcome<Self> {
        let src = seeded.floats(problem.src_len(), 1.0)?;
        let (weights, bias) = (seeded.weights(problem)?, seeded.bias(problem)?);
        let oracle = check.then(|| {
            let tensors = Tensors {
                src: src.floats(),
                weights: weights.floats(),
                bias: Some(bias.floats()),
                dst_before: &[],
            };
            Oracle::new(problem, &tensors, seeded)
        });
        let takes = |layout: Layout| candidates.iter().any(|candidate| candidate.pair().0 == layout);
        let pixels_first = if takes(Layout::Nhwc) { nhwc(&src, problem)? } else { Buffer::default() };
        let infos = || candidates.iter().map(|candidate| candidate.plan.info());
        let workspace = infos().map(|info| info.workspace_bytes).max().unwrap_or(0);
        let packed = candidates.iter().map(|candidate| {
            let mut packed = Buffer::new(candidate.plan.info().packed_weights_bytes)?;
            candidate.plan.pack_weights(weights.floats(), packed.bytes_mut())?;
            Ok(packed)
        });
        Ok(Self {
            packed: packed.collect::<Outcome<_>>()?,
            src: [src, pixels_first],
            bias,
            dst: Buffer::new(problem.dst_len() * size_of::<f32>())?,
            workspace: Buffer::new(workspace)?,
            oracle,
        })
    }

    /// Seconds of one run.
    fn run(&mut self, index: usize, candidate: &Candidate) -> Outcome<f64> {
        let src = match candidate.pair().0 {
            Layout::Nchw => &self.src[0],
            Layout::Nhwc => &self.src[1],
        };
        let before = Instant::now();
        candidate.plan.execute(
            src.floats(),
            self.packed[index].bytes(),
            Some(self.bias.floats()),
            self.dst.floats_mut(),
            self.workspace.floats_mut(),
        )?;
        Ok(before.elapsed().as_secs_f64().max(1e-9))
    }
}

/// An NCHW input as NHWC.
fn nhwc(src: &Buffer, problem: &Problem) -> Outcome<Buffer> {
    let sizes @ [channels, height, width] = [problem.in_channels, problem.rows.input, problem.cols.input];
    let mut moved = Buffer::new(problem.src_len() * size_of::<f32>())?;
    let (from, to) = (src.floats(), moved.floats_mut());
    for n in 0..problem.batch {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let place = [n, c, y, x];
                    to[reference::index(Layout::Nhwc, place, sizes)] =
                        from[reference::index(Layout::Nchw, place, sizes)];
                }
            }
        }
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_runs() {
        let timing = Timing { seconds: vec![1.0, 2.0, 3.0, 5.0], error: None, mistake: None };
        assert_eq!(timing.median(), 2.5);
        assert_eq!((timing.quantile(0.25), timing.quantile(0.75)), (1.75, 3.5));
        assert_eq!(timing.spread(), 0.7);
        let single = Timing { seconds: vec![2.0], error: None, mistake: None };
        assert_eq!((single.median(), single.spread()), (2.0, 0.0));
    }
}
