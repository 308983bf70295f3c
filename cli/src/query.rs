//! `convlow query`: every primitive's answer for one problem.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use convlow::algorithms::REGISTRY;
use convlow::{DataType, Effort, Info, Layout, Options, Problem, descriptor, planner};
use indicatif::ProgressBar;

use crate::layer::milliseconds;
use crate::layouts::{LayoutArguments, Pair, pair_name};
use crate::options::{self, PlanArguments, PropagationArgument};
use crate::outcome::{Failure, Outcome};
use crate::table::Align::{Left, Right};
use crate::table::{Table, grouped};

/// Arguments of `convlow query`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// A convolution, as ic256ih56oc256oh56kh3ph1: input channels, height, output channels, output height,
    /// kernel, padding; widths copy heights
    problem: String,
    #[command(flatten)]
    layouts: LayoutArguments,
    #[command(flatten)]
    plan: PlanArguments,
    /// What the elements are
    #[arg(long = "dt", value_name = "TYPE", default_value = DataType::F32.name(), value_parser = options::data_type())]
    data_type: DataType,
    #[command(flatten)]
    what: PropagationArgument,
    /// Most seconds of measuring for each pair of layouts
    #[arg(long, value_name = "SECONDS", requires = "measure",
          default_value_t = Options::DEFAULT_BUDGET_SECONDS)]
    budget: f64,
    /// Comma-separated values with plain numbers
    #[arg(long)]
    csv: bool,
}

/// One pair's answers, in registry order.
struct Answers {
    pair: Pair,
    infos: Vec<Info>,
}

/// A primitive's line.
struct Line<'a> {
    info: &'a Info,
    /// The layouts it works on; `None` for any.
    pair: Option<Pair>,
    chosen: bool,
}

/// Runs the subcommand.
pub(crate) fn run(arguments: &Arguments, out: &mut impl Write) -> Outcome<()> {
    let text = arguments.problem.trim();
    let refused = |error| Failure::Refused(format!("{text:?}: {error}"));
    let problem = descriptor::parse(text).map_err(refused)?.problem;
    let problem = {
        let (data_type, propagation) = (arguments.data_type, arguments.what.propagation.unwrap_or_default());
        Problem::new(Problem { data_type, propagation, ..problem }).map_err(refused)?
    };
    let options = Options { measure_budget_seconds: arguments.budget, ..arguments.plan.options()? };
    let answers = arguments
        .layouts
        .pairs()
        .into_iter()
        .map(|pair| Ok(Answers { pair, infos: ask(&problem, pair, &options)? }))
        .collect::<Outcome<Vec<_>>>()?;
    let lines = lines(&answers);
    if arguments.csv {
        write_csv(&lines, out)
    } else {
        writeln!(out, "{text}: {}", options::summary(&options))?;
        write_choices(&answers, out)?;
        writeln!(out, "\nall primitives, * the choice of AUTO; workspace and weights in bytes\n")?;
        write!(out, "{}", table(&lines, &options))?;
        Ok(())
    }
}

fn ask(problem: &Problem, (src_layout, dst_layout): Pair, options: &Options) -> Outcome<Vec<Info>> {
    let problem = Problem { src_layout, dst_layout, ..*problem };
    let spinner = ProgressBar::new_spinner();
    if options.effort == Effort::Measure {
        spinner.set_message(format!("measuring {}", pair_name((src_layout, dst_layout))));
        spinner.enable_steady_tick(Duration::from_millis(100));
    }
    let infos = planner::query(&problem, options);
    spinner.finish_and_clear();
    Ok(infos?)
}

/// A line for every pair at which a primitive applies, or one with the reason why it does not.
fn lines(answers: &[Answers]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for (index, entry) in REGISTRY.iter().enumerate() {
        let asked = answers.iter().map(|answers| (answers.pair, &answers.infos[index]));
        let applicable: Vec<_> = asked.clone().filter(|(_, info)| info.applicable).collect();
        let chosen = |info: &Info| info.applicable && info.reason.is_none();
        if let [(_, first), ..] = applicable[..]
            && applicable.len() == Layout::PAIRS.len()
        {
            // It is the same everywhere, up to its time.
            let info = applicable.iter().map(|(_, info)| *info).find(|info| chosen(info)).unwrap_or(first);
            lines.push(Line { info, pair: None, chosen: chosen(info) });
        } else if applicable.is_empty() {
            // Where the layouts are right, the reason is another one.
            let native = entry.layouts.first().copied();
            let mut reasons = asked.clone();
            let native_reason = asked.clone().find(|(pair, _)| Some(*pair) == native);
            if let Some((_, info)) = native_reason.or_else(|| reasons.next()) {
                let pair = native.filter(|_| entry.layouts.len() < Layout::PAIRS.len());
                lines.push(Line { info, pair, chosen: false });
            }
        } else {
            let found = applicable.into_iter();
            lines.extend(found.map(|(pair, info)| Line { info, pair: Some(pair), chosen: chosen(info) }));
        }
    }
    lines
}

fn table(lines: &[Line<'_>], options: &Options) -> Table {
    let measured = lines.iter().any(|line| line.info.measured_seconds > 0.0);
    let mut columns = vec![
        ("", Left),
        ("primitive", Left),
        ("layouts", Left),
        ("workspace", Right),
        ("packed weights", Right),
        ("gemms", Right),
        ("est. ms", Right),
    ];
    if measured {
        columns.push(("ms", Right));
    }
    columns.push(("", Left));
    let mut table = Table::new(&columns);
    for Line { info, pair, chosen } in lines {
        let mark = if *chosen { "*" } else { "" };
        let mut cells =
            vec![mark.to_string(), info.entry.name().to_string(), pair.map_or("any".into(), pair_name)];
        if info.applicable {
            cells.extend([
                grouped(info.workspace_bytes),
                grouped(info.packed_weights_bytes),
                grouped(info.gemm_calls),
                milliseconds(info.estimated_seconds),
            ]);
            if measured {
                cells.push(match info.measured_seconds {
                    0.0 => "-".to_string(),
                    seconds => milliseconds(seconds),
                });
            }
            let over = info.workspace_bytes > options.max_workspace_bytes;
            cells.push(if over { "over the limit".to_string() } else { String::new() });
        } else {
            cells.push(reason(info));
        }
        table.push(cells);
    }
    table
}

fn write_choices(answers: &[Answers], out: &mut impl Write) -> Outcome<()> {
    writeln!(out, "\nthe choice of AUTO:")?;
    for Answers { pair, infos } in answers {
        let chosen = infos.iter().find(|info| info.applicable && info.reason.is_none());
        let (name, gemm) = match chosen {
            Some(info) => (info.entry.name(), gemm(info)),
            None => ("nothing: no primitive fits the limit", ""),
        };
        let gemm = if gemm.is_empty() { String::new() } else { format!(", gemm {gemm}") };
        let bytes = chosen
            .map_or(String::new(), |info| format!(", {} bytes of workspace", grouped(info.workspace_bytes)));
        writeln!(out, "  {}  {name}{gemm}{bytes}", pair_name(*pair))?;
    }
    Ok(())
}

fn write_csv(lines: &[Line<'_>], out: &mut impl Write) -> Outcome<()> {
    writeln!(
        out,
        "primitive,family,src_layout,dst_layout,applicable,chosen,workspace_bytes,packed_weights_bytes,gemm,\
         gemm_calls,estimated_ms,measured_ms,math,reason"
    )?;
    for Line { info, pair, chosen } in lines {
        let (src, dst) = pair.map_or(("any", "any"), |(src, dst)| (src.name(), dst.name()));
        write!(out, "{},{},{src},{dst},{},{chosen},", info.entry.name(), info.entry.family, info.applicable)?;
        if info.applicable {
            let measured = match info.measured_seconds {
                0.0 => String::new(),
                seconds => (seconds * 1e3).to_string(),
            };
            write!(
                out,
                "{},{},{},{},{},{measured},",
                info.workspace_bytes,
                info.packed_weights_bytes,
                gemm(info),
                info.gemm_calls,
                info.estimated_seconds * 1e3
            )?;
        } else {
            write!(out, ",,,,,,")?;
        }
        writeln!(out, "{},\"{}\"", options::math_name(info.entry), reason(info).replace('"', "\"\""))?;
    }
    Ok(())
}

/// What computes the primitive's products; nothing where plain loops do.
fn gemm(info: &Info) -> &'static str {
    info.gemm_name().unwrap_or_default()
}

fn reason(info: &Info) -> String {
    info.reason.map(|reason| reason.to_string_lossy().into_owned()).unwrap_or_default()
}
