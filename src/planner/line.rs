//! The lines that `CONVLOW_VERBOSE` asks for.

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

/// The most characters of a line, unless a name or a reason is longer.
const WIDTH: usize = 118;

/// The lines of a plan: what was chosen, and by each reason the algorithms that were not.
struct ChoiceLines<'a, I>(&'a Problem, I);

impl<I: Iterator<Item = Info> + Clone> fmt::Display for ChoiceLines<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problem, infos) = self;
        write!(f, "convlow: {problem}:")?;
        for info in infos.clone().filter(|info| info.reason.is_none()) {
            let gemm = info.gemm_name().unwrap_or("no gemm");
            write!(f, " {}, {} bytes of workspace, {gemm}", info.entry.name(), info.workspace_bytes)?;
            if let Some(isa) = info.isa {
                write!(f, " {}", isa.name())?;
            }
            match info.measured_seconds {
                0.0 => write!(f, ", estimated {:.3} ms", info.estimated_seconds * 1e3)?,
                seconds => write!(f, ", measured {:.3} ms", seconds * 1e3)?,
            }
        }
        f.write_str("\n")?;
        for (index, reason) in infos.clone().map(|info| info.reason).enumerate() {
            let is_first = infos.clone().take(index).all(|before| before.reason != reason);
            if let Some(reason) = reason.filter(|_| is_first) {
                self.write_passed_over(f, reason)?;
            }
        }
        Ok(())
    }
}

impl<I: Iterator<Item = Info> + Clone> ChoiceLines<'_, I> {
    /// The algorithms that were not chosen for this reason.
    fn write_passed_over(&self, f: &mut fmt::Formatter<'_>, reason: Reason) -> fmt::Result {
        let text = printed(reason);
        write!(f, "convlow:   not, {text}:")?;
        let mut width = "convlow:   not, :".len() + text.len();
        let mut before = " ";
        for info in self.1.clone().filter(|info| info.reason == Some(reason)) {
            let name = info.entry.name();
            width += before.len() + name.len();
            if width > WIDTH {
                before = if before == " " { "\nconvlow:     " } else { ",\nconvlow:     " };
                width = "convlow:     ".len() + name.len();
            }
            write!(f, "{before}{name}")?;
            before = ", ";
        }
        f.write_str("\n")
    }
}

/// Prints the lines in one piece, so that those of several threads do not mix.
pub(super) fn print_choice(problem: &Problem, infos: impl Iterator<Item = Info> + Clone) {
    let lines = text!("{}", ChoiceLines(problem, infos));
    // A host without a stderr has asked for nothing it could see.
    let _ = std::io::stderr().write_all(lines.as_bytes());
}
