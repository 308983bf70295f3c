//! `convlow bench`: primitives measured side by side on problems and networks.

mod data;
mod job;
mod measure;
mod peak;
mod peers;
mod plot;
mod record;
mod report;
mod select;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use convlow::descriptor;
use convlow::gemm::BackendChoice;
use convlow::{DataType, Pool, Problem};
use indicatif::{ProgressBar, ProgressStyle};

use self::job::Job;
use self::measure::{Bursts, Clock, Rules};
use self::peak::Peak;
use self::record::{Record, Setting};
use self::select::{Selection, Settings, Wanted};
use crate::layouts::LayoutArguments;
use crate::lists::Listed;
use crate::options::{Arithmetic, PropagationArgument};
use crate::outcome::{Failure, INTERRUPTED, Outcome};
use crate::seeded::Seeded;
use crate::{lists, options};

/// The name that stands for [`lists::PAPER`].
const PAPER: &str = "paper";

const EXAMPLES: &str = "\
Examples:
  The four networks of paper, all families, tables on the terminal:
      convlow bench
  One layer, every primitive, checked against float64:
      convlow bench ic256ih56oc256oh56kh3ph1 --algorithms all --check
  Strong scaling of one layer, the columns \"scaling\" against 1 thread, \"burst\" against no pause:
      convlow bench ic256ih56oc256oh56kh3ph1 --threads 1,2,4,8
  Throughput over a batch, as GFLOP/s, with both GEMMs:
      convlow bench --network resnet50 --batch 16 --threads 8 --gemm blas,embedded --algorithms auto
  The gradients of a network's weights, in training on 16 images:
      convlow bench --network resnet50 --propagation backward-weights --batch 16
  Records to work with and pictures to look at (net-time.svg, net-pareto.svg, net-peak.svg):
      convlow bench --network alexnet --threads 1,2 --json net.json --csv net.csv --plot net.svg
  On one core, whatever else the machine does:
      taskset -c 1 convlow bench --network vgg16

All primitives of a problem run in turns, A B C A B C, after one run each to warm up, and one more where the \
number of threads changes; weights are packed before. Pictures show these runs back to back. \
PROBLEM and FILE are written as for oneDNN's benchdnn. \
Ctrl-C ends after the current run and prints what is finished; the exit code is then 130.";

/// Arguments of `convlow bench`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Convolutions, as ic256ih56oc256oh56kh3ph1; without problems and networks, the four of paper
    #[arg(value_name = "PROBLEM")]
    problems: Vec<String>,
    /// A known network as resnet50 or mobilenet_v2, a list file, or paper for alexnet, googlenet, resnet50 and vgg16; may
    /// be repeated
    #[arg(long = "network", value_name = "NAME|FILE", value_delimiter = ',')]
    networks: Vec<String>,
    /// What to measure: auto, primitives, families (the best of each by estimate), best (of every family), all; of those
    /// that are not exact, best and all take what --math allows
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "best,auto,winograd",
          value_parser = select::wanted)]
    algorithms: Vec<Wanted>,
    #[command(flatten)]
    layouts: LayoutArguments,
    /// Numbers of threads; 0 stands for as many as this process may use
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1")]
    threads: Vec<usize>,
    /// Matrix multiplications
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "auto", value_parser = options::gemm())]
    gemm: Vec<BackendChoice>,
    /// The arithmetic of auto, best and all: every product of the definition, or Winograd's too
    #[arg(long, value_enum, default_value_t = Arithmetic::Exact)]
    math: Arithmetic,
    /// Most bytes of workspace for a problem, as 65536, 64K or 1M
    #[arg(long, value_name = "BYTES", value_parser = options::bytes)]
    max_workspace: Option<usize>,
    /// Images at once, whatever the problems say
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// What the elements are, whatever the lists say
    #[arg(long = "dt", value_name = "TYPE", value_parser = options::data_type())]
    data_type: Option<DataType>,
    #[command(flatten)]
    what: PropagationArgument,
    /// Timed runs of each primitive, and timed bursts; without it, as many as the time limit allows, 15 or more for
    /// short ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// What is timed in bursts too, threaded being all on more than one thread: a burst is a pause of 20 ms, in which
    /// threads fall asleep, then four runs in a row, timed together without the pause
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Bursts::Threaded)]
    bursts: Bursts,
    /// Seconds for everything; every primitive is timed once whatever the limit
    #[arg(long, value_name = "SECONDS", default_value_t = 240.0, value_parser = seconds)]
    time_limit: f64,
    /// Compare outputs with the definition in float64
    #[arg(long)]
    check: bool,
    /// Where inputs and weights begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the results as one JSON object a line; - for the standard output, in place of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as comma-separated values; - for the standard output, in place of the tables
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw pictures: out.svg or out.png writes out-time, out-pareto and out-peak, of several networks
    /// out-time-NETWORK and out-peak-NETWORK; may be repeated
    #[arg(long = "plot", value_name = "FILE", value_parser = plot::target)]
    plots: Vec<plot::Target>,
    /// Results of other engines for the picture of time against memory, as benches/peers/run --json writes them
    #[arg(long, value_name = "FILE", requires = "plots")]
    peers: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Outcome<()> {
    let settings = settings(arguments)?;
    let mut jobs = jobs(arguments, &settings)?;
    let peers = arguments.peers.as_deref().map(peers::load).transpose()?.unwrap_or_default();
    let interrupted = interruption()?;
    // Files that cannot be written are told before the work, not behind it.
    let json = arguments.json.as_deref().map(Sink::open).transpose()?;
    let csv = arguments.csv.as_deref().map(Sink::open).transpose()?;
    if matches!((&json, &csv), (Some(Sink::Standard), Some(Sink::Standard))) {
        return Err(Failure::Refused("--json and --csv cannot both go to the standard output".to_string()));
    }
    let tables = ![&json, &csv].into_iter().any(|sink| matches!(sink, Some(Sink::Standard)));

    let clock = Clock::new(Duration::from_secs_f64(arguments.time_limit), interrupted);
    let peak = measure_all(&mut jobs, arguments, &clock)?;
    let setting = Setting { machine: record::machine(), peak_flops_per_second: peak.flops_per_second() };
    let records = records(&jobs, &setting);
    if let Some(sink) = json {
        sink.write(out, |out| record::write_json(&records, out))?;
    }
    if let Some(sink) = csv {
        sink.write(out, |out| record::write_csv(&records, out))?;
    }
    if tables {
        let largest = settings.pools.iter().map(Pool::threads).max().unwrap_or(1);
        writeln!(out, "{}\n{}", convlow::build_info(), setting.machine)?;
        writeln!(out, "{}\n", report::peak(setting.peak_flops_per_second, largest))?;
        write!(out, "{}\n{}", report::runs(&records), report::legend(&records))?;
        if jobs.len() > 1 {
            write!(out, "\nSums over the layers, each as often as it occurs:\n{}", report::sums(&records))?;
        }
        out.flush()?;
    }
    for target in &arguments.plots {
        plot::draw(target, &records, &peers)?;
    }
    if clock.interrupted() {
        let finished = jobs.iter().filter(|job| job.timings.is_some()).count();
        return Err(Failure::Interrupted(format!(
            "interrupted: {finished} of {} problems are finished",
            jobs.len()
        )));
    }
    verdict(&jobs)
}

fn settings(arguments: &Arguments) -> Outcome<Settings> {
    let mut threads = Vec::new();
    for &number in &arguments.threads {
        let pool = Pool::new(number)?;
        if !threads.iter().any(|other: &Pool| other.threads() == pool.threads()) {
            threads.push(pool);
        }
    }
    Ok(Settings {
        wanted: arguments.algorithms.clone(),
        pairs: arguments.layouts.pairs(),
        pools: threads,
        gemms: arguments.gemm.clone(),
        math: arguments.math.math(),
        max_workspace_bytes: arguments.max_workspace.unwrap_or(usize::MAX),
    })
}

/// All problems with what is to be measured of them, so that what cannot be done is told at once.
fn jobs(arguments: &Arguments, settings: &Settings) -> Outcome<Vec<Job>> {
    let mut entries = Vec::new();
    for text in &arguments.problems {
        let entry = descriptor::parse(text.trim())
            .map_err(|error| Failure::Refused(format!("{:?}: {error}", text.trim())))?;
        entries.push((None, Listed { entry, bias_gradient: false }));
    }
    let of_paper: Vec<_> = lists::PAPER.map(str::to_string).into();
    let paper = [PAPER.to_string()];
    let asked =
        if entries.is_empty() && arguments.networks.is_empty() { &paper } else { &arguments.networks[..] };
    for network in asked {
        for name in if network == PAPER { &of_paper } else { std::slice::from_ref(network) } {
            let short = Path::new(name).file_stem().map_or(name.into(), |stem| stem.to_string_lossy());
            entries.extend(lists::load(name)?.into_iter().map(|listed| (Some(short.to_string()), listed)));
        }
    }
    let mut jobs = Vec::new();
    for (network, Listed { entry, bias_gradient }) in entries {
        let problem = Problem {
            batch: arguments.batch.unwrap_or(entry.problem.batch),
            data_type: arguments.data_type.unwrap_or(entry.problem.data_type),
            propagation: arguments.what.propagation.unwrap_or(entry.problem.propagation),
            ..entry.problem
        };
        let entry = lists::of_some_image(lists::changed(problem, entry)?)?;
        let selection = Selection::new(&entry.problem, settings)?;
        jobs.push(Job { network, entry, bias_gradient, selection, timings: None });
    }
    let nothing = jobs.iter().all(|job| job.selection.candidates.is_empty());
    if let Some(passed) = jobs.first().and_then(|job| job.selection.passed.first()).filter(|_| nothing) {
        return Err(Failure::Refused(format!(
            "nothing to measure: {}: {}",
            passed.entry.name(),
            passed.reason
        )));
    }
    if nothing {
        return Err(Failure::Refused("nothing to measure within the limits".to_string()));
    }
    Ok(jobs)
}

/// Measures one problem after the other, and the peak between them.
fn measure_all(jobs: &mut [Job], arguments: &Arguments, clock: &Clock) -> Outcome<Peak> {
    let mut seeded = Seeded::new(arguments.seed);
    let Arguments { rounds, bursts, check, .. } = *arguments;
    let weights: Vec<_> =
        jobs.iter().map(|job| measure::estimate(&job.selection.candidates, bursts)).collect();
    let progress = progress(weights.iter().sum());
    let mut peak = Peak::default();
    peak.look();
    let mut left: f64 = weights.iter().sum();
    for (job, weight) in jobs.iter_mut().zip(weights) {
        let share = if left > 0.0 { (weight / left).min(1.0) } else { 1.0 };
        progress.set_message(job.entry.name.clone());
        let before = progress.position();
        let rules = Rules { clock, rounds, bursts, check, bias_gradient: job.bias_gradient };
        job.timings =
            measure::measure(&job.entry, &job.selection.candidates, &rules, share, &mut seeded, |round| {
                progress.inc(steps(weight * round))
            })?;
        progress.set_position(before + steps(weight));
        left -= weight;
        peak.look();
        if clock.interrupted() {
            break;
        }
    }
    progress.finish_and_clear();
    Ok(peak)
}

/// A bar on stderr with the time that is left; none where stderr is no terminal.
fn progress(estimate: f64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {percent:>3}%, {eta} left  {msg:30!}")
        .expect("a valid template");
    let progress = ProgressBar::new(steps(estimate)).with_style(style);
    progress.enable_steady_tick(Duration::from_millis(500));
    progress
}

/// The bar's steps: estimated nanoseconds.
fn steps(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

fn records(jobs: &[Job], setting: &Setting) -> Vec<Record> {
    let mut all = Vec::new();
    for job in jobs {
        let Some(timings) = &job.timings else { continue };
        let mut records: Vec<_> = job
            .selection
            .candidates
            .iter()
            .zip(timings)
            .map(|(candidate, timing)| Record::measured(job, candidate, timing, setting))
            .collect();
        record::compare_threads(&mut records);
        all.append(&mut records);
        all.extend(job.selection.passed.iter().map(|passed| Record::passed(job, passed, setting)));
    }
    all
}

/// Whether all outputs that were checked are right.
fn verdict(jobs: &[Job]) -> Outcome<()> {
    for job in jobs {
        let timings = job.timings.iter().flatten();
        for (candidate, timing) in job.selection.candidates.iter().zip(timings) {
            if let Some(mistake) = &timing.mistake {
                let algorithm = candidate.plan.info().entry.name();
                return Err(Failure::Wrong(format!("{} by {algorithm}: {mistake}", job.entry.name)));
            }
        }
    }
    Ok(())
}

/// What Ctrl-C sets. A second one ends the program at once.
fn interruption() -> Outcome<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })
    .map_err(|error| Failure::Refused(format!("Ctrl-C cannot be caught: {error}")))?;
    Ok(interrupted)
}

/// Where results go.
enum Sink {
    Standard,
    File(File),
}

impl Sink {
    fn open(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Ok(Self::Standard);
        }
        let file = File::create(path)
            .map_err(|error| Failure::Refused(format!("{} cannot be written: {error}", path.display())))?;
        Ok(Self::File(file))
    }

    fn write(
        self,
        standard: &mut impl Write,
        write: impl FnOnce(&mut dyn Write) -> Outcome<()>,
    ) -> Outcome<()> {
        match self {
            Self::Standard => write(standard),
            Self::File(file) => write(&mut io::BufWriter::new(file)),
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|seconds| (0.0..=1e6).contains(seconds));
    parsed.ok_or_else(|| "expected a number of seconds".to_string())
}
