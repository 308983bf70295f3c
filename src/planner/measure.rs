//! Timing of the candidates, within a budget of time and memory.
//!
//! If the whole problem takes too much of either, a part of it is timed: fewer images, output planes, rows and
//! columns, then fewer channels. The cost model's ratio of the whole to the part scales the time.

use std::time::{Duration, Instant};

use convlow_base::error::Result;
use convlow_base::memory;

use super::candidate::{Answer, Candidate, examine};
use super::options::{AlgorithmChoice, Options};
use super::wisdom;
use crate::algorithms::{Element, Entry};
use crate::buffer::Buffer;
use crate::computed::Computed;
#[cfg(feature = "training")]
use crate::plan::GradientArguments;
use crate::plan::{Info, Plan};
use crate::problem::{DataType, Problem, Propagation, with_outputs};
use convlow_kernels::data_type::for_type;

/// Timed runs of a candidate behind one to warm up; the fastest counts.
const RUNS: usize = 3;
/// The share of the budget that one run of the candidate estimated fastest may take, so that others are timed too.
const SHARE_OF_RUN: f64 = 1.0 / 16.0;
/// The share of the budget in which the tensors are to be filled.
const SHARE_OF_FILLING: f64 = 1.0 / 4.0;
/// Bytes a second in which memory is taken from the system and filled.
const FILLED: f64 = 0.5e9;

/// Times the candidates that fit the limits, the most promising first, until the budget is spent. Candidates measured
/// before keep their time, and where an algorithm is asked for, there are no others. Where memory is short, or no part
/// of the problem is quick enough, nothing is measured.
pub(super) fn measure(
    answers: &mut [(&'static Entry, Answer)],
    problem: &Problem,
    options: &Options,
) -> Result<()> {
    if problem.sums_nothing() {
        return Ok(());
    }
    let budget = options.measure_budget_seconds;
    let start = Instant::now();
    let deadline = Duration::try_from_secs_f64(budget).ok().and_then(|budget| start.checked_add(budget));
    // A clock that does not reach that far needs no watching.
    let deadline = deadline.unwrap_or_else(|| start + Duration::from_secs(1 << 30));

    let asked_for = |candidate: &&mut Candidate| match options.algorithm {
        AlgorithmChoice::Auto => candidate.is_open_to_auto(options),
        AlgorithmChoice::One(entry) => candidate.info.entry.id == entry.id,
    };
    let mut candidates = memory::vec(answers.len())?;
    candidates.extend(
        answers
            .iter_mut()
            .filter_map(|(_, answer)| answer.as_mut().ok())
            .filter(|candidate| candidate.fits(options) && !candidate.measured())
            .filter(asked_for),
    );
    candidates.sort_unstable_by(|a, b| a.info.estimated_seconds.total_cmp(&b.info.estimated_seconds));
    let Some(fastest) = candidates.first() else { return Ok(()) };
    let Some(part) = choose_part(problem, &fastest.info, options) else { return Ok(()) };
    let Ok(mut tensors) = TimedTensors::new(&part) else { return Ok(()) };

    let mut first = true;
    for candidate in candidates {
        let Some(in_part) = in_part(&part, &candidate.info, options) else { continue };
        if tensors.bytes_with(&part, &in_part.info) > options.measure_max_bytes {
            continue;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if in_part.info.estimated_seconds >= left.as_secs_f64() {
            continue;
        }
        // The first run of all is not given up, so that there is something to choose by.
        let estimated = in_part.info.estimated_seconds;
        let seconds = tensors.time(&part, in_part, options, deadline, first);
        first = false;
        let Ok(Some(seconds)) = seconds else { continue };
        let info = &mut candidate.info;
        // What forms no product may be estimated at nothing.
        let whole = if estimated > 0.0 { info.estimated_seconds / estimated } else { 1.0 };
        info.measured_seconds = seconds * whole;
        // Wisdom is of packed weights.
        if !candidate.task.is_plain() {
            wisdom::learn(problem, options.pool.threads(), info.backend, info.entry, info.measured_seconds);
        }
    }
    Ok(())
}

/// The same algorithm on the same GEMM for a part of the problem.
fn in_part(part: &Problem, info: &Info, options: &Options) -> Option<Candidate> {
    examine(info.entry, part, options, info.backend.as_slice()).ok()
}

/// The largest part of the problem for which the fastest candidate keeps to its shares of the budget.
fn choose_part(problem: &Problem, fastest: &Info, options: &Options) -> Option<Problem> {
    let budget = options.measure_budget_seconds;
    let mut part = *problem;
    loop {
        if let Some(Candidate { info, .. }) = in_part(&part, fastest, options) {
            let elements = part.src_len().saturating_add(part.dst_len());
            let bytes = elements
                .saturating_mul(part.data_type.bytes())
                .saturating_add(info.weights_bytes(&part))
                .saturating_add(info.workspace_bytes);
            if bytes <= options.measure_max_bytes
                && bytes as f64 / FILLED <= budget * SHARE_OF_FILLING
                && info.estimated_seconds <= budget * SHARE_OF_RUN
            {
                return Some(part);
            }
        }
        part = Problem::new(smaller(&part, options.pool.threads())?).ok()?;
    }
}

/// Output planes, rows, columns and channels of a part that still stands for the whole.
const ENOUGH_PLANES: usize = 4;
const ENOUGH_ROWS: usize = 8;
const ENOUGH_COLUMNS: usize = 64;
const ENOUGH_CHANNELS: usize = 64;

/// Half of a problem along what tells least about the rest of it; none if nothing is left to halve.
fn smaller(problem: &Problem, threads: usize) -> Option<Problem> {
    let Problem { batch, groups, planes, rows, cols, .. } = *problem;
    let half = |size: usize| size.div_ceil(2);
    let with_planes =
        |outputs: usize| Problem { planes: with_outputs(&planes, problem.operation, outputs), ..*problem };
    let with_rows =
        |outputs: usize| Problem { rows: with_outputs(&rows, problem.operation, outputs), ..*problem };
    let with_cols =
        |outputs: usize| Problem { cols: with_outputs(&cols, problem.operation, outputs), ..*problem };
    let with_channels = |of_group: [usize; 2], groups: usize| Problem {
        in_channels: of_group[0] * groups,
        out_channels: of_group[1] * groups,
        groups,
        ..*problem
    };
    let [inputs, outputs] = [problem.group_in(), problem.group_out()];
    // What no output reads, then whatever there are many of.
    let read = problem.on_other_images(batch, |axis| with_outputs(axis, problem.operation, axis.output));
    Some(if batch > threads {
        Problem { batch: half(batch).max(threads), ..*problem }
    } else if read != *problem {
        read
    } else if planes.output > ENOUGH_PLANES {
        with_planes(half(planes.output))
    } else if rows.output > ENOUGH_ROWS {
        with_rows(half(rows.output))
    } else if cols.output > ENOUGH_COLUMNS {
        with_cols(half(cols.output))
    } else if groups > threads {
        with_channels([inputs, outputs], half(groups).max(threads))
    } else if outputs > ENOUGH_CHANNELS {
        with_channels([inputs, half(outputs)], groups)
    } else if planes.output > 1 {
        with_planes(half(planes.output))
    } else if rows.output > 1 {
        with_rows(half(rows.output))
    } else if cols.output > 1 {
        with_cols(half(cols.output))
    } else if batch > 1 {
        Problem { batch: half(batch), ..*problem }
    } else if inputs > ENOUGH_CHANNELS {
        with_channels([half(inputs), outputs], groups)
    } else {
        return None;
    })
}

/// What a part is computed from and into. The values are small, not constant and never denormal: neither page sharing
/// nor slow arithmetic distorts times. They need not be packed weights, which have no other times.
struct TimedTensors {
    src: Buffer,
    dst: Buffer,
    packed: Buffer,
    workspace: Buffer,
}

fn fill<T: Element>(buffer: &mut Buffer) {
    let numbers = buffer.elements_mut::<T>().iter_mut().enumerate();
    numbers.for_each(|(index, x)| *x = T::from_f64((index % 13) as f64 - 6.0));
}

/// Makes a buffer hold at least so many bytes.
fn grow(buffer: &mut Buffer, bytes: usize, data_type: DataType) -> Result<()> {
    if buffer.bytes().len() < bytes {
        *buffer = Buffer::default(); // Never both in memory at once.
        *buffer = Buffer::new(bytes)?;
        for_type!(data_type, T => fill::<T>(buffer));
    }
    Ok(())
}

impl TimedTensors {
    fn new(problem: &Problem) -> Result<Self> {
        let [mut src, mut dst, packed, workspace] = [const { Buffer::EMPTY }; 4];
        let problem = match problem.propagation {
            Propagation::BackwardWeights => *problem,
            _ => Computed::new(problem).problem,
        };
        grow(&mut src, problem.src_len() * problem.data_type.bytes(), problem.data_type)?;
        grow(&mut dst, problem.dst_len() * problem.data_type.bytes(), problem.data_type)?;
        Ok(Self { src, dst, packed, workspace })
    }

    /// Bytes of memory when a candidate is timed.
    fn bytes_with(&self, part: &Problem, info: &Info) -> usize {
        let fixed = self.src.bytes().len() + self.dst.bytes().len();
        let packed = self.packed.bytes().len().max(info.weights_bytes(part));
        fixed.saturating_add(packed).saturating_add(self.workspace.bytes().len().max(info.workspace_bytes))
    }

    fn execute<T: Element>(&mut self, plan: &Plan) -> Result<()> {
        #[cfg(feature = "training")]
        if plan.problem().propagation == Propagation::BackwardWeights {
            return plan.execute_gradient::<T>(GradientArguments {
                src: self.src.elements(),
                diff_dst: self.dst.elements(),
                diff_weights: self.packed.elements_mut().get_mut(..plan.problem().weights_len()),
                diff_bias: None,
                workspace: self.workspace.elements_mut(),
                pool: None,
            });
        }
        let packed = &self.packed.bytes()[..plan.weights_bytes()];
        plan.execute::<T>(
            self.src.elements(),
            packed,
            None,
            self.dst.elements_mut(),
            self.workspace.elements_mut(),
        )
    }

    /// Seconds of the fastest of a few runs; `None` if the deadline came before the end of the first that counts. The
    /// run to warm up counts where there is no time for another and `first` says that nothing has been timed yet.
    fn time(
        &mut self,
        part: &Problem,
        candidate: Candidate,
        options: &Options,
        deadline: Instant,
        first: bool,
    ) -> Result<Option<f64>> {
        let Candidate { info, task, .. } = candidate;
        let workspace_bytes = info.workspace_bytes;
        grow(&mut self.workspace, workspace_bytes, part.data_type)?;
        let watched = options.pool.until(deadline);
        let mut plan = Plan::of(part, info, task, if first { &options.pool } else { &watched });
        let weights_bytes = plan.weights_bytes();
        grow(&mut self.packed, weights_bytes, part.data_type)?;
        let (mut warmed_up, mut fastest) = (None, None::<f64>);
        for run in 0..=RUNS {
            if run == 1 {
                plan = plan.on(&watched);
            }
            if let Some(packing) = plan.packing() {
                packing.mark(&mut self.packed.bytes_mut()[..weights_bytes]);
            }
            let start = Instant::now();
            for_type!(part.data_type, T => self.execute::<T>(&plan)?);
            let end = Instant::now();
            // A clock that stands still for a tiny problem must not look like "not measured".
            let seconds = (end - start).as_secs_f64().max(1e-9);
            let late = end >= deadline;
            if run == 0 {
                warmed_up = Some(seconds);
            } else if !late {
                fastest = Some(fastest.map_or(seconds, |before| before.min(seconds)));
            }
            if late {
                break;
            }
        }
        Ok(fastest.or(warmed_up.filter(|_| first)))
    }
}
