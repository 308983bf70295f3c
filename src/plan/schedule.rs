//! [`Schedule`]: the use of threads and scratch by the units of a problem.

use crate::algorithms::{Declined, Entry, Limits, Ready};
use crate::problem::{Problem, product};

/// Multiplications under which a unit is too short to be divided among threads: then whole units run side by side, each
/// with scratch of its own.
const SMALL_UNIT_MACS: usize = 1 << 22;

/// An algorithm made ready for a problem, and how its units use threads and scratch.
pub(crate) struct Schedule {
    /// What computes one unit.
    pub prepared: Box<dyn Ready>,
    /// Units that run side by side, each on one thread; 1 means one after the other, each on all threads.
    pub units_at_once: usize,
}

impl Schedule {
    /// The schedule within the limits where the algorithm can adapt.
    ///
    /// # Errors
    /// Why the algorithm does not compute the problem.
    pub fn new(problem: &Problem, entry: &Entry, limits: Limits) -> Result<Self, Declined> {
        let Limits { threads, elements, .. } = limits;
        let whole = Self { prepared: entry.prepare(problem, limits)?, units_at_once: 1 };
        let units = whole.units(problem);
        if threads.min(units) > 1 && problem.macs() / units < SMALL_UNIT_MACS {
            let alone = entry.prepare(problem, limits.alone())?;
            let fitting = elements.checked_div(alone.scratch().all()).unwrap_or(usize::MAX);
            let units_at_once = threads.min(units).min(fitting);
            if units_at_once > 1 {
                return Ok(Self { prepared: alone, units_at_once });
            }
        }
        Ok(whole)
    }

    /// Units of the problem.
    pub fn units(&self, problem: &Problem) -> usize {
        problem.batch * (problem.groups / self.prepared.groups_at_once())
    }

    /// Bytes of scratch in all; `None` if they overflow.
    pub fn bytes(&self, problem: &Problem) -> Option<usize> {
        product(&[self.prepared.scratch().all(), self.units_at_once, problem.data_type.bytes()])
            .filter(|&bytes| bytes <= isize::MAX as usize)
    }
}
