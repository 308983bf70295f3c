//! The pixels that products are summed over, in strips, and where their factors lie.

use std::ops::Range;

use convlow_kernels::gradient::Run;

use crate::problem::{Axis, common};

/// Output pixels of all images, divided into strips: neighbouring images, planes, rows and columns, of each axis more than one
/// only where the inner ones are whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strips {
    all: [usize; 4],
    of_strip: [usize; 4],
}

impl Strips {
    /// Strips of at most so many of all images, planes, rows and columns.
    pub fn new(all: [usize; 4], most: usize) -> Self {
        let (mut of_strip, mut room) = ([1; 4], most);
        for at in (0..4).rev() {
            // Of about the same size.
            of_strip[at] = all[at].div_ceil(all[at].div_ceil(room).max(1)).max(1);
            room /= all[at].max(1);
            if room == 0 || of_strip[at] < all[at] {
                break;
            }
        }
        Self { all, of_strip }
    }

    /// Images, planes, rows and columns of a whole one.
    pub fn sizes(&self) -> [usize; 4] {
        self.of_strip
    }

    /// Pixels of a whole one.
    pub fn pixels(&self) -> usize {
        self.of_strip.iter().product()
    }

    /// The strips that one of other strips, of whose size these are, is divided into.
    pub fn of(&self, part: &[Range<usize>; 4]) -> impl Iterator<Item = [Range<usize>; 4]> + use<> {
        let first = part.each_ref().map(|range| range.start);
        let inside = Self { all: part.each_ref().map(ExactSizeIterator::len), ..*self };
        inside.each().map(move |strip| {
            std::array::from_fn(|at| first[at] + strip[at].start..first[at] + strip[at].end)
        })
    }

    /// All of them, in order.
    pub fn each(&self) -> impl Iterator<Item = [Range<usize>; 4]> + use<> {
        let Self { all, of_strip } = *self;
        let counts: [usize; 4] = std::array::from_fn(|at| all[at].div_ceil(of_strip[at]));
        (0..counts.iter().product()).map(move |index| {
            let mut left = index;
            let mut strip = [0..0, 0..0, 0..0, 0..0];
            for at in (0..4).rev() {
                let first = left % counts[at] * of_strip[at];
                strip[at] = first..(first + of_strip[at]).min(all[at]);
                left /= counts[at];
            }
            strip
        })
    }
}

/// Ranges of a strip, or of a whole tensor, as positions that are there.
pub(super) fn whole(ranges: [Range<usize>; 3]) -> [Seen; 3] {
    ranges.map(|range| Seen { first: range.start, count: range.len(), step: 1 })
}

/// The input positions that some outputs see by some taps, those that none of them sees left out where that is simple.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub first: usize,
    pub count: usize,
    pub step: usize,
}

impl Seen {
    pub fn new(axis: &Axis, outputs: &Range<usize>, taps: &Range<usize>) -> Self {
        let nothing = Self { first: 0, count: 0, step: 1 };
        if taps.len() == 1 {
            let outputs = common(&axis.outputs_of_tap(taps.start), outputs);
            return match outputs.is_empty() {
                true => nothing,
                false => {
                    let first = axis.input_of(outputs.start, taps.start);
                    Self { first, count: outputs.len(), step: axis.stride }
                }
            };
        }
        if outputs.len() == 1 {
            let taps = common(&axis.taps_of_output(outputs.start), taps);
            return match taps.is_empty() {
                true => nothing,
                false => {
                    let first = axis.input_of(outputs.start, taps.start);
                    Self { first, count: taps.len(), step: axis.dilation }
                }
            };
        }
        let end = axis.input + axis.pad_before;
        let place = |output: usize, tap: usize| {
            output.saturating_mul(axis.stride).saturating_add(tap * axis.dilation).clamp(axis.pad_before, end)
        };
        let first = place(outputs.start, taps.start);
        let last = place(outputs.end - 1, taps.end - 1).saturating_add(1).clamp(first, end);
        Self { first: first - axis.pad_before, count: last - first, step: 1 }
    }

    /// How many there are at most, for so many outputs and taps.
    pub fn most(axis: &Axis, outputs: usize, taps: usize) -> usize {
        match (outputs, taps) {
            (_, 1) => outputs,
            (1, _) => taps,
            _ => {
                let far =
                    (outputs - 1).saturating_mul(axis.stride).saturating_add((taps - 1) * axis.dilation);
                far.saturating_add(1).min(axis.input)
            }
        }
    }

    /// The number of the position that an output sees by a tap.
    fn number(&self, axis: &Axis, output: usize, tap: usize) -> usize {
        (axis.input_of(output, tap) - self.first) / self.step
    }

    /// From the position that an output sees to the one that the next output sees.
    fn between_outputs(&self, axis: &Axis) -> usize {
        if self.count <= 1 { 1 } else { axis.step().div_ceil(self.step) }
    }
}

/// Some outputs along an axis, and the taps by which each of them sees an input.
pub(super) struct Class {
    pub outputs: Range<usize>,
    pub taps: Range<usize>,
}

/// Where the factors of a strip lie: those of lanes, and of rows what its outputs see by some taps.
pub(super) struct Window<'a> {
    pub axes: &'a [Axis; 3],
    pub strip: &'a [Range<usize>; 4],
    /// The input positions that are there, and the image that is the first.
    pub seen: [Seen; 3],
    pub first_image: usize,
    /// The first image, plane, row and column of the factors of lanes, and how many planes, rows and columns there are.
    pub first: [usize; 4],
    pub sizes: [usize; 3],
    /// Elements from one pixel to the next in the factors of rows, and from one image to the next.
    pub ld: usize,
    pub image_step: usize,
}

impl Window<'_> {
    /// Elements from one pixel to the next in the factors of rows.
    pub fn row_step(&self) -> usize {
        self.seen[2].between_outputs(&self.axes[2]) * self.ld
    }

    /// Elements from what an output sees by one tap of the last axes to what it sees by the next: along columns and rows.
    pub fn tap_steps(&self) -> [usize; 2] {
        // Taps farther apart than the input is long have no common output.
        let step = |at: usize| self.axes[at].dilation.min(self.axes[at].input).div_ceil(self.seen[at].step);
        [step(2) * self.ld, step(1) * self.seen[2].count * self.ld]
    }

    /// Outputs of the strip along an axis that see an input by a tap.
    pub fn outputs_of_tap(&self, axis: usize, tap: usize) -> Range<usize> {
        common(&self.axes[axis].outputs_of_tap(tap), &self.strip[1 + axis])
    }

    /// Neighbouring outputs of the strip along an axis that see an input by the same ones of these taps, by one or more; those
    /// that see one by all taps come first.
    pub fn classes(&self, axis: usize, taps: &Range<usize>) -> impl Iterator<Item = Class> + use<'_> {
        let (by, outputs, taps) = (&self.axes[axis], self.strip[1 + axis].clone(), taps.clone());
        let seen = |tap: usize| common(&by.outputs_of_tap(tap), &outputs);
        let all = common(&seen(taps.start), &seen(taps.end - 1));
        let (all, others) = match all.is_empty() {
            true => (None, [outputs, 0..0]),
            false => {
                let beside = [outputs.start..all.start, all.end..outputs.end];
                (Some(Class { outputs: all, taps: taps.clone() }), beside)
            }
        };
        let others = others.into_iter().flat_map(move |mut left| {
            let taps = taps.clone();
            std::iter::from_fn(move || {
                let first = left.next()?;
                let taps_of = |output: usize| common(&by.taps_of_output(output), &taps);
                let of_first = taps_of(first);
                while left.clone().next().is_some_and(|output| taps_of(output) == of_first) {
                    left.next();
                }
                Some(Class { outputs: first..left.start, taps: of_first })
            })
        });
        all.into_iter().chain(others).filter(|class| !class.taps.is_empty())
    }

    /// Calls `f` with the runs of the factors of lanes alone.
    pub fn lane_runs(&self, outputs: [&Range<usize>; 2], list: &mut RunList, f: impl FnMut(&[Run])) {
        // Where each output sees a position of its own.
        let axes = self.axes.map(|axis| Axis { input: axis.output, output: axis.output, ..Axis::ONE });
        let seen = std::array::from_fn(|at| Seen { first: 0, count: axes[at].input, step: 1 });
        let alone = Window { axes: &axes, seen, first_image: 0, ld: 0, image_step: 0, ..*self };
        alone.runs([0; 3], outputs, list, f);
    }

    /// Calls `f` with the runs of these rows and columns of outputs, which see an input by these taps.
    pub fn runs(
        &self,
        taps: [usize; 3],
        [rows, cols]: [&Range<usize>; 2],
        list: &mut RunList,
        mut f: impl FnMut(&[Run]),
    ) {
        list.len = 0;
        if rows.is_empty() || cols.is_empty() {
            return;
        }
        let [zs, ys, xs] = &self.seen;
        let [first_image, first_plane, first_row, first_col] = self.first;
        let [planes, all_rows, all_cols] = self.sizes;
        let row_step = self.row_step();
        let in_row = xs.number(&self.axes[2], cols.start, taps[2]);
        for image in self.strip[0].clone() {
            for z in self.outputs_of_tap(0, taps[0]) {
                let of_image = (image - self.first_image) * self.image_step;
                let of_plane = zs.number(&self.axes[0], z, taps[0]) * ys.count;
                let of_lanes = (image - first_image) * planes + z - first_plane;
                for y in rows.clone() {
                    let of_row = (of_plane + ys.number(&self.axes[1], y, taps[1])) * xs.count;
                    let of_rows = of_image + (of_row + in_row) * self.ld;
                    let of_lanes = (of_lanes * all_rows + y - first_row) * all_cols + cols.start - first_col;
                    let run = Run { rows: of_rows, lanes: of_lanes, pixels: cols.len() };
                    if list.joins(run, row_step) {
                        continue;
                    }
                    if list.len == MOST_RUNS {
                        f(&list.runs);
                        list.len = 0;
                    }
                    list.runs[list.len] = run;
                    list.len += 1;
                }
            }
        }
        if list.len > 0 {
            f(&list.runs[..list.len]);
        }
    }
}

/// Runs that are handed to a kernel at once.
const MOST_RUNS: usize = 64;

/// Some of them.
pub(super) struct RunList {
    runs: [Run; MOST_RUNS],
    len: usize,
}

impl RunList {
    pub const EMPTY: Self = Self { runs: [Run { rows: 0, lanes: 0, pixels: 0 }; MOST_RUNS], len: 0 };

    /// Makes the last run longer, if this one goes on where it ends.
    fn joins(&mut self, run: Run, row_step: usize) -> bool {
        let Some(last) = self.runs[..self.len].last_mut() else { return false };
        let goes_on = last.rows + last.pixels * row_step == run.rows && last.lanes + last.pixels == run.lanes;
        last.pixels += if goes_on { run.pixels } else { 0 };
        goes_on
    }
}
