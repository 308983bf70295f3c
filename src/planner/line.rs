//! The line that CONVLOW_VERBOSE asks for.

use std::fmt;
use std::io::Write;

use convlow_base::error::text;

use crate::algorithms::Reason;
use crate::plan::Info;
use crate::problem::Problem;

/// A static text of the C surface.
pub(super) fn printed(reason: Reason) -> &'static str {
    reason.to_str().expect("reasons are ASCII")
}

/// The line of a plan: what was chosen, and why each other algorithm was not.
struct ChoiceLine<'a, I>(&'a Problem, I);

impl<I: Iterator<Item = Info> + Clone> fmt::Display for ChoiceLine<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problem, infos) = self;
        write!(f, "convlow: {problem}:")?;
        for info in infos.clone().filter(|info| info.reason.is_none()) {
            let gemm = info.gemm_name().unwrap_or("no gemm");
            write!(f, " {}, {} bytes of workspace, {gemm}", info.entry.name(), info.workspace_bytes)?;
            match info.measured_seconds {
                0.0 => write!(f, ", estimated {:.3} ms", info.estimated_seconds * 1e3)?,
                seconds => write!(f, ", measured {:.3} ms", seconds * 1e3)?,
            }
        }
        let mut before = ";";
        for info in infos.clone() {
            if let Some(reason) = info.reason {
                write!(f, "{before} not {}: {}", info.entry.name(), printed(reason))?;
                before = ",";
            }
        }
        f.write_str("\n")
    }
}

/// Prints the line in one piece, so that those of several threads do not mix.
pub(super) fn print_choice(problem: &Problem, infos: impl Iterator<Item = Info> + Clone) {
    let line = text!("{}", ChoiceLine(problem, infos));
    // A host without a stderr has asked for nothing it could see.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
