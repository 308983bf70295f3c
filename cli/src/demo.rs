//! `convlow demo`: the convolutions of VGG-16 on a photograph, or the problems of a list one by one.

use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use convlow::descriptor::Entry;
use convlow::{Activation, AlgorithmChoice, Axis, Buffer, Effort, Layout, Options, Problem, reference};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use crate::layer::{self, Layer, Report};
use crate::options::{self, PlanArguments};
use crate::outcome::Outcome;
use crate::seeded::Seeded;
use crate::{lists, photo};

/// Output channels and number of VGG-16's convolutions between two poolings.
const STAGES: [(usize, usize); 5] = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)];

/// Arguments of `convlow demo`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// JPEG or PNG image to use in place of the built-in photograph
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    image: Option<PathBuf>,
    /// Run the problems of a known network (alexnet, deeplab_v3, efficientnet_b0, googlenet, inception_v3, mobilenet_v1, mobilenet_v2, resnet50, resnext50_32x4d, unet, vgg16, wavenet_1d, yolo_v3) or of a list file one by one on random input
    #[arg(long, value_name = "NAME|FILE")]
    network: Option<String>,
    /// Layout of inputs and outputs
    #[arg(long, value_name = "LAYOUT", default_value = "nchw", value_parser = options::layout())]
    layout: Layout,
    /// Use this algorithm for all layers
    #[arg(
        long,
        value_name = "NAME",
        default_value = "auto",
        hide_possible_values = true,
        value_parser = options::algorithm()
    )]
    algorithm: AlgorithmChoice,
    #[command(flatten)]
    plan: PlanArguments,
    /// Where weights and other random numbers begin
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Outcome<()> {
    let options = Options { algorithm: arguments.algorithm, ..arguments.plan.options()? };
    match &arguments.network {
        Some(network) => run_list(network, arguments, &options, out),
        None => run_photo(arguments, &options, out),
    }
}

fn run_photo(arguments: &Arguments, options: &Options, out: &mut impl Write) -> Outcome<()> {
    let photo = photo::load(arguments.image.as_deref())?;
    let stages = vgg16(arguments.layout);
    let layers = plan(&stages.concat(), options)?;
    let name = arguments.image.as_deref().map_or(Cow::Borrowed("astronaut.jpg"), Path::to_string_lossy);
    let (side, width, height) = (photo::SIDE, photo.width(), photo.height());
    writeln!(out, "The convolutions of VGG-16 on {name}, {width}x{height} scaled to {side}x{side}")?;
    write_settings(arguments, options, out)?;

    let mut seeded = Seeded::new(arguments.seed);
    let progress = progress(layers.len());
    let mut reports = Vec::new();
    let mut map = photo::input(&photo::scaled(&photo), arguments.layout)?;
    let mut layers = layers.iter();
    for (stage, entries) in stages.iter().enumerate() {
        if stage > 0 {
            map = halved(&map, arguments.layout, &entries[0].problem)?;
        }
        for layer in layers.by_ref().take(entries.len()) {
            progress.set_message(layer.name().to_string());
            let done = layer.run(Some(&map), &mut seeded)?;
            map = done.dst;
            reports.push(done.report);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    write_reports(&reports, out)?;
    if let Some(last) = stages.last().and_then(|entries| entries.last()) {
        writeln!(out, "\n{}", fingerprint(&map, &last.problem))?;
    }
    layer::verdict(&reports)
}

fn run_list(network: &str, arguments: &Arguments, options: &Options, out: &mut impl Write) -> Outcome<()> {
    let mut entries = lists::load_forward(network)?;
    for entry in &mut entries {
        (entry.problem.src_layout, entry.problem.dst_layout) = (arguments.layout, arguments.layout);
    }
    let layers = plan(&entries, options)?;
    writeln!(out, "The problems of {network} on random input")?;
    write_settings(arguments, options, out)?;

    let mut seeded = Seeded::new(arguments.seed);
    let progress = progress(layers.len());
    let mut reports = Vec::new();
    for layer in &layers {
        progress.set_message(layer.name().to_string());
        reports.push(layer.run(None, &mut seeded)?.report);
        progress.inc(1);
    }
    progress.finish_and_clear();
    write_reports(&reports, out)?;
    layer::verdict(&reports)
}

/// All plans before any run, so that a layer which cannot be computed is told at once.
fn plan(entries: &[Entry], options: &Options) -> Outcome<Vec<Layer>> {
    let measures = options.effort == Effort::Measure;
    let progress = if measures { progress(entries.len()) } else { ProgressBar::hidden() };
    let planned = entries.iter().map(|entry| {
        progress.set_message(format!("measuring for {}", entry.name));
        let layer = Layer::new(entry, options);
        progress.inc(1);
        layer
    });
    planned.collect()
}

fn write_settings(arguments: &Arguments, options: &Options, out: &mut impl Write) -> Outcome<()> {
    writeln!(out, "{}", convlow::build_info())?;
    let (layout, seed) = (arguments.layout.name(), arguments.seed);
    writeln!(out, "{layout}, {}, seed {seed}\n", options::summary(options))?;
    // To be read while the layers run.
    out.flush()?;
    Ok(())
}

fn write_reports(reports: &[Report], out: &mut impl Write) -> Outcome<()> {
    write!(out, "{}\n{}", layer::table(reports), layer::LEGEND)?;
    Ok(())
}

/// A line on stderr while layers are at work; none where stderr is no terminal.
fn progress(layers: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {pos}/{len} {msg}").expect("a valid template");
    ProgressBar::new(layers as u64).with_style(style).with_finish(ProgressFinish::AndClear)
}

/// VGG-16's convolutions, stage by stage.
fn vgg16(layout: Layout) -> Vec<Vec<Entry>> {
    let (mut channels, mut side) = (photo::CHANNELS, photo::SIDE);
    let mut stages = Vec::new();
    for (stage, (out_channels, layers)) in (1..).zip(STAGES) {
        let mut entries = Vec::new();
        for number in 1..=layers {
            let axis = Axis { pad_before: 1, pad_after: 1, ..Axis::dense(side, 3) };
            let problem = Problem::new(Problem {
                in_channels: channels,
                out_channels,
                rows: axis,
                cols: axis,
                src_layout: layout,
                dst_layout: layout,
                activation: Activation::Clamp { min: 0.0, max: f64::INFINITY },
                ..Problem::UNIT
            })
            .expect("VGG-16's layers are valid");
            entries.push(Entry { problem, name: format!("conv{stage}_{number}"), count: 1 });
            channels = out_channels;
        }
        stages.push(entries);
        side /= 2;
    }
    stages
}

/// 2x2 max-pooling into the input of `next`.
fn halved(map: &Buffer, layout: Layout, next: &Problem) -> Outcome<Buffer> {
    let (channels, height, width) = (next.in_channels, next.rows.input, next.cols.input);
    let mut half = Buffer::new(next.src_len() * size_of::<f32>())?;
    let (from, to) = (map.elements::<f32>(), half.elements_mut::<f32>());
    for c in 0..channels {
        for y in 0..height {
            for x in 0..width {
                let at = |dy: usize, dx: usize| {
                    let sizes = [channels, 2 * height, 2 * width];
                    from[reference::index(layout, &[0, c, 2 * y + dy, 2 * x + dx], &sizes)]
                };
                to[reference::index(layout, &[0, c, y, x], &[channels, height, width])] =
                    at(0, 0).max(at(0, 1)).max(at(1, 0)).max(at(1, 1));
            }
        }
    }
    Ok(half)
}

/// What tells whether two runs ended with the same map: in value, and in every bit.
fn fingerprint(map: &Buffer, problem: &Problem) -> String {
    let sizes @ [channels, height, width] = [problem.out_channels, problem.rows.output, problem.cols.output];
    let (mut sum, mut largest) = (0.0, 0.0f32);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64; // FNV-1a
    for c in 0..channels {
        for y in 0..height {
            for x in 0..width {
                let value =
                    map.elements::<f32>()[reference::index(problem.dst_layout, &[0, c, y, x], &sizes)];
                sum += f64::from(value);
                largest = largest.max(value);
                for byte in value.to_le_bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
    }
    let mean = sum / map.elements::<f32>().len() as f64;
    format!(
        "final feature map {channels}x{height}x{width}: mean {mean:.5}, largest {largest:.4}, bits {hash:016x}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_the_one_of_the_list() {
        let Ok(listed) = lists::load_forward("vgg16") else { panic!("the list is malformed") };
        let listed: Vec<_> =
            listed.iter().flat_map(|entry| std::iter::repeat_n(entry.problem, entry.count)).collect();
        let without_relu = |entry: Entry| Problem { activation: Activation::None, ..entry.problem };
        let stack: Vec<_> = vgg16(Layout::Nchw).concat().into_iter().map(without_relu).collect();
        assert_eq!(stack, listed);
    }

    #[test]
    fn halved_takes_the_largest_of_each_square_in_both_layouts() {
        let [_, stage, ..] = &vgg16(Layout::Nchw)[..] else { panic!("VGG-16 has five stages") };
        let axis = Axis::dense(2, 1);
        let next = Problem { in_channels: 2, rows: axis, cols: axis, ..stage[0].problem };
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let Ok(mut map) = Buffer::new(2 * 4 * 4 * size_of::<f32>()) else {
                panic!("32 floats are there")
            };
            for (c, y, x) in (0..32).map(|index| (index / 16, index / 4 % 4, index % 4)) {
                let value = (100 * c + 10 * y + x) as f32;
                map.elements_mut::<f32>()[reference::index(layout, &[0, c, y, x], &[2, 4, 4])] = value;
            }
            let Ok(half) = halved(&map, layout, &next) else { panic!("8 floats are there") };
            for (c, y, x) in (0..8).map(|index| (index / 4, index / 2 % 2, index % 2)) {
                let found = half.elements::<f32>()[reference::index(layout, &[0, c, y, x], &[2, 2, 2])];
                assert_eq!(found, (100 * c + 10 * (2 * y + 1) + 2 * x + 1) as f32);
            }
        }
    }
}
