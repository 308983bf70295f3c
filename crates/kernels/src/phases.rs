//! Phases of a padded plane: small planes in which the inputs of a strided tap lie side by side, in the order of the
//! outputs.
//!
//! Input row y·s + i·d − pad belongs to phase (i·d) mod s, as row y + (i·d) / s. The same holds for columns. A phase
//! of rows and columns is a small plane; its padding is zeros. Output rows are padded to the row length of the phase.
//! So each tap reads at a constant distance from its output, and vectors may cross the ends of rows.

use std::ops::Range;

use crate::axis::{Axis, most_fitting};
use crate::copies::{Copies, Lines, MOST_PHASES};
use crate::flat_tile::FlatRun;
use crate::geometry::Geometry;

/// Taps that a kernel may have: each of them may have a phase of its own.
pub const MOST_PLANE_TAPS: usize = MOST_PHASES;

/// The phases that some output rows and columns see, and the taps' places in them.
#[derive(Debug, Clone)]
pub struct Phases {
    rows: Axis,
    cols: Axis,
    /// Output rows and columns of a part.
    part: [usize; 2],
    /// A run of taps for each kernel row and phase of its columns: the first `len` are there.
    runs: [FlatRun; MOST_PLANE_TAPS],
    len: usize,
}

impl Phases {
    /// Those of parts of at most so many floats of phases and of outputs, outputs being computed in blocks; none
    /// where a row of a few outputs does not fit, or there are too many taps.
    pub fn new(geometry: &Geometry, most: [usize; 2], block: usize) -> Option<Self> {
        /// Outputs of a row that are worth it.
        const FEW: usize = 8;
        let [_, rows, cols] = geometry.axes;
        if geometry.taps() > MOST_PLANE_TAPS {
            return None;
        }
        let runs = [FlatRun::default(); MOST_PLANE_TAPS];
        let of_part = |height: usize, width: usize| Self { rows, cols, part: [height, width], runs, len: 0 };
        let fits = |part: &Self| {
            part.floats(block).is_some_and(|floats| floats[0] <= most[0] && floats[1] <= most[1])
        };
        let halved = |&width: &usize| Some(width.div_ceil(2)).filter(|&half| half < width && half >= FEW);
        let mut widths = std::iter::successors(Some(cols.output), halved);
        let width = widths.find(|&width| fits(&of_part(1, width)))?;
        let height = most_fitting(rows.output, |height| fits(&of_part(height, width)));
        // Parts of about the same size.
        let height = rows.output.div_ceil(rows.output.div_ceil(height));
        let mut part = of_part(height, width);
        let [of_rows, of_cols] = part.counts();
        let apart = cols.neighbour_taps().0;
        for i in 0..rows.kernel {
            for j in 0..of_cols {
                let row = part.first_row(i % of_rows, j) + of_tap(&rows, i).1;
                let offset = row * part.pitch() + of_tap(&cols, j).1;
                let run =
                    FlatRun { offset, len: (cols.kernel - j).div_ceil(apart), weight: i * cols.kernel + j };
                part.runs[part.len] = run;
                part.len += 1;
            }
        }
        Some(part)
    }

    /// Phases of rows and columns that some tap reads: every so many taps it is the same again.
    fn counts(&self) -> [usize; 2] {
        [&self.rows, &self.cols].map(|axis| axis.neighbour_taps().0.min(axis.kernel))
    }

    /// The first row of a phase, all phases lying one behind the other.
    fn first_row(&self, row_phase: usize, col_phase: usize) -> usize {
        (row_phase * self.counts()[1] + col_phase) * self.rows_of_phase()
    }

    fn rows_of_phase(&self) -> usize {
        self.part[0] + of_tap(&self.rows, self.rows.kernel - 1).1
    }

    /// Output rows and columns of a part.
    #[inline]
    pub fn part(&self) -> [usize; 2] {
        self.part
    }

    /// Elements from one row to the next: all columns of a phase that a part sees.
    #[inline]
    pub fn pitch(&self) -> usize {
        self.part[1] + of_tap(&self.cols, self.cols.kernel - 1).1
    }

    /// Outputs as they are computed, in whole blocks.
    pub fn outputs_len(&self, block: usize) -> usize {
        (self.part[0] * self.pitch()).next_multiple_of(block)
    }

    /// Floats of all phases, with what the last outputs read behind them, and of the outputs; none if they do not fit.
    fn floats(&self, block: usize) -> Option<[usize; 2]> {
        let outputs = self.part[0].checked_mul(self.pitch())?.checked_next_multiple_of(block)?;
        let [of_rows, of_cols] = self.counts();
        let phases = (of_rows * of_cols).checked_mul(self.rows_of_phase())?.checked_mul(self.pitch())?;
        Some([phases.checked_add(self.pitch())?.checked_add(block)?, outputs])
    }

    /// The taps.
    #[inline]
    pub fn runs(&self) -> &[FlatRun] {
        &self.runs[..self.len]
    }

    /// From one tap of a run to the next: elements, and taps.
    #[inline]
    pub fn step(&self) -> [usize; 2] {
        let (taps, distance) = self.cols.neighbour_taps();
        [distance, taps]
    }

    /// How the phases of a part that begins with this output are copied from a plane whose rows have so many elements.
    pub fn copies(&self, [y, x]: [usize; 2], row: usize) -> Copies {
        let mut copies = Copies { list: [Lines::default(); MOST_PHASES], len: 0 };
        let [of_rows, of_cols] = self.counts();
        for i in 0..of_rows {
            let (ys, first_y) = seen(&self.rows, y, i, self.rows_of_phase());
            for j in 0..of_cols {
                let (xs, first_x) = seen(&self.cols, x, j, self.pitch());
                if !xs.is_empty() && !ys.is_empty() {
                    copies.list[copies.len] = Lines {
                        from: first_y * row + first_x,
                        from_step: self.rows.step() * row,
                        apart: self.cols.step(),
                        to: (self.first_row(i, j) + ys.start) * self.pitch() + xs.start,
                        to_step: self.pitch(),
                        count: ys.len(),
                        len: xs.len(),
                    };
                    copies.len += 1;
                }
            }
        }
        copies
    }

    /// How the outputs of so many rows and columns are copied to a plane whose rows have so many elements.
    pub fn outputs(&self, [height, width]: [usize; 2], row: usize) -> Lines {
        Lines { from: 0, from_step: self.pitch(), apart: 1, to: 0, to_step: row, count: height, len: width }
    }
}

/// The phase of a tap, and how many of the phase's positions lie between an output and what it reads.
fn of_tap(axis: &Axis, tap: usize) -> (usize, usize) {
    let position = tap * axis.dilation;
    (position % axis.stride, position / axis.stride)
}

/// Of so many positions of a tap's phase from an output on: those inside the input, and where the first of them lies
/// there.
fn seen(axis: &Axis, output: usize, tap: usize, len: usize) -> (Range<usize>, usize) {
    let Axis { input, pad_before, stride, .. } = *axis;
    let begin = output * stride + of_tap(axis, tap).0;
    let first = pad_before.saturating_sub(begin).div_ceil(stride).min(len);
    let end = (input + pad_before).saturating_sub(begin).div_ceil(stride).clamp(first, len);
    (first..end, begin.saturating_add(first.saturating_mul(stride)).saturating_sub(pad_before))
}
