//! Timing of the candidates on tensors of the problem's size.

use std::time::{Duration, Instant};

use super::{Candidate, Options, wisdom};
use crate::error::Result;
use crate::plan::{Buffer, Plan};
use crate::problem::Problem;

/// Timed runs of a candidate behind one to warm up; the fastest counts.
const RUNS: usize = 3;

/// Times the candidates that fit the workspace limit, the most promising first, until the budget is spent.
/// Candidates measured before keep their time. Where memory for the tensors is short, nothing is measured.
pub(super) fn measure<'a>(
    candidates: impl Iterator<Item = &'a mut Candidate>,
    problem: &Problem,
    options: &Options,
) {
    let budget = Duration::try_from_secs_f64(options.measure_budget_seconds).unwrap_or(Duration::MAX);
    let start = Instant::now();
    let left = || budget.saturating_sub(start.elapsed()).as_secs_f64();
    let mut candidates: Vec<_> =
        candidates.filter(|candidate| candidate.fits(options) && !candidate.measured()).collect();
    candidates.sort_by(|a, b| a.info.estimated_seconds.total_cmp(&b.info.estimated_seconds));
    if !candidates.iter().any(|candidate| candidate.info.estimated_seconds < left()) {
        return;
    }
    let Ok(mut tensors) = Tensors::new(problem) else { return };
    for candidate in candidates {
        if candidate.info.estimated_seconds >= left() {
            continue;
        }
        let plan = Plan::for_algorithm(problem, candidate.info, candidate.schedule, &options.pool);
        let Ok(Some(seconds)) = tensors.time(&plan, &left) else { continue };
        candidate.info.measured_seconds = seconds;
        let info = &candidate.info;
        wisdom::learn(problem, options.pool.threads(), info.backend, info.entry, seconds);
    }
}

struct Tensors {
    src: Buffer,
    weights: Buffer,
    dst: Buffer,
}

impl Tensors {
    fn new(problem: &Problem) -> Result<Self> {
        let tensor = |len: usize| -> Result<Buffer> {
            let mut buffer = Buffer::new(len * size_of::<f32>())?;
            // Small, not constant, never denormal: neither page sharing nor slow arithmetic distorts times.
            buffer.floats_mut().iter_mut().enumerate().for_each(|(index, x)| *x = (index % 13) as f32 - 6.0);
            Ok(buffer)
        };
        Ok(Self {
            src: tensor(problem.src_len())?,
            weights: tensor(problem.weights_len())?,
            dst: tensor(problem.dst_len())?,
        })
    }

    /// Seconds of the fastest of a few runs; `None` if the budget ended before the first counted one.
    fn time(&mut self, plan: &Plan, left: &impl Fn() -> f64) -> Result<Option<f64>> {
        let mut packed = Buffer::new(plan.info().packed_weights_bytes)?;
        let mut workspace = Buffer::new(plan.info().workspace_bytes)?;
        plan.pack_weights(self.weights.floats(), packed.bytes_mut())?;
        let mut fastest: Option<f64> = None;
        for run in 0..=RUNS {
            let start = Instant::now();
            plan.execute(
                self.src.floats(),
                packed.bytes(),
                None,
                self.dst.floats_mut(),
                workspace.floats_mut(),
            )?;
            // A clock that stands still for a tiny problem must not look like "not measured".
            let seconds = start.elapsed().as_secs_f64().max(1e-9);
            if run > 0 {
                fastest = Some(fastest.map_or(seconds, |before| before.min(seconds)));
            }
            if left() < seconds {
                break;
            }
        }
        Ok(fastest)
    }
}
