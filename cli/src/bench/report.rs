//! The results as tables: the runs problem by problem, then the sums over each network.

use super::record::Record;
use crate::layer::milliseconds;
use crate::options;
use crate::table::Align::{Left, Right};
use crate::table::{Table, grouped};

/// What the columns mean.
pub(super) fn legend(records: &[Record]) -> String {
    let of_gradients = if records.iter().any(|record| record.is_gradient) { OF_GRADIENTS } else { "" };
    format!("{LEGEND}{of_gradients}")
}

const LEGEND: &str = "\
* the choice of AUTO; ms: median, +-: distance of the quartiles in percent of it; GFLOP/s: 2 x multiplications of
the definition, padding counted, / time; peak: share of what this many cores reach in multiply-adds alone.
workspace and packed weights in exact bytes; scaling: time of one thread / (threads x time of them).
burst: time of one of four runs in a row after a pause of 20 ms / ms; far above 1, the threads wake badly.
";

const OF_GRADIENTS: &str = "\
bwd_d, bwd_w: the gradient of the data, of the weights; layouts and multiplications of the forward convolution.
";

/// The runs, problem by problem.
pub(super) fn runs(records: &[Record]) -> Table {
    let shown = Shown {
        scaling: records.iter().any(|record| record.efficiency.is_some()),
        bursts: records.iter().any(|record| record.burst_ratio.is_some()),
        errors: records.iter().any(|record| record.error.is_some()),
    };
    let mut columns = vec![
        ("", Left),
        ("primitive", Left),
        ("layouts", Left),
        ("gemm", Left),
        ("threads", Right),
        ("ms", Right),
        ("+-", Right),
        ("GFLOP/s", Right),
        ("peak", Right),
        ("workspace", Right),
        ("packed", Right),
    ];
    columns.extend(shown.scaling.then_some(("scaling", Right)));
    columns.extend(shown.bursts.then_some(("burst", Right)));
    columns.extend(shown.errors.then_some(("error", Right)));
    let mut table = Table::new(&columns);
    for problem in records.chunk_by(same_problem) {
        let Record { name, problem: sizes, count, .. } = &problem[0];
        let times = if *count > 1 { format!(" x {count}") } else { String::new() };
        let sizes = if name == sizes { String::new() } else { format!("  {sizes}") };
        table.push([String::new()]);
        table.push([format!("{name}{times}{sizes}")]);
        for record in problem {
            if let Some(row) = row(record, &shown) {
                table.push(row);
            }
        }
    }
    table
}

/// The columns that some record fills.
struct Shown {
    scaling: bool,
    bursts: bool,
    errors: bool,
}

fn row(record: &Record, shown: &Shown) -> Option<Vec<String>> {
    let mark = if record.auto { "*" } else { "" };
    let mut cells = vec![
        mark.to_string(),
        record.algorithm.to_string(),
        format!("{}>{}", record.src_layout, record.dst_layout),
        record.gemm.unwrap_or("-").to_string(),
        record.threads.to_string(),
    ];
    let Some(seconds) = record.median_seconds else {
        // Of what does not apply, only the records speak.
        cells.push(format!("skipped: {}", record.reason.as_deref()?));
        return record.slow.then_some(cells);
    };
    cells.extend([
        milliseconds(seconds),
        percent(record.spread),
        record.gflops.map_or(String::new(), |gflops| format!("{gflops:.1}")),
        percent(record.peak_share),
        record.workspace_bytes.map_or(String::new(), grouped),
        record.packed_bytes.map_or(String::new(), grouped),
    ]);
    cells.extend(shown.scaling.then(|| percent(record.efficiency)));
    cells.extend(shown.bursts.then(|| ratio(record.burst_ratio)));
    cells.extend(shown.errors.then(|| record.error.map_or(String::new(), |error| format!("{error:.1e}"))));
    Some(cells)
}

fn percent(share: Option<f64>) -> String {
    share.map_or(String::new(), |share| format!("{:.0}%", share * 100.0))
}

fn ratio(ratio: Option<f64>) -> String {
    ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
}

pub(super) fn same_problem(a: &Record, b: &Record) -> bool {
    (&a.network, &a.name, &a.problem) == (&b.network, &b.name, &b.problem)
}

/// The sums over each network's layers, each layer as often as it occurs: of AUTO's choices and of every family.
pub(super) fn sums(records: &[Record]) -> Table {
    let mut table = Table::new(&[
        ("", Left),
        ("family", Left),
        ("gemm", Left),
        ("threads", Right),
        ("layers", Right),
        ("ms", Right),
        ("geomean ms", Right),
        ("GFLOP/s", Right),
        ("peak", Right),
        ("burst", Right),
        ("largest workspace", Right),
    ]);
    for (network, records) in networks(records) {
        table.push([String::new()]);
        table.push([network]);
        let layers: usize = problems(&records).iter().map(|runs| runs[0].count).sum();
        for series in all_series(&records) {
            let runs: Vec<_> = problems(&records).iter().filter_map(|runs| series.best_of(runs)).collect();
            if runs.is_empty() {
                continue;
            }
            let count: usize = runs.iter().map(|run| run.count).sum();
            let weighted =
                |of: fn(&Record) -> f64| -> f64 { runs.iter().map(|run| of(run) * run.count as f64).sum() };
            let seconds = weighted(seconds);
            let operations = weighted(|run| run.gflops.unwrap_or(0.0) * self::seconds(run));
            let geomean = (weighted(|run| self::seconds(run).ln()) / count as f64).exp();
            let gflops = operations / seconds;
            let in_bursts =
                runs.iter().map(|run| Some(run.burst_ratio? * self::seconds(run) * run.count as f64));
            let in_bursts = in_bursts.sum::<Option<f64>>();
            table.push([
                String::new(),
                series.name.to_string(),
                series.gemm.unwrap_or("-").to_string(),
                series.threads.to_string(),
                format!("{count}/{layers}"),
                milliseconds(seconds),
                milliseconds(geomean),
                format!("{gflops:.1}"),
                percent(Some(gflops / runs[0].peak_gflops)),
                ratio(in_bursts.map(|bursts| bursts / seconds)),
                grouped(runs.iter().filter_map(|run| run.workspace_bytes).max().unwrap_or(0)),
            ]);
        }
    }
    table
}

/// What a sum is taken of.
#[derive(Clone, Copy, PartialEq)]
struct Series {
    /// A family or `auto`.
    name: &'static str,
    /// For `auto`, the one that was asked for.
    gemm: Option<&'static str>,
    threads: usize,
}

impl Series {
    fn holds(&self, record: &Record) -> bool {
        let named = match self.name {
            AUTO => self.gemm.is_some_and(|gemm| record.auto_for.contains(&gemm)),
            family => family == record.family && self.gemm == record.gemm,
        };
        named && record.threads == self.threads && !record.skipped
    }

    /// The fastest of a problem's runs that belong to it.
    fn best_of<'a>(&self, runs: &[&'a Record]) -> Option<&'a Record> {
        let mine = runs.iter().copied().filter(|run| self.holds(run));
        mine.min_by(|a, b| seconds(a).total_cmp(&seconds(b)))
    }
}

const AUTO: &str = "auto";

fn all_series(records: &[&Record]) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let mut add = |series: Series| {
        if !all.contains(&series) {
            all.push(series);
        }
    };
    let measured = || records.iter().filter(|record| !record.skipped);
    for family in super::select::families() {
        for run in measured().filter(|run| run.family == family) {
            add(Series { name: family, gemm: run.gemm, threads: run.threads });
        }
    }
    for run in measured() {
        for &gemm in &run.auto_for {
            add(Series { name: AUTO, gemm: Some(gemm), threads: run.threads });
        }
    }
    all.sort_by_key(|series| series.threads);
    all
}

/// The networks in the order of their first problems, each gradient apart; the problems of the command line are one.
pub(super) fn networks(records: &[Record]) -> Vec<(String, Vec<&Record>)> {
    let mut networks: Vec<(String, Vec<&Record>)> = Vec::new();
    for record in records {
        let name = record.titled(record.network.as_deref().unwrap_or(PROBLEMS));
        match networks.iter_mut().find(|(other, _)| *other == name) {
            Some((_, records)) => records.push(record),
            None => networks.push((name, vec![record])),
        }
    }
    networks
}

/// What stands for a network's name where problems come from the command line.
const PROBLEMS: &str = "all problems";

/// Records of one network problem by problem.
pub(super) fn problems<'a>(records: &[&'a Record]) -> Vec<Vec<&'a Record>> {
    records.chunk_by(|a, b| same_problem(a, b)).map(<[_]>::to_vec).collect()
}

/// Seconds of what was measured.
pub(super) fn seconds(record: &Record) -> f64 {
    record.median_seconds.unwrap_or(f64::INFINITY)
}

/// The peak, in words.
pub(super) fn peak(flops_per_second: f64, largest_threads: usize) -> String {
    let gflops = flops_per_second / 1e9;
    let all = match largest_threads {
        1 => String::new(),
        threads => format!(", {:.1} for {}", gflops * threads as f64, options::threads(threads)),
    };
    format!("measured peak {gflops:.1} GFLOP/s for a core{all}")
}
