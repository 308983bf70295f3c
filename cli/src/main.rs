//! The command line: what every primitive needs for a problem (`query`), a network's convolutions run, timed and
//! checked (`demo`), and primitives measured side by side (`bench`).

mod bench;
mod demo;
mod execution;
mod layer;
mod layouts;
mod lists;
mod options;
mod oracle;
mod outcome;
mod photo;
mod query;
mod seeded;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use self::outcome::{Failure, INTERRUPTED};

/// Convolutions through GEMM, with exact figures for the memory that each algorithm needs
#[derive(Parser)]
#[command(name = "convlow", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure primitives side by side on problems and networks, with tables, records and pictures
    Bench(bench::Arguments),
    /// Run the convolutions of a network, time them and check them against float64
    Demo(demo::Arguments),
    /// Show every primitive for a problem: whether it applies, its workspace, its estimated time
    Query(query::Arguments),
}

const WRONG: u8 = 1;
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let outcome = match arguments.command {
        Command::Bench(arguments) => bench::run(&arguments, &mut out),
        Command::Demo(arguments) => demo::run(&arguments, &mut out),
        Command::Query(arguments) => query::run(&arguments, &mut out),
    };
    let outcome = out.flush().map_err(Failure::from).and(outcome);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Refused(text)) => complain(&text, REFUSED),
        Err(Failure::Wrong(text)) => complain(&text, WRONG),
        Err(Failure::Interrupted(text)) => complain(&text, INTERRUPTED),
        // Whoever read the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Output(error)) => complain(&format!("the output cannot be written: {error}"), WRONG),
    }
}

fn complain(text: &str, code: u8) -> ExitCode {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(io::stderr(), "convlow: {}", text.trim_end());
    ExitCode::from(code)
}

/// Help and version, or what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayVersion => {
            let _ = writeln!(io::stdout(), "{}", convlow::build_info());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelp => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(REFUSED)
        }
        _ => {
            let text = error.render().to_string();
            complain(text.strip_prefix("error: ").unwrap_or(&text), REFUSED)
        }
    }
}
