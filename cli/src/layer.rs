//! One layer: planned, run, timed, checked against the definition; and the table of all of them.

use std::time::{Duration, Instant};

use convlow::descriptor::Entry;
use convlow::{Buffer, Element, Options, Plan, for_type};

use crate::execution::{self, Operands};
use crate::oracle::{Check, Oracle};
use crate::outcome::{Failure, Outcome};
use crate::seeded::Seeded;
use crate::table::Align::{Left, Right};
use crate::table::{Table, grouped};

/// Timed runs behind the one to warm up, as many as fit the time, but always one.
const RUNS: usize = 15;
const TIME_FOR_RUNS: Duration = Duration::from_millis(250);

/// A layer ready to run.
pub(crate) struct Layer {
    name: String,
    count: usize,
    plan: Plan,
}

/// A layer's output and what there is to say about it.
pub(crate) struct Done {
    pub(crate) dst: Buffer,
    pub(crate) report: Report,
}

/// A line of the table.
pub(crate) struct Report {
    name: String,
    count: usize,
    algorithm: &'static str,
    workspace_bytes: usize,
    im2col_bytes: usize,
    seconds: f64,
    flops: f64,
    check: Check,
}

impl Layer {
    pub(crate) fn new(entry: &Entry, options: &Options) -> Outcome<Self> {
        let plan = Plan::new(&entry.problem, options)
            .map_err(|error| Failure::Refused(format!("{}: {error}", entry.name)))?;
        Ok(Self { name: entry.name.clone(), count: entry.count, plan })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs the layer on `src`, or on random input, with random weights and bias.
    pub(crate) fn run(&self, src: Option<&Buffer>, seeded: &mut Seeded) -> Outcome<Done> {
        let done = for_type!(self.plan.problem().data_type, T => self.run_in::<T>(src, seeded));
        done.map_err(|failure| match failure {
            Failure::Refused(text) => Failure::Refused(format!("{}: {text}", self.name)),
            other => other,
        })
    }

    fn run_in<T: Element>(&self, src: Option<&Buffer>, seeded: &mut Seeded) -> Outcome<Done> {
        match src {
            Some(src) => self.run_on::<T>(src, seeded),
            None => {
                let src = seeded.numbers::<T>(self.plan.problem().src_len(), 1.0)?;
                self.run_on::<T>(&src, seeded)
            }
        }
    }

    fn run_on<T: Element>(&self, src: &Buffer, seeded: &mut Seeded) -> Outcome<Done> {
        let (problem, info) = (self.plan.problem(), self.plan.info());
        let (weights, bias) = (seeded.weights::<T>(problem)?, seeded.bias::<T>(problem)?);
        let operands = Operands::<T> {
            src: src.elements(),
            diff_dst: &[],
            weights: weights.elements(),
            bias: bias.elements(),
        };
        let mut packed = Buffer::new(info.packed_weights_bytes)?;
        self.plan.pack_weights(weights.elements::<T>(), packed.bytes_mut())?;
        let mut workspace = Buffer::new(info.workspace_bytes)?;
        let mut dst = Buffer::new(problem.dst_len() * size_of::<T>())?;
        dst.elements_mut::<T>().fill(T::from_f64(f64::NAN)); // An output that is never written must not look like one.
        let seconds = median_seconds(|| {
            execution::execute(
                &self.plan,
                &operands,
                packed.bytes(),
                dst.elements_mut(),
                workspace.elements_mut(),
            )
        })?;
        let oracle = Oracle::new(problem, &operands, false, seeded);
        let check = oracle.check::<T>(problem, dst.elements(), info.entry.is_exact());
        let report = Report {
            name: self.name.clone(),
            count: self.count,
            algorithm: info.entry.name(),
            workspace_bytes: info.workspace_bytes,
            im2col_bytes: (problem.depth() * problem.out_pixels()).saturating_mul(size_of::<T>()),
            seconds,
            flops: 2.0 * problem.macs() as f64,
            check,
        };
        Ok(Done { dst, report })
    }
}

fn median_seconds(mut run: impl FnMut() -> convlow::Result<()>) -> Outcome<f64> {
    run()?;
    let start = Instant::now();
    let mut seconds = Vec::with_capacity(RUNS);
    while seconds.is_empty() || (seconds.len() < RUNS && start.elapsed() < TIME_FOR_RUNS) {
        let before = Instant::now();
        run()?;
        seconds.push(before.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2].max(1e-9))
}

/// The table with its totals, every layer counted as often as it occurs.
pub(crate) fn table(reports: &[Report]) -> Table {
    let mut table = Table::new(&[
        ("layer", Left),
        ("algorithm", Left),
        ("workspace", Right),
        ("im2col", Right),
        ("ms", Right),
        ("GFLOP/s", Right),
        ("error", Right),
        ("checked", Right),
    ]);
    for report in reports {
        let name = match report.count {
            1 => report.name.clone(),
            count => format!("{}*{count}", report.name),
        };
        table.push([
            name,
            report.algorithm.to_string(),
            grouped(report.workspace_bytes),
            grouped(report.im2col_bytes),
            milliseconds(report.seconds),
            format!("{:.1}", report.flops / report.seconds / 1e9),
            format!("{:.1e}", report.check.error),
            report.check.share(),
        ]);
    }
    let sum = |of: fn(&Report) -> f64| reports.iter().map(|report| of(report) * report.count as f64).sum();
    let sum_bytes = |of: fn(&Report) -> usize| {
        let all = reports.iter().map(|report| of(report).saturating_mul(report.count));
        grouped(all.fold(0, usize::saturating_add))
    };
    let largest_bytes = |of: fn(&Report) -> usize| grouped(reports.iter().map(of).max().unwrap_or(0));
    let (seconds, flops): (f64, f64) = (sum(|report| report.seconds), sum(|report| report.flops));
    let layers: usize = reports.iter().map(|report| report.count).sum();
    table.push([
        "sum".to_string(),
        format!("{layers} layers"),
        sum_bytes(|report| report.workspace_bytes),
        sum_bytes(|report| report.im2col_bytes),
        milliseconds(seconds),
        format!("{:.1}", flops / seconds / 1e9),
        String::new(),
        String::new(),
    ]);
    table.push([
        "largest".to_string(),
        String::new(),
        largest_bytes(|report| report.workspace_bytes),
        largest_bytes(|report| report.im2col_bytes),
        milliseconds(reports.iter().map(|report| report.seconds).fold(0.0, f64::max)),
        String::new(),
        format!("{:.1e}", reports.iter().map(|report| report.check.error).fold(0.0, f64::max)),
        String::new(),
    ]);
    table
}

/// What the columns mean.
pub(crate) const LEGEND: &str = "\
workspace: exact bytes the layer needs beside its tensors; im2col: bytes of the classic patch matrix.
ms: median of a few runs; GFLOP/s: 2 x multiplications of the definition / time.
error: largest distance from the float64 oracle, relative to the layer's largest output;
checked: share of the outputs compared, a seeded random sample where not all.
";

/// Whether every layer is within its bound.
pub(crate) fn verdict(reports: &[Report]) -> Outcome<()> {
    let mut wrong = reports.iter().filter_map(|report| Some((report, report.check.mistake.as_ref()?)));
    let Some((report, mistake)) = wrong.next() else { return Ok(()) };
    let others = match wrong.count() {
        0 => String::new(),
        others => format!("; {others} more of {} layers are wrong", reports.len()),
    };
    Err(Failure::Wrong(format!("{} by {}: {mistake}{others}", report.name, report.algorithm)))
}

pub(crate) fn milliseconds(seconds: f64) -> String {
    format!("{:.3}", seconds * 1e3)
}
