//! Pictures of the results: time a layer, time against memory, share of the peak.

mod axis;
mod bars;
mod canvas;
mod pareto;

use std::path::{Path, PathBuf};

use plotters::style::RGBColor;

use self::axis::Scale;
use self::bars::{Chart, Group};
use self::canvas::{Canvas, FAINT};
use self::pareto::Point;
use super::peers::{self, Peer};
use super::record::Record;
use super::report::{self, networks, problems, seconds};
use super::select::families;
use crate::options;
use crate::outcome::{Failure, Outcome};

/// Okabe and Ito's colours, which stay apart for colour-blind eyes, grey first for the reference.
const PALETTE: [RGBColor; 8] = [
    RGBColor(128, 128, 128),
    RGBColor(230, 159, 0),
    RGBColor(240, 208, 40),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
];

/// Where pictures go.
#[derive(Clone)]
pub(super) struct Target {
    stem: PathBuf,
    format: Format,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Svg,
    Png,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Svg => "svg",
            Format::Png => "png",
        }
    }
}

/// Reads a file name by its end.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let path = Path::new(text);
    let extension = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
    let format = [Format::Svg, Format::Png]
        .into_iter()
        .find(|format| extension.as_deref() == Some(format.extension()))
        .ok_or_else(|| "expected a file name that ends in .svg or .png".to_string())?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err("its folder does not exist".to_string());
    }
    Ok(Target { stem: path.with_extension(""), format })
}

/// Draws all pictures of the records.
pub(super) fn draw(target: &Target, records: &[Record], peers: &[Peer]) -> Outcome<()> {
    let measured: Vec<_> = records.iter().filter(|record| !record.skipped).cloned().collect();
    if measured.is_empty() {
        return Ok(());
    }
    let mut pictures = vec![("pareto".to_string(), pareto(&measured, peers))];
    let networks = networks(&measured);
    for (network, records) in &networks {
        let records: Vec<_> = records.iter().copied().cloned().collect();
        // Networks have pictures of their own: all in one would be too tall to look at.
        let of = if networks.len() > 1 { format!("-{}", file_name(network)) } else { String::new() };
        pictures.push((format!("time{of}"), time(&records)));
        pictures.push((format!("peak{of}"), peak(&records)));
    }
    for (name, canvas) in pictures {
        let mut file = target.stem.clone().into_os_string();
        file.push(format!("-{name}.{}", target.format.extension()));
        let file = PathBuf::from(file);
        save(&canvas, target.format, &file)
            .map_err(|error| Failure::Refused(format!("{} cannot be written: {error}", file.display())))?;
    }
    Ok(())
}

/// A network's name where a file's name may hold it.
fn file_name(network: &str) -> String {
    network.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

fn save(canvas: &Canvas, format: Format, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    match format {
        Format::Svg => std::fs::write(file, canvas.svg()?)?,
        Format::Png => canvas.png()?.save_with_format(file, image::ImageFormat::Png)?,
    }
    Ok(())
}

fn time(records: &[Record]) -> Canvas {
    let value = |record: &Record| seconds(record) * 1e3;
    let scale = Scale::log(records.iter().map(value)).unwrap_or(Scale::Linear { high: 1.0 });
    let chart = Chart {
        title: "Time of each family, layer by layer: shorter is better",
        notes: notes(records, "Medians; no bar: the family does not apply, or was left out."),
        axis: "time (ms, log)",
        scale,
        limit: None,
        series: series(records),
        panels: panels(records, value),
    };
    chart.draw()
}

fn peak(records: &[Record]) -> Canvas {
    let value = |record: &Record| record.peak_share.unwrap_or(0.0) * 100.0;
    let highest = records.iter().map(value).fold(100.0, f64::max);
    let peak = records[0].peak_gflops / records[0].threads as f64;
    let meaning = format!(
        "100% is {peak:.1} GFLOP/s a thread, measured in the same run; multiplications with padding count, though \
         some families leave them out."
    );
    let chart = Chart {
        title: "Share of the peak that each family reaches: higher is better",
        notes: notes(records, &meaning),
        axis: "share of the peak (%)",
        scale: Scale::linear(highest),
        limit: Some(100.0),
        series: series(records),
        panels: panels(records, value),
    };
    chart.draw()
}

/// What holds for all of a picture.
fn notes(records: &[Record], meaning: &str) -> Vec<String> {
    let mut notes = vec![meaning.to_string()];
    if records.iter().any(|record| record.auto) {
        notes.push("A triangle marks the family that AUTO chooses.".to_string());
    }
    notes.push(records[0].setting());
    notes
}

/// The families that were measured, with their colours.
fn series(records: &[Record]) -> Vec<(String, RGBColor)> {
    let there = |family: &&str| records.iter().any(|record| record.family == *family);
    families().into_iter().filter(there).map(|family| (family.to_string(), color(family))).collect()
}

/// A family's colour, the same in every picture. Beyond the palette they begin again, darker.
fn color(family: &str) -> RGBColor {
    let index = families().iter().position(|other| *other == family).unwrap_or(0);
    let RGBColor(r, g, b) = PALETTE[index % PALETTE.len()];
    match index / PALETTE.len() {
        0 => RGBColor(r, g, b),
        _ => RGBColor(r / 2, g / 2, b / 2),
    }
}

/// All numbers of threads, and a panel of each network for each of them.
fn split<'a, P>(records: &'a [Record], panel: impl Fn(String, &[&'a Record]) -> P) -> Vec<P> {
    let mut panels = Vec::new();
    for (network, records) in networks(records) {
        let mut threads: Vec<_> = records.iter().map(|record| record.threads).collect();
        threads.sort_unstable();
        threads.dedup();
        for number in threads {
            let mine: Vec<_> = records.iter().copied().filter(|record| record.threads == number).collect();
            let single = records.iter().all(|record| report::same_problem(record, records[0]));
            let name = if single { records[0].titled(&records[0].name) } else { network.clone() };
            panels.push(panel(format!("{name}, {}", options::threads(number)), &mine));
        }
    }
    panels
}

fn panels(records: &[Record], value: impl Fn(&Record) -> f64) -> Vec<bars::Panel> {
    let families: Vec<_> = series(records).into_iter().map(|(name, _)| name).collect();
    split(records, |title, records| {
        let groups = problems(records).into_iter().map(|runs| {
            let best = |family: &String| {
                let mine = runs.iter().filter(|run| run.family == family);
                mine.min_by(|a, b| seconds(a).total_cmp(&seconds(b))).map(|run| value(run))
            };
            let auto = runs.iter().find(|run| run.auto);
            Group {
                label: short(runs[0]),
                bars: families.iter().map(best).collect(),
                marked: auto.and_then(|auto| families.iter().position(|family| family == auto.family)),
            }
        });
        bars::Panel { title, groups: groups.collect() }
    })
}

/// The layer's name without its network's, and how often it occurs.
fn short(record: &Record) -> String {
    let network = record.network.as_deref().unwrap_or_default();
    let name =
        record.name.strip_prefix(network).and_then(|rest| rest.strip_prefix(':')).unwrap_or(&record.name);
    match record.count {
        1 => name.to_string(),
        count => format!("{name} ×{count}"),
    }
}

fn pareto(records: &[Record], peers: &[Peer]) -> Canvas {
    let panels = split(records, |title, records| {
        let runs = problems(records);
        let points = algorithms(records).into_iter().filter_map(|one| sum(&one, &runs)).collect();
        let mut points = merged(points);
        let threads = records.first().map_or(0, |record| record.threads);
        points.extend(peers::totals(peers, &runs, threads).into_iter().map(|total| Point {
            label: total.engine,
            milliseconds: total.seconds * 1e3,
            bytes: total.memory_bytes,
            color: FAINT,
            peer: true,
            whole: true,
        }));
        pareto::Panel { title, points }
    });
    let mut notes = vec![
        "Each point sums an algorithm over all layers, as often as they occur; the line is what nothing beats in both."
            .to_string(),
    ];
    if panels.iter().any(|panel| panel.points.iter().any(|point| !point.whole)) {
        notes.push("Hollow: AUTO computes the layers to which the algorithm does not apply; the name says how many it computes itself.".to_string());
    }
    if panels.iter().any(|panel| panel.points.iter().any(|point| point.peer)) {
        notes.push("Diamonds: other engines, each in its faster layout; what they need is counted as benches/peers/README.md says.".to_string());
    }
    notes.push(records[0].setting());
    pareto::draw("Time against workspace: down and to the left is better", &notes, &panels)
}

/// Points at one place as one, with all their names: AUTO often takes one algorithm wherever that applies.
fn merged(points: Vec<Point>) -> Vec<Point> {
    let mut merged: Vec<Point> = Vec::new();
    for point in points {
        let place = |point: &Point| (point.milliseconds, point.bytes);
        match merged.iter_mut().find(|other| place(other) == place(&point)) {
            Some(other) => {
                other.label = format!("{} = {}", point.label, other.label);
                (other.color, other.whole) = (point.color, point.whole);
            }
            None => merged.push(point),
        }
    }
    merged
}

/// What a point stands for.
enum Algorithm {
    /// Every family, as its best primitive differs from layer to layer.
    Family(&'static str),
    One(&'static str),
    Auto,
}

/// Families, or primitives where several of a family were measured for one problem; and AUTO.
fn algorithms(records: &[&Record]) -> Vec<Algorithm> {
    let mut algorithms = Vec::new();
    for family in families() {
        let mine: Vec<_> = records.iter().filter(|record| record.family == family).collect();
        let competes = mine.iter().enumerate().any(|(index, a)| {
            mine[..index].iter().any(|b| {
                let alike = report::same_problem(a, b) && a.gemm == b.gemm;
                alike && a.algorithm != b.algorithm && !a.auto && !b.auto
            })
        });
        if competes {
            let mut names: Vec<_> = mine.iter().map(|record| record.algorithm).collect();
            names.sort_unstable();
            names.dedup();
            algorithms.extend(names.into_iter().map(Algorithm::One));
        } else if !mine.is_empty() {
            algorithms.push(Algorithm::Family(family));
        }
    }
    if records.iter().any(|record| record.auto) {
        algorithms.push(Algorithm::Auto);
    }
    algorithms
}

/// An algorithm's point, where it computes at least half of the layers and AUTO the others.
fn sum(algorithm: &Algorithm, runs: &[Vec<&Record>]) -> Option<Point> {
    let holds = |record: &Record| match algorithm {
        Algorithm::Family(family) => record.family == *family,
        Algorithm::One(name) => record.algorithm == *name,
        Algorithm::Auto => record.auto,
    };
    let best = |runs: &[&Record], holds: &dyn Fn(&Record) -> bool| {
        let mine = runs.iter().copied().filter(|run| holds(run));
        mine.min_by(|a, b| seconds(a).total_cmp(&seconds(b))).cloned()
    };
    let (mut own, mut all, mut milliseconds, mut bytes) = (0, 0, 0.0, 0.0f64);
    for runs in runs {
        let mine = best(runs, &holds);
        own += mine.as_ref().map_or(0, |run| run.count);
        let run = mine.or_else(|| best(runs, &|run| run.auto))?;
        all += run.count;
        milliseconds += seconds(&run) * 1e3 * run.count as f64;
        bytes = bytes.max(run.workspace_bytes.unwrap_or(0) as f64);
    }
    if 2 * own < all {
        return None;
    }
    let (name, color) = match algorithm {
        Algorithm::Family(family) => (*family, color(family)),
        Algorithm::One(name) => {
            let family =
                runs.iter().flatten().find(|run| run.algorithm == *name).map_or("", |run| run.family);
            (*name, color(family))
        }
        Algorithm::Auto => ("AUTO", canvas::INK),
    };
    let label = if own == all { name.to_string() } else { format!("{name} ({own} of {all})") };
    Some(Point { label, milliseconds, bytes, color, peer: false, whole: own == all })
}
