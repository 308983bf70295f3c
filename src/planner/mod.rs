//! The planner: it goes through the registry for a problem, asks each algorithm for its needs, and chooses one.
//!
//! An algorithm itself says whether it is correct for a problem. The planner judges its speed: by a cost model
//! (`estimate`), or by measured times (`measure`), which are kept as [`wisdom`].

mod candidate;
mod choice;
mod estimate;
mod line;
mod measure;
mod options;
mod survey;
#[cfg(test)]
mod tests;
mod usual;
pub mod wisdom;

use convlow_base::error::Result;
use convlow_base::memory;

use self::candidate::Candidate;
use self::line::print_choice;
pub use self::options::{AlgorithmChoice, Effort, Math, Options, WeightsFrom};
use self::survey::Survey;
use crate::algorithms::REGISTRY;
use crate::environment::is_verbose;
use crate::plan::{Info, Plan};
use crate::problem::Problem;

/// Every algorithm's answer for a problem, in registry order; the one that a plan would choose has no reason.
///
/// # Errors
/// Those of the problem, the options and [`Isa::in_use`](crate::Isa::in_use); that the requested algorithm cannot
/// serve is an answer, not an error.
pub fn query(problem: &Problem, options: &Options) -> Result<Vec<Info>> {
    let problem = &Problem::new(*problem)?;
    let survey = Survey::with_times(problem, options)?;
    let mut infos = memory::vec(REGISTRY.len())?;
    infos.extend(survey.infos(options, survey.choose(options).ok()));
    Ok(infos)
}

impl Plan {
    /// Chooses an algorithm for the problem.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the requested algorithm or backend cannot serve the problem, the build does not have
    /// the problem's type, or `CONVLOW_ISA` names instructions that this machine does not have,
    /// [`Error::WorkspaceLimit`] if it needs more than the limit, [`Error::Overflow`] if a size of it does not fit,
    /// [`Error::InvalidArgument`] for options that make no sense, [`Error::OutOfMemory`] if there is no room for the
    /// candidates.
    ///
    /// [`Error::Unsupported`]: crate::Error::Unsupported
    /// [`Error::WorkspaceLimit`]: crate::Error::WorkspaceLimit
    /// [`Error::Overflow`]: crate::Error::Overflow
    /// [`Error::InvalidArgument`]: crate::Error::InvalidArgument
    /// [`Error::OutOfMemory`]: crate::Error::OutOfMemory
    pub fn new(problem: &Problem, options: &Options) -> Result<Self> {
        // A problem's fields are open, so what was valid once need not be any more.
        let problem = &Problem::new(*problem)?;
        let survey = Survey::with_times(problem, options)?;
        let chosen = survey.choose(options)?;
        if is_verbose() {
            print_choice(problem, survey.infos(options, Some(chosen)));
        }
        let entry = chosen.info.entry;
        let Candidate { info, task, .. } = survey.take(entry);
        Ok(Self::of(problem, info, task, &options.pool))
    }
}
