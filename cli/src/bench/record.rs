//! The results as records: one for each primitive, setting and problem, as JSON lines and as comma-separated
//! values. `docs/bench.schema.json` describes them.

use std::io::{self, Write};

use serde::Serialize;

use super::job::Job;
use super::measure::{Samples, Timing};
use super::select::{Candidate, Passed};
use convlow::{DataType, Problem, Propagation};

use crate::options::{math_name, propagation_name};
use crate::outcome::{Failure, Outcome};

/// The version of the records: it rises when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// One line of the results.
#[derive(Clone, Serialize)]
pub(super) struct Record {
    version: u32,
    machine: String,
    build: String,
    /// The list from which the problem is; none for a problem of the command line.
    pub(super) network: Option<String>,
    /// The sizes, batch included.
    pub(super) problem: String,
    pub(super) name: String,
    pub(super) count: usize,
    batch: usize,
    pub(super) src_layout: &'static str,
    pub(super) dst_layout: &'static str,
    pub(super) algorithm: &'static str,
    pub(super) family: &'static str,
    /// The family's extra space in elements, and its order as the paper states it.
    space: &'static str,
    order: Option<&'static str>,
    /// Whether the planner chooses it.
    pub(super) auto: bool,
    /// What computed the products: a GEMM or `kernels`; for what was skipped, the GEMM that was asked for.
    pub(super) gemm: Option<&'static str>,
    pub(super) threads: usize,
    /// The arithmetic that the primitive needs.
    math: &'static str,
    rounds: usize,
    /// Of runs back to back, as all fields up to the bursts.
    pub(super) median_seconds: Option<f64>,
    first_quartile_seconds: Option<f64>,
    third_quartile_seconds: Option<f64>,
    /// The distance of the quartiles as a share of the median.
    pub(super) spread: Option<f64>,
    bursts: usize,
    /// The median of the bursts' mean runs; none where no burst was asked for.
    burst_median_seconds: Option<f64>,
    burst_spread: Option<f64>,
    /// The median of the bursts / the median back to back.
    pub(super) burst_ratio: Option<f64>,
    pub(super) gflops: Option<f64>,
    /// The peak of as many cores as there are threads, in the problem's type.
    pub(super) peak_gflops: f64,
    pub(super) peak_share: Option<f64>,
    /// Of the threads: time of one / (threads x time of them); none where one thread was not measured.
    pub(super) efficiency: Option<f64>,
    pub(super) workspace_bytes: Option<usize>,
    pub(super) packed_bytes: Option<usize>,
    /// What the planner's cost model counts, `name=count` between semicolons.
    counts: Option<String>,
    /// The largest distance from float64, relative to the largest output; none without a check.
    pub(super) error: Option<f64>,
    pub(super) skipped: bool,
    pub(super) reason: Option<String>,
    /// What was computed. Files of before there were gradients do not say.
    propagation: &'static str,
    /// For tables and pictures: whether that is a gradient.
    #[serde(skip)]
    pub(super) is_gradient: bool,
    /// For the table: the requests of a GEMM under which it is the planner's choice.
    #[serde(skip)]
    pub(super) auto_for: Vec<&'static str>,
    /// For the table: it was skipped only because it is slow.
    #[serde(skip)]
    pub(super) slow: bool,
}

/// What is the same in all records.
pub(super) struct Setting {
    pub(super) machine: String,
    pub(super) peak_flops_per_second: f64,
}

impl Record {
    fn new(job: &Job, setting: &Setting, threads: usize) -> Self {
        // A vector holds half as many numbers of float64.
        let Problem { data_type, propagation, .. } = job.entry.problem;
        let of_type = DataType::F32.bytes() as f64 / data_type.bytes() as f64;
        let peak_gflops = setting.peak_flops_per_second * of_type * threads as f64 / 1e9;
        Self {
            version: VERSION,
            machine: setting.machine.clone(),
            build: convlow::build_info(),
            network: job.network.clone(),
            problem: job.entry.problem.to_string(),
            name: job.entry.name.clone(),
            count: job.entry.count,
            batch: job.entry.problem.batch,
            src_layout: "",
            dst_layout: "",
            algorithm: "",
            family: "",
            space: "",
            order: None,
            auto: false,
            gemm: None,
            threads,
            math: "",
            rounds: 0,
            median_seconds: None,
            first_quartile_seconds: None,
            third_quartile_seconds: None,
            spread: None,
            bursts: 0,
            burst_median_seconds: None,
            burst_spread: None,
            burst_ratio: None,
            gflops: None,
            peak_gflops,
            peak_share: None,
            efficiency: None,
            workspace_bytes: None,
            packed_bytes: None,
            counts: None,
            error: None,
            skipped: false,
            reason: None,
            propagation: propagation_name(propagation),
            is_gradient: propagation != Propagation::Forward,
            auto_for: Vec::new(),
            slow: false,
        }
    }

    pub(super) fn measured(job: &Job, candidate: &Candidate, timing: &Timing, setting: &Setting) -> Self {
        let (info, (src, dst)) = (candidate.plan.info(), candidate.pair());
        let base = Self::new(job, setting, candidate.threads);
        let (runs, bursts) = (&timing.back_to_back, timing.bursts.as_ref());
        let gflops = 2.0 * job.entry.problem.macs() as f64 / runs.median() / 1e9;
        Self {
            src_layout: src.name(),
            dst_layout: dst.name(),
            algorithm: info.entry.name(),
            family: info.entry.family,
            space: info.entry.space,
            order: info.entry.order,
            math: math_name(info.entry),
            auto: !candidate.auto_for.is_empty(),
            gemm: candidate.gemm(),
            rounds: runs.count(),
            median_seconds: Some(runs.median()),
            first_quartile_seconds: Some(runs.quantile(0.25)),
            third_quartile_seconds: Some(runs.quantile(0.75)),
            spread: Some(runs.spread()),
            bursts: bursts.map_or(0, Samples::count),
            burst_median_seconds: bursts.map(Samples::median),
            burst_spread: bursts.map(Samples::spread),
            burst_ratio: bursts.map(|bursts| bursts.median() / runs.median()),
            gflops: Some(gflops),
            peak_share: Some(gflops / base.peak_gflops),
            workspace_bytes: Some(info.workspace_bytes),
            packed_bytes: Some(info.packed_weights_bytes),
            counts: Some(info.counts.map(|(name, count)| format!("{name}={count}")).join(";")),
            error: timing.error,
            auto_for: candidate.auto_for.clone(),
            ..base
        }
    }

    pub(super) fn passed(job: &Job, passed: &Passed, setting: &Setting) -> Self {
        Self {
            src_layout: passed.pair.0.name(),
            dst_layout: passed.pair.1.name(),
            algorithm: passed.entry.name(),
            family: passed.entry.family,
            space: passed.entry.space,
            order: passed.entry.order,
            math: math_name(passed.entry),
            gemm: Some(passed.gemm),
            skipped: true,
            reason: Some(passed.reason.clone()),
            slow: passed.slow,
            ..Self::new(job, setting, passed.threads)
        }
    }

    /// A name, and of a gradient what was computed.
    pub(super) fn titled(&self, name: &str) -> String {
        if self.is_gradient { format!("{name} {}", self.propagation) } else { name.to_string() }
    }

    /// The machine and the batch, in words.
    pub(super) fn setting(&self) -> String {
        let batch = if self.batch == 1 { "batch 1".to_string() } else { format!("batch {}", self.batch) };
        format!("{}; {batch}", self.machine)
    }

    /// Whether the other is the same computation of the same problem, on however many threads.
    fn differs_in_threads(&self, other: &Record) -> bool {
        let key = |record: &Record| (record.algorithm, record.src_layout, record.dst_layout, record.gemm);
        key(self) == key(other)
    }
}

/// Enters the efficiency into the records of one problem.
pub(super) fn compare_threads(records: &mut [Record]) {
    let single: Vec<_> = records.iter().filter(|record| record.threads == 1).cloned().collect();
    for record in records.iter_mut().filter(|record| record.threads > 1) {
        let one = single.iter().find(|one| record.differs_in_threads(one));
        let seconds = one.and_then(|one| one.median_seconds).zip(record.median_seconds);
        record.efficiency = seconds.map(|(one, all)| one / (record.threads as f64 * all));
    }
}

/// One object a line.
pub(super) fn write_json(records: &[Record], mut out: impl Write) -> Outcome<()> {
    for record in records {
        let line = serde_json::to_string(record).map_err(io::Error::from)?;
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

/// A heading and the same fields.
pub(super) fn write_csv(records: &[Record], out: impl Write) -> Outcome<()> {
    let mut writer = csv::Writer::from_writer(out);
    for record in records {
        writer.serialize(record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Failure::Output(error),
            kind => Failure::Output(io::Error::other(format!("{kind:?}"))),
        })?;
    }
    Ok(writer.flush()?)
}

/// The processor's name and how many of its threads this process may use.
pub(super) fn machine() -> String {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = processors.lines().find(|line| line.starts_with("model name"));
    let model = named.and_then(|line| Some(line.split_once(':')?.1.trim()));
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let model = model.map_or(String::new(), |model| format!(", {model}"));
    format!("{system} {architecture}{model}, {}", crate::options::threads(threads))
}
