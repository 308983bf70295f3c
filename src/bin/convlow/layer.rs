//! One layer: planned, run, timed, checked against the definition; and the table of all of them.

use std::time::{Duration, Instant};

use convlow::descriptor::Entry;
use convlow::reference::{self, Tensors};
use convlow::{Buffer, Options, Plan, Problem};
use rand_distr::{Distribution, Normal, Uniform};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use crate::table::Align::{Left, Right};
use crate::table::{Table, grouped};
use crate::{Failure, Outcome};

/// Timed runs behind the one to warm up, as many as fit the time, but always one.
const RUNS: usize = 15;
const TIME_FOR_RUNS: Duration = Duration::from_millis(250);

/// Terms of the definition that a layer's check may sum: beyond it, the check takes a sample of the outputs.
const TERMS_CHECKED: usize = 1 << 24;

/// Standard deviation of the bias: small beside outputs of standard deviation 1.
const BIAS_DEVIATION: f32 = 0.05;

/// The sources of all that is random in a run.
pub(crate) struct Seeded {
    /// For inputs, weights and bias.
    values: Pcg64Mcg,
    /// For the choice of the outputs to check, apart so that it leaves the values alone.
    sample: Pcg64Mcg,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { values: Pcg64Mcg::seed_from_u64(seed), sample: Pcg64Mcg::seed_from_u64(!seed) }
    }

    /// Normally distributed floats around 0.
    pub(crate) fn floats(&mut self, count: usize, deviation: f32) -> Outcome<Buffer> {
        let mut buffer = Buffer::new(count.saturating_mul(size_of::<f32>()))?;
        let normal = Normal::new(0.0, deviation).expect("a finite deviation");
        buffer.floats_mut().iter_mut().for_each(|x| *x = normal.sample(&mut self.values));
        Ok(buffer)
    }
}

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

/// How far outputs are from the definition.
struct Check {
    /// The largest error, relative to the largest output.
    error: f64,
    compared: usize,
    outputs: usize,
    /// The first output beyond the bound.
    mistake: Option<String>,
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
        let done = match src {
            Some(src) => self.run_on(src, seeded),
            None => {
                seeded.floats(self.plan.problem().src_len(), 1.0).and_then(|src| self.run_on(&src, seeded))
            }
        };
        done.map_err(|failure| match failure {
            Failure::Refused(text) => Failure::Refused(format!("{}: {text}", self.name)),
            other => other,
        })
    }

    fn run_on(&self, src: &Buffer, seeded: &mut Seeded) -> Outcome<Done> {
        let (problem, info) = (self.plan.problem(), self.plan.info());
        // He's initialisation: outputs behind a ReLU keep the variance of the inputs.
        let weights = seeded.floats(problem.weights_len(), (2.0 / problem.depth() as f32).sqrt())?;
        let bias = seeded.floats(problem.out_channels, BIAS_DEVIATION)?;
        let mut packed = Buffer::new(info.packed_weights_bytes)?;
        self.plan.pack_weights(weights.floats(), packed.bytes_mut())?;
        let mut workspace = Buffer::new(info.workspace_bytes)?;
        let mut dst = Buffer::new(problem.dst_len() * size_of::<f32>())?;
        dst.floats_mut().fill(f32::NAN); // An output that is never written must not look like one.
        let seconds = median_seconds(|| {
            self.plan.execute(
                src.floats(),
                packed.bytes(),
                Some(bias.floats()),
                dst.floats_mut(),
                workspace.floats_mut(),
            )
        })?;
        let tensors = Tensors {
            src: src.floats(),
            weights: weights.floats(),
            bias: Some(bias.floats()),
            dst_before: &[],
        };
        let check = check(problem, &tensors, dst.floats(), &mut seeded.sample);
        let report = Report {
            name: self.name.clone(),
            count: self.count,
            algorithm: info.entry.name(),
            workspace_bytes: info.workspace_bytes,
            im2col_bytes: (problem.depth() * problem.out_pixels()).saturating_mul(size_of::<f32>()),
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

fn check(problem: &Problem, tensors: &Tensors<'_>, dst: &[f32], sample: &mut Pcg64Mcg) -> Check {
    // A sum of k float32 terms in any order has an error of at most about k·u·Σ|term|, u = ε/2; as roundings
    // are independent it stays within λ·√k·u·Σ|term| except with probability 2·exp(−λ²/2). λ = 8 makes that
    // 10⁻¹³, and for the few terms where the first bound is the smaller one, 8·√k exceeds it still.
    let bound_factor = 4.0 * f64::from(f32::EPSILON) * ((problem.depth() + 1) as f64).sqrt();
    let all = Uniform::new(0, dst.len()).expect("a problem has outputs");
    let affordable = (TERMS_CHECKED / problem.depth()).max(1);
    let compared = affordable.min(dst.len());
    let largest = dst.iter().fold(0.0f64, |largest, &x| largest.max(f64::from(x.abs())));
    let mut check = Check { error: 0.0, compared, outputs: dst.len(), mistake: None };
    for number in 0..compared {
        let index = if compared == dst.len() { number } else { all.sample(sample) };
        let position = position(problem, index);
        let sizes = [problem.out_channels, problem.rows.output, problem.cols.output];
        let found = f64::from(dst[reference::index(problem.dst_layout, position, sizes)]);
        let exact = reference::output(problem, tensors, position);
        let error = (found - exact.value).abs();
        let bound = bound_factor * exact.magnitude;
        // A NaN is beyond every bound.
        if error.is_nan() || error > bound {
            check.mistake.get_or_insert_with(|| {
                format!("output {position:?} is {found:e}, but should be {:e} ± {bound:.1e}", exact.value)
            });
        }
        if error > 0.0 {
            check.error = check.error.max(error / largest);
        }
    }
    if let Some(index) = dst.iter().position(|x| x.is_nan()) {
        check.mistake.get_or_insert_with(|| format!("the output at {index} in memory is NaN"));
    }
    check
}

/// [n, m, y, x] of output `index` in NCHW order.
fn position(problem: &Problem, index: usize) -> [usize; 4] {
    let (height, width) = (problem.rows.output, problem.cols.output);
    let (y, x) = (index / width % height, index % width);
    let image_channel = index / (height * width);
    [image_channel / problem.out_channels, image_channel % problem.out_channels, y, x]
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

impl Check {
    fn share(&self) -> String {
        if self.compared == self.outputs {
            return "all".to_string();
        }
        let percent = 100.0 * self.compared as f64 / self.outputs as f64;
        if percent >= 0.1 { format!("{percent:.1}%") } else { format!("{percent:.0e}%") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlow::descriptor;

    /// Checks a dst that is the oracle's, with one output replaced.
    fn checked(index: usize, replace: impl Fn(f32) -> f32) -> Check {
        let problem = descriptor::parse("mb2ic3ih5iw4oc2kh3ph1").expect("a problem").problem;
        let mut seeded = Seeded::new(7);
        let Ok(src) = seeded.floats(problem.src_len(), 1.0) else { panic!("little memory is there") };
        let Ok(weights) = seeded.floats(problem.weights_len(), 1.0) else { panic!("little memory is there") };
        let tensors = Tensors { src: src.floats(), weights: weights.floats(), bias: None, dst_before: &[] };
        let mut dst: Vec<_> = (0..problem.dst_len())
            .map(|index| reference::output(&problem, &tensors, position(&problem, index)).value as f32)
            .collect();
        dst[index] = replace(dst[index]);
        check(&problem, &tensors, &dst, &mut seeded.sample)
    }

    #[test]
    fn a_check_accepts_rounding_and_nothing_more() {
        let rounded = checked(0, |x| x * (1.0 + f32::EPSILON));
        assert_eq!(rounded.mistake, None);
        assert!(rounded.error > 0.0 && rounded.error < 1e-6);
        assert_eq!(rounded.share(), "all");
        for wrong in [|x: f32| x * 1.01, |x: f32| -x, |_| f32::NAN, |_| f32::INFINITY] {
            let mistake = checked(79, wrong).mistake.expect("a mistake");
            assert!(mistake.starts_with("output [1, 1, 4, 3] is "), "{mistake}");
        }
    }
}
