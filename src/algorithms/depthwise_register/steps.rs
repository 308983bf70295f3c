//! [`Steps`]: the part of an axis that is moved at once.

use crate::problem::{Axis, Problem, most_fitting};

/// Outputs of a row that are worth moving what lies between their taps.
pub const LEAST_OUTPUTS: usize = 8;

/// How an axis is taken where its input is moved.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Outputs at once, with all that lies between their taps; or one, whose taps alone are moved.
    pub outputs: usize,
    /// Taps at once.
    pub taps: usize,
    /// Whether taps alone are moved.
    pub apart: bool,
}

impl Steps {
    fn window(axis: &Axis, outputs: usize) -> Self {
        Self { outputs, taps: axis.kernel, apart: false }
    }

    fn taps(taps: usize) -> Self {
        Self { outputs: 1, taps, apart: true }
    }

    /// Rows and columns so that at most so many positions are moved at once: whole rows of outputs, or parts of one.
    pub fn of_axes(Problem { rows, cols, .. }: &Problem, positions: usize) -> [Self; 2] {
        let fits = |rows: usize, cols: usize| rows.saturating_mul(cols) <= positions;
        let width = cols.largest_window(cols.output);
        let whole = most_fitting(rows.output, |outputs| fits(rows.largest_window(outputs), width));
        if whole > 0 {
            return [Self::window(rows, whole), Self::window(cols, cols.output)];
        }
        let (height, few) = (rows.largest_window(1), cols.largest_window(LEAST_OUTPUTS.min(cols.output)));
        if fits(height, few) {
            let part = most_fitting(cols.output, |outputs| fits(height, cols.largest_window(outputs)));
            return [Self::window(rows, 1), Self::window(cols, part)];
        }
        if fits(1, few) {
            let taps = rows.kernel.min(positions / few);
            let part = most_fitting(cols.output, |outputs| fits(taps, cols.largest_window(outputs)));
            return [Self::taps(taps), Self::window(cols, part)];
        }
        let taps = cols.kernel.min(positions);
        [Self::taps(rows.kernel.min(positions / taps)), Self::taps(taps)]
    }
}
